"""Half an hour of mixed use: do the memory and the open files of web process and workers stay where they were?

    python -m bench.load.soak [--minutes 30] [--people 5]

An installation as `make run` starts it. A job runs again and again, watched over a socket; people browse and upload; a model is talked to.
Compared are the means of two halves of the time after a warm-up of a fifth. To beat: 5 %. Writes bench/results/soak.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.sync.client import connect

from bench.common.report import write
from bench.load.visitor import let_browse
from tests.chaos.installation import ENDED, Installation
from tests.servers import free_port

PARTS = {
    "web": "finetune.asgi", "train": "-n train@", "general": "-n general@", "cloud": "-n cloud@", "inference": "-n inference@", "beat": "celery_worker beat",
}  # fmt: skip
FORK_SERVER = "training.engine forkserver"
EVERY = 10.0  # seconds between two looks
WARM_UP = 0.2
STEPS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--people", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aift-soak-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"DATA_DIR": f"{folder}/data", "DJANGO_SETTINGS_MODULE": "finetune.settings"}
        here = Installation(Path(folder) / "data", free_port(), JOB_LEASE_SECONDS="45", ACCESS_TOKEN_MINUTES="1000")
        here.start()
        try:
            found = soak(here, 60 * options.minutes, options.people)
        finally:
            here.interrupt()
    print(json.dumps({name: value for name, value in found.items() if name != "samples"}, indent=1))
    write("soak", {"minutes": options.minutes, "people": options.people, **found, "goal": {"change": 0.05}})


def soak(here: Installation, seconds: float, people: int) -> dict[str, Any]:
    """Use it for so long; what was done, and how each process changed."""
    while here.get("/readyz") != 200:
        time.sleep(1)
    here.prepare(seconds=900)
    first = here.start_job(max_steps=STEPS)
    model = here.ended(first, seconds=600)["output_model_id"]
    until, done, samples = time.monotonic() + seconds, {"jobs": 0, "answers": 0}, _samples(here)
    workers = [
        threading.Thread(target=_train, args=(here, until, done)),
        threading.Thread(target=_talk, args=(here, model, until, done)),
        threading.Thread(target=_browse, args=(here, first, model, until, people, done)),
    ]
    for worker in workers:
        worker.start()
    looks = []
    while time.monotonic() < until:
        looks.append(samples())
        time.sleep(EVERY)
    for worker in workers:
        worker.join()
    return {
        "done": done,
        "processes": {part: _change([look[part] for look in looks]) for part in looks[0]},
        "samples": looks[:: max(1, len(looks) // 10)],
    }


# --- Use -----------------------------------------------------------------------------------------------


def _train(here: Installation, until: float, done: dict[str, Any]) -> None:
    """One job after the other, each watched live to its end."""
    while time.monotonic() < until:
        pk = here.start_job(max_steps=STEPS)
        _watch(here, pk)
        job = here.ended(pk, seconds=600)
        assert job["status"] == "succeeded", job
        done["jobs"] += 1


def _watch(here: Installation, pk: int) -> None:
    token = here.http.headers["Authorization"].removeprefix("Bearer ")
    with connect(f"ws://127.0.0.1:{here.port}/ws/training/{pk}?token={token}", open_timeout=60) as socket:
        for text in socket:
            events = json.loads(text).get("events") or []
            if any(event["kind"] == "status" and event["status"] in ENDED for event in events):
                return


def _talk(here: Installation, model: int, until: float, done: dict[str, Any]) -> None:
    while time.monotonic() < until:
        body = {"prompt": "What does tea cost?", "max_new_tokens": 16}
        here.ask("POST", f"/api/models/{model}/test", json=body)
        done["answers"] += 1
        time.sleep(5)


def _browse(here: Installation, job: int, model: int, until: float, people: int, done: dict[str, Any]) -> None:
    """Visitors of bench.load.visitor, all signed in as the one person there is."""
    own = {"cookie": _cookie(here), "jobs": [job], "datasets": [here.sample["dataset_id"]], "models": [model]}
    file = here.data_dir.parent / "people.jsonl"
    file.write_text(f"{json.dumps(own)}\n" * people)
    told = let_browse(f"http://127.0.0.1:{here.port}", file, max(1.0, until - time.monotonic()))
    done |= {"pages": sum(map(len, told["pages"].values())), "uploads": len(told["others"].get("upload a file", []))}
    done["errors"] = told["errors"][:10]


def _cookie(here: Installation) -> str:
    """Sign in as a browser does."""
    with httpx.Client(base_url=f"http://127.0.0.1:{here.port}", timeout=60) as browser:
        shown = browser.get("/sign-in").text
        token = shown.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        form = {"csrfmiddlewaretoken": token, "username": "alice", "password": "a-long-enough-passphrase"}
        assert browser.post("/sign-in", data=form).status_code == 302
        return str(browser.cookies["sessionid"])


# --- Looking -------------------------------------------------------------------------------------------


def _samples(here: Installation) -> Any:
    """A function that gives {part: {rss_mb, handles}} now; a worker counts with the processes it keeps, not with engines."""
    roots = {part: here.find(word) for part, word in PARTS.items()}
    roots["fork server"] = min(_engines(here), key=lambda process: process.create_time())

    def look() -> dict[str, dict[str, float]]:
        return {part: _of(root) for part, root in roots.items() if root}

    return look


def _engines(here: Installation) -> list[psutil.Process]:
    """The fork server, and what it forked."""
    return [process for process in here.everything() if FORK_SERVER in " ".join(process.cmdline())]


def _of(root: psutil.Process) -> dict[str, float]:
    """Of the process and its pool, without fork servers and engines."""
    rss, handles = 0, 0
    for process in [root, *root.children(recursive=True)]:
        try:
            if process != root and FORK_SERVER in " ".join(process.cmdline()):
                continue
            rss, handles = rss + process.memory_info().rss, handles + process.num_fds()
        except psutil.NoSuchProcess:
            continue
    return {"rss_mb": round(rss / 2**20, 1), "handles": handles}


def _change(looks: list[dict[str, float]]) -> dict[str, Any]:
    """How the second half after the warm-up compares with the first."""
    kept = looks[int(len(looks) * WARM_UP) :]
    halves = kept[: len(kept) // 2], kept[len(kept) // 2 :]
    found: dict[str, Any] = {}
    for name in ("rss_mb", "handles"):
        before, after = (statistics.mean(look[name] for look in half) for half in halves)
        found[name] = {"first_half": round(before, 1), "second_half": round(after, 1), "change": round(after / before - 1, 4)}
    return found


if __name__ == "__main__":
    main()
