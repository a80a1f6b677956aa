"""The background halves, so that Celery finds them."""

from finetune.operations.services.delete_account import remove_accounts
from finetune.operations.services.export_data import make_archive
from finetune.operations.services.prune_files import prune
from finetune.operations.services.reconcile_archives import reconcile

__all__ = ["make_archive", "prune", "reconcile", "remove_accounts"]
