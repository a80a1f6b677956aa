"""A scratch installation in this process: its own DATA_DIR, its own Valkey, SQLite or a PostgreSQL of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests import servers


@contextmanager
def installation(database: str) -> Iterator[Path]:
    """Django on an empty migrated database; `database` is sqlite or postgresql. Only once in a process."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aift-load-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        os.environ |= {"DATA_DIR": str(folder / "data"), "DJANGO_SETTINGS_MODULE": "finetune.settings"}
        os.environ |= {
            "THROTTLE_DEFAULT": "",
            "THROTTLE_LOGIN": "",
            "THROTTLE_REGISTER": "",
            "LOG_LEVEL": "WARNING",
            "STATIC_ROOT": str(folder / "static"),
        }
        if database == "postgresql":
            os.environ["DATABASE_URL"] = servers.database_url(stack.enter_context(servers.running(servers.postgres(folder / "pg"))))
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connection

        from tests.valkey import valkey_server

        stack.enter_context(valkey_server(settings.VALKEY_SOCKET))
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        try:
            yield folder
        finally:
            connection.close()
            if database == "postgresql":
                connection.close_pool()  # type: ignore[attr-defined]


def metric(step: int, noise: Any) -> dict[str, Any]:
    """What the engine says after a step: eight numbers, of which six are noisy."""
    values = {
        "loss": 2.0 + noise.random(), "grad_norm": 1.0 + noise.random(), "learning_rate": 1e-4 * (1 - step / 2e6),
        "mean_token_accuracy": noise.random(), "entropy": noise.random(), "num_tokens": float(step * 512 + noise.randrange(99)),
        "tokens_per_second": round(900 + 50 * noise.random(), 1), "samples_per_second": round(9 + noise.random(), 2),
    }  # fmt: skip
    return {"step": step, "epoch": step / 31_250, "split": "train", "values": values, "elapsed_seconds": round(step * 0.05, 3)}
