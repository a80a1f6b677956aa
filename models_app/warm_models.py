"""The warm models of an inference worker's process, and how much memory they may take."""

from __future__ import annotations

import logging
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

import psutil
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from models_app.inference.pool import ModelPool

logger = logging.getLogger(__name__)
TIDY_SECONDS = 3.0
RESERVE = 0.05  # of the device's memory, for everybody else's needs


@lru_cache(maxsize=1)
def pool() -> ModelPool:
    """The one pool of this process."""
    from models_app.inference.pool import ModelPool

    return ModelPool(room, idle_seconds=settings.INFERENCE_IDLE_SECONDS)


def room(device: str, held: int) -> int | None:
    """Bytes that warm models may take on a device in all, `held` of which they have: what is free, without what training runs of
    this machine were promised and have not taken yet, and without a reserve; never more than INFERENCE_MEMORY_BYTES.
    """
    free, total = _memory(device)
    claimed, used = _claims(device)
    left = int(free + held + used - claimed - RESERVE * total)
    limit = settings.INFERENCE_MEMORY_BYTES
    return min(left, limit) if limit else left


_last_claims: dict[str, tuple[int, int]] = {}


def _claims(device: str) -> tuple[int, int]:
    """(claimed, used) bytes of training runs; what was known last while the database does not answer."""
    try:
        _last_claims[device] = import_string(settings.TRAINING_CLAIMS)(device)
    except DatabaseError as error:
        logger.warning("What training runs were promised could not be read: %s", error)
    return _last_claims.get(device, (0, 0))


def _memory(device: str) -> tuple[int, int]:
    """(free, total) bytes of a device."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def tidy_until(done: threading.Event) -> threading.Thread:
    """Unload idle models, and those that a training run needs the memory of, in a thread of its own until `done` is set."""

    def run() -> None:
        while not done.wait(TIDY_SECONDS):
            if not pool.cache_info().currsize:
                continue
            try:
                pool().tidy()
            except Exception:  # the next round tries again
                logger.exception("The warm models could not be looked after.")
            close_old_connections()
        connection.close()

    thread = threading.Thread(target=run, name="warm-models", daemon=True)
    thread.start()
    return thread
