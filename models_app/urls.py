"""This app's routes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from models_app import consumers
from models_app import pages as views
from models_app.api import ModelViewSet

router = SimpleRouter(trailing_slash=False)
router.register("models", ModelViewSet, basename="api-model")

pages: list = [
    path("", views.index, name="models"),
    path("add", views.add, name="model-add"),
    path("<int:pk>", views.detail, name="model"),
    path("<int:pk>/edit", views.edit, name="model-edit"),
    path("<int:pk>/latest", views.latest, name="model-latest"),
    path("<int:pk>/try", views.try_it, name="model-try"),
    path("<int:pk>/delete", views.delete, name="model-delete"),
]
api: list = router.urls
websocket: list = [
    path("ws/models/<int:pk>", consumers.ModelSocket.as_asgi()),
    path("ws/models/<int:pk>/test", consumers.TrySocket.as_asgi()),
]
