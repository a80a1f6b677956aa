"""This app's routes."""

from django.urls import path

from finetune.dashboard import analytics_pages
from finetune.dashboard import api as views
from finetune.dashboard import pages as web

pages = [
    path("", web.home, name="home"),
    path("analytics", analytics_pages.analytics, name="analytics"),
    *(path(f"analytics/{name}.csv", analytics_pages.table, {"name": name}, name=f"{name}-csv") for name in analytics_pages.TABLES),
]
api = [
    path("stats", views.StatsView.as_view(), name="api-dashboard-stats"),
    path("analytics", views.AnalyticsView.as_view(), name="api-dashboard-analytics"),
]
