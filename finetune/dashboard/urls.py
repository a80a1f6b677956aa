"""This app's routes."""

from django.urls import path

from finetune.dashboard import api as views
from finetune.dashboard import pages as web

pages = [path("", web.home, name="home")]
api = [path("stats", views.StatsView.as_view(), name="api-dashboard-stats")]
