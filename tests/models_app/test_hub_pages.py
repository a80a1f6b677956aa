"""The Hub's pages: find, look, download, watch, push, and what lies on the disk; all of it as plain forms."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from models_app.models import LanguageModel
from models_app.services.download_model import fetch
from tests.factories import make_base_model, make_job, make_version
from tests.loopback_hub import LoopbackHub
from tests.models_app.conftest import add_model, store_token


@pytest.fixture
def stocked(hub: LoopbackHub, tiny_dir: Path) -> LoopbackHub:
    add_model(hub, "org/tiny", tiny_dir).files["README.md"] = b"# A card\n<script>x</script>"
    add_model(hub, "org/bert", tiny_dir, extra={"config": {"architectures": ["BertForMaskedLM"]}})
    return hub


def text(answer: Any) -> str:
    return answer.content.decode()


def test_the_first_look_is_the_curated_list(stocked: LoopbackHub, page: Client) -> None:
    shown = text(page.get("/models/hub"))
    assert "HuggingFaceTB/SmolLM2-135M-Instruct" in shown
    assert "meta-llama/Llama-3.3-70B-Instruct" in shown
    assert "too big" in shown
    assert "Thinking before answering" in shown
    assert "or has none of these models" in shown, "this Hub answers"


def test_a_search_shows_what_can_be_done(stocked: LoopbackHub, page: Client, alice: User) -> None:
    shown = text(page.get("/models/hub", {"q": "org", "task": "text-generation"}, headers={"HX-Request": "true"}))
    assert "<html" not in shown
    assert 'aria-label="Download org/tiny"' in shown
    assert 'title="apache-2.0">apache-2.0</td>' in shown
    assert "BertForMaskedLM does not generate text" in shown
    assert 'aria-label="Download org/bert"' not in shown
    make_base_model(alice, repo_id="org/tiny", family="org/tiny", source="hub")
    assert 'aria-label="Download org/tiny"' not in text(page.get("/models/hub", {"q": "org/tiny"}))


def test_a_silent_hub_is_told_on_the_page(hub: LoopbackHub, page: Client, settings: Any) -> None:
    settings.HF_ENDPOINT = "http://127.0.0.1:9"
    assert "can&#x27;t be reached" in text(page.get("/models/hub", {"q": "x"}))
    assert "does not answer" in text(page.get("/models/hub"))
    assert page.get("/models/").status_code == page.get("/models/storage").status_code == 200
    assert page.get("/models/hub/about/org/tiny").status_code == 503
    assert "Choose" in text(page.get("/models/hub", {"q": "x", "size": "huge"})) or "valid choice" in text(
        page.get("/models/hub", {"q": "x", "size": "huge"})
    )


def test_the_info_page_has_card_files_and_button(stocked: LoopbackHub, page: Client) -> None:
    shown = text(page.get("/models/hub/about/org/tiny"))
    assert "<h3>A card</h3>" in shown
    assert "<script>x" not in shown
    assert "model.safetensors" in shown
    for method in ("Full fine-tuning", "QLoRA", "KTO", "Continued pre-training"):
        assert f"<td>{method}</td>" in shown
    assert 'action="/models/hub/download"' in shown
    refused = text(page.get("/models/hub/about/org/bert"))
    assert "disabled" in refused
    assert "BertForMaskedLM does not generate text" in refused


def test_downloading_from_the_page(stocked: LoopbackHub, page: Client, alice: User) -> None:
    answer = page.post("/models/hub/download", {"repo_id": "org/tiny"})
    model = LanguageModel.objects.for_user(alice).get()
    assert answer["Location"] == f"/models/{model.pk}"
    progress = {"done": 500_000, "total": 2_000_000, "unit": "bytes", "rate": 100_000, "eta_seconds": 15}
    LanguageModel.objects.filter(pk=model.pk).update(progress=progress)
    assert "500 KB of 2.0 MB · 100 KB/s" in text(page.get(f"/models/{model.pk}")).replace("kB", "KB")
    poll = page.get(f"/models/{model.pk}", headers={"HX-Request": "true", "HX-Target": "state"})
    assert "HX-Refresh" not in poll
    assert "Cancel" in text(poll)
    fetch(model.pk)
    assert page.get(f"/models/{model.pk}", headers={"HX-Request": "true", "HX-Target": "state"})["HX-Refresh"] == "true"


def test_cancelling_and_failing_are_told(stocked: LoopbackHub, page: Client, charlie_page: Client, alice: User) -> None:
    page.post("/models/hub/download", {"repo_id": "org/tiny"})
    model = LanguageModel.objects.get()
    assert charlie_page.post(f"/models/{model.pk}/cancel-download").status_code == 404
    page.post(f"/models/{model.pk}/cancel-download")
    model.refresh_from_db()
    assert model.status == "remote"
    LanguageModel.objects.update(status="failed", error="The server's disk is full.")
    shown = text(page.get(f"/models/{model.pk}"))
    assert "disk is full" in shown
    assert "Download again" in shown
    back = page.post("/models/hub/download", {"repo_id": "org/bert"}, headers={"Referer": "http://testserver/models/hub"})
    assert back["Location"] == "http://testserver/models/hub"


def test_pushing_from_the_page(stocked: LoopbackHub, page: Client, charlie_page: Client, alice: User, adapter_dir: Path) -> None:
    model = make_version(alice, base=make_base_model(alice, repo_id="org/tiny", family="org/tiny"))
    shutil.copytree(adapter_dir, model.directory)
    assert "Save a Hugging Face token" in text(page.get(f"/models/{model.pk}"))
    stocked.add_token("hf_x", "alice-hf", "write")
    store_token(alice, "hf_x")
    refused = page.post(f"/models/{model.pk}/push", {"repo_id": "else/x", "private": "on"})
    assert refused.status_code == 422
    assert "Choose one of: alice-hf" in text(refused)
    assert charlie_page.post(f"/models/{model.pk}/push", {"repo_id": "alice-hf/x"}).status_code == 404
    answer = page.post(f"/models/{model.pk}/push", {"repo_id": "alice-hf/x", "private": "on", "commit_message": "Hello"})
    assert answer["Location"] == f"/models/{model.pk}"
    model.refresh_from_db()
    assert (model.push["private"], model.push["merge"], model.push["message"]) == (True, False, "Hello")
    shown = text(page.get(f"/models/{model.pk}"))
    assert "Pushing to alice-hf/x" in shown
    LanguageModel.objects.filter(pk=model.pk).update(push_status="done", hub_url=f"{stocked.url}/alice-hf/x")
    assert f'href="{stocked.url}/alice-hf/x"' in text(page.get(f"/models/{model.pk}"))


def test_the_disk_page_says_who_needs_what(hub: LoopbackHub, page: Client, charlie_page: Client, alice: User) -> None:
    base = make_base_model(alice, name="Needed", bytes=2_000_000, path="models/1")
    make_version(alice, base=base)
    make_job(alice, model=base)
    free = make_base_model(alice, name="Idle", family="idle", bytes=1_000_000, path="models/2")
    shown = text(page.get("/models/storage"))
    assert "1 version, 1 training job" in shown
    assert f'action="/models/{free.pk}/delete"' in shown
    assert f'action="/models/{base.pk}/delete"' not in shown
    assert "Needed" not in text(charlie_page.get("/models/storage"))
