"""This package's routes."""

from django.urls import path

from finetune.operations import pages as web

pages = [path("metrics", web.metrics, name="metrics")]
