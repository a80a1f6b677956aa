"""A base model from the Hub: a record, ready when the local cache has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core.errors import Invalid
from finetune.core.hub import CachedModel
from models_app.models import LanguageModel
from models_app.services.register_base import register_base
from tests.fakes import FakeHub

REPO = "HuggingFaceTB/SmolLM2-135M-Instruct"


def cached(directory: Path, revision: str = "a" * 40) -> CachedModel:
    return CachedModel(REPO, revision, directory, 1000)


def test_what_is_not_here_is_a_record(alice: User, fake_hub: FakeHub) -> None:
    model = register_base(owner=alice, repo_id=f" {REPO} ", revision="main")
    assert (model.status, model.name, model.repo_id, model.revision) == ("remote", "SmolLM2-135M-Instruct", REPO, "main")
    assert (model.kind, model.source, model.parameters, model.path) == ("base", "hub", None, "")


@pytest.mark.engine
def test_what_is_in_the_cache_is_ready_with_its_facts(alice: User, fake_hub: FakeHub, tiny_dir: Path) -> None:
    fake_hub.models = [cached(tiny_dir)]
    model = register_base(owner=alice, repo_id=REPO, name="Smol")
    assert (model.status, model.name, model.revision, model.directory) == ("ready", "Smol", "a" * 40, tiny_dir)
    assert (model.architecture, model.context_length, model.dtype, model.license) == (
        "LlamaForCausalLM", 256, "float32", "apache-2.0",
    )  # fmt: skip
    from transformers import AutoModelForCausalLM

    assert model.parameters == AutoModelForCausalLM.from_pretrained(tiny_dir).num_parameters()


@pytest.mark.engine
def test_asked_again_it_is_the_same_row_and_ready_once_the_files_arrived(alice: User, fake_hub: FakeHub, tiny_dir: Path) -> None:
    first = register_base(owner=alice, repo_id=REPO)
    fake_hub.models = [cached(tiny_dir)]
    again = register_base(owner=alice, repo_id=REPO)
    fake_hub.models = []
    gone = register_base(owner=alice, repo_id=REPO)
    assert first == again == gone
    assert again.status == "ready"
    assert LanguageModel.objects.count() == 1


def test_another_revision_is_another_version(alice: User, fake_hub: FakeHub) -> None:
    first = register_base(owner=alice, repo_id=REPO, revision="v1")
    second = register_base(owner=alice, repo_id=REPO, revision="v2")
    assert [first.version, second.version] == [1, 2]
    assert second.is_latest


@pytest.mark.parametrize("repo_id", ["", "../../etc", "a/b/c", "-x/y", "a b", "owner/na--me/..", "https://huggingface.co/"])
def test_it_refuses_what_is_no_repository(alice: User, fake_hub: FakeHub, repo_id: str) -> None:
    with pytest.raises(Invalid) as refused:
        register_base(owner=alice, repo_id=repo_id)
    assert list(refused.value.fields) == ["repo_id"]
    assert not LanguageModel.objects.exists()


@pytest.mark.parametrize("revision", ["../main", "x y", "-x"])
def test_it_refuses_what_is_no_revision(alice: User, fake_hub: FakeHub, revision: str) -> None:
    with pytest.raises(Invalid) as refused:
        register_base(owner=alice, repo_id=REPO, revision=revision)
    assert list(refused.value.fields) == ["revision"]


def test_a_broken_cached_model_is_refused_and_not_recorded(alice: User, fake_hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    fake_hub.models = [cached(tmp_path)]
    with pytest.raises(Invalid, match=r"model\.safetensors"):
        register_base(owner=alice, repo_id=REPO)
    assert not LanguageModel.objects.exists()


def test_api_and_page_add_the_same(api: APIClient, page: Client, fake_hub: FakeHub) -> None:
    response = api.post("/api/models", {"name": "Smol", "repo_id": REPO})
    assert response.status_code == 201
    assert response.json()["status"] == "remote"
    assert page.post("/models/add", {"repo_id": REPO}).headers["Location"] == f"/models/{response.json()['id']}"
    assert LanguageModel.objects.count() == 1


def test_api_and_page_refuse_at_the_field(api: APIClient, page: Client, fake_hub: FakeHub) -> None:
    response = api.post("/api/models", {"repo_id": "not a repo"})
    assert response.status_code == 400
    assert "owner/name" in response.json()["fields"]["repo_id"][0]
    assert api.post("/api/models", {}).json()["fields"]["repo_id"]
    shown = page.post("/models/add", {"repo_id": "not a repo"})
    assert shown.status_code == 422
    assert "owner/name" in shown.content.decode()
    assert not LanguageModel.objects.exists()
