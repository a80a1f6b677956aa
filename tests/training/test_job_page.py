"""What the job page tells beside its numbers: checkpoints, samples, how it computed, reproduction, devices, files."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from finetune.core import storage
from tests.factories import make_base_model, make_event, make_job
from training.chart_list import charts_for
from training.models import TrainingJob


def part(page: Client, job: TrainingJob, target: str) -> str:
    answer = page.get(f"/training/{job.pk}", headers={"HX-Request": "true", "HX-Target": target})
    assert "<html" not in answer.content.decode()
    return answer.content.decode()


@pytest.fixture
def job(alice: User) -> TrainingJob:
    job = make_job(alice, status="cancelled", attempt=1)
    for seq, (step, loss) in enumerate([(10, 0.5), (20, 0.4), (30, 0.6)], 1):
        make_event(job, seq, "checkpoint", step=step, path=f"checkpoints/checkpoint-{step}", bytes=5, values={"eval_loss": loss})
    for step in (20, 30):
        (storage.attempt_dir(job.pk, 1) / f"checkpoints/checkpoint-{step}").mkdir(parents=True)
    return job


def test_the_checkpoints_say_which_is_best_and_what_can_be_done(page: Client, job: TrainingJob) -> None:
    html = part(page, job, "job-checkpoints")
    rows = html.split("<tr>")[2:]
    assert ["best eval loss" in row for row in rows] == [False, True, False]
    assert ["Resume from here" in row for row in rows] == [True, True, False]
    assert [f"/checkpoints/{step}/try" in row for step, row in zip((30, 20, 10), rows, strict=True)] == [True, True, False]
    TrainingJob.objects.filter(pk=job.pk).update(status="running")
    assert "Resume from here" not in part(page, job, "job-checkpoints")


def test_the_answers_to_each_prompt_stand_together(page: Client, job: TrainingJob) -> None:
    for seq, (step, prompt) in enumerate([(0, "a?"), (0, "b?"), (10, "a?"), (10, "b?")], 11):
        make_event(job, seq, "sample", step=step, prompt=prompt, text=f"{prompt} at {step}")
    html = part(page, job, "job-samples")
    assert html.index("a? at 10") < html.index("a? at 0") < html.index("b? at 10") < html.index("b? at 0")


def test_the_facts_come_from_what_the_run_said(page: Client, job: TrainingJob) -> None:
    details = {"device": "NVIDIA A100", "dtype": "bfloat16", "trainable_parameters": 10, "parameters": 1000}
    make_event(job, 11, "log", text="Training starts", details=details)
    make_event(job, 12, "log", text="Way of computing: no padding, bfloat16.")
    make_event(job, 13, "log", text="Layers in fewer passes: adapters, norms.")
    html = part(page, job, "job-facts")
    assert "NVIDIA A100" in html
    assert "10 of 1,000 (1.00%)" in html
    assert "no padding, bfloat16<" in html
    assert "adapters, norms<" in html


def test_a_reproduction_tells_its_outcome_and_what_differs(page: Client, alice: User, job: TrainingJob) -> None:
    make_event(job, 11, "log", text="…", details={"trainable_parameters": 1, "packages": {"torch": "2.8", "trl": "1"}})
    again = make_job(
        alice, model=job.model, dataset=job.dataset, status="succeeded", attempt=1, reproduces=job, weights_sha256="a" * 64
    )
    make_event(again, 1, "log", text="…", details={"trainable_parameters": 1, "packages": {"torch": "2.9", "trl": "1"}})
    assert "can&#x27;t be compared" in part(page, again, "job-head") or "can't be compared" in part(page, again, "job-head")
    TrainingJob.objects.filter(pk=job.pk).update(weights_sha256="b" * 64)
    html = part(page, again, "job-head")
    assert "The weights differ" in html
    assert "torch: 2.8 then, 2.9 now" in html
    assert "trl" not in html
    TrainingJob.objects.filter(pk=job.pk).update(weights_sha256="a" * 64)
    assert "Reproduced exactly" in part(page, again, "job-head")


def test_a_method_with_preferences_has_its_charts_before_the_first_point(alice: User, job: TrainingJob) -> None:
    assert "rewards" not in {chart.name for chart in charts_for(job)}
    job.metrics = {"rewards/margins": 0.1}
    assert {"rewards", "margins", "reward_accuracy"} <= {chart.name for chart in charts_for(job)}


def test_files_spec_and_command_are_on_a_page(page: Client, charlie_page: Client, job: TrainingJob) -> None:
    (storage.attempt_dir(job.pk, 1) / "engine.log").write_text("hello")
    html = page.get(f"/training/{job.pk}/files").content.decode()
    assert "1/engine.log" in html
    assert f"python -m training.engine run runs/job-{job.pk}" in html
    assert "&quot;method&quot;: &quot;lora&quot;" in html
    assert charlie_page.get(f"/training/{job.pk}/files").status_code == 404


def test_the_devices_have_a_page_and_rows_for_htmx(page: Client) -> None:
    assert "Memory" in page.get("/training/devices").content.decode()
    assert "<html" not in page.get("/training/devices", headers={"HX-Request": "true"}).content.decode()


def test_a_page_saves_and_manages_templates(page: Client, charlie_page: Client, job: TrainingJob) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(config={**job.config, "lora_r": 4})
    url = page.post(f"/training/{job.pk}/save-template").url
    again = page.post(f"/training/{job.pk}/save-template").url  # the name is taken: it gets a number
    assert "first run 2" in page.get(again).content.decode()
    assert page.post(url, {"name": "short", "description": "d"}).status_code == 302
    refused = page.post(url, {"name": "first run 2"})
    assert refused.status_code == 422
    assert "short" in page.get("/training/templates/?search=short").content.decode()
    assert charlie_page.post(f"{url}/delete").status_code == 404
    assert page.post("/training/templates/lora-quick/delete", headers={"HX-Request": "true"}).status_code == 409
    assert page.post(f"{url}/delete").url == "/training/templates/"


def test_the_list_filters_by_model_and_offers_the_comparison(page: Client, alice: User, job: TrainingJob) -> None:
    other = make_job(alice, name="other", model=make_base_model(alice, family="other"))
    html = page.get(f"/training/?model_id={other.model_id}").content.decode()
    assert "other" in html
    assert f'id="pick-{other.pk}"' in html
    assert f'id="pick-{job.pk}"' not in html
    shown = page.get(f"/training/compare?ids={job.pk}&ids={other.pk}")
    assert shown.status_code == 200
    assert page.get(f"/training/compare?ids={job.pk}").status_code == 400
