"""The background halves, so that Celery finds them."""

from finetune.operations.services.prune_files import prune

__all__ = ["prune"]
