"""Versions beside each other, and where one comes from."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from models_app.models import Evaluation, Export, LanguageModel
from tests.factories import make_base_model, make_dataset, make_event, make_job, make_version
from tests.models_app.test_evaluate_model import finished
from training.models import TrainingJob


@pytest.fixture
def pair(alice: User) -> list[LanguageModel]:
    """Two versions of one family, made by two runs on two versions of a dataset."""
    base = make_base_model(alice, repo_id="org/tiny", revision="c0ffee", license="apache-2.0")
    first = make_dataset(alice, content_hash="a" * 64)
    second = make_dataset(alice, rows=10, content_hash="b" * 64, family=first.family, version=2, parent=first)
    found = []
    for number, data in enumerate((first, second), 1):
        version = make_version(
            alice, base=base, method="lora", version=number, metrics={"eval_loss": 1 / number}, is_latest=number == 2
        )
        job = make_job(alice, model=base, dataset=data, output_model=version, status="succeeded", name=f"run {number}")
        TrainingJob.objects.filter(pk=job.pk).update(config={**job.config, "learning_rate": number * 1e-4})
        make_event(job, 1, step=1, epoch=1.0, split="train", values={"loss": 2.0 / number}, elapsed_seconds=1)
        make_event(job, 2, "sample", prompt="Hi?", step=1, text=f"answer {number}")
        found.append(version)
    return found


def test_two_versions_beside_each_other(api: APIClient, pair: list[LanguageModel]) -> None:
    one, two = pair
    found = api.get(f"/api/models/{one.pk}/version-compare?with={two.pk}").json()
    assert (found["a"]["id"], found["b"]["id"]) == (one.pk, two.pk)
    fields = {row["field"]: (row["a"], row["b"]) for row in found["config_diff"]}
    assert fields["learning_rate"] == (1e-4, 2e-4)
    assert fields["dataset_content_hash"] == ("a" * 64, "b" * 64)
    assert "lora_r" not in fields and "base_model" not in fields  # only differences
    assert {row["field"]: (row["a"], row["b"]) for row in found["metrics_diff"]}["eval_loss"] == (1.0, 0.5)
    assert found["dataset_diff"]["counts"] == {"removed": 0, "added": 2, "changed": 0, "same": 8}
    assert [[point["values"]["loss"] for point in curve["points"]] for curve in found["curves"]] == [[2.0], [1.0]]
    assert found["samples"] == [{"prompt": "Hi?", "texts": ["answer 1", "answer 2"]}]
    assert found["evaluations"] == []


def test_evaluations_on_the_same_rows_stand_beside_each_other(api: APIClient, page: Client, pair: list[LanguageModel]) -> None:
    one, two = pair
    data = one.produced_by.dataset  # type: ignore[attr-defined]
    finished(one, data, [0.0, 0.0])  # an older one
    newest, other = finished(one, data, [1.0, 0.5]), finished(two, data, [0.9, 0.0])
    Evaluation.objects.filter(pk=finished(two, data, [0.1]).pk).update(split="test")  # nobody else was asked those
    third = make_version(one.owner, base=one.base_model, version=3, method="lora")
    (group,) = api.get(f"/api/models/{one.pk}/version-compare?with={third.pk},{two.pk}").json()["evaluations"]
    assert (group["dataset_name"], group["split"], group["evaluations"]) == (data.name, "", [newest.pk, None, other.pk])
    assert {row["field"]: row["values"] for row in group["metrics"]}["token_f1"] == [0.75, None, 0.45]
    assert [(row["row"], row["texts"], row["scores"]) for row in group["samples"]] == [
        (1, ["o1", None, "o1"], [0.5, None, 0.0]),
        (0, ["o0", None, "o0"], [1.0, None, 0.9]),
    ]
    shown = page.get(f"/models/compare?ids={one.pk},{two.pk}").content.decode()
    for words in ("Token F1", "0.750", "question 1", "score 0.50", f"/models/evaluations/{other.pk}"):
        assert words in shown
    assert "<b>question" not in shown


def test_any_number_and_versions_whose_run_is_gone(api: APIClient, alice: User, pair: list[LanguageModel]) -> None:
    third = make_version(alice, base=pair[0].base_model, version=3, method="lora")
    third.directory.mkdir(parents=True, exist_ok=True)
    manifest = {"spec": {"config": {"learning_rate": 9e-4}}, "dataset": {"content_hash": "c" * 64}, "seed": 5}
    (third.directory / "manifest.json").write_text(json.dumps(manifest))
    found = api.get(f"/api/models/{third.pk}/version-compare?with={pair[0].pk},{pair[1].pk}").json()
    assert {row["field"]: row["values"] for row in found["config_diff"]}["learning_rate"] == [9e-4, 1e-4, 2e-4]
    assert [diff["same"] for diff in found["dataset_diffs"]] == [None, False]
    assert found["curves"][0]["points"] == []
    line = api.get(f"/api/models/{third.pk}/lineage").json()
    assert (line["job"], line["seed"], line["dataset"]["content_hash"]) == (None, 5, "c" * 64)


def test_too_few_too_many_nonsense_and_other_peoples(
    api: APIClient, charlie_api: APIClient, pair: list[LanguageModel], page: Client
) -> None:
    one, two = pair
    for asked in ("", f"?with={one.pk}", "?with=x", "?with=" + ",".join(map(str, range(1, 60)))):
        answer = api.get(f"/api/models/{one.pk}/version-compare{asked}")
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["with"]), asked
    assert charlie_api.get(f"/api/models/{one.pk}/version-compare?with={two.pk}").status_code == 404
    hers = make_base_model(User.objects.get(username="charlie"))
    assert api.get(f"/api/models/{one.pk}/version-compare?with={hers.pk}").status_code == 404
    assert page.get("/models/compare?ids=").status_code == 400


def test_the_lineage_names_every_station(api: APIClient, alice: User, pair: list[LanguageModel]) -> None:
    version = pair[1]
    Export.objects.create(owner=alice, model=version, format="gguf", quantization="q8_0", status="ready", bytes=7)
    version.push = {"repo_id": "alice/tuned", "commit": "deadbeef", "private": True, "merge": False, "token": "never"}
    version.save()
    child = make_version(alice, base=version, family="child")
    line = api.get(f"/api/models/{version.pk}/lineage").json()
    assert line["dataset"]["content_hash"] == "b" * 64
    assert [step["version"] for step in line["dataset"]["history"]] == [2, 1]
    assert (line["base"]["repo_id"], line["base"]["revision"]) == ("org/tiny", "c0ffee")
    assert line["job"]["name"] == "run 2" and line["spec"]["config"]["learning_rate"] == 2e-4
    assert [export["quantization"] for export in line["exports"]] == ["q8_0"]
    assert (line["hub"]["commit"], "token" in line["hub"]) == ("deadbeef", False)
    assert [model["id"] for model in line["children"]] == [child.pk]
    assert [model["id"] for model in api.get(f"/api/models/{child.pk}/lineage").json()["parents"]] == [
        version.pk,
        version.base_model_id,
    ]


def test_a_base_model_has_a_short_line(api: APIClient, page: Client, alice: User) -> None:
    base = make_base_model(alice)
    line = api.get(f"/api/models/{base.pk}/lineage").json()
    assert (line["dataset"], line["base"], line["job"], line["spec"]) == (None, None, None, {})
    assert page.get(f"/models/{base.pk}/lineage").status_code == 200


def test_the_pages_say_the_same(page: Client, pair: list[LanguageModel]) -> None:
    one, two = pair
    shown = page.get(f"/models/compare?ids={one.pk}&ids={two.pk}").content.decode()
    for words in ("Learning rate", "answer 2", "2 added", "compare-curves"):
        assert words in shown
    line = page.get(f"/models/{two.pk}/lineage").content.decode()
    assert "b" * 64 in line and f"/training/{two.produced_by.pk}/reproduce" in line  # type: ignore[attr-defined]
    history = page.get(f"/models/{two.pk}/versions").content.decode()
    assert history.index(f'value="{two.pk}"') < history.index(f'value="{one.pk}"')
