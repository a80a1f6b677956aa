"""This app's routes."""

from django.urls import path

from finetune.dashboard import analytics_pages
from finetune.dashboard import api as views
from finetune.dashboard import pages as web

pages = [
    path("", web.home, name="home"),
    path("analytics", analytics_pages.analytics, name="analytics"),
    path("analytics/<slug:name>.csv", analytics_pages.table, name="analytics-csv"),
]
api = [
    path("stats", views.StatsView.as_view(), name="api-dashboard-stats"),
    path("analytics", views.AnalyticsView.as_view(), name="api-dashboard-analytics"),
]
