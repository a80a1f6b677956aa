"""Several devices: the run forks one process, a rank, for each, and they train together through accelerate.

The run itself computes nothing then. It stays the one process the platform knows: its signals reach all ranks, and the
kernel ends them when it dies. Rank 0 writes events, checkpoints and output. How a rank ended comes back through a pipe, and
the run says the cause once: when one rank dies, the others fail too, with words that explain nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from . import warm
from .attempt import Attempt
from .events import NoEvents
from .execute import CANCELLED, SUCCEEDED, End, execute, failed
from .failures import Failure, bad_spec
from .installed import is_missing
from .world import World

# On a machine without GPUs so many processes may train together instead: for tests, and to try a setting out.
CPU_PROCESSES = "AIFT_CPU_PROCESSES"
POLL_SECONDS = 0.2
# After one rank has failed or was cancelled, so long the others have to say how they ended.
GRACE_SECONDS = 5.0
# The others wait while rank 0 tokenises the rows or writes a large checkpoint.
PATIENCE = timedelta(hours=12)
PR_SET_PDEATHSIG = 1
# How a rank fails because another one did.
ECHOES = ("internal", "lost", "timed_out")


def run_ranks(attempt: Attempt) -> End:
    """Train on config.num_gpus devices and return how it ended. bad_spec when this machine hasn't so many."""
    warm.import_stack()
    refuse(attempt)
    port, size = _free_port(), attempt.config.num_gpus
    context = multiprocessing.get_context("fork")
    ranks = [_Rank(context, attempt, World(rank, size), port) for rank in range(size)]
    _wait(attempt, ranks)
    return verdict([rank.end() for rank in ranks])


def refuse(attempt: Attempt) -> None:
    """bad_spec when this machine can't run the spec's number of devices, or its way of sharing the work."""
    if sys.platform != "linux":
        raise bad_spec("num_gpus", "several devices work on Linux only.")
    found, wanted = count_devices(), attempt.config.num_gpus
    if found < wanted:
        raise bad_spec("num_gpus", f"{wanted} are asked for, and this machine has {count_gpus()} GPU(s).")
    way = attempt.config.distributed
    if way in ("fsdp", "deepspeed") and not count_gpus():
        raise bad_spec("distributed", f"{way} works on GPUs only. Leave it open, which means ddp.")
    if way == "deepspeed" and is_missing("deepspeed"):
        raise bad_spec("distributed", "deepspeed is not installed here. Install the deepspeed package, or choose fsdp.")


def count_gpus() -> int:
    """GPUs this process may use. Asks the driver's management library, which a fork survives, unlike CUDA."""
    import torch

    return torch.cuda.device_count()


def count_devices() -> int:
    """How many processes may train together here."""
    return count_gpus() or int(os.environ.get(CPU_PROCESSES) or 1)


class _Rank:
    """A forked process and the pipe it answers through."""

    def __init__(self, context: Any, attempt: Attempt, world: World, port: int):
        self._receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=_train, args=(attempt, world, port, sender), name=f"rank-{world.rank}")
        self.process.start()
        sender.close()
        self.stopped_by_us = False

    def end(self) -> End | None:
        """How it ended; None when we ended it."""
        with contextlib.suppress(EOFError, OSError):
            if self._receiver.poll():
                return self._receiver.recv()
        code = self.process.exitcode or 0
        if self.stopped_by_us:
            return None
        if code < 0:
            return End(0, signal=-code)
        return failed(Failure("internal", f"A training process ended with exit code {code}.", "Look at the log's last lines."))


def _wait(attempt: Attempt, ranks: list[_Rank]) -> None:
    """Until all ranks have ended: passes on a stop request, and ends those that hang because another is gone."""
    forwarded, deadline = False, None
    while living := [rank for rank in ranks if rank.process.is_alive()]:
        multiprocessing.connection.wait([rank.process.sentinel for rank in living], POLL_SECONDS)
        if attempt.stop.signalled and not forwarded:
            forwarded = True
            for rank in living:
                _signal(rank, signal.SIGTERM)
        if deadline is None and any(rank.process.exitcode for rank in ranks):
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            for rank in living:
                rank.stopped_by_us = True
                _signal(rank, signal.SIGKILL)
    for rank in ranks:
        rank.process.join()


def _signal(rank: _Rank, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(rank.process.pid, number)


def verdict(ends: list[End | None]) -> End:
    """What ended the run: a kill before an explained failure before an unexplained one, which is mostly an echo of the first."""
    told = [end for end in ends if end is not None]
    killed = [end for end in told if end.signal]
    explained = [end for end in told if end.failure and end.failure.code not in ECHOES]
    cancelled = [end for end in told if end.code == CANCELLED]
    others = [end for end in told if end.failure]
    for found in (killed, explained, cancelled, others):
        if found:
            return found[0]
    return End(SUCCEEDED)


def _train(attempt: Attempt, world: World, port: int, sender: Any) -> None:
    """A rank's whole life."""
    _die_with_parent()
    os.environ.update(_environment(world, port))
    events = attempt.events if world.is_main else NoEvents()
    end = _joined(replace(attempt, world=world, events=events), world)
    sender.send(end)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code)


def _joined(attempt: Attempt, world: World) -> End:
    import torch
    import torch.distributed as dist

    gpus = count_gpus()
    if gpus:
        torch.cuda.set_device(world.rank)
    else:  # the ranks share the cores
        threads = max(1, torch.get_num_threads() // world.size)
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # else accelerate takes it upon itself
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", rank=world.rank, world_size=world.size, timeout=PATIENCE)
    end = execute(attempt)
    if end.code == SUCCEEDED:
        world.wait()  # nobody takes the connection away while another still works
        dist.destroy_process_group()
    return end


def _environment(world: World, port: int) -> dict[str, str]:
    """What torch and accelerate read to find the other ranks: torchrun's names."""
    return {
        "RANK": str(world.rank), "LOCAL_RANK": str(world.rank), "WORLD_SIZE": str(world.size), "LOCAL_WORLD_SIZE": str(world.size),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip


def _die_with_parent() -> None:
    """Ask the kernel to end this process with the run, however that ends."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
