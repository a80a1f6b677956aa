"""Start the platform, make the sample model, upload rows, fine-tune, compare; exit 0 only if the evaluation loss fell."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from finetune.demo.client import Client
from finetune.demo.errors import DemoFailed
from finetune.demo.follow import Follower
from finetune.demo.screen import Progress, Screen
from finetune.demo.stack import Stack, running_stack

SAMPLE_ROWS = Path(__file__).resolve().parents[2] / "training" / "engine" / "sample_rows.jsonl"
# Somebody's own file can be of any size; these keep it within about a minute of training on two cores.
OWN_DATA_CONFIG = {
    "max_steps": 120,
    "max_length": 256,
    "per_device_train_batch_size": 8,
    "learning_rate": 2e-3,
    "eval_steps": 60,
    "save_steps": 60,
    "logging_steps": 1,
}
# Evaluation goes through every held-out row three times; more than this many tell nothing new here.
OWN_DATA_EVAL_ROWS = 100
SAMPLE_SECONDS = 300


def main() -> int:
    arguments = _arguments()
    screen = Screen()
    try:
        code = _demo(screen, arguments.dataset)
        if arguments.report:
            arguments.report.write_text(json.dumps({name: round(seconds, 1) for name, seconds in screen.stages}, indent=1) + "\n")
        return code
    except DemoFailed as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--dataset", type=Path, help="your own rows (JSON, JSONL or CSV) instead of the sample's")
    parser.add_argument("--report", type=Path, help="write the seconds of each stage there, as JSON")
    arguments = parser.parse_args()
    if arguments.dataset and not arguments.dataset.is_file():
        parser.error(f"{arguments.dataset} is not a file.")
    return arguments


def _demo(screen: Screen, own_data: Path | None) -> int:
    with ExitStack() as cleanup:
        with screen.stage("start the platform"):
            stack = cleanup.enter_context(running_stack())
        screen.say(f"{stack.url}, files in {stack.data_dir}")
        try:
            fell = _main_job(screen, stack, own_data)
        except DemoFailed as failure:
            raise DemoFailed(f"{failure}\n\nThe ends of the logs:\n{stack.log_tails()}\n\n{failure}") from failure
    screen.times()
    if not fell:
        raise DemoFailed("The evaluation loss did not fall.")
    screen.console.print("The evaluation loss fell: the model learned from the rows.", style="green")
    return 0


def _main_job(screen: Screen, stack: Stack, own_data: Path | None) -> bool:
    with screen.stage("register"):
        client = Client(stack.url)
    with screen.stage("make the sample model"):
        model = client.call("POST", "/api/training/sample")["model_id"]
        base = client.wait(f"/api/models/{model}", {"ready", "failed"}, seconds=SAMPLE_SECONDS)
        if base["status"] == "failed":
            raise DemoFailed("The sample model could not be made.")
        screen.say(f"{base['name']}: {base['parameters']:,} parameters")
    with screen.stage("upload and check the rows"):
        dataset = client.upload(own_data or SAMPLE_ROWS)
        problems = dataset["problems"]
        screen.say(
            f"{dataset['rows']:,} rows, format {dataset['format']}, {problems['errors']} errors, {problems['warnings']} warnings"
        )
    config = _own_config(dataset["rows"]) if own_data else _sample_config()
    screen.say("settings: " + ", ".join(f"{name} {value}" for name, value in config.items()))
    with screen.stage("fine-tune with LoRA"), Progress(screen.console) as progress:
        job, events = _train(client, base["id"], dataset["id"], config, progress)
    with screen.stage("ask both models"):
        _compare(screen, client, dataset, base["id"], job["output_model_id"])
    return _report(screen, events)


def _train(
    client: Client, model: int, dataset: int, config: dict[str, Any], progress: Progress
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Create and start the job, follow it to its end; the finished job and its events."""
    body = {"name": "demo", "model_id": model, "dataset_id": dataset, "method": "lora", "config": config}
    job = client.call("POST", "/api/training", json=body)
    client.call("POST", f"/api/training/{job['id']}/start")
    follower = Follower(client, job["id"], progress)
    status = follower.run()
    if status["status"] != "succeeded":
        error = status.get("error") or {}
        raise DemoFailed(f"The job {status['status']}: {error.get('message', '')} {error.get('hint', '')}".strip())
    return client.call("GET", f"/api/training/{job['id']}"), follower.events


def _sample_config() -> dict[str, Any]:
    from training.engine.sample import SAMPLE_CONFIG

    return dict(SAMPLE_CONFIG)


def _own_config(rows: int) -> dict[str, Any]:
    return OWN_DATA_CONFIG | {"eval_fraction": round(min(0.1, OWN_DATA_EVAL_ROWS / max(rows, 1)), 4)}


def _compare(screen: Screen, client: Client, dataset: dict[str, Any], base: int, tuned: int) -> None:
    """Ask both models the first question of the data, without chance (temperature 0)."""
    row = client.call("GET", f"/api/datasets/{dataset['id']}/preview", params={"limit": 1})["rows"][0]
    question = _question(row)
    body = {"messages": question, "max_new_tokens": 80, "temperature": 0, "compare_with": [base]}
    outputs = client.call("POST", f"/api/models/{tuned}/test", json=body)["outputs"]
    said = {output["model_id"]: output["text"] for output in outputs}
    screen.answers("\n".join(message["content"] for message in question), said[base], said[tuned])


def _question(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row's messages up to its first answer; of plain text the beginning."""
    if "messages" not in row:
        return [{"role": "user", "content": row["text"][:100]}]
    roles = [message["role"] for message in row["messages"]]
    return row["messages"][: roles.index("assistant")]


def _report(screen: Screen, events: list[dict[str, Any]]) -> bool:
    """Print losses before and after; whether the evaluation loss fell."""
    evaluated, trained = _values(events, "eval", "eval_loss"), _values(events, "train", "loss")
    if len(evaluated) < 2:
        raise DemoFailed(f"The job was evaluated {len(evaluated)} time(s); two are needed to compare.")
    screen.losses([("training loss", trained[0], trained[-1]), ("evaluation loss", evaluated[0], evaluated[-1])])
    return evaluated[-1] < evaluated[0]


def _values(events: list[dict[str, Any]], split: str, key: str) -> list[float]:
    metrics = [event for event in events if event["kind"] == "metric" and event["split"] == split]
    return [event["values"][key] for event in metrics if event["values"].get(key) is not None]


if __name__ == "__main__":
    # `kill` stops the platform too, like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
