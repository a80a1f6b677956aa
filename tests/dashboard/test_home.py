"""The home page: a start for newcomers, an overview for the others, and nothing of anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from finetune.core import board
from tests.factories import make_base_model, make_dataset, make_event, make_job, make_version
from training.device_reports import BOARD
from training.models import QueuePause

HTMX = {"HX-Request": "true"}


def text_of(client: Client, **options: object) -> str:
    response = client.get("/", **options)
    assert response.status_code == 200
    return response.content.decode()


def test_a_newcomer_is_offered_the_sample(page: Client) -> None:
    text = text_of(page)
    assert "Try it with the sample" in text
    assert 'action="/training/sample"' in text
    assert "Recent trainings" not in text


def test_what_others_have_makes_nobody_less_of_a_newcomer(charlie_page: Client, alice: User) -> None:
    make_job(alice, name="a secret of alice")
    text = text_of(charlie_page)
    assert "Try it with the sample" in text
    assert "a secret of alice" not in text


def test_it_shows_a_running_job_with_its_progress_and_curve(page: Client, alice: User) -> None:
    progress = {"step": 7, "total_steps": 28, "fraction": 0.25, "eta_seconds": 130.0}
    job = make_job(alice, name="my run", status="running", phase="training", progress=progress, metrics={"loss": 1.2345}, attempt=1)
    for seq, loss in enumerate((3.0, 2.0, 1.2345), 1):
        make_event(job, seq, split="train", step=seq, values={"loss": loss})
    text = text_of(page)
    assert "Step 7 of 28" in text
    assert "2 min 10 s left" in text
    assert 'points="0.0,2.0 ' in text, "the curve begins at its highest point, at the top left"
    assert 'value="0.2500"' in text


def test_it_asks_again_only_while_something_moves(page: Client, alice: User) -> None:
    job = make_job(alice, status="queued")
    assert 'hx-trigger="every 3s"' in text_of(page)
    type(job).objects.update(status="cancelled")
    assert 'hx-trigger="every 3s"' not in text_of(page)


def test_htmx_gets_the_overview_alone(page: Client, alice: User) -> None:
    make_job(alice, status="queued")
    text = text_of(page, headers=HTMX)
    assert text.lstrip().startswith('<div class="stack" id="overview"')
    assert "<html" not in text


def test_it_shows_how_far_a_dataset_and_a_sample_model_are(page: Client, alice: User) -> None:
    make_dataset(alice, name="big file", status="validating", progress={"done": 30, "total": 120, "unit": "rows"})
    make_base_model(alice, name="baby model", status="downloading")
    text = text_of(page)
    assert "25 %" in text
    assert "Making the sample model" in text


@pytest.mark.parametrize(
    ("have", "words", "target"),
    [
        ("model", "Upload a dataset", "/datasets/upload"),
        ("dataset", "Choose a model", "/models/"),
        ("both", "Set up a training", "/training/new?model="),
    ],
)
def test_it_names_the_next_step(page: Client, alice: User, have: str, words: str, target: str) -> None:
    if have in {"model", "both"}:
        make_base_model(alice)
    if have in {"dataset", "both"}:
        make_dataset(alice)
    text = text_of(page)
    assert words in text
    assert f'href="{target}' in text


def test_after_a_training_the_next_step_is_to_try_the_model(page: Client, alice: User) -> None:
    base = make_base_model(alice)
    model = make_version(alice, base=base)
    make_job(alice, model=base, status="succeeded", output_model=model)
    text = text_of(page)
    assert "Try the model" in text
    assert f'href="/models/{model.pk}"' in text


def test_after_a_failure_it_says_why(page: Client, alice: User) -> None:
    make_job(alice, status="failed", error={"code": "out_of_memory", "message": "The device ran out of memory."})
    assert "The device ran out of memory." in text_of(page)


def test_it_takes_as_many_queries_for_many_runs_as_for_two(page: Client, alice: User, django_assert_max_num_queries) -> None:
    for number in range(6):
        job = make_job(alice, name=f"run {number}", model=make_base_model(alice, family=f"f{number}"), status="running", attempt=1)
        make_event(job, 1, split="train", step=1, values={"loss": 2.0})
    with django_assert_max_num_queries(24):
        page.get("/")


def test_what_went_wrong_lately_waits_for_its_owner(page: Client, charlie_page: Client, alice: User) -> None:
    now = timezone.now()
    for days_ago, name in ((0, "fresh failure"), (30, "old failure")):
        error = {"code": "x", "message": f"why: {name}"}
        make_job(
            alice,
            name=name,
            status="failed",
            finished_at=now - timedelta(days=days_ago),
            error=error,
            model=make_base_model(alice, family=name),
        )
    make_dataset(alice, name="broken rows", status="invalid", errors=1)
    make_base_model(alice, name="lost model", status="failed", family="lost", error="The Hub was away.")
    text = text_of(page)
    attention = text[text.index("Needs attention") : text.index("Recent trainings")]
    assert "fresh failure" in attention and "1 row has an error" in attention and "The Hub was away." in attention
    assert "old failure" not in attention
    assert "Needs attention" not in text_of(charlie_page)


def pin_worker(*slots: str) -> None:
    board.pin(BOARD, "one:1", {"machine": "one", "devices": [], "worker": "train@one", "pid": 1, "slots": list(slots)})


@pytest.fixture
def no_worker_afterwards() -> Iterator[None]:
    yield
    board.unpin(BOARD, "one:1")


def test_the_queue_says_who_waits_and_whose_is_next(
    page: Client, charlie_page: Client, alice: User, charlie: User, no_worker_afterwards: None
) -> None:
    pin_worker("cuda:0", "cuda:1")
    make_job(charlie, name="their run", status="running", attempt=1)
    make_job(alice, name="my turn", status="queued", queued_at=timezone.now())
    text = text_of(page)
    assert "1 of 2" in text and "my turn" in text and "their run" not in text
    assert "my turn" not in text_of(charlie_page)


def test_the_queue_says_why_nothing_begins(page: Client, alice: User, no_worker_afterwards: None) -> None:
    make_job(alice, status="queued", queued_at=timezone.now())
    assert "No training worker" in text_of(page)
    pin_worker("cpu")
    assert "No training worker" not in text_of(page)
    QueuePause.objects.create(executor="local", reason="new disks")
    assert "new disks" in text_of(page)
