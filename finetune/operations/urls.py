"""This package's routes."""

from django.urls import path

from finetune.operations import account_pages
from finetune.operations import pages as web

pages = [
    path("metrics", web.metrics, name="metrics"),
    path("settings/delete-account", account_pages.delete, name="account-delete"),
]
