"""This app's routes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from training.api.catalog import DevicesView, ExecutorsView, MethodsView, SampleView
from training.api.checkpoints import TryCheckpointView
from training.api.cloud import CloudView, RefreshPricesView, StopCloudRunView
from training.api.compare import CompareView
from training.api.defaults import JobDefaultsView
from training.api.estimate import EstimatePlacesView, EstimateView
from training.api.jobs import JobViewSet
from training.api.queue import AdmitWorkerView, DrainWorkerView, OpenQueueView, PauseQueueView, QueueView, WorkersView
from training.api.templates import TemplateViewSet
from training.api.versions import LineageView, VersionCompareView
from training.consumers import JobConsumer
from training.pages import checkpoints, cloud, compare, defaults, form, job, lists, moves, queue, templates, versions

router = SimpleRouter(trailing_slash=False)
router.register("training/templates", TemplateViewSet, basename="api-template")
router.register("training", JobViewSet, basename="api-job")

pages = [
    path("", lists.jobs, name="jobs"),
    path("new", form.new, name="job-new"),
    path("estimate", form.estimate, name="job-estimate"),
    path("sample", moves.sample, name="create-sample"),
    path("devices", job.devices, name="devices"),
    path("cloud", cloud.cloud, name="cloud"),
    path("cloud/stop", cloud.stop, name="cloud-stop"),
    path("cloud/prices", cloud.refresh, name="cloud-prices"),
    path("queue", queue.queue, name="queue"),
    path("queue/pause", queue.pause, name="queue-pause"),
    path("queue/open", queue.open_again, name="queue-open"),
    path("queue/drain", queue.drain, name="worker-drain"),
    path("queue/admit", queue.admit, name="worker-admit"),
    path("compare", compare.compare, name="jobs-compare"),
    path("templates/", templates.templates, name="templates"),
    path("templates/save", form.save_template_from_form, name="template-save"),
    path("templates/load", templates.load, name="template-load"),
    path("templates/<slug:pk>", templates.template, name="template"),
    path("templates/<slug:pk>/file", templates.download, name="template-file"),
    path("templates/<slug:pk>/delete", templates.delete, name="template-delete"),
    path("<int:pk>", job.job, name="job"),
    path("<int:pk>/files", job.files, name="job-files"),
    path("<int:pk>/start", moves.start, name="job-start"),
    path("<int:pk>/cancel", moves.cancel, name="job-cancel"),
    path("<int:pk>/resume", moves.resume, name="job-resume"),
    path("<int:pk>/move-up", queue.move_up, name="job-move-up"),
    path("<int:pk>/priority", queue.priority, name="job-priority"),
    path("<int:pk>/clone", moves.clone, name="job-clone"),
    path("<int:pk>/reproduce", moves.reproduce, name="job-reproduce"),
    path("<int:pk>/save-template", templates.save_from_job, name="job-save-template"),
    path("<int:pk>/send-again", moves.send_to_trackers, name="job-send-again"),
    path("<int:pk>/delete", moves.delete, name="job-delete"),
    path("<int:pk>/checkpoints/<int:step>/try", checkpoints.try_it, name="checkpoint-try"),
]
# Under settings/, likewise.
settings_pages = [path("new-jobs", defaults.job_defaults, name="settings-new-jobs")]
# Under models/: they tell of models, but only this app knows of runs.
model_pages = [
    path("compare", versions.compare, name="models-compare"),
    path("<int:pk>/lineage", versions.lineage, name="model-lineage"),
]
api = [
    path("training/methods", MethodsView.as_view(), name="api-methods"),
    path("training/executors", ExecutorsView.as_view(), name="api-executors"),
    path("training/cloud", CloudView.as_view(), name="api-cloud"),
    path("training/cloud/stop", StopCloudRunView.as_view(), name="api-cloud-stop"),
    path("training/cloud/prices", RefreshPricesView.as_view(), name="api-cloud-prices"),
    path("training/devices", DevicesView.as_view(), name="api-devices"),
    path("training/defaults", JobDefaultsView.as_view(), name="api-job-defaults"),
    path("training/queue", QueueView.as_view(), name="api-queue"),
    path("training/queue/pause", PauseQueueView.as_view(), name="api-queue-pause"),
    path("training/queue/open", OpenQueueView.as_view(), name="api-queue-open"),
    path("training/workers", WorkersView.as_view(), name="api-workers"),
    path("training/workers/drain", DrainWorkerView.as_view(), name="api-worker-drain"),
    path("training/workers/admit", AdmitWorkerView.as_view(), name="api-worker-admit"),
    path("training/estimate", EstimateView.as_view(), name="api-estimate"),
    path("training/estimate/places", EstimatePlacesView.as_view(), name="api-estimate-places"),
    path("training/compare", CompareView.as_view(), name="api-compare"),
    path("training/sample", SampleView.as_view(), name="api-sample"),
    path("training/<int:pk>/checkpoints/<int:step>/test", TryCheckpointView.as_view(), name="api-checkpoint-test"),
    path("models/<int:pk>/version-compare", VersionCompareView.as_view(), name="api-version-compare"),
    path("models/<int:pk>/lineage", LineageView.as_view(), name="api-lineage"),
    *router.urls,
]
websocket = [path("ws/training/<int:job_id>", JobConsumer.as_asgi())]
