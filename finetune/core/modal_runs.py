"""The door to Modal, and the only importer of its client: a volume for a run's files, a Sandbox that trains.

What goes wrong outside comes back as Forbidden (the tokens are refused), Invalid (Modal does not accept this) or Unavailable (try
later; with the code EXHAUSTED where Modal says that there is too much of something: questions, machines, or not enough credit). Tokens are arguments of each call.
"""

from __future__ import annotations

import concurrent.futures
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from finetune.core.errors import DomainError, Forbidden, Invalid, Unavailable

APP = "aifinetune"
CACHE_VOLUME = "aifinetune-hub-cache"
MOUNT, CACHE_MOUNT = "/aift", "/hub-cache"
HELLO_SECONDS = 15.0  # the client itself tries for a minute when nobody answers
TAG, HARDWARE_TAG, STARTED_TAG = "aift-run", "aift-hardware", "aift-started"
TIMED_OUT = 124
EXHAUSTED = "exhausted"
Files = dict[str, Path | bytes]


@dataclass(frozen=True)
class Tokens:
    """One person's."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Box:
    """A Sandbox: `code` is its exit code, None while it runs. `gpu` and `started` (seconds of the epoch) are from our tags, where told."""

    id: str
    run_key: str
    code: int | None
    gpu: str = ""
    started: float | None = None


def check_tokens(tokens: Tokens) -> None:
    """Forbidden when Modal refuses them; Unavailable when it does not answer in HELLO_SECONDS."""

    def hello() -> None:
        with client(tokens) as modal_client:
            modal_client.hello()

    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        pool.submit(hello).result(timeout=HELLO_SECONDS)
    except TimeoutError:
        raise Unavailable("Modal does not answer. Try again later.", retry_after=30) from None
    finally:
        pool.shutdown(wait=False)


@contextmanager
def client(tokens: Tokens) -> Iterator[Any]:
    """The official client; errors come out in our words."""
    from modal import exception

    try:
        yield _connected(tokens)
    except DomainError:
        raise
    except (exception.AuthError, exception.PermissionDeniedError):
        raise Forbidden("Modal refused these tokens. Check them in your settings.") from None
    except exception.ResourceExhaustedError:
        raise Unavailable(
            "Modal has no capacity, or your workspace no credit, for this now.", code=EXHAUSTED, retry_after=30
        ) from None
    except exception.ImageBuildError as error:
        raise Invalid(f"Modal could not build the run's image: {_last_line(error)}", code="build_failed") from None
    except exception.NotFoundError:
        raise Invalid("Modal does not know this (any more).", code="not_at_modal") from None
    except exception.InvalidError:
        raise Invalid("Modal did not accept this.") from None
    except (exception.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"Modal has a problem ({type(error).__name__}). Try again later.", retry_after=30) from None


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")[:300]


@lru_cache(maxsize=64)
def _connected(tokens: Tokens) -> Any:
    """One connection for a person's tokens in this process: each has threads and sockets of its own."""
    import modal

    return modal.Client.from_credentials(tokens.id, tokens.secret)


def upload(volume: str, files: Files, *, tokens: Tokens) -> None:
    """These files onto the run's volume, which is made if it is not there; files of the same name are replaced."""
    import modal

    with client(tokens) as made:
        place = modal.Volume.from_name(volume, create_if_missing=True, version=2, client=made)
        with place.batch_upload(force=True) as batch:
            for path, content in files.items():
                batch.put_file(io.BytesIO(content) if isinstance(content, bytes) else content, f"/{path}")


def download(volume: str, wanted: Callable[[str], bool], target: Path, *, tokens: Tokens) -> None:
    """The volume's files whose path is `wanted` into `target`."""
    import modal
    from modal.volume import FileEntryType  # type: ignore[attr-defined]

    with client(tokens) as made:
        place = modal.Volume.from_name(volume, version=2, client=made)
        for entry in place.listdir("/", recursive=True):
            path = entry.path.lstrip("/")
            if entry.type == FileEntryType.FILE and wanted(path):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                with open(target / path, "wb") as file:
                    place.read_file_into_fileobj(path, file)


def list_files(volume: str, *, tokens: Tokens) -> list[str]:
    import modal

    with client(tokens) as made:
        place = modal.Volume.from_name(volume, version=2, client=made)
        return [entry.path.lstrip("/") for entry in place.listdir("/", recursive=True)]


def list_volumes(prefix: str, *, tokens: Tokens) -> list[str]:
    """Names of the volumes that begin so."""
    import modal

    with client(tokens) as made:
        names = [volume.name or "" for volume in modal.Volume.objects.list(client=made)]
    return [name for name in names if name.startswith(prefix)]


def delete_volume(volume: str, *, tokens: Tokens) -> None:
    """Remove it; nothing happens when it is gone."""
    import modal

    try:
        with client(tokens) as made:
            modal.Volume.objects.delete(volume, client=made)
    except Invalid as error:
        if error.code != "not_at_modal":
            raise


def start(
    run_key: str, *, command: list[str], gpu: str, cores: float, memory_mib: int, timeout_seconds: int, image: str, packages: list[str], environment: dict[str, str],
    secrets: dict[str, str], tokens: Tokens,
) -> Box:  # fmt: skip
    """Start a Sandbox with the run's volume, unless one with this tag runs already. It goes on when this process ends. It gets exactly
    `cores`, so that they cost what was said, and at least `memory_mib`: a large model may take more, and is billed for it."""
    import modal

    if found := find(run_key, tokens=tokens):
        return found
    with client(tokens) as made:
        app = modal.App.lookup(APP, create_if_missing=True, client=made)
        built = modal.Image.from_registry(image).pip_install(*packages)
        volumes: dict[Any, Any] = {
            MOUNT: modal.Volume.from_name(run_key, version=2, client=made),
            CACHE_MOUNT: modal.Volume.from_name(CACHE_VOLUME, create_if_missing=True, version=2, client=made),
        }
        box = modal.Sandbox.create(
            *command, app=app, image=built, gpu=gpu, cpu=(cores, cores), memory=memory_mib, timeout=timeout_seconds, volumes=volumes, client=made, tags=_tags(run_key, gpu),
            secrets=[modal.Secret.from_dict({**environment, **secrets})],
        )  # fmt: skip
        return Box(box.object_id, run_key, None)


def find(run_key: str, *, tokens: Tokens) -> Box | None:
    """The running Sandbox with this tag."""
    return next((box for box in list_boxes(tokens=tokens, tags={TAG: run_key})), None)


def list_boxes(*, tokens: Tokens, tags: dict[str, str] | None = None) -> list[Box]:
    """Running Sandboxes of ours."""
    import modal

    with client(tokens) as made:
        app = modal.App.lookup(APP, create_if_missing=True, client=made)
        found = list(modal.Sandbox.list(app_id=app.app_id, tags=tags, client=made))
        return [Box(box.object_id, tags[TAG], None) if tags else _tagged(box.object_id, box.get_tags()) for box in found]


def _tags(run_key: str, gpu: str) -> dict[str, str]:
    """Who it is for, what it is billed for and since when, at the earliest. A tag's value has no colon."""
    return {TAG: run_key, HARDWARE_TAG: gpu.replace(":", "_"), STARTED_TAG: str(int(time.time()))}


def _tagged(box_id: str, tags: dict[str, str]) -> Box:
    started = tags.get(STARTED_TAG, "")
    gpu = tags.get(HARDWARE_TAG, "").replace("_", ":")
    return Box(box_id, tags.get(TAG, ""), None, gpu, float(started) if started.isdigit() else None)


def inspect(box_id: str, *, tokens: Tokens) -> int | None:
    """Its exit code, None while it runs."""
    import modal

    with client(tokens) as made:
        return modal.Sandbox.from_id(box_id, client=made).poll()


def follow_output(box_id: str, *, tokens: Tokens) -> Iterator[str]:
    """What it prints, from the beginning, until it ends."""
    import modal

    with client(tokens) as made:
        yield from modal.Sandbox.from_id(box_id, client=made).stdout


def write(volume: str, box_id: str, files: Files, *, tokens: Tokens) -> None:
    """Files onto the run's volume while it runs, and into its sight."""
    import modal

    upload(volume, files, tokens=tokens)
    with client(tokens) as made:
        modal.Sandbox.from_id(box_id, client=made).reload_volumes()


def terminate(box_id: str, *, tokens: Tokens) -> None:
    """End it now; one that has ended stays as it is."""
    import modal

    with client(tokens) as made:
        modal.Sandbox.from_id(box_id, client=made).terminate()
