"""The commands, their arguments, and how they end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from finetune.cli import accounts, data, jobs
from finetune.cli.errors import Failed
from finetune.cli.show import Show

ABOUT = "Fine-tune from the shell: a client of the HTTP API of an AiFineTune installation."
ENDING = "AIFT_URL and AIFT_TOKEN stand for a sign-in, in scripts. Every command takes --json."


def main(argv: list[str]) -> int:
    """0; 1 when it did not work (the reason is on standard error); 2 for arguments that make no sense; 130 at Ctrl-C."""
    args = parser().parse_args(argv)
    show = Show(args.json)
    try:
        args.run(args, show)
    except Failed as error:
        print(json.dumps({"error": str(error)}) if args.json else str(error), file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m finetune", description=ABOUT, epilog=ENDING)
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.add_argument("--json", action="store_true", help="print the result as JSON")
        added.set_defaults(run=run)
        return added

    _account_commands(command)
    _data_commands(command)
    _job_commands(command)
    _asking_commands(command)
    return top


def _account_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    login = command("login", accounts.login, "Sign in; tokens are kept in a file that only you can read")
    login.add_argument("--url", help="address of the installation (http://127.0.0.1:8000)")
    login.add_argument("--username", help="username or e-mail; asked for otherwise")
    login.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    command("logout", accounts.logout, "End the tokens and forget them")
    command("whoami", accounts.whoami, "Who is signed in, and where")


def _data_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    upload = command("upload", data.upload, "Send a file of examples and wait until it is read")
    upload.add_argument("file")
    upload.add_argument("--name")
    upload.add_argument("--mapping", help='JSON: our field to their column, such as \'{"prompt": "question"}\'')
    _listing(command("datasets", data.datasets, "Your datasets"))
    models = _listing(command("models", data.models, "Your models"))
    models.add_argument("--kind", choices=["base", "fine_tuned", "merged"])
    command("sample", data.sample, "Make the small sample model and its data, to try everything without a download")
    push = command("push", data.push, "Push a tuned model to the Hugging Face Hub")
    push.add_argument("model", help="id or name")
    push.add_argument("repo_id", help="owner/name")
    push.add_argument("--public", action="store_true", help="private otherwise")
    push.add_argument("--merge", action="store_true", help="push an adapter merged into its base")
    download = command("download", data.download, "Export a model and download it")
    download.add_argument("model", help="id or name")
    download.add_argument("--format", choices=["adapter", "merged", "gguf"], default="adapter")
    download.add_argument("--quantization", help="number format of the export, such as q8_0")
    download.add_argument("-o", "--output", default=".", help="directory to save to (here)")


def _job_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    train = command("train", jobs.train, "Start a training")
    train.add_argument("model", help="base model: id, name or repository")
    train.add_argument("dataset", help="id or name")
    train.add_argument("--name")
    train.add_argument("--method", help="lora, qlora, sft, dpo, …; lora otherwise, dpo for preferences")
    train.add_argument("--template", help="id of a template to begin from")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a hyper-parameter; may be repeated")
    train.add_argument("--eval-split", help="split to evaluate on")
    train.add_argument("--executor", default="local")
    train.add_argument(
        "--report-to", action="append", default=[], metavar="TRACKER[=PROJECT]",
        help="send the curves to wandb or mlflow (MLflow: =EXPERIMENT); may be repeated",
    )  # fmt: skip
    train.add_argument("--draft", action="store_true", help="do not start it")
    train.add_argument("--watch", action="store_true", help="stay with a progress bar until it ends")
    _listing(command("jobs", jobs.jobs, "Your trainings")).add_argument("--status", help="queued, running, …")
    for name, run, about in (
        ("watch", jobs.watch, "Follow a training to its end"),
        ("cancel", jobs.cancel, "Stop a training; its checkpoints stay"),
    ):
        command(name, run, about).add_argument("job", type=int)


def _asking_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    test = command("test", jobs.test, "Ask a model one thing")
    chat = command("chat", jobs.chat, "Talk with a model")
    for asking in (test, chat):
        asking.add_argument("model", help="id, name, repository, or job-5-step-40 for a checkpoint")
        asking.add_argument("--system", help="system text")
        asking.add_argument("--temperature", type=float)
        asking.add_argument("--top-p", type=float)
        asking.add_argument("--max-tokens", type=int)
        asking.add_argument("--seed", type=int)
    test.add_argument("prompt", help="- reads it from standard input")


def _listing(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--search")
    command.add_argument("--limit", type=int, default=25)
    return command
