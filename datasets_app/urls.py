"""This app's routes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from datasets_app import consumers
from datasets_app import pages as views
from datasets_app.api import DatasetViewSet

router = SimpleRouter(trailing_slash=False)
router.register("datasets", DatasetViewSet, basename="api-dataset")

pages: list = [
    path("", views.index, name="datasets"),
    path("upload", views.upload, name="dataset-upload"),
    path("<int:pk>", views.detail, name="dataset"),
    path("<int:pk>/edit", views.edit, name="dataset-edit"),
    path("<int:pk>/validate", views.validate, name="dataset-validate"),
    path("<int:pk>/delete", views.delete, name="dataset-delete"),
    path("<int:pk>/download", views.download, name="dataset-download"),
]
api: list = router.urls
websocket: list = [path("ws/datasets/<int:pk>", consumers.DatasetSocket.as_asgi())]
