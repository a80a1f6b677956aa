"""The step "where": every machine with its fit, time and cost; why one can't be chosen."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from finetune.core import storage
from finetune.core.errors import Invalid
from models_app.models import LanguageModel
from tests.factories import make_base_model, make_dataset, make_job
from tests.training.executors.conftest import hub, store_token  # noqa: F401  (a fixture)
from training.place_cards import Machine, PlaceCard, place_cards
from training.place_notes import notes
from training.services.estimate_places import MachineEstimate, estimate_places
from training.services.start_job import start_job

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def shaped(owner: User, hidden: int, layers: int, **values: Any) -> LanguageModel:
    """A model of that size whose shape can be read."""
    model = make_base_model(
        owner, **{"source": "hub", "context_length": 512, "name": f"llama-{hidden}", "family": f"llama-{hidden}"} | values
    )
    shutil.rmtree(storage.model_dir(model.pk), ignore_errors=True)
    storage.model_dir(model.pk).mkdir(parents=True)
    shape = {
        "model_type": "llama", "hidden_size": hidden, "intermediate_size": 3 * hidden, "num_hidden_layers": layers, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 512, "tie_word_embeddings": False,
    }  # fmt: skip
    (storage.model_dir(model.pk) / "config.json").write_text(json.dumps(shape))
    return model


def asked(owner: User, model: LanguageModel, **config: Any) -> dict[tuple[str, str], MachineEstimate]:
    found = estimate_places(owner=owner, model_id=model.pk, dataset_id=make_dataset(owner).pk, method="lora", config=config)
    return {(item.executor, item.hardware): item for item in found}


def machines(card: PlaceCard) -> dict[str, Machine]:
    return {machine.id: machine for machine in card.machines}


def test_each_machine_says_whether_it_fits_how_long_and_how_much(alice: User) -> None:
    found = asked(alice, shaped(alice, 4096, 40))  # some nine billion weights
    assert found["hf_jobs", "t4-small"].verdict == "too_small"
    assert found["hf_jobs", "a100-large"].verdict == "fits"
    assert found["modal", "H100"].verdict == "fits"
    small, large = found["hf_jobs", "a100-large"], found["modal", "A100-80GB"]
    assert 0 < small.cost.low < small.cost.high
    assert small.needed_bytes == pytest.approx(large.needed_bytes)
    assert found["local", ""].cost.high == 0
    assert asked(alice, shaped(alice, 64, 2), num_gpus=2, distributed="ddp")["modal", "T4"].verdict == "too_few"


def test_a_card_greys_out_what_is_too_small_and_names_the_cheapest_that_fits(alice: User) -> None:
    store_token(alice)
    found = list(asked(alice, shaped(alice, 4096, 40)).values())
    cards = {card.value: card for card in place_cards(alice, {"executor": "hf_jobs", "hardware_hf_jobs": "a100-large"}, found)}
    jobs = machines(cards["hf_jobs"])
    assert jobs["t4-small"].off
    assert "too little memory" in jobs["t4-small"].fit
    assert not jobs["a100-large"].off
    assert jobs["a100-large"].chosen
    assert [machine.id for machine in jobs.values() if machine.cheapest] == ["l4x1"]
    assert "a100x4" not in jobs  # one GPU is asked for
    assert cards["modal"].reason == "Save your Modal token id and secret in your settings."
    four = {card.value: card for card in place_cards(alice, {"executor": "hf_jobs", "num_gpus": "4"})}
    assert {"l4x4", "a100x4"} <= set(machines(four["hf_jobs"]))
    assert "l4x1" not in machines(four["hf_jobs"])


def test_a_chosen_machine_stays_chosen_and_says_what_to_do(alice: User) -> None:
    store_token(alice)
    found = list(asked(alice, shaped(alice, 4096, 40)).values())
    card = place_cards(alice, {"executor": "hf_jobs", "hardware_hf_jobs": "t4-small"}, found)[2]
    chosen = machines(card)["t4-small"]
    assert (chosen.chosen, chosen.off) == (True, False)
    assert "QLoRA" in chosen.advice


def test_the_form_asks_for_them_as_it_changes(page: Client, charlie_page: Client, alice: User) -> None:
    store_token(alice)
    model, dataset = shaped(alice, 1024, 8), make_dataset(alice)
    sent = {"model_id": model.pk, "dataset_id": dataset.pk, "method": "lora", "executor": "local"}
    text = page.post("/training/estimate", sent, headers=HTMX).content.decode()
    assert 'id="places" hx-swap-oob="true"' in text
    assert "cheapest that fits" in text
    strangers = charlie_page.post("/training/estimate", sent, headers=HTMX).content.decode()
    assert "cheapest that fits" not in strangers
    assert "Save a Hugging Face token" in strangers
    plain = page.post("/training/estimate", sent).content.decode()  # without JavaScript: the whole page
    assert "<html" in plain
    assert "hx-swap-oob" not in plain
    assert "cheapest that fits" in plain


def test_the_api_tells_the_same(api, alice: User) -> None:
    model, dataset = shaped(alice, 1024, 8), make_dataset(alice)
    answer = api.post(
        "/api/training/estimate/places", {"model_id": model.pk, "dataset_id": dataset.pk, "method": "lora"}, format="json"
    )
    told = {(item["executor"], item["hardware"]): item["verdict"] for item in answer.json()}
    assert (answer.status_code, told["modal", "H100"], ("local", "") in told) == (200, "fits", True)


def test_a_base_that_the_token_may_not_fetch_is_refused_before_it_starts(alice: User, page: Client, hub) -> None:  # noqa: F811
    cache.clear()
    store_token(alice)
    hub.add("models", "meta/closed", {"config.json": b"{}"}, gated=True)
    hub.fail(403, ".*auth-check", X_Error_Code="GatedRepo", X_Error_Message="Access is restricted.")
    model = shaped(alice, 1024, 8, repo_id="meta/closed", revision="a" * 40)
    sent = {"model_id": model.pk, "dataset_id": make_dataset(alice).pk, "method": "lora", "executor": "hf_jobs"}
    assert "is gated" in page.post("/training/estimate", sent, headers=HTMX).content.decode()
    job = make_job(alice, model=model, executor="hf_jobs", hardware="a100-large", train_split="train", inputs={"x": 1})
    with pytest.raises(Invalid) as refused:
        start_job(job=job)
    assert list(refused.value.fields) == ["model_id"]
    job.refresh_from_db()
    assert job.status == "draft"
    cache.clear()
    hub._failures.clear()
    hub.fail(503, ".*auth-check")  # who does not answer says nothing against it
    start_job(job=job)
    assert job.status == "queued"


def test_a_place_that_found_no_credit_says_so_until_a_run_got_through(alice: User, charlie: User) -> None:
    model = make_base_model(alice)
    ended = {"model": model, "executor": "hf_jobs", "hardware": "t4-small"}
    make_job(alice, **ended, status="failed", error={"code": "no_credit"}, finished_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert "huggingface.co/settings/billing" in notes(alice)["hf_jobs"]
    assert notes(charlie) == {}
    make_job(alice, **ended, status="succeeded", finished_at=datetime(2026, 1, 2, tzinfo=UTC))
    assert notes(alice) == {}
