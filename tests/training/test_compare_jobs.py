"""Runs beside each other, and the curves as a table."""

from __future__ import annotations

import csv
import io

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from tests.factories import make_event, make_job
from training.models import TrainingJob


@pytest.fixture
def pair(alice: User) -> list[TrainingJob]:
    one = make_job(alice, name="one", status="succeeded", metrics={"eval_loss": 0.5}, progress={"elapsed_seconds": 9.0})
    config = {**one.config, "learning_rate": 1e-3}
    two = make_job(alice, name="two", model=one.model, dataset=one.dataset, config=config, status="succeeded")
    for job in (one, two):
        for seq in (1, 2, 3):
            make_event(job, seq, step=seq, epoch=seq / 10, split="train", values={"loss": 1 / seq}, elapsed_seconds=seq)
        make_event(job, 4, step=3, epoch=0.3, split="eval", values={"eval_loss": 0.5})
    return [one, two]


def test_it_shows_the_differences_and_the_curves_in_the_order_asked(api: APIClient, pair: list[TrainingJob]) -> None:
    one, two = pair
    found = api.get(f"/api/training/compare?ids={two.pk},{one.pk}").json()
    assert [job["id"] for job in found["jobs"]] == [two.pk, one.pk]
    assert found["config_diff"] == [{"field": "learning_rate", "values": [1e-3, 2e-4]}]
    assert {"field": "eval_loss", "values": [None, 0.5]} in found["metrics_diff"]
    assert [[point["step"] for point in curve["points"]] for curve in found["curves"]] == [[1, 2, 3, 3]] * 2


def test_other_methods_differ_by_their_options_too(api: APIClient, alice: User, pair: list[TrainingJob]) -> None:
    full = make_job(alice, method="sft", model=pair[0].model, dataset=pair[0].dataset)
    fields = {
        row["field"]: row["values"] for row in api.get(f"/api/training/compare?ids={pair[0].pk},{full.pk}").json()["config_diff"]
    }
    assert fields["method"] == ["lora", "sft"]
    assert fields["lora_r"] == [16, None]


def test_too_few_too_many_and_nonsense_are_refused(api: APIClient, pair: list[TrainingJob]) -> None:
    more = [make_job(pair[0].owner, model=pair[0].model, dataset=pair[0].dataset).pk for _ in range(23)]
    many = ",".join(map(str, [pair[0].pk, *more]))
    found = api.get(f"/api/training/compare?ids={many}").json()
    assert (len(found["jobs"]), len(found["curves"])) == (24, 24)
    for ids in ("", str(pair[0].pk), f"{pair[0].pk},{pair[0].pk}", "x,y", f"{many},{pair[1].pk}"):
        answer = api.get(f"/api/training/compare?ids={ids}")
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["ids"])


def test_a_strangers_job_is_not_there(api: APIClient, charlie: User, charlie_api: APIClient, pair: list[TrainingJob]) -> None:
    hers = ",".join(str(job.pk) for job in pair)
    assert charlie_api.get(f"/api/training/compare?ids={hers}").status_code == 404
    assert api.get(f"/api/training/compare?ids={hers},{make_job(charlie).pk}").status_code == 404


def test_the_table_holds_every_point_and_every_value(api: APIClient, charlie_api: APIClient, pair: list[TrainingJob]) -> None:
    url = f"/api/training/{pair[0].pk}/metrics.csv"
    answer = api.get(url)
    assert answer["Content-Disposition"] == f'attachment; filename="one-{pair[0].pk}.csv"'
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [(row["step"], row["split"], row["loss"], row["eval_loss"]) for row in rows] == [
        ("1", "train", "1.0", ""), ("2", "train", "0.5", ""), ("3", "train", "0.3333333333333333", ""), ("3", "eval", "", "0.5"),
    ]  # fmt: skip
    assert charlie_api.get(url).status_code == 404


def test_the_spec_can_be_downloaded_and_run(api: APIClient, alice: User) -> None:
    from training.engine.spec import from_dict

    job = make_job(alice)
    answer = api.get(f"/api/training/{job.pk}/spec.json")
    assert 'filename="spec.json"' in answer["Content-Disposition"]
    assert from_dict(answer.json()).method == "lora"
