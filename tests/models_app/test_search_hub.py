"""Search, facts and the curated list, asked by the real client of a Hub on the loopback interface."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core.hub_models import HubFile, HubModel
from models_app.cards import render_card
from models_app.hub_repo import files_to_fetch, untrainable
from models_app.popular import POPULAR
from models_app.services.list_popular import list_popular
from models_app.services.search_hub import search_hub
from tests.factories import make_base_model
from tests.loopback_hub import LoopbackHub
from tests.models_app.conftest import add_model, store_token

SEARCH, INFO = "/api/models/huggingface/search", "/api/models/huggingface/info/"


@pytest.fixture
def stocked(hub: LoopbackHub, tiny_dir: Path) -> LoopbackHub:
    for number, millions in enumerate((100, 1_000, 8_000, 70_000)):
        total = millions * 1_000_000
        facts = {
            "downloads": 100 - number,
            "likes": number,
            "trendingScore": number % 2,
            "safetensors": {"parameters": {"BF16": total}, "total": total},
        }
        add_model(hub, f"org/llama-{millions}m", tiny_dir, extra=facts)
    add_model(
        hub,
        "other/picture-model",
        tiny_dir,
        extra={"pipeline_tag": "text-to-image", "library_name": "diffusers", "tags": [], "downloads": 5},
    )
    return hub


def names(results: list[Any]) -> list[str]:
    return [result["repo_id"].split("-")[-1] if isinstance(result, dict) else result.repo_id.split("-")[-1] for result in results]


def test_results_say_what_they_would_mean_here(stocked: LoopbackHub, api: APIClient, alice: User) -> None:
    mine = make_base_model(alice, repo_id="org/llama-100m", family="org/llama-100m", source="hub")
    results = api.get(SEARCH, {"q": "LLAMA"}).data["results"]
    assert names(results) == ["100m", "1000m", "8000m", "70000m"]
    small, _, _, large = results
    assert (small["local"], small["model_id"], small["trainable"], small["license"]) == (True, mine.pk, True, "apache-2.0")
    assert (small["fit"], small["parameters"], small["downloads"], small["author"]) == ("ok", 100_000_000, 100, "org")
    assert (small["weight_bytes"], small["context_length"]) == (200_000_000, 256)  # BF16; as its config.json says
    assert {each["method"] for each in small["devices"][0]["methods"]} == {"sft", "lora", "qlora", "dpo", "orpo", "kto", "pretrain"}
    assert large["fit"] == "too_big"
    assert "needs about" in large["fit_words"]


def test_results_go_without_a_configuration_that_does_not_come(
    stocked: LoopbackHub, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models_app.hub_configs.SECONDS", 0.3)
    stocked.fail(503, ".*llama-100m/.*", times=1)
    stocked.repos["models", "org/llama-8000m"].files["config.json"] = b'["not", "an object"]'
    contexts = [shown.context_length for shown in search_hub(owner=alice, q="llama")[0]]
    assert contexts == [None, 256, None, 256]
    asked = len(stocked.requests)
    assert search_hub(owner=alice, q="llama")[0][0].context_length == 256  # it is asked again; what is known is not
    assert len(stocked.requests) == asked + 3  # the search, and the two files that were not to be had


def test_a_gated_configuration_is_asked_for_again_once_there_is_a_token(hub: LoopbackHub, alice: User, tiny_dir: Path) -> None:
    add_model(hub, "org/gated", tiny_dir, gated=True)
    assert search_hub(owner=alice, q="gated")[0][0].context_length is None
    hub.add_token("hf_alice")
    store_token(alice, "hf_alice")
    assert search_hub(owner=alice, q="gated")[0][0].context_length == 256


def test_it_sorts_filters_and_pages(stocked: LoopbackHub, alice: User) -> None:
    def found(**wanted: Any) -> list[str]:
        return names(search_hub(owner=alice, **wanted)[0])

    assert found(sort="likes", q="llama")[0] == "70000m"
    assert found(size="5b-10b") == ["8000m"]
    assert found(task="text-to-image") == found(author="other") == found(library="diffusers") == ["model"]
    assert len(found(license="apache-2.0")) == 4
    assert (found(limit=2), found(limit=2, page=3)) == (["100m", "1000m"], ["model"])
    assert [search_hub(owner=alice, limit=2, page=page)[1] for page in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize(("query", "field"), [
    ({"sort": "beauty"}, "sort"), ({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"limit": "x"}, "limit"), ({"page": 0}, "page"),
    ({"page": 200, "limit": 100}, "page"), ({"size": "huge"}, "size"), ({"q": "x" * 201}, "q"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(query: dict, field: str, hub: LoopbackHub, api: APIClient) -> None:
    answer = api.get(SEARCH, query)
    assert answer.status_code == 400
    assert field in answer.data["fields"]
    assert hub.requests == []


def test_private_ones_are_found_with_the_owners_token_alone(
    stocked: LoopbackHub, alice: User, charlie: User, tiny_dir: Path
) -> None:
    stocked.add_token("hf_alice")
    add_model(stocked, "alice/llama-secret", tiny_dir, private=True)
    store_token(alice, "hf_alice")
    assert names(search_hub(owner=alice, q="secret")[0]) == ["secret"]
    assert search_hub(owner=charlie, q="secret")[0] == []


def test_the_hubs_trouble_is_in_words(hub: LoopbackHub, api: APIClient, settings: Any) -> None:
    hub.fail(429, Retry_After="7", times=1)
    busy = api.get(SEARCH)
    assert (busy.status_code, busy["Retry-After"]) == (503, "7")
    assert "slow down" in busy.data["detail"]
    settings.HF_ENDPOINT = "http://127.0.0.1:9"
    gone = api.get(SEARCH)
    assert (gone.status_code, gone.data["code"]) == (503, "unavailable")


def test_offline_is_said(hub: LoopbackHub, api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    answer = api.get(SEARCH)
    assert (answer.status_code, answer.data["code"]) == (503, "offline")
    assert "HF_HUB_OFFLINE" in answer.data["detail"]


def test_info_has_files_size_context_and_a_safe_card(hub: LoopbackHub, api: APIClient, tiny_dir: Path) -> None:
    repo = add_model(hub, "org/tiny", tiny_dir)
    repo.files |= {"README.md": b"---\nlicense: mit\n---\n# Hello\n<script>steal()</script>\n![pic](https://evil.example/x.png)",
                   "original/weights.pth": b"x" * 5000, "consolidated.safetensors": b"y" * 5000}  # fmt: skip
    repo.card = {"license": "mit"}
    answer = api.get(INFO + "org/tiny")
    assert answer.status_code == 200
    info = answer.data
    assert (info["context_length"], info["chat_template"], info["license"], info["commit"]) == (256, True, "mit", repo.commit)
    fetched = {file["path"]: file["bytes"] for file in info["files"]}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(fetched)
    assert not {"consolidated.safetensors", "original/weights.pth"} & set(fetched)
    assert info["bytes"] == sum(fetched.values())
    assert "<h3>Hello</h3>" in info["card"]
    assert "script" not in info["card"]
    assert "<img" not in info["card"]
    assert '<a href="https://evil.example/x.png"' in info["card"]
    add_model(hub, "org/plain", tiny_dir)
    assert "Tiny" in api.get(INFO + "org/plain").data["card"]
    assert api.get(INFO + "org/none").status_code == 400
    assert api.get(INFO + "org/tiny", {"revision": "v9"}).data["fields"] == {"revision": ["“org/tiny” has no revision “v9”."]}
    assert api.get(INFO + "../etc/passwd").status_code in (400, 404)


def test_popular_goes_without_the_hub(hub: LoopbackHub, api: APIClient, settings: Any, tiny_dir: Path) -> None:
    settings.HF_ENDPOINT = "http://127.0.0.1:9"
    answer = api.get("/api/models/huggingface/popular").data
    sizes = [result["parameters"] for result in answer["results"]]
    assert {result["use"] for result in answer["results"]} == {"start", "chat", "reasoning", "code", "base"}
    assert all(result["context_length"] and result["weight_bytes"] for result in answer["results"])
    assert answer["live"] is False
    assert (sizes[0] < 200e6, sizes[-1] > 65e9) == (True, True)
    assert sizes == sorted(sizes)
    cache.clear()
    settings.HF_ENDPOINT = hub.url
    add_model(hub, POPULAR[0].repo_id, tiny_dir, extra={"downloads": 4242})
    answer = api.get("/api/models/huggingface/popular").data
    assert (answer["live"], answer["results"][0]["downloads"]) == (True, 4242)
    asked = len(hub.requests)
    api.get("/api/models/huggingface/popular")
    assert len(hub.requests) == asked


def test_a_silent_hub_keeps_nobody_waiting(hub: LoopbackHub, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_app.services.list_popular.TIMEOUT_SECONDS", 0.2)
    hub.delay = 3
    began = time.monotonic()
    assert list_popular(owner=alice)[1] is False
    assert time.monotonic() - began < 2.5


def test_nobody_signed_out_searches(anonymous_api: APIClient) -> None:
    for path in (SEARCH, INFO + "org/tiny", "/api/models/huggingface/popular"):
        assert anonymous_api.get(path).status_code == 401


def model(**values: Any) -> HubModel:
    return HubModel("a/b", task="text-generation", library="transformers", parameters=5, **values)


@pytest.mark.parametrize(("found", "word"), [
    (model(), ""),
    (model(architecture="Qwen3ForCausalLM"), ""),
    (model(architecture="BertForMaskedLM"), "BertForMaskedLM"),
    (model(quantization="gptq"), "quantised"),
    (model(tags=["awq"]), "awq"),
    (model(tags=["custom_code"]), "code from its own"),
    (HubModel("a/b", task="text-generation", library="transformers"), "no safetensors"),
    (HubModel("a/b", task="text-generation", tags=["gguf"]), "GGUF"),
    (HubModel("a/b", task="text-generation", library="peft"), "adapter"),
    (HubModel("a/b", task="text-to-image", library="diffusers", parameters=5), "text-to-image"),
    (model(files=[HubFile("pytorch_model.bin", 5)]), "no safetensors"),
    (model(files=[HubFile("unet/model.safetensors", 5)]), "main folder"),
])  # fmt: skip
def test_why_one_cannot_be_trained(found: HubModel, word: str) -> None:
    assert (word in untrainable(found)) if word else untrainable(found) == ""


def test_shards_are_taken_once() -> None:
    paths = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "consolidated.safetensors",
             "config.json", "LICENSE", "x.gguf", "pytorch_model.bin", ".gitattributes"]  # fmt: skip
    chosen = {file.path for file in files_to_fetch([HubFile(path, 1) for path in paths])}
    assert chosen == {*paths[:3], "config.json", "LICENSE"}
    assert files_to_fetch([HubFile("pytorch_model.bin", 1)]) == []
    assert files_to_fetch([HubFile("pytorch_model.bin", 1)], pickled=True)


@pytest.mark.parametrize("text", [
    "<a href='javascript:alert(1)'>x</a>", "[x](javascript:alert(1))", "<img src=x onerror=alert(1)>", "<iframe src='https://e.org'></iframe>",
    "<svg onload=alert(1)>", "<style>body{}</style>", "<form action='/x'><input></form>", '<img alt="\\"><script>alert(1)</script>" src="y">',
])  # fmt: skip
def test_a_card_can_do_no_harm(text: str) -> None:
    html = render_card(text, "https://hub.example/a/b")
    for word in ("<script", "<img", "<iframe", "<svg", "<style", "<form", "onerror=", "onload=", 'href="javascript'):
        assert word not in html
