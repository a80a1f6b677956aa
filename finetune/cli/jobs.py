"""train, jobs, watch, cancel, test, chat."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from finetune.cli.api import Api
from finetune.cli.errors import Failed
from finetune.cli.login import read_login
from finetune.cli.show import Show

ENDED = {"succeeded", "failed", "cancelled"}


def train(args: Namespace, show: Show) -> None:
    """Start a job; with --watch stay until its end."""
    api = Api(read_login())
    model = api.find("/api/models", "model", args.model)
    dataset = api.find("/api/datasets", "dataset", args.dataset)
    body = {
        "name": args.name or f"{dataset['name']} on {model['name']}"[:200],
        "model_id": model["id"], "dataset_id": dataset["id"], "config": dict(map(setting, args.set)),
        "executor": args.executor, "start": not args.draft,
    }  # fmt: skip
    trackers = dict(map(tracker, args.report_to))
    places = {kind: {"project": project} for kind, project in trackers.items() if project}
    given = {"method": args.method, "template_id": args.template, "eval_split": args.eval_split}
    given |= {"report_to": list(trackers), "tracker_places": places}
    body |= {key: value for key, value in given.items() if value}
    if not args.method and not args.template:
        body["method"] = "dpo" if dataset["kind"] == "preference" else "lora"
    job = api.call("POST", "/api/training", json=body)
    if args.watch and not args.draft:
        job = follow(api, job["id"], show)
        finish(job, show)
    else:
        show.result(job, f"Job {job['id']} “{job['name']}” is {job['status']}. Watch it: python -m finetune watch {job['id']}")


def setting(text: str) -> tuple[str, Any]:
    """`lora_r=8` as a name and a number, a truth value, null, a list or a text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise Failed(f"--set takes NAME=VALUE, not “{text}”.")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value


def tracker(text: str) -> tuple[str, str]:
    """`wandb`, or `wandb=legs` for a project other than the account's."""
    kind, equals, project = (part.strip() for part in text.partition("="))
    if not kind or (equals and not project):
        raise Failed(f"--report-to takes TRACKER or TRACKER=PROJECT, not “{text}”.")
    return kind, project


def watch(args: Namespace, show: Show) -> None:
    api = Api(read_login())
    finish(follow(api, args.job, show), show)


def follow(api: Api, job: int, show: Show) -> dict[str, Any]:
    """Until the job ends. Ctrl-C leaves it running."""
    said: list[str] = []

    def each(state: dict[str, Any]) -> None:
        progress, name = state["progress"], state["phase"] or state["status"]
        update(progress.get("step") or 0, progress.get("total_steps"), name, facts(state))
        if name not in said:
            said.append(name)
            show.note(f"{name} …")

    try:
        with show.bar("queued") as update:
            return api.wait(f"/api/training/{job}", ENDED, float("inf"), each)
    except KeyboardInterrupt:
        raise Failed(f"\nThe job goes on. Watch it again: python -m finetune watch {job}") from None


def facts(state: dict[str, Any]) -> str:
    """step 12/40  loss 1.234  ETA 30 s"""
    progress, loss = state["progress"], state["metrics"].get("loss")
    place = state.get("queue_position")
    parts = [
        f"number {place} in the queue" if place else "",
        f"step {progress['step']}/{progress.get('total_steps') or '?'}" if progress.get("step") else "",
        f"loss {loss:.4f}" if loss is not None else "",
        f"ETA {progress['eta_seconds']:.0f} s" if progress.get("eta_seconds") else "",
    ]
    return "  ".join(part for part in parts if part)


def finish(job: dict[str, Any], show: Show) -> None:
    """How it ended. Failed, so that scripts see it, unless it succeeded."""
    if job["status"] == "succeeded":
        words = f"Job {job['id']} succeeded: model {job['output_model_id']}, {facts(job)}"
        show.result(job, f"{words}. Ask it: python -m finetune test {job['output_model_id']} “…”")
        return
    if show.as_json:
        show.result(job, "")
    error = job["error"] or {}
    said = " ".join(filter(None, (error.get("message"), error.get("hint"))))
    raise Failed(f"Job {job['id']} {job['status']}. {said}".strip())


def jobs(args: Namespace, show: Show) -> None:
    chosen = {"status": args.status, "search": args.search}
    rows = Api(read_login()).pages("/api/training", args.limit, **{key: value for key, value in chosen.items() if value})
    columns = {
        "id": lambda row: row["id"],
        "name": lambda row: row["name"],
        "status": lambda row: row["phase"] or row["status"],
        "method": lambda row: row["method"],
        "progress": facts,
        "model": lambda row: row["output_model_id"],
    }
    show.rows(rows, columns, "No jobs yet. Start one: python -m finetune train MODEL DATASET --watch")


def cancel(args: Namespace, show: Show) -> None:
    job = Api(read_login()).call("POST", f"/api/training/{args.job}/cancel")
    show.result(job, f"Job {job['id']} is {job['status']}; its checkpoints stay.")


def test(args: Namespace, show: Show) -> None:
    """One prompt, answered as it is generated."""
    api = Api(read_login())
    messages = [{"role": "system", "content": args.system}] if args.system else []
    messages.append({"role": "user", "content": args.prompt if args.prompt != "-" else sys.stdin.read()})
    text = say(api, args, messages, show)
    if show.as_json:
        show.result({"model": args.model, "text": text}, text)


def chat(args: Namespace, show: Show) -> None:
    """A conversation until the end of input."""
    api = Api(read_login())
    messages = [{"role": "system", "content": args.system}] if args.system else []
    show.note("Write to the model; Ctrl-D ends.")
    while prompt := _asked():
        messages.append({"role": "user", "content": prompt})
        messages.append({"role": "assistant", "content": say(api, args, messages, show)})


def _asked() -> str:
    try:
        return input("> ")
    except EOFError:
        return ""


def say(api: Api, args: Namespace, messages: list[dict[str, str]], show: Show) -> str:
    """The answer's text, printed while it comes unless --json."""
    chosen = {"temperature": args.temperature, "top_p": args.top_p, "max_tokens": args.max_tokens, "seed": args.seed}
    body = {"model": args.model, "messages": messages, "stream": True}
    parts = []
    for text in _texts(
        api.lines("/v1/chat/completions", body | {key: value for key, value in chosen.items() if value is not None})
    ):
        parts.append(text)
        if not show.as_json:
            print(text, end="", flush=True)
    if not show.as_json:
        print()
    return "".join(parts)


def _texts(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        chunk = json.loads(line.removeprefix("data: "))
        if "error" in chunk:
            raise Failed(chunk["error"]["message"])
        for choice in chunk["choices"]:
            yield choice["delta"].get("content") or ""
