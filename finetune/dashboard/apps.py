from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "finetune.dashboard"
    label = "dashboard"
