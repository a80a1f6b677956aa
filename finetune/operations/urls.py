"""This package's routes."""

from django.urls import path

from finetune.operations import account_pages, data_api, data_pages
from finetune.operations import pages as web

pages = [
    path("metrics", web.metrics, name="metrics"),
    path("settings/data", data_pages.data, name="settings-data"),
    path("settings/data/export", data_pages.export, name="settings-data-export"),
    path("settings/data/download", data_pages.download, name="settings-data-download"),
    path("settings/delete-account", account_pages.delete, name="account-delete"),
]
api = [
    path("auth/archive", data_api.ArchiveView.as_view(), name="api-archive"),
    path("auth/archive/download", data_api.DownloadArchiveView.as_view(), name="api-archive-download"),
]
