"""The part of the Hub's door that models leave through: a folder becomes a commit of a repository.

One commit a push, so that a reader never sees half of it; large files go before it, one after the other, so that we know how far we are.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from django.conf import settings

from finetune.core.errors import DomainError, Forbidden, Unavailable
from finetune.core.hub_models import HubModel, describe_model
from finetune.core.hub_words import translated

TIMEOUT_SECONDS = 60.0  # of silence: the Hub takes its time over a commit with large files
# What an earlier push may have left and this one does not bring: the other form of the same model.
OURS = ("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json", "generation_config.json")
OnBytes = Callable[[int, int], None]  # done, total; may raise to stop


def find_repository(repo_id: str, token: str) -> HubModel | None:
    """The repository as this token sees it, None when there is none."""
    try:
        return describe_model(repo_id, token=token)
    except Forbidden:
        raise
    except DomainError as error:
        if error.code == "not_on_hub":
            return None
        raise


def push_folder(repo_id: str, folder: Path, *, private: bool, message: str, token: str, on_bytes: OnBytes) -> str:
    """Make the repository if it is not there, and its next commit of the folder's files; gives the commit.

    Weights of ours that are there and not in the folder are removed, everything else stays. The same content again makes no new
    commit. Forbidden: the token may not write there; Unavailable: the Hub did not answer, or not properly.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session

    get_session().timeout = TIMEOUT_SECONDS
    api = HfApi(endpoint=settings.HF_ENDPOINT, token=token)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    total, done = sum(path.stat().st_size for path in files), 0
    try:
        with translated(repo_id):
            api.create_repo(repo_id, private=private, exist_ok=True)
            operations: list[Any] = []
            for path in files:
                on_bytes(done, total)
                operation = CommitOperationAdd(path.relative_to(folder).as_posix(), path)
                api.preupload_lfs_files(repo_id, [operation])
                operations.append(operation)
                done += path.stat().st_size
            on_bytes(done, total)
            names = {operation.path_in_repo for operation in operations}
            gone = [
                name for name in api.list_repo_files(repo_id) if name not in names and any(fnmatch(name, mask) for mask in OURS)
            ]
            operations += [CommitOperationDelete(name) for name in gone]
            return str(api.create_commit(repo_id, operations, commit_message=message).oid)
    except (DomainError, OSError):
        raise
    except Exception as error:
        if _is_ours(error):
            raise
        raise Unavailable("The Hugging Face Hub did not take the files. Try again later.", retry_after=30) from None


def _is_ours(error: Exception) -> bool:
    """An exception that `on_bytes` raised to stop."""
    return not type(error).__module__.startswith(("huggingface_hub", "httpx", "hf_xet", "builtins", "json"))
