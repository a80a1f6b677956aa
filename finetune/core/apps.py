from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "finetune.core"
    label = "core"
