"""The part of the Hub's door to buckets: storage that is mounted into containers and written like a disk. What is in one is reached
through its mount; from outside only Xet moves its files."""

from __future__ import annotations

from finetune.core.hub_runs import client


def create_bucket(bucket_id: str, *, token: str) -> None:
    """A private one; one that is there already stays as it is."""
    with client(token, bucket_id) as api:
        api.create_bucket(bucket_id, private=True, exist_ok=True)


def delete_bucket(bucket_id: str, *, token: str) -> None:
    """Remove it with all that is in it; nothing happens when it is gone."""
    with client(token, bucket_id) as api:
        api.delete_bucket(bucket_id, missing_ok=True)


def list_buckets(namespace: str, prefix: str, *, token: str) -> list[str]:
    """Buckets of `namespace` whose name begins so."""
    with client(token) as api:
        names = [item.id for item in api.list_buckets(namespace, search=prefix)]
    return [name for name in names if name.split("/")[-1].startswith(prefix)]
