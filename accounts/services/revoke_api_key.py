"""Take an API key out of use."""

from __future__ import annotations

from accounts.access_models import ApiKey


def revoke_api_key(*, key: ApiKey) -> None:
    """From now on it opens nothing. The audit log keeps its name."""
    key.delete()
