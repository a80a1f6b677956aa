"""This app's routes."""

from django.urls import path

from finetune.dashboard import analytics_pages, help_pages
from finetune.dashboard import api as views
from finetune.dashboard import pages as web
from finetune.dashboard.handbook import EXAMPLES, IMAGES, SLUGS

pages = [
    path("", web.home, name="home"),
    path("analytics", analytics_pages.analytics, name="analytics"),
    path("help", help_pages.index, name="help"),
    *(path(f"help/{slug}", help_pages.page, {"slug": slug}, name=f"help-{slug}") for slug in SLUGS),
    *(path(f"help/examples/{name}", help_pages.example, {"name": name}) for name in EXAMPLES),
    *(path(f"help/images/{name}", help_pages.image, {"name": name}) for name in IMAGES),
    *(path(f"analytics/{name}.csv", analytics_pages.table, {"name": name}, name=f"{name}-csv") for name in analytics_pages.TABLES),
]
api = [
    path("stats", views.StatsView.as_view(), name="api-dashboard-stats"),
    path("analytics", views.AnalyticsView.as_view(), name="api-dashboard-analytics"),
]
