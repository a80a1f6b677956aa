"""What each command does, says and refuses."""

from __future__ import annotations

import argparse
import functools
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rest_framework_simplejwt.tokens import AccessToken
from rich.console import Console

from accounts.models import User
from accounts.services.save_tracker import save_tracker
from datasets_app.models import Dataset
from finetune.cli import jobs as job_commands
from finetune.cli.main import main, parser
from tests.cli.conftest import told
from tests.factories import make_base_model, make_dataset, make_job, make_version
from tests.loopback_trackers import KEY, Trackers
from training.models import TrainingJob

Run = Callable[..., Any]


def test_the_tokens_are_readable_for_their_owner_alone(signed_in: Run, login_file: Path) -> None:
    assert login_file.stat().st_mode & 0o777 == 0o600
    assert login_file.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in login_file.parent.iterdir()] == ["login.json"], "nothing is left beside it"
    assert "passphrase" not in login_file.read_text()
    assert "alice <alice@example.org> at http://localhost" in signed_in("whoami")[1]


def test_a_wrong_password_is_kept_nowhere(run: Run, alice: User, login_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("wrong\n"))
    code, _, said = run("login", "--url", "http://localhost", "--username", "alice", "--password-stdin")
    assert code == 1 and said.strip()
    assert not login_file.exists()
    code, _, said = run("whoami")
    assert code == 1 and "python -m finetune login" in said


def test_an_old_access_token_is_renewed(signed_in: Run, login_file: Path) -> None:
    kept = json.loads(login_file.read_text())
    login_file.write_text(json.dumps({**kept, "access": "expired"}))
    assert signed_in("whoami")[0] == 0
    renewed = json.loads(login_file.read_text())
    assert renewed["refresh"] != kept["refresh"], "the refresh token was rotated and kept"
    assert login_file.stat().st_mode & 0o777 == 0o600


def test_a_token_of_the_environment_needs_no_file(run: Run, alice: User, login_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIFT_URL", "http://localhost")
    monkeypatch.setenv("AIFT_TOKEN", str(AccessToken.for_user(alice)))
    assert told(run("whoami", "--json"))["username"] == "alice"
    assert not login_file.exists()
    monkeypatch.setenv("AIFT_TOKEN", "nonsense")
    code, _, said = run("whoami")
    assert code == 1 and "login" in said


def test_logout_ends_the_tokens(signed_in: Run, login_file: Path) -> None:
    refresh = json.loads(login_file.read_text())["refresh"]
    assert signed_in("logout")[0] == 0
    assert not login_file.exists()
    login_file.write_text(json.dumps({"url": "http://localhost", "access": "expired", "refresh": refresh}))
    assert signed_in("whoami")[0] == 1, "nor can the old refresh token be used"


def test_lists_are_tables_or_json(signed_in: Run, alice: User) -> None:
    dataset, base = make_dataset(alice, name="greetings"), make_base_model(alice, name="tiny")
    tuned = make_version(alice, base=base, name="bot")
    make_job(alice, model=base, dataset=dataset, name="first", status="succeeded", output_model=tuned)
    assert "greetings" in signed_in("datasets")[1]
    assert "bot v1" in signed_in("models", "--kind", "fine_tuned")[1]
    assert [row["name"] for row in told(signed_in("jobs", "--json"))] == ["first"]
    assert told(signed_in("jobs", "--json", "--status", "failed")) == []
    assert len(told(signed_in("models", "--json", "--limit", 1))) == 1


def test_an_empty_list_says_what_to_do(signed_in: Run) -> None:
    code, printed, said = signed_in("datasets")
    assert (code, printed) == (0, "")
    assert "upload FILE" in said


def test_upload_waits_until_the_file_is_read(signed_in: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"prompt": "a", "completion": "b"}\n')
    read = {"status": "ready", "rows": 1, "kind": "sft"}
    monkeypatch.setattr("finetune.cli.api.time.sleep", lambda _: Dataset.objects.update(**read))
    code, printed, said = signed_in("upload", file, "--name", "mine")
    assert code == 0, said
    assert "“mine”: 1 rows, sft" in printed
    where = {"row": 1, "line": 1, "column": None, "path": "", "excerpt": ""}
    problem = {"rule": "no_answer", "severity": "error", "message": "Line 1 has no answer.", **where}
    Dataset.objects.all().delete()
    broken = {"status": "invalid", "report": {"problems": [problem], "counts": {}}}
    monkeypatch.setattr("finetune.cli.api.time.sleep", lambda _: Dataset.objects.update(**broken))
    code, _, said = signed_in("upload", file)
    assert code == 1 and "Line 1 has no answer." in said
    assert signed_in("upload", tmp_path / "none.jsonl")[0] == 1


def test_train_names_things_and_sets_options(signed_in: Run, alice: User) -> None:
    make_base_model(alice, name="tiny"), make_dataset(alice, name="greetings")
    job = told(signed_in("train", "tiny", "greetings", "--set", "lora_r=4", "--set", "optim=adafactor", "--draft", "--json"))
    assert (job["status"], job["method"], job["name"]) == ("draft", "lora", "greetings on tiny")
    assert (job["config"]["lora_r"], job["config"]["optim"]) == (4, "adafactor")


def test_train_sends_its_curves_to_trackers(signed_in: Run, alice: User, trackers: Trackers) -> None:
    make_base_model(alice, name="tiny"), make_dataset(alice, name="greetings")
    for kind in ("wandb", "mlflow"):
        save_tracker(user=alice, kind=kind, secret=KEY, url=trackers.url, username="ada")
    job = told(signed_in("train", "tiny", "greetings", "--report-to", "wandb=legs", "--report-to", "mlflow", "--draft", "--json"))
    assert (job["report_to"], job["tracker_places"]) == (["mlflow", "wandb"], {"wandb": {"project": "legs"}})


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nothing", "greetings"], "no model called “nothing”"),
        (["tiny", "greetings", "--set", "lora_r=-1"], "lora_r"),
        (["tiny", "greetings", "--set", "lora_r"], "NAME=VALUE"),
        (["tiny", "greetings", "--method", "magic"], "magic"),
        (["tiny", "greetings", "--report-to", "wandb"], "no account at wandb"),
        (["tiny", "greetings", "--report-to", "wandb="], "TRACKER=PROJECT"),
    ],
)
def test_a_refused_training_says_why_and_makes_none(signed_in: Run, alice: User, words: list[str], part: str) -> None:
    make_base_model(alice, name="tiny"), make_dataset(alice, name="greetings")
    code, printed, said = signed_in("train", *words)
    assert (code, printed) == (1, "")
    assert part in said
    assert not TrainingJob.objects.exists()


def test_watch_ends_with_the_job(signed_in: Run, alice: User) -> None:
    base = make_base_model(alice)
    good = make_job(alice, model=base, status="succeeded", output_model=make_version(alice, base=base), metrics={"loss": 1.25})
    code, printed, _ = signed_in("watch", good.pk)
    assert code == 0 and "loss 1.2500" in printed
    error = {"code": "out_of_memory", "message": "Memory ran out.", "hint": "Halve the batch.", "log_tail": ""}
    bad = make_job(alice, model=base, status="failed", error=error)
    code, _, said = signed_in("watch", bad.pk)
    assert code == 1 and "Memory ran out. Halve the batch." in said


def test_cancel_stops_ones_own_alone(signed_in: Run, alice: User, charlie: User) -> None:
    mine, theirs = make_job(alice, status="queued"), make_job(charlie, status="queued")
    assert "cancelled" in signed_in("cancel", mine.pk)[1]
    code, _, said = signed_in("cancel", theirs.pk)
    assert code == 1 and "Not found" in said
    theirs.refresh_from_db()
    assert theirs.status == "queued"


def test_an_answer_is_printed_while_it_comes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    lines = [
        'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}',
        "",
        'data: {"choices": [{"delta": {"content": "Hel"}}]}',
        'data: {"choices": [{"delta": {"content": "lo"}}]}',
        'data: {"choices": []}',
        "data: [DONE]",
    ]
    assert list(job_commands._texts(iter(lines))) == ["", "Hel", "lo"]
    with pytest.raises(job_commands.Failed, match="No worker"):
        list(job_commands._texts(iter(['data: {"error": {"message": "No worker"}}'])))


def test_a_server_that_is_not_there_is_said(
    login_file: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIFT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AIFT_TOKEN", "x")
    assert main(["jobs"]) == 1
    assert "does not answer" in capsys.readouterr().err
    assert main(["jobs", "--json"]) == 1
    assert "does not answer" in json.loads(capsys.readouterr().err)["error"]


@pytest.mark.parametrize("said", ['attachment; filename="../../etc/x.gguf"', "attachment; filename*=utf-8''..%2Fx.gguf"])
def test_a_servers_file_name_is_no_path(said: str) -> None:
    from finetune.cli.api import _filename

    assert _filename(said) == "x.gguf"


COMMANDS = next(action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"python -m finetune {name}" in said and "--json" in said
    assert COMMANDS[name].description in " ".join(said.split())


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["train", "only-a-model"], ["watch", "first"], ["push", "1"], ["download", "1", "--format", "zip"]]
)
def test_arguments_that_make_no_sense_end_with_2(words: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: python -m finetune" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["chat", "test", "push", "download", "train"])
def test_a_model_that_is_not_there_is_named(
    signed_in: Run, alice: User, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(alice, name="greetings")
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi\n"))
    more = {"test": ["Hi"], "push": ["me/x"], "download": ["-o", tmp_path], "train": ["greetings"]}.get(command, [])
    code, printed, said = signed_in(command, "nothing", *more)
    assert (code, printed.strip("> ")) == (1, "")
    assert "“nothing”" in said


def test_a_refused_push_says_why(signed_in: Run, alice: User) -> None:
    version = make_version(alice, base=make_base_model(alice))
    code, _, said = signed_in("push", version.pk, "not-a-repository")
    assert code == 1 and "repo_id" in said
    code, _, said = signed_in("push", version.pk, "alice/bot")
    assert code == 1 and "token" in said
    version.refresh_from_db()
    assert version.push_status == ""


def test_a_conversation_remembers_its_turns(signed_in: Run, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def lines(api: Any, path: str, body: dict[str, Any]) -> Any:
        asked.append((path, json.loads(json.dumps(body))))
        for word in ("Hel", "lo", "!"):
            yield "data: " + json.dumps({"choices": [{"delta": {"content": word}}]})
        yield "data: [DONE]"

    monkeypatch.setattr("finetune.cli.api.Api.lines", lines)
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi\nAnd you?\n"))
    code, printed, said = signed_in("chat", "bot", "--system", "Be kind.", "--temperature", 0, "--max-tokens", 9)
    assert code == 0 and "Ctrl-D ends" in said
    assert printed.replace("> ", "").split() == ["Hello!", "Hello!"]
    path, body = asked[1]
    assert (path, body["model"], body["temperature"], body["max_tokens"]) == ("/v1/chat/completions", "bot", 0, 9)
    assert [turn["content"] for turn in body["messages"]] == ["Be kind.", "Hi", "Hello!", "And you?"]


def test_watching_draws_a_bar_on_a_terminal(signed_in: Run, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    base, screen = make_base_model(alice), io.StringIO()
    version = make_version(alice, base=base)
    progress = {"step": 12, "total_steps": 40, "eta_seconds": 30}
    job = make_job(alice, model=base, status="running", phase="training", progress=progress, metrics={"loss": 1.25}, attempt=1)

    def later(_: float) -> None:
        screen.flush()
        TrainingJob.objects.filter(pk=job.pk).update(status="succeeded", phase="", output_model=version)

    monkeypatch.setattr("finetune.cli.api.time.sleep", later)
    monkeypatch.setattr(
        "finetune.cli.show.Console", functools.partial(Console, force_terminal=True, width=100, file=screen, _environ={})
    )
    assert signed_in("watch", job.pk)[0] == 0
    drawn = screen.getvalue()
    assert "step 12/40  loss 1.2500  ETA 30 s" in drawn and "━" in drawn
    assert f"Job {job.pk} succeeded: model {version.pk}" in drawn


def test_ctrl_c_leaves_the_training_running(signed_in: Run, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(alice, status="running", attempt=1)

    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("finetune.cli.api.time.sleep", pressed)
    code, _, said = signed_in("watch", job.pk)
    assert code == 1 and f"python -m finetune watch {job.pk}" in said
    job.refresh_from_db()
    assert job.status == "running"
