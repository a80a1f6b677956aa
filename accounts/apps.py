from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import audit, schema, sessions  # noqa: F401 - they listen to signals, and describe the API's keys
