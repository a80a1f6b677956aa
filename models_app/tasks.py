"""The background halves of this app's verbs, so that Celery finds them."""

from models_app.services.try_prompt import generate

__all__ = ["generate"]
