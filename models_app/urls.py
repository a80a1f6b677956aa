"""This app's routes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from models_app import consumers, hub_api, hub_pages
from models_app import pages as views
from models_app.api import ModelViewSet

router = SimpleRouter(trailing_slash=False)
router.register("models", ModelViewSet, basename="api-model")

pages: list = [
    path("", views.index, name="models"),
    path("add", views.add, name="model-add"),
    path("hub", hub_pages.find, name="hub"),
    path("hub/download", hub_pages.download, name="model-download"),
    path("hub/about/<path:repo_id>", hub_pages.look, name="hub-model"),
    path("storage", hub_pages.disk, name="model-storage"),
    path("<int:pk>/cancel-download", hub_pages.cancel, name="model-cancel-download"),
    path("<int:pk>/push", hub_pages.push, name="model-push"),
    path("<int:pk>", views.detail, name="model"),
    path("<int:pk>/edit", views.edit, name="model-edit"),
    path("<int:pk>/latest", views.latest, name="model-latest"),
    path("<int:pk>/try", views.try_it, name="model-try"),
    path("<int:pk>/delete", views.delete, name="model-delete"),
]
api: list = [
    path("models/huggingface/search", hub_api.HubSearchView.as_view(), name="api-hub-search"),
    path("models/huggingface/popular", hub_api.HubPopularView.as_view(), name="api-hub-popular"),
    path("models/huggingface/info/<path:repo_id>", hub_api.HubInfoView.as_view(), name="api-hub-info"),
    path("models/huggingface/download", hub_api.HubDownloadView.as_view(), name="api-hub-download"),
    *router.urls,
]
websocket: list = [
    path("ws/models/<int:pk>", consumers.ModelSocket.as_asgi()),
    path("ws/models/<int:pk>/test", consumers.TrySocket.as_asgi()),
]
