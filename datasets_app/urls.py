"""This app's routes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from datasets_app import consumers, import_pages, insight_pages, mix_pages
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
    path("mix", mix_pages.mix, name="dataset-mix"),
    path("gates", mix_pages.own_gates, name="own-gates"),
    path("mappings/<int:pk>/delete", import_pages.forget_mapping, name="mapping-delete"),
    path("<int:pk>/outcome", import_pages.outcome, name="dataset-outcome"),
    path("<int:pk>/mapping", import_pages.mapping, name="dataset-mapping"),
    path("<int:pk>", views.detail, name="dataset"),
    path("<int:pk>/edit", views.edit, name="dataset-edit"),
    path("<int:pk>/validate", views.validate, name="dataset-validate"),
    path("<int:pk>/confirm", views.confirm, name="dataset-confirm"),
    path("<int:pk>/delete", views.delete, name="dataset-delete"),
    path("<int:pk>/problems", insight_pages.problems, name="dataset-problems"),
    path("<int:pk>/fix", insight_pages.fix, name="dataset-fix"),
    path("<int:pk>/check", insight_pages.check, name="dataset-check"),
    path("<int:pk>/gates", insight_pages.gates, name="dataset-gates"),
    path("<int:pk>/statistics", insight_pages.statistics, name="dataset-statistics"),
    path("<int:pk>/split", insight_pages.split, name="dataset-split"),
    path("<int:pk>/versions", insight_pages.versions, name="dataset-versions"),
    path("<int:pk>/diff", insight_pages.diff, name="dataset-diff"),
    path("<int:pk>/download", views.download, name="dataset-download"),
]
api: list = router.urls
websocket: list = [path("ws/datasets/<int:pk>", consumers.DatasetSocket.as_asgi())]
