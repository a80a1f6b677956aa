"""upload, datasets, models, push, download."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from finetune.cli.api import Api
from finetune.cli.errors import Failed
from finetune.cli.login import read_login
from finetune.cli.show import Show, size

READ = {"ready", "invalid"}


def upload(args: Namespace, show: Show) -> None:
    """Send a file and wait until it is read."""
    api, file = Api(read_login()), Path(args.file)
    if not file.is_file():
        raise Failed(f"There is no file {file}.")
    form = {"name": args.name or "", "mapping": args.mapping or ""}
    with open(file, "rb") as content, show.bar("sending"):
        form = {key: value for key, value in form.items() if value}
        dataset = api.call("POST", "/api/datasets/upload", files={"file": (file.name, content)}, data=form)
    with show.bar("reading") as update:
        path = f"/api/datasets/{dataset['id']}"
        dataset = api.wait(path, READ, each=lambda state: update(**_progress(state)))
    if dataset["status"] == "invalid":
        found = api.call("GET", f"{path}/validation")["problems"][:5]
        raise Failed("\n".join([f"Dataset {dataset['id']} can't be used:", *(f"  {problem['message']}" for problem in found)]))
    words = f"Dataset {dataset['id']} “{dataset['name']}”: {dataset['rows']} rows, {dataset['kind']}, {_problems(dataset)}"
    show.result(dataset, words)


def _progress(state: dict[str, Any]) -> dict[str, Any]:
    progress = state.get("progress") or {}
    return {"done": progress.get("done") or 0, "total": progress.get("total")}


def _problems(dataset: dict[str, Any]) -> str:
    errors, warnings = dataset["problems"]["errors"], dataset["problems"]["warnings"]
    return f"{errors} errors, {warnings} warnings" if errors or warnings else "no problems"


def datasets(args: Namespace, show: Show) -> None:
    rows = Api(read_login()).pages("/api/datasets", args.limit, **({"search": args.search} if args.search else {}))
    columns = {
        "id": lambda row: row["id"],
        "name": lambda row: row["name"],
        "status": lambda row: row["status"],
        "kind": lambda row: row["kind"],
        "rows": lambda row: row["rows"],
        "size": lambda row: size(row["bytes"]),
    }
    show.rows(rows, columns, "No datasets yet. Send one: python -m finetune upload FILE")


def models(args: Namespace, show: Show) -> None:
    chosen = {"search": args.search, "kind": args.kind}
    rows = Api(read_login()).pages("/api/models", args.limit, **{key: value for key, value in chosen.items() if value})
    columns = {
        "id": lambda row: row["id"],
        "name": lambda row: row["name"] if row["kind"] == "base" else f"{row['name']} v{row['version']}",
        "kind": lambda row: row["kind"],
        "status": lambda row: row["status"],
        "method": lambda row: row["method"],
        "size": lambda row: size(row["bytes"]),
    }
    show.rows(rows, columns, "No models yet. Get one on the page Models, or make the sample: python -m finetune sample")


def sample(args: Namespace, show: Show) -> None:
    """The little model and data that every installation can make for itself."""
    api = Api(read_login())
    made = api.call("POST", "/api/training/sample")
    model = api.wait(f"/api/models/{made['model_id']}", {"ready", "failed"})
    show.result(made, f"Model {model['id']} “{model['name']}” is {model['status']}; its data is dataset {made['dataset_id']}.")


def push(args: Namespace, show: Show) -> None:
    """Send a version to the Hub and wait for its page."""
    api = Api(read_login())
    model = api.find("/api/models", "model", args.model)
    body = {"repo_id": args.repo_id, "private": not args.public, "merge": args.merge}
    api.call("POST", f"/api/models/{model['id']}/push-hf", json=body)
    with show.bar("pushing") as update:
        path, ends = f"/api/models/{model['id']}", {"done", "failed", ""}
        state = api.wait(path, ends, 3600, each=lambda state: update(**_progress(state)), key="push_status")
    if state["push_status"] != "done":
        raise Failed(f"The push failed: {state['push'].get('error') or 'see the model’s page'}")
    show.result(state, f"Pushed: {state['hub_url']}")


def download(args: Namespace, show: Show) -> None:
    """A model's files, made by a worker where they are not there yet."""
    api, folder = Api(read_login()), Path(args.output)
    if not folder.is_dir():
        raise Failed(f"There is no directory {folder}.")
    model = api.find("/api/models", "model", args.model)
    body = {"format": args.format, **({"quantization": args.quantization} if args.quantization else {})}
    export = api.call("POST", f"/api/models/{model['id']}/export", json=body)
    path = f"/api/models/{model['id']}/exports/{export['id']}"
    with show.bar("exporting") as update:
        export = api.wait(path, {"ready", "failed", "cancelled"}, 3600, each=lambda state: update(**_progress(state)))
    if export["status"] != "ready":
        raise Failed(f"The export {export['status']}: {export['error'] or 'see the model’s page'}")
    with show.bar("loading") as update:
        target = api.save(export["download_url"], folder, each=update)
    show.result({**export, "file": str(target)}, f"{target} ({size(target.stat().st_size)})")
