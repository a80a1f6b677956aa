"""This app's routes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from models_app import (
    comparison_api,
    comparison_pages,
    consumers,
    evaluation_api,
    evaluation_pages,
    export_api,
    export_pages,
    hub_api,
    hub_pages,
    ollama_api,
    ollama_pages,
    version_pages,
)
from models_app import pages as views
from models_app.api import ModelViewSet

router = SimpleRouter(trailing_slash=False)
router.register("models/comparisons", comparison_api.ComparisonViewSet, basename="api-comparison")
router.register("models/evaluations", evaluation_api.EvaluationViewSet, basename="api-evaluation")
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
    path("ollama", ollama_pages.server, name="ollama"),
    path("ollama/test", ollama_pages.test, name="ollama-test"),
    path("<int:pk>/ollama", ollama_pages.bring, name="model-ollama"),
    path("ollama/copies/<int:pk>/cancel", ollama_pages.cancel, name="ollama-cancel"),
    path("ollama/copies/<int:pk>/remove", ollama_pages.remove, name="ollama-remove"),
    path("<int:pk>/versions", version_pages.versions, name="model-versions"),
    path("<int:pk>/exports", export_pages.exports, name="model-exports"),
    path("<int:pk>/exports/<int:export>/download", export_pages.download, name="export-download"),
    path("<int:pk>/exports/<int:export>/cancel", export_pages.cancel, name="export-cancel"),
    path("<int:pk>/exports/<int:export>/delete", export_pages.delete, name="export-delete"),
    path("side-by-side", comparison_pages.side_by_side, name="side-by-side"),
    path("comparisons", comparison_pages.index, name="comparisons"),
    path("comparisons/collect", comparison_pages.collect, name="comparisons-collect"),
    path("comparisons/<int:pk>", comparison_pages.detail, name="comparison"),
    path("comparisons/<int:pk>/vote", comparison_pages.vote, name="comparison-vote"),
    path("comparisons/<int:pk>/collect", comparison_pages.collect, name="comparison-collect"),
    path("<int:pk>/evaluate", evaluation_pages.evaluate, name="model-evaluate"),
    path("evaluations/<int:pk>", evaluation_pages.detail, name="evaluation"),
    path("evaluations/<int:pk>/compare", evaluation_pages.compare, name="evaluation-compare"),
    path("evaluations/<int:pk>/cancel", evaluation_pages.cancel, name="evaluation-cancel"),
    path("evaluations/<int:pk>/delete", evaluation_pages.delete, name="evaluation-delete"),
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
    path("models/ollama", ollama_api.OllamaView.as_view(), name="api-ollama"),
    path("models/ollama/copies/<int:pk>", ollama_api.CopyView.as_view(), name="api-ollama-copy"),
    path("models/ollama/copies/<int:pk>/cancel", ollama_api.CopyCancelView.as_view(), name="api-ollama-copy-cancel"),
    path("models/<int:pk>/import-ollama", ollama_api.ImportView.as_view(), name="api-import-ollama"),
    path("models/<int:pk>/ollama-copies", ollama_api.CopiesView.as_view(), name="api-ollama-copies"),
    path("models/<int:pk>/export", export_api.ExportView.as_view(), name="api-export"),
    path("models/<int:pk>/exports", export_api.ExportListView.as_view(), name="api-exports"),
    path("models/<int:pk>/exports/<int:export>", export_api.ExportDetailView.as_view(), name="api-export-detail"),
    path("models/<int:pk>/exports/<int:export>/cancel", export_api.ExportCancelView.as_view(), name="api-export-cancel"),
    path("models/<int:pk>/exports/<int:export>/download", export_api.ExportDownloadView.as_view(), name="api-export-download"),
    path("models/<int:pk>/evaluations", evaluation_api.ModelEvaluationsView.as_view(), name="api-model-evaluations"),
    *router.urls,
]
websocket: list = [
    path("ws/models/<int:pk>", consumers.ModelSocket.as_asgi()),
    path("ws/models/<int:pk>/test", consumers.TrySocket.as_asgi()),
    path("ws/ask", consumers.AskSocket.as_asgi()),
    path("ws/compare", consumers.CompareSocket.as_asgi()),
]
