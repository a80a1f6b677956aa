"""A split through a version: the numbers are those one gets by hand, it can be stopped and taken up, and strangers see nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from datasets_app.models import Dataset
from finetune.core.errors import Conflict, Invalid
from models_app import run_evaluation as worker
from models_app.models import Evaluation, LanguageModel
from models_app.services.cancel_evaluation import cancel_evaluation
from models_app.services.evaluate_model import evaluate_model
from models_app.services.reconcile_evaluations import reconcile_evaluations
from tests.factories import make_base_model, make_dataset, make_job

S = Evaluation.Status


@pytest.fixture
def dataset(alice: User) -> Dataset:
    return make_dataset(alice, rows=6, content_hash="a" * 64)


def run(model: LanguageModel, dataset: Dataset, **values: Any) -> Evaluation:
    """Queue it and do the worker's part here."""
    evaluation = evaluate_model(model=model, dataset=dataset, **{"rows": 4, "max_new_tokens": 6, **values})
    worker.run_evaluations()
    evaluation.refresh_from_db()
    return evaluation


def loss_by_hand(directory: Path, dataset: Dataset, rows: int) -> float:
    """Mean loss over the tokens of the answers, each with its end of turn, straight from transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(directory), AutoModelForCausalLM.from_pretrained(directory)
    total = count = 0.0
    for text in pq.read_table(dataset.rows_file)["messages"].to_pylist()[:rows]:
        turns = json.loads(text)
        before = len(tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=True)["input_ids"])
        answer = len(tokenizer(turns[-1]["content"] + "<|im_end|>")["input_ids"])
        ids = torch.tensor([tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"][: before + answer]])
        labels = ids.clone()
        labels[0, :before] = -100
        with torch.inference_mode():
            total += float(model(input_ids=ids, labels=labels).loss) * answer
        count += answer
    return total / count


@pytest.mark.engine
def test_the_numbers_are_those_by_hand(base: LanguageModel, version: LanguageModel, dataset: Dataset) -> None:
    found = run(base, dataset, pattern="[a-z]", schema='{"type": "object"}')
    assert (found.status, found.error, found.progress) == (S.DONE, "", None)
    assert found.metrics["loss"] == pytest.approx(loss_by_hand(base.directory, dataset, 4), rel=1e-4)
    assert (found.metrics["rows"], found.metrics["answered"], found.metrics["schema_share"]) == (4, 4, 0.0)
    sample = found.samples.first()
    assert sample is not None
    assert (sample.expected, sample.prompt) == ("Here is 0.", [{"role": "user", "content": "Say 0"}])
    assert sample.output
    assert "not JSON" in sample.problem
    again = run(base, dataset, pattern="[a-z]", schema='{"type": "object"}')
    assert again.metrics == found.metrics
    tuned = run(version, dataset)
    assert tuned.metrics["loss"] != found.metrics["loss"]
    assert [row.output for row in tuned.samples.all()] != [row.output for row in found.samples.all()]


@pytest.mark.engine
def test_comparisons_and_plain_text(base: LanguageModel, alice: User) -> None:
    turn = json.dumps([{"role": "user", "content": "Say 1"}])
    answers = [json.dumps([{"role": "assistant", "content": text}]) for text in ("one", "two")]
    pairs = make_dataset(alice, rows=1, name="pairs", kind="preference", splits={})
    pq.write_table(pa.table({"line": [1], "prompt": [turn], "chosen": [answers[0]], "rejected": [answers[1]]}), pairs.rows_file)
    found = run(base, pairs)
    assert found.metrics["preference_accuracy"] in (0.0, 1.0)
    assert found.samples.get().expected == "one"
    texts = make_dataset(alice, rows=2, name="texts", kind="text", splits={})
    pq.write_table(pa.table({"line": [1, 2], "text": ["hello", "hello everyone"]}), texts.rows_file)
    found = run(base, texts)
    assert set(found.metrics) == {"rows", "answered", "loss", "perplexity", "tokens"}
    assert found.samples.get(row=0).output == ""


@pytest.mark.engine
def test_a_cancel_stops_it_and_what_was_found_stays(base: LanguageModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    real = worker.Judge.sample

    def then_cancel(self: Any, row: dict[str, Any]) -> dict[str, Any]:
        if row["line"] == 3:
            cancel_evaluation(evaluation=Evaluation.objects.get(status=S.RUNNING))
        return real(self, row)

    monkeypatch.setattr(worker.Judge, "sample", then_cancel)
    found = run(base, dataset)
    assert (found.status, found.samples.count(), found.metrics) == (S.CANCELLED, 2, {})
    with pytest.raises(Conflict):
        cancel_evaluation(evaluation=found)


@pytest.mark.engine
def test_a_lost_one_goes_on_where_it_was(base: LanguageModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(base, dataset)
    real = worker.Judge.sample

    def then_die(self: Any, row: dict[str, Any]) -> dict[str, Any]:
        if row["line"] == 3:
            raise KeyboardInterrupt  # as a worker that is killed
        return real(self, row)

    monkeypatch.setattr(worker.Judge, "sample", then_die)
    with pytest.raises(KeyboardInterrupt):
        run(base, dataset)
    monkeypatch.setattr(worker.Judge, "sample", real)
    lost = Evaluation.objects.get(status=S.RUNNING)
    assert reconcile_evaluations() == 0  # it may only be slow
    Evaluation.objects.filter(pk=lost.pk).update(updated_at=timezone.now() - timedelta(hours=1))
    assert reconcile_evaluations() == 1
    worker.run_evaluations()
    lost.refresh_from_db()
    assert (lost.status, lost.attempt, lost.restarts) == (S.DONE, 2, 1)
    assert lost.metrics == whole.metrics
    Evaluation.objects.filter(pk=lost.pk).update(status=S.RUNNING, restarts=3, updated_at=timezone.now() - timedelta(hours=1))
    reconcile_evaluations()
    lost.refresh_from_db()
    assert (lost.status, bool(lost.error)) == (S.FAILED, True)


def test_a_model_that_cannot_be_loaded_says_why(base: LanguageModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    (base.directory / "model.safetensors").write_bytes(b"torn")
    found = run(base, dataset)
    assert found.status == S.FAILED
    assert "could not be loaded" in found.error


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"rows": 0}, "rows"),
        ({"rows": 2001}, "rows"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"split": "nowhere"}, "split"),
        ({"pattern": "["}, "pattern"),
        ({"schema": "{"}, "schema"),
    ],
)
def test_both_surfaces_name_the_field(
    values: dict[str, Any], field: str, api: APIClient, page: Client, base: LanguageModel, dataset: Dataset
) -> None:
    told = api.post(f"/api/models/{base.pk}/evaluations", {"dataset": dataset.pk, **values})
    assert (told.status_code, list(told.json()["fields"])) == (400, [field])
    body = {"dataset": dataset.pk, "split": "", "rows": 3, "max_new_tokens": 4, "pattern": "", "schema": "", **values}
    shown = page.post(f"/models/{base.pk}/evaluate", body)
    assert shown.status_code == 422
    assert shown.context["form"].errors[field] == told.json()["fields"][field]
    assert Evaluation.objects.count() == 0


def test_what_cannot_be_evaluated(alice: User, charlie: User, api: APIClient, base: LanguageModel, dataset: Dataset) -> None:
    with pytest.raises(Invalid):
        evaluate_model(model=base, dataset=make_dataset(alice, kind="unpaired", name="verdicts"))
    with pytest.raises(Conflict):
        evaluate_model(model=make_base_model(alice, family="far", status="remote"), dataset=dataset)
    theirs = make_dataset(charlie)
    assert list(api.post(f"/api/models/{base.pk}/evaluations", {"dataset": theirs.pk}).json()["fields"]) == ["dataset"]


def finished(model: LanguageModel, dataset: Dataset, f1: list[float]) -> Evaluation:
    """A done evaluation with such samples, without running it."""
    made = Evaluation.objects.create(
        owner=model.owner, model=model, dataset=dataset, dataset_name=dataset.name, dataset_hash="a" * 64, kind="sft", rows=len(f1),
        options={"max_new_tokens": 8}, status=S.DONE, metrics={"rows": len(f1), "loss": 2.0, "token_f1": sum(f1) / len(f1)},
    )  # fmt: skip
    for row, value in enumerate(f1):
        turns = [{"role": "user", "content": f"<b>question {row}</b>"}]
        made.samples.create(
            row=row, line=row + 1, prompt=turns, expected=f"e{row}", output=f"o{row}", nll=float(row + 1), tokens=2,
            exact=value == 1, f1=value, rouge_l=value, score=value,
        )  # fmt: skip
    return made


def test_samples_come_worst_first(api: APIClient, page: Client, base: LanguageModel, dataset: Dataset) -> None:
    made = finished(base, dataset, [0.5, 0.1, 1.0])
    url = f"/api/models/evaluations/{made.pk}"
    assert api.get(url).json()["metrics"]["loss"] == 2.0
    rows = {order: [s["row"] for s in api.get(f"{url}/samples?order={order}").json()["results"]]
            for order in ("worst", "best", "surprising", "row")}  # fmt: skip
    assert rows == {"worst": [1, 0, 2], "best": [2, 0, 1], "surprising": [2, 1, 0], "row": [0, 1, 2]}
    assert api.get(f"{url}/samples?order=odd").status_code == 400
    shown = page.get(f"/models/evaluations/{made.pk}").content.decode()
    assert shown.index("question 1") < shown.index("question 0") < shown.index("question 2")
    assert "<b>question" not in shown
    assert [row["id"] for row in api.get(f"/api/models/{base.pk}/evaluations").json()["results"]] == [made.pk]


def test_two_are_compared_by_what_became_worse(
    api: APIClient, page: Client, base: LanguageModel, version: LanguageModel, dataset: Dataset
) -> None:
    before, after = finished(base, dataset, [0.5, 0.5, 0.5]), finished(version, dataset, [0.6, 0.1, 0.5])
    found = api.get(f"/api/models/evaluations/{before.pk}/compare?with={after.pk}").json()
    assert found["same_rows"]
    assert [row["row"] for row in found["samples"]] == [1, 2, 0]
    change = next(row["change"] for row in found["metrics"] if row["name"] == "token_f1")
    assert change == pytest.approx(-0.1)
    shown = page.get(f"/models/evaluations/{before.pk}/compare?with={after.pk}").content.decode()
    assert "worse" in shown
    for bad in ("", "x", str(before.pk), "999999"):
        assert api.get(f"/api/models/evaluations/{before.pk}/compare?with={bad}").status_code == 400


def test_it_is_deleted_when_it_has_ended(api: APIClient, page: Client, base: LanguageModel, dataset: Dataset) -> None:
    told = api.post(f"/api/models/{base.pk}/evaluations", {"dataset": dataset.pk, "rows": 4})
    assert (told.status_code, told.json()["status"]) == (202, "queued")
    made = Evaluation.objects.get(pk=told.json()["id"])
    Evaluation.objects.filter(pk=made.pk).update(status=S.RUNNING)
    assert api.delete(f"/api/models/evaluations/{made.pk}").status_code == 409
    assert api.post(f"/api/models/evaluations/{made.pk}/cancel").json()["status"] == "cancelled"
    assert api.post(f"/api/models/evaluations/{made.pk}/cancel").status_code == 409
    assert page.post(f"/models/evaluations/{made.pk}/delete").status_code == 302
    assert not Evaluation.objects.exists()


def test_a_version_that_learned_the_rows_is_told(page: Client, alice: User, version: LanguageModel, dataset: Dataset) -> None:
    made = finished(version, dataset, [0.5])
    assert "learned from these rows" not in page.get(f"/models/evaluations/{made.pk}").content.decode()
    make_job(alice, model=version.base_model, dataset=dataset, status="succeeded", output_model=version)
    assert "learned from these rows" in page.get(f"/models/evaluations/{made.pk}").content.decode()


def test_strangers_see_nothing(charlie_api: APIClient, charlie_page: Client, base: LanguageModel, dataset: Dataset) -> None:
    made = finished(base, dataset, [0.5])
    for path in ("", "/samples", "/compare"):
        assert charlie_api.get(f"/api/models/evaluations/{made.pk}{path}").status_code == 404
    assert charlie_api.post(f"/api/models/evaluations/{made.pk}/cancel").status_code == 404
    assert charlie_api.delete(f"/api/models/evaluations/{made.pk}").status_code == 404
    assert charlie_api.get(f"/api/models/{base.pk}/evaluations").status_code == 404
    assert charlie_page.get(f"/models/{base.pk}/evaluate").status_code == 404
    for path in ("", "/compare"):
        assert charlie_page.get(f"/models/evaluations/{made.pk}{path}").status_code == 404
    for path in ("/cancel", "/delete"):
        assert charlie_page.post(f"/models/evaluations/{made.pk}{path}").status_code == 404
    assert Evaluation.objects.count() == 1
