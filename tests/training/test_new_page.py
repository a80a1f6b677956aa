"""The form of a new job: templates, fitting methods, suggested values, and that what is shown is what is sent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from datasets_app.models import Dataset
from finetune.core import storage
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_dataset, make_template
from training.devices import Device
from training.engine.sample import SAMPLE_CONFIG
from training.models import JobTemplate, TrainingJob
from training.services import suggest_config as verb
from training.services.suggest_config import suggest_config

HTMX = {"HX-Request": "true"}
SHAPE = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 1024, "max_position_embeddings": 512, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture
def model(alice: User) -> LanguageModel:
    """A model whose shape can be read; it is not the sample."""
    model = make_base_model(alice, source="hub", context_length=512)
    shutil.rmtree(storage.model_dir(model.pk), ignore_errors=True)
    storage.model_dir(model.pk).mkdir(parents=True)
    (storage.model_dir(model.pk) / "config.json").write_text(json.dumps(SHAPE))
    return model


@pytest.fixture
def dataset(alice: User) -> Dataset:
    return make_dataset(alice)


# --- Templates -----------------------------------------------------------------------------------


def test_a_template_fills_the_form(page: Client, alice: User) -> None:
    form = page.get("/training/new?template=lora-memory").context["form"]
    assert (form["method"].value(), form["template"].value()) == ("lora", "lora-memory")
    assert form["per_device_train_batch_size"].value() == "1"
    mine = make_template(alice, method="sft", config={"num_train_epochs": 7.0})
    form = page.get(f"/training/new?template={mine.pk}").context["form"]
    assert (form.chosen_method, form["num_train_epochs"].value()) == ("sft", "7")


def test_choosing_one_replaces_what_was_typed_and_choosing_something_else_does_not(page: Client) -> None:
    typed = "/training/new?template=lora-quick&method=lora&num_train_epochs=9&lora_r=3&name=x"
    chosen = page.get(typed, headers={**HTMX, "HX-Trigger-Name": "template"}).context["form"]
    assert (chosen["num_train_epochs"].value(), chosen["lora_r"].value(), chosen["name"].value()) == ("1", "8", "x")
    other = page.get(typed, headers={**HTMX, "HX-Trigger-Name": "dataset_id"}).context["form"]
    assert (other["num_train_epochs"].value(), other["lora_r"].value()) == ("9", "3")
    plain = page.get(f"{typed}&apply=1").context["form"]
    assert plain["lora_r"].value() == "8"


def test_going_back_to_the_recommended_values_empties_the_form(page: Client) -> None:
    url = "/training/new?template=&method=lora&lora_r=3"
    form = page.get(url, headers={**HTMX, "HX-Trigger-Name": "template"}).context["form"]
    assert not form["lora_r"].value()


def test_somebody_elses_template_changes_nothing(charlie_page: Client, alice: User) -> None:
    mine = make_template(alice)
    form = charlie_page.get(f"/training/new?template={mine.pk}").context["form"]
    assert not form["lora_r"].value()


def test_the_form_is_kept_as_a_template(page: Client) -> None:
    answer = page.post(
        "/training/templates/save", {"name": "careful", "method": "lora", "lora_r": "4", "suggested": '{"max_length": 256}'}
    )
    made = JobTemplate.objects.get()
    assert answer.url == f"/training/templates/{made.pk}"
    assert (made.name, made.method, made.config) == ("careful", "lora", {"lora_r": 4, "max_length": 256})
    again = page.post("/training/templates/save", {"name": "careful", "method": "lora"})
    assert again.status_code == 422
    assert "already" in again.content.decode()
    wrong = page.post("/training/templates/save", {"name": "other", "method": "lora", "lora_r": "0"})
    assert wrong.context["form"].errors["lora_r"]
    assert JobTemplate.objects.count() == 1


# --- Methods -------------------------------------------------------------------------------------


def test_only_fitting_methods_can_be_chosen_and_the_others_say_why(page: Client, alice: User) -> None:
    pairs = make_dataset(alice, kind="preference")
    answer = page.get(f"/training/new?dataset={pairs.pk}&method=lora", headers=HTMX)
    cards = {card.value: card for card in answer.context["form"].method_cards()}
    assert cards["lora"].reason == "Needs conversations or plain text; this dataset holds preference pairs."
    assert "disabled" in answer.content.decode()
    assert answer.context["form"].chosen_method != "lora" or all(card.reason for card in cards.values())


def test_where_no_method_fits_start_is_shut_and_says_why(page: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from training import forms

    monkeypatch.setattr(forms, "METHOD_KINDS", dict.fromkeys(forms.METHOD_KINDS, ("text",)))
    make_base_model(alice)
    html = page.get(f"/training/new?dataset={make_dataset(alice).pk}").content.decode()
    assert "No method learns from conversations yet. Choose another dataset." in html
    assert 'aria-describedby="why-not"' in html


# --- Suggestions ---------------------------------------------------------------------------------


def test_the_length_follows_the_rows_and_what_the_model_can_read(model: LanguageModel, dataset: Dataset) -> None:
    found = suggest_config(model=model, dataset=dataset, method="lora")
    assert found["max_length"].value == 64
    assert "99 %" in found["max_length"].reason
    other = Path(dataset.rows_file)
    other.unlink()
    assert suggest_config(model=model, dataset=dataset, method="lora") == {}


def test_what_does_not_fit_is_made_to_fit_without_changing_the_result(
    model: LanguageModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.services import estimate_job

    small = Device("cuda:0", "cuda", "Tiny GPU", "host", 2_000_000, 0, None)
    monkeypatch.setattr(estimate_job, "worker_devices", lambda: [small])
    tight = suggest_config(model=model, dataset=dataset, method="lora")
    assert set(tight) - {"max_length"} <= verb.HARMLESS


def test_the_sample_model_gets_what_suits_it(page: Client, alice: User, dataset: Dataset) -> None:
    make_base_model(alice)
    form = page.get("/training/new").context["form"]
    assert form.suggestions["learning_rate"].value == SAMPLE_CONFIG["learning_rate"]
    assert form.fields["learning_rate"].widget.attrs["placeholder"] == "0.006"


def test_what_was_shown_in_grey_is_what_is_used(page: Client, alice: User, model: LanguageModel, dataset: Dataset) -> None:
    form = page.get(f"/training/new?model={model.pk}&dataset={dataset.pk}").context["form"]
    body = {"model_id": model.pk, "dataset_id": dataset.pk, "method": "lora", "draft": "1"}
    page.post("/training/new", {**body, "suggested": form["suggested"].value()})
    page.post("/training/new", {**body, "suggested": form["suggested"].value(), "max_length": "128"})
    page.post("/training/new", {**body, "suggested": "nonsense"})
    assert list(TrainingJob.objects.order_by("pk").values_list("config__max_length", flat=True)) == [64, 128, 1024]


def test_a_field_says_its_bounds(page: Client) -> None:
    html = page.get("/training/new").content.decode()
    assert "From 1 to 4,096." in html
    assert "Above 0 to 1." in html


def test_it_works_without_javascript(page: Client, alice: User) -> None:
    html = page.get("/training/new").content.decode()
    assert '<noscript><button class="btn" type="submit" formmethod="get"' in html
