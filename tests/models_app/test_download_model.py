"""Downloads by the real client from a Hub on the loopback interface: whole, broken, shared, refused, cancelled."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core import storage
from finetune.core.errors import Conflict, Forbidden, Invalid, Unavailable
from models_app import hub_transfer
from models_app.models import LanguageModel
from models_app.services import reconcile_models
from models_app.services.cancel_download import cancel_download
from models_app.services.delete_model import delete_model
from models_app.services.download_model import BEGUN, download_model, fetch
from tests.factories import make_base_model
from tests.loopback_hub import LoopbackHub, Repo
from tests.models_app.conftest import add_model, store_token

DOWNLOAD = "/api/models/huggingface/download"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_app.services.download_model.LONGEST_WAIT", 0.05)


@pytest.fixture
def repo(hub: LoopbackHub, tiny_dir: Path) -> Repo:
    return add_model(hub, "org/tiny", tiny_dir)


@pytest.fixture
def large(hub: LoopbackHub, tiny_dir: Path, tmp_path: Path) -> Repo:
    """The same with weights of 6 MB."""
    from safetensors.numpy import save

    repo = add_model(hub, "org/large", tiny_dir)
    repo.files["model.safetensors"] = save({"weight": np.random.default_rng(0).random((1500, 1000), dtype=np.float32)})
    return repo


def downloaded(owner: User, repo_id: str = "org/tiny", **wanted: Any) -> LanguageModel:
    model = download_model(owner=owner, repo_id=repo_id, **wanted)
    fetch(model.pk)
    model.refresh_from_db()
    return model


def left_over() -> list[str]:
    """Everything of models and blobs on disk."""
    from django.conf import settings

    return [str(path) for folder in ("models", "blobs") for path in (settings.DATA_DIR / folder).rglob("*") if path.is_file()]


def blob_of(repo: Repo) -> Path:
    return storage.blob_file(hashlib.sha256(repo.files["model.safetensors"]).hexdigest())


def test_a_model_comes_whole_and_pinned_to_its_commit(repo: Repo, alice: User) -> None:
    model = downloaded(alice)
    assert (model.status, model.revision, model.error, model.progress) == ("ready", repo.commit, "", None)
    assert (model.architecture, model.license, model.context_length) == ("LlamaForCausalLM", "apache-2.0", 256)
    assert model.parameters > 50_000
    assert model.is_latest
    for name, content in repo.files.items():
        assert (model.directory / name).read_bytes() == content
    assert blob_of(repo).stat().st_ino == (model.directory / "model.safetensors").stat().st_ino


def test_it_can_be_talked_to(repo: Repo, alice: User) -> None:
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(downloaded(alice).directory).num_parameters() > 50_000


def test_the_api_answers_at_once_and_twice_the_same(
    repo: Repo, api: APIClient, alice: User, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks():
        first = api.post(DOWNLOAD, {"repo_id": "https://huggingface.co/org/tiny"})
        second = api.post(DOWNLOAD, {"repo_id": "org/tiny", "revision": "main"})
    assert (first.status_code, first.data["status"], first.data["revision"]) == (202, "downloading", repo.commit)
    assert second.data["id"] == first.data["id"]
    fetch(first.data["id"])
    fetch(first.data["id"])  # delivered twice
    assert api.post(DOWNLOAD, {"repo_id": "org/tiny"}).data == api.get(f"/api/models/{first.data['id']}").data
    assert LanguageModel.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_are_one_row(repo: Repo, alice: User) -> None:
    def ask(_: int) -> int:
        try:
            return download_model(owner=alice, repo_id="org/tiny").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(ask, range(20)))) == 1
    assert LanguageModel.objects.count() == 1


def test_a_record_that_waited_becomes_the_download(repo: Repo, alice: User, api: APIClient) -> None:
    waiting = api.post("/api/models", {"name": "Mine", "repo_id": "org/tiny"}).data
    model = downloaded(alice)
    assert (model.pk, model.name, model.status) == (waiting["id"], "Mine", "ready")


def test_a_dropped_connection_is_taken_up_again(large: Repo, hub: LoopbackHub, alice: User) -> None:
    hub.cut_after = 2 * 1024**2 + 7
    model = downloaded(alice, "org/large")
    assert model.status == "ready"
    assert (model.directory / "model.safetensors").read_bytes() == large.files["model.safetensors"]
    assert any(wanted.startswith(("bytes=1", "bytes=2")) for wanted in hub.ranges)


def test_a_killed_worker_is_followed_by_one_that_goes_on(large: Repo, hub: LoopbackHub, alice: User) -> None:
    """What a dead process leaves: a partial file and a row that nobody writes to."""
    model = download_model(owner=alice, repo_id="org/large")
    partial = hub_transfer._partial(blob_of(large))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(large.files["model.safetensors"][: 3 * 1024**2])
    silent = {"updated_at": timezone.now() - reconcile_models.SILENT * 2, "progress": BEGUN}
    LanguageModel.objects.filter(pk=model.pk).update(**silent)
    assert reconcile_models.reconcile_models() == 1
    fetch(model.pk)
    model.refresh_from_db()
    assert (model.status, model.restarts) == ("ready", 1)
    assert f"bytes={3 * 1024**2}-{len(large.files['model.safetensors']) - 1}" in hub.ranges or f"bytes={3 * 1024**2}-" in hub.ranges
    assert blob_of(large).read_bytes() == large.files["model.safetensors"]


def test_one_lost_too_often_fails_in_words(repo: Repo, alice: User) -> None:
    model = download_model(owner=alice, repo_id="org/tiny")
    old = {"updated_at": timezone.now() - reconcile_models.SILENT * 2, "restarts": reconcile_models.MAX_RESTARTS, "progress": BEGUN}
    LanguageModel.objects.filter(pk=model.pk).update(**old)
    reconcile_models.reconcile_models()
    model.refresh_from_db()
    assert model.status == "failed"
    assert "cut off" in model.error


def test_one_that_only_waits_for_its_turn_is_never_given_up(repo: Repo, alice: User) -> None:
    model = download_model(owner=alice, repo_id="org/tiny")
    rows = LanguageModel.objects.filter(pk=model.pk)
    rows.update(updated_at=timezone.now() - reconcile_models.SILENT * 2, restarts=reconcile_models.MAX_RESTARTS)
    assert reconcile_models.reconcile_models() == 0
    rows.update(updated_at=timezone.now() - reconcile_models.WAITING * 2)
    assert reconcile_models.reconcile_models() == 1
    assert rows.get().status == "downloading"


def test_progress_is_told_in_bytes(large: Repo, hub: LoopbackHub, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict] = []
    monkeypatch.setattr(
        "models_app.services.download_model.announce", lambda model, progress=None: progress and told.append(progress)
    )
    hub.pace = 0.002
    downloaded(alice, "org/large")
    assert [step["done"] for step in told] == sorted(step["done"] for step in told)
    assert {step["unit"] for step in told} == {"bytes"}
    assert any(0 < step["done"] < step["total"] and step["rate"] and step["eta_seconds"] for step in told)


def test_two_people_keep_one_copy_and_the_last_one_frees_it(
    repo: Repo, alice: User, charlie: User, django_capture_on_commit_callbacks: Any
) -> None:
    hers, his = downloaded(alice), downloaded(charlie)
    assert hers.pk != his.pk
    assert (hers.directory / "model.safetensors").stat().st_nlink == 3
    with django_capture_on_commit_callbacks(execute=True):
        delete_model(model=hers)
    assert blob_of(repo).exists()
    assert (his.directory / "model.safetensors").exists()
    with django_capture_on_commit_callbacks(execute=True):
        delete_model(model=his)
    assert left_over() == []


def test_two_downloads_at_the_same_moment_fetch_each_large_file_once(large: Repo, hub: LoopbackHub, tmp_path: Path) -> None:
    from finetune.core.hub_models import describe_model
    from models_app.hub_repo import files_to_fetch

    hub.pace = 0.002  # about a fifth of a second for the weights, so that both are at it
    found = describe_model("org/large")
    folders = [tmp_path / "hers", tmp_path / "his"]
    told: list[int] = []

    def bring(folder: Path) -> None:
        folder.mkdir()
        files = files_to_fetch(found.files)
        hub_transfer.fetch_files(found, files, folder, token="", on_progress=lambda done, total: told.append(done))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(bring, folders))
    assert [(folder / "model.safetensors").read_bytes() == large.files["model.safetensors"] for folder in folders] == [True, True]
    assert (
        len([path for method, path in hub.requests if method == "GET" and path.startswith("/cdn/") and blob_of(large).name in path])
        == 1
    )
    assert len(told) > 2


def test_cancelling_leaves_nothing(
    large: Repo, hub: LoopbackHub, alice: User, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = download_model(owner=alice, repo_id="org/large")
    hub.pace = 0.01

    def cancel_midway(seen: LanguageModel, progress: Any = None) -> None:
        if progress and progress["done"] > 500_000 and LanguageModel.objects.filter(pk=seen.pk, status="downloading").exists():
            assert api.post(f"/api/models/{seen.pk}/cancel-download").status_code == 202

    monkeypatch.setattr("models_app.services.download_model.announce", cancel_midway)
    fetch(model.pk)
    model.refresh_from_db()
    assert (model.status, model.progress) == ("remote", None)
    assert left_over() == []
    assert api.post(f"/api/models/{model.pk}/cancel-download").status_code == 409
    hub.pace = 0
    monkeypatch.undo()


def test_cancelling_without_a_worker_tidies_up(repo: Repo, alice: User) -> None:
    model = download_model(owner=alice, repo_id="org/tiny")
    folder = hub_transfer.staging_dir(model.pk)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    cancel_download(model=model)
    assert left_over() == []


def test_only_downloads_are_cancelled(alice: User, charlie_api: APIClient) -> None:
    making = make_base_model(alice, status="downloading")
    with pytest.raises(Conflict):
        cancel_download(model=making)
    assert charlie_api.post(f"/api/models/{making.pk}/cancel-download").status_code == 404
    making.refresh_from_db()
    assert making.status == "downloading"


def test_one_worker_at_a_time(repo: Repo, hub: LoopbackHub, alice: User) -> None:
    model = download_model(owner=alice, repo_id="org/tiny")
    asked = len(hub.requests)
    with hub_transfer.working_on(model.pk):
        fetch(model.pk)
    assert len(hub.requests) == asked


def test_a_gated_model_says_where_to_ask(hub: LoopbackHub, tiny_dir: Path, api: APIClient, alice: User, charlie: User) -> None:
    add_model(hub, "org/gated", tiny_dir, gated=True)
    hub.add_token("hf_granted")
    answer = api.post(DOWNLOAD, {"repo_id": "org/gated"})
    assert (answer.status_code, answer.data["code"]) == (403, "gated")
    assert f"{hub.url}/org/gated" in answer.data["detail"]
    assert LanguageModel.objects.count() == 0
    store_token(alice, "hf_granted")
    assert downloaded(alice, "org/gated").status == "ready"
    with pytest.raises(Forbidden):  # that it is here already helps nobody who has no access
        download_model(owner=charlie, repo_id="org/gated")


def test_the_token_is_sent_to_the_hub_and_nowhere_else(
    hub: LoopbackHub, tiny_dir: Path, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    hub.add_token("hf_planted")
    add_model(hub, "org/private", tiny_dir, private=True)
    with pytest.raises(Invalid, match="private"):
        download_model(owner=alice, repo_id="org/private")
    store_token(alice, "hf_planted")
    model = downloaded(alice, "org/private")
    assert model.status == "ready"
    sent = {path: token for (_, path), token in zip(hub.requests, hub.authorizations, strict=True)}
    assert sent["/org/private/resolve/" + model.revision + "/config.json"] == "Bearer hf_planted"
    assert {token for path, token in sent.items() if path.startswith("/cdn/")} == {None}
    assert "hf_planted" not in caplog.text + str(LanguageModel.objects.values())
    assert not [path for path in left_over() if b"hf_planted" in Path(path).read_bytes()]


@pytest.mark.parametrize(("files", "extra", "word"), [
    ({"config.json": b"{}", "pytorch_model.bin": b"x"}, {"safetensors": None}, "no safetensors"),
    ({"config.json": b"{}", "model.safetensors": b"x"}, {"config": {"architectures": ["BertForMaskedLM"]}, "pipeline_tag": "fill-mask"}, "fill-mask"),
])  # fmt: skip
def test_what_can_not_be_trained_is_not_fetched(
    files: dict, extra: dict, word: str, hub: LoopbackHub, tiny_dir: Path, api: APIClient
) -> None:
    add_model(hub, "org/odd", tiny_dir, extra=extra).files = files
    answer = api.post(DOWNLOAD, {"repo_id": "org/odd"})
    assert (answer.status_code, answer.data["code"]) == (400, "not_trainable")
    assert word in answer.data["fields"]["repo_id"][0]
    assert LanguageModel.objects.count() == 0


def test_pickled_weights_are_converted_where_the_operator_allows(repo: Repo, alice: User, settings: Any) -> None:
    import io

    import torch
    from safetensors.torch import load

    settings.ALLOW_PICKLE_MODELS = True
    weights = load(repo.files.pop("model.safetensors"))
    torch.save(weights, pickled := io.BytesIO())
    repo.files["pytorch_model.bin"] = pickled.getvalue()
    model = downloaded(alice)
    assert (model.status, model.error) == ("ready", "")
    kept = load((model.directory / "model.safetensors").read_bytes())
    assert all(torch.equal(kept[name], weights[name]) for name in kept)
    assert not (model.directory / "pytorch_model.bin").exists()


def test_a_full_disk_is_refused_before_anything(repo: Repo, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_app.services.download_model.SPARE_BYTES", 10**18)
    with pytest.raises(Conflict, match="disk has"):
        download_model(owner=alice, repo_id="org/tiny")
    assert LanguageModel.objects.count() == 0


def test_damaged_weights_fail_and_can_be_tried_again(repo: Repo, hub: LoopbackHub, alice: User) -> None:
    hub.damage = True
    model = downloaded(alice)
    assert model.status == "failed"
    assert "arrived damaged" in model.error
    assert not blob_of(repo).exists()
    hub.damage = False
    assert downloaded(alice).status == "ready"
    assert LanguageModel.objects.count() == 1


def test_a_hub_that_goes_away_is_asked_again_and_then_told(repo: Repo, hub: LoopbackHub, alice: User) -> None:
    model = download_model(owner=alice, repo_id="org/tiny")
    hub.fail(503, times=2)
    fetch(model.pk)
    model.refresh_from_db()
    assert model.status == "ready"
    again = add_model(hub, "org/again", Path(model.directory))
    assert again.files
    second = download_model(owner=alice, repo_id="org/again")
    hub.fail(429, Retry_After="0")
    fetch(second.pk)
    second.refresh_from_db()
    assert (second.status, "slow down" in second.error) == ("failed", True)


def test_without_the_hub_what_is_here_is_still_good(repo: Repo, alice: User, settings: Any) -> None:
    model = downloaded(alice)
    settings.HF_ENDPOINT = "http://127.0.0.1:9"
    assert download_model(owner=alice, repo_id="org/tiny") == model
    with pytest.raises(Unavailable):
        download_model(owner=alice, repo_id="org/other")


def test_begun_files_are_forgotten_in_time(repo: Repo) -> None:
    partial = hub_transfer._partial(blob_of(repo))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x")
    assert hub_transfer.forget_old_partials(3600) == 0
    assert hub_transfer.forget_old_partials(-1) == 1


def test_nobody_signed_out_downloads(anonymous_api: APIClient, repo: Repo) -> None:
    assert anonymous_api.post(DOWNLOAD, {"repo_id": "org/tiny"}).status_code == 401
    assert LanguageModel.objects.count() == 0
