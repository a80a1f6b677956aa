"""This app's routes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from datasets_app import consumers, import_pages
from datasets_app import pages as views
from datasets_app.api import DatasetViewSet
from datasets_app.api_mappings import MappingViewSet

router = SimpleRouter(trailing_slash=False)
router.register("datasets/mappings", MappingViewSet, basename="api-mapping")
router.register("datasets", DatasetViewSet, basename="api-dataset")

pages: list = [
    path("", views.index, name="datasets"),
    path("upload", import_pages.upload, name="dataset-upload"),
    path("import", import_pages.import_hub, name="dataset-import"),
    path("mappings/<int:pk>/delete", import_pages.forget_mapping, name="mapping-delete"),
    path("<int:pk>/outcome", import_pages.outcome, name="dataset-outcome"),
    path("<int:pk>/mapping", import_pages.mapping, name="dataset-mapping"),
    path("<int:pk>", views.detail, name="dataset"),
    path("<int:pk>/edit", views.edit, name="dataset-edit"),
    path("<int:pk>/validate", views.validate, name="dataset-validate"),
    path("<int:pk>/confirm", views.confirm, name="dataset-confirm"),
    path("<int:pk>/delete", views.delete, name="dataset-delete"),
    path("<int:pk>/download", views.download, name="dataset-download"),
]
api: list = router.urls
websocket: list = [path("ws/datasets/<int:pk>", consumers.DatasetSocket.as_asgi())]
