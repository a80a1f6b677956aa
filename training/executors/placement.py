"""What an executor is told about an attempt beside its spec: `placement.json` in the run directory. Never a secret.

The owner's credentials are looked up by id when they are needed, so a new token takes effect at once and none is in a file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from training.engine.rundir import write_atomic

FILE = "placement.json"
PREFIX = "aift"


@dataclass(frozen=True)
class Placement:
    """`timeout_seconds` is what the provider may let it run; `since` is the first attempt whose checkpoints still
    count; `base` is {repo_id, revision} where the other side can fetch the base model
    from the Hub itself; `keep` leaves the provider's objects, stopped."""

    job: int
    attempt: int
    owner: int
    hardware: str
    timeout_seconds: int
    keep: bool = False
    base: dict[str, Any] | None = None
    since: int = 1

    @property
    def key(self) -> str:
        """Our name for the attempt wherever it runs: aift-<installation>-<job>-<attempt>."""
        return f"{self.shared_key}-{self.attempt}"

    @property
    def shared_key(self) -> str:
        """Our name for what the job's attempts share."""
        return f"{PREFIX}-{installation()}-{self.job}"


def write(run_dir: Path, placement: Placement) -> None:
    write_atomic(run_dir / FILE, json.dumps(asdict(placement), indent=2))


def read(run_dir: Path) -> Placement:
    return Placement(**json.loads((run_dir / FILE).read_text()))


def installation() -> str:
    """Tells this installation's runs from another's in the same account; it says nothing about the key it is made of."""
    return secret_for("installation")[:8]


def run_secret(key: str) -> str:
    """What a request to a run of ours must carry; made anew each time, stored nowhere."""
    return secret_for(f"run {key}")


def secret_for(purpose: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), f"cloud: {purpose}".encode(), hashlib.sha256).hexdigest()


def parse_key(key: str) -> tuple[int, int] | None:
    """(job, attempt) of a key of this installation, attempt 0 for what all of them share; None for anything else."""
    parts = key.split("-")
    numbers = parts[2:]
    if parts[:2] != [PREFIX, installation()] or len(numbers) not in (1, 2) or not all(part.isdigit() for part in numbers):
        return None
    return int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else 0
