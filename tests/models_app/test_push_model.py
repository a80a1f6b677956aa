"""Pushes by the real client to a Hub on the loopback interface: the adapter, merged, again, refused, interrupted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core.errors import Conflict, Forbidden, Invalid, Unavailable
from models_app import hub_transfer
from models_app.inference.merge import merge
from models_app.inference.merge_plan import merge_memory
from models_app.models import LanguageModel
from models_app.push_card import Story, write_card
from models_app.services.push_model import _workplace, push, push_model
from models_app.services.reconcile_models import SILENT, reconcile_models
from tests.factories import make_base_model, make_dataset, make_job, make_version
from tests.loopback_hub import LoopbackHub
from tests.models_app.conftest import store_token

TOKEN = "hf_pusher"
REPO = "alice-hf/tuned"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_app.services.push_model.LONGEST_WAIT", 0.05)


@pytest.fixture
def base(hub: LoopbackHub, alice: User, tiny_dir: Path) -> LanguageModel:
    values = {
        "family": "org/tiny",
        "repo_id": "org/tiny",
        "license": "apache-2.0",
        "path": str(tiny_dir),
        "bytes": 500_000,
        "source": "hub",
    }
    return make_base_model(alice, **values)


@pytest.fixture
def version(hub: LoopbackHub, alice: User, base: LanguageModel, adapter_dir: Path) -> LanguageModel:
    hub.add_token(TOKEN, "alice-hf", "write", ("acme",))
    store_token(alice, TOKEN)
    metrics = {"eval_loss": 1.234567, "loss": 1.5}
    model = make_version(alice, base=base, method="lora", license="apache-2.0", metrics=metrics, version_notes="Good *one*")
    shutil.copytree(adapter_dir, model.directory)
    manifest = {"dataset": {"content_hash": "abc123"}, "spec": {"config": {"lora_r": 4, "learning_rate": 0.0002}, "model": {"path": "/secret/place"}},
                "packages": {"torch": "2.13.0", "peft": "0.21.2"}}  # fmt: skip
    (model.directory / "manifest.json").write_text(json.dumps(manifest))
    return model


def pushed(model: LanguageModel, repo_id: str = REPO, **wanted: Any) -> LanguageModel:
    push_model(model=model, repo_id=repo_id, **wanted)
    push(model.pk)
    model.refresh_from_db()
    return model


def test_an_adapter_is_pushed_private_with_a_card(version: LanguageModel, hub: LoopbackHub, alice: User) -> None:
    make_job(
        alice,
        model=version.base_model,
        dataset=make_dataset(alice, name="Support | chats"),
        output_model=version,
        status="succeeded",
    )
    model = pushed(version)
    assert (model.push_status, model.hub_url, model.progress) == ("done", f"{hub.url}/{REPO}", None)
    repo = hub.repos["models", REPO]
    assert (repo.private, repo.commit) == (True, model.push["commit"])
    assert repo.files["adapter_model.safetensors"] == (model.directory / "adapter_model.safetensors").read_bytes()
    assert "manifest.json" not in repo.files
    assert json.loads(repo.files["adapter_config.json"])["base_model_name_or_path"] == "org/tiny"
    card = repo.files["README.md"].decode()
    for words in ("base_model: org/tiny", 'license: "apache-2.0"', "library_name: peft", "abc123", "| `lora_r` | 4 |", "1.235", "| torch | 2.13.0 |",
                  "Support \\| chats", "AutoPeftModelForCausalLM", f'from_pretrained("{REPO}")', "Good \\*one\\*"):  # fmt: skip
        assert words in card
    assert "/secret/place" not in str(repo.files)
    assert len(hub.cards) == 1


def test_what_was_pushed_can_be_loaded(version: LanguageModel, hub: LoopbackHub, tiny_dir: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    pushed(version)
    merged = pushed(version, "acme/merged", merge=True, private=False)
    assert (merged.push_status, merged.push.get("error")) == ("done", None)
    folders = {}
    for name in (REPO, "acme/merged"):
        folders[name] = tmp_path / "loaded" / name
        folders[name].mkdir(parents=True)
        for path, body in hub.repos["models", name].files.items():
            (folders[name] / path).write_bytes(body)
    assert not hub.repos["models", "acme/merged"].private
    assert "adapter_config.json" not in hub.repos["models", "acme/merged"].files
    adapter = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_dir), folders[REPO])
    whole = AutoModelForCausalLM.from_pretrained(folders["acme/merged"])
    tokens = torch.arange(3, 20)[None]
    with torch.no_grad():
        assert torch.allclose(adapter(tokens).logits, whole(tokens).logits, atol=1e-4)
    assert "merged into its base" in hub.repos["models", "acme/merged"].files["README.md"].decode()


def test_a_large_file_goes_over_lfs(version: LanguageModel, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict] = []
    monkeypatch.setattr("models_app.services.push_model.announce", lambda model, progress=None: progress and told.append(progress))
    content = bytes(range(256)) * 48 * 1024  # 12 MB
    (version.directory / "extra.safetensors").write_bytes(content)
    assert pushed(version).push_status == "done"
    assert hub.repos["models", REPO].files["extra.safetensors"] == content
    assert any(method == "PUT" and path.startswith("/lfs/") for method, path in hub.requests)
    assert told[-1]["done"] == told[-1]["total"] > len(content)
    assert [step["done"] for step in told] == sorted(step["done"] for step in told)


def test_pushing_again_is_one_more_commit_and_takes_the_old_form_away(
    version: LanguageModel, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_this_process(module: str, *arguments: str, **options: Any) -> None:
        merge(*map(Path, arguments[:3]))

    monkeypatch.setattr("models_app.services.push_model.run_program", in_this_process)
    pushed(version, commit_message="First")
    hub.repos["models", REPO].files["notes-of-mine.txt"] = b"keep me"
    pushed(version, commit_message="Now merged", merge=True)
    repo = hub.repos["models", REPO]
    assert repo.history == ["First", "Now merged"]
    assert "adapter_model.safetensors" not in repo.files
    assert {"model.safetensors", "notes-of-mine.txt"} <= set(repo.files)


def test_a_repository_that_holds_something_else_is_left_alone(version: LanguageModel, hub: LoopbackHub) -> None:
    repo = hub.add("models", REPO, {"model.safetensors": b"precious"}, private=True)
    with pytest.raises(Conflict, match="something else"):
        push_model(model=version, repo_id=REPO)
    repo.files = {".gitattributes": b""}
    repo.private = False
    with pytest.raises(Conflict, match="public already"):
        push_model(model=version, repo_id=REPO)
    version.refresh_from_db()
    assert version.push_status == ""
    assert not [path for method, path in hub.requests if method in ("POST", "PUT")]


@pytest.mark.parametrize(
    ("repo_id", "word"), [("name", "owner/name"), ("../x", "owner/name"), ("stranger/x", "can't write"), ("a b/c", "owner/name")]
)
def test_what_can_be_no_repository_of_mine_is_refused(repo_id: str, word: str, version: LanguageModel, api: APIClient) -> None:
    answer = api.post(f"/api/models/{version.pk}/push-hf", {"repo_id": repo_id})
    assert answer.status_code == 400
    assert word in answer.data["fields"]["repo_id"][0]
    version.refresh_from_db()
    assert version.push_status == ""


def test_it_needs_a_token_that_may_write(version: LanguageModel, hub: LoopbackHub, alice: User) -> None:
    hub.add_token(TOKEN, "alice-hf", "read")
    with pytest.raises(Forbidden, match="only read"):
        push_model(model=version, repo_id=REPO)
    alice.credentials.all().delete()
    with pytest.raises(Conflict) as refused:
        push_model(model=version, repo_id=REPO)
    assert refused.value.code == "no_token"


def test_only_ready_versions_and_one_push_at_a_time(
    version: LanguageModel, base: LanguageModel, alice: User, api: APIClient
) -> None:
    with pytest.raises(Invalid, match="base model"):
        push_model(model=base, repo_id=REPO)
    whole = make_version(alice, base=base, family="whole", adapter=False)
    with pytest.raises(Invalid) as refused:
        push_model(model=whole, repo_id=REPO, merge=True)
    assert "merge" in refused.value.fields
    told = api.post(f"/api/models/{version.pk}/push-hf", {"repo_id": REPO})
    assert (told.status_code, told.data["push_status"]) == (202, "queued")
    version.refresh_from_db()
    with pytest.raises(Conflict, match="already"):
        push_model(model=version, repo_id=REPO)


def test_merging_without_memory_or_disk_is_refused_with_the_number(
    version: LanguageModel, base: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    LanguageModel.objects.filter(pk=base.pk).update(bytes=10**15)
    version.base_model.refresh_from_db()
    with pytest.raises(Conflict, match="on the server's disk"):
        push_model(model=version, repo_id=REPO, merge=True)
    monkeypatch.setattr("models_app.services.push_model.psutil.virtual_memory", lambda: SimpleNamespace(available=10**6))
    with pytest.raises(Conflict, match="of memory"):
        push_model(model=version, repo_id=REPO, merge=True)


def test_a_plain_adapter_does_not_take_the_bases_size_to_merge(tmp_path: Path) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    for folder in (base, adapter):
        folder.mkdir()
    shapes = {"model.embed_tokens.weight": [200_000, 8192], **{f"layers.{n}.up_proj.weight": [28_672, 8192] for n in range(200)}}
    header, at = {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + 2 * shape[0] * shape[1]]}
        at += 2 * shape[0] * shape[1]
    raw = json.dumps(header).encode()
    with open(base / "model.safetensors", "wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + at)  # a hole: 97 GB that nobody reads
    (base / "config.json").write_text('{"vocab_size": 200000}')
    config = {"peft_type": "LORA", "target_modules": ["up_proj"]}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert 4 * 4 * 28_672 * 8192 < merge_memory(base, adapter) < 5e9
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"modules_to_save": ["lm_head"]}))
    assert merge_memory(base, adapter) > at


def test_strangers_can_not_push(version: LanguageModel, charlie_api: APIClient, anonymous_api: APIClient, hub: LoopbackHub) -> None:
    path = f"/api/models/{version.pk}/push-hf"
    assert charlie_api.post(path, {"repo_id": REPO}).status_code == 404
    assert anonymous_api.post(path, {"repo_id": REPO}).status_code == 401
    assert hub.requests == []


def test_the_hubs_refusal_is_kept_in_words(version: LanguageModel, hub: LoopbackHub) -> None:
    push_model(model=version, repo_id=REPO)
    hub.fail(403, "/api/repos/create")
    push(version.pk)
    version.refresh_from_db()
    assert (version.push_status, version.hub_url) == ("failed", "")
    assert "refused access" in version.push["error"]
    assert not _workplace(version.pk).exists()


def test_a_busy_hub_is_asked_again(version: LanguageModel, hub: LoopbackHub, settings: Any) -> None:
    push_model(model=version, repo_id=REPO)
    hub.fail(503, "/api/models/.*/commit/.*", times=1)
    push(version.pk)
    version.refresh_from_db()
    assert version.push_status == "done"
    settings.HF_ENDPOINT = "http://127.0.0.1:9"
    with pytest.raises(Unavailable):
        push_model(model=version, repo_id=REPO)


def test_a_push_whose_worker_died_begins_again_a_few_times(
    version: LanguageModel, hub: LoopbackHub, django_capture_on_commit_callbacks: Any
) -> None:
    from django.utils import timezone

    push_model(model=version, repo_id=REPO)
    rows = LanguageModel.objects.filter(pk=version.pk)
    rows.update(push_status="running", updated_at=timezone.now() - 2 * SILENT)
    with django_capture_on_commit_callbacks() as queued:
        reconcile_models()
    assert len(queued) == 1
    _workplace(version.pk).mkdir(parents=True)
    with hub_transfer.alone_in(_workplace(version.pk)):
        push(version.pk)  # another worker is at it
    assert ("models", REPO) not in hub.repos
    push(version.pk)
    version.refresh_from_db()
    assert version.push_status == "done"
    rows.update(push_status="running", push={**version.push, "tries": 3})
    push(version.pk)
    version.refresh_from_db()
    assert "cut off" in version.push["error"]


def test_the_token_is_nowhere(version: LanguageModel, hub: LoopbackHub, api: APIClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    pushed(version)
    hub.fail(401, "/api/models/.*/commit/.*")
    model = pushed(version)
    assert model.push_status == "failed"
    seen = caplog.text + str(LanguageModel.objects.values()) + str(api.get(f"/api/models/{model.pk}").data) + str(hub.repos)
    assert TOKEN not in seen
    assert f"Bearer {TOKEN}" in hub.authorizations


def test_names_can_not_break_out_of_the_card(base: LanguageModel, alice: User) -> None:
    model = make_version(alice, base=base, family="x", name="---\nlicense: mit\n# Evil <script>", method="lora")
    card = write_card(model, REPO, merged=False, story=Story(dataset_name="a\n---\n<b>", config={"x": "a|b\nc"}))
    front = card.split("---")[1]
    assert "mit" not in front
    assert "<script>" not in card.replace("\\<script\\>", "")
    assert "| `x` | a\\|b c |" in card
