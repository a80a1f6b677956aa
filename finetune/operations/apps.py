from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "finetune.operations"
    label = "operations"
