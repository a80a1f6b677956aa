"""This app's routes."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from training import pages as views
from training.api.catalog import DevicesView, ExecutorsView, MethodsView, SampleView
from training.api.estimate import EstimateView
from training.api.jobs import JobViewSet
from training.consumers import JobConsumer

router = SimpleRouter(trailing_slash=False)
router.register("training", JobViewSet, basename="api-job")

pages = [
    path("", views.jobs, name="jobs"),
    path("new", views.new, name="job-new"),
    path("estimate", views.estimate, name="job-estimate"),
    path("sample", views.sample, name="create-sample"),
    path("<int:pk>", views.job, name="job"),
    path("<int:pk>/start", views.start, name="job-start"),
    path("<int:pk>/cancel", views.cancel, name="job-cancel"),
    path("<int:pk>/resume", views.resume, name="job-resume"),
    path("<int:pk>/clone", views.clone, name="job-clone"),
    path("<int:pk>/delete", views.delete, name="job-delete"),
]
api = [
    path("training/methods", MethodsView.as_view(), name="api-methods"),
    path("training/executors", ExecutorsView.as_view(), name="api-executors"),
    path("training/devices", DevicesView.as_view(), name="api-devices"),
    path("training/estimate", EstimateView.as_view(), name="api-estimate"),
    path("training/sample", SampleView.as_view(), name="api-sample"),
    *router.urls,
]
websocket = [path("ws/training/<int:job_id>", JobConsumer.as_asgi())]
