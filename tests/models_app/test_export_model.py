"""Exports: made by the worker's half, once for each kind, downloadable in pieces, stopped, refused and removed."""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core.errors import Conflict, Invalid
from models_app import export_work
from models_app.models import Export, LanguageModel
from models_app.services.cancel_export import cancel_export
from models_app.services.delete_export import delete_export
from models_app.services.delete_model import delete_model
from models_app.services.export_model import build, export_model
from models_app.services.reconcile_models import SILENT, reconcile_models
from tests.factories import make_base_model, make_version


@pytest.fixture
def version(alice: User, tiny_dir: Path, adapter_dir: Path, settings: Any, tmp_path: Path) -> LanguageModel:
    settings.DATA_DIR = tmp_path
    base = make_base_model(alice, path=str(tiny_dir), bytes=500_000, dtype="float32")
    model = make_version(alice, base=base, method="lora", family="tuned", version=3)
    shutil.copytree(adapter_dir, model.directory)
    return model


def made(model: LanguageModel, format: str, quantization: str = "") -> Export:
    export = export_model(model=model, format=format, quantization=quantization)
    build(export.pk)
    export.refresh_from_db()
    return export


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_gguf_is_made_of_the_merged_adapter_and_its_logits_are_compared(version: LanguageModel) -> None:
    export = made(version, "gguf", "q8_0")
    assert (export.status, export.error, export.progress) == ("ready", "", None)
    assert [file["path"] for file in export.files] == ["tuned-v3-q8_0.gguf"]
    file = export.directory / "tuned-v3-q8_0.gguf"
    assert export.bytes == file.stat().st_size
    assert export.files[0]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.read_bytes()[:4] == b"GGUF"
    assert export.checks["agrees"] is True
    assert sorted(path.name for path in export.directory.parent.iterdir()) == [str(export.pk)]  # nothing half-made beside it


def test_a_second_wish_for_the_same_is_the_same_export(version: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(version, "adapter")
    queued: list[int] = []
    monkeypatch.setattr(build, "delay_on_commit", queued.append)
    again = export_model(model=version, format="adapter")
    assert (again.pk, again.status, queued) == (first.pk, "ready", [])
    (first.directory / first.files[0]["path"]).unlink()  # somebody removed a file: it is made anew
    assert export_model(model=version, format="adapter").status == "queued"
    assert queued == [first.pk]


def test_an_archive_comes_in_pieces(version: LanguageModel, api: APIClient, page: Client) -> None:
    export = made(version, "adapter")
    again = api.post(f"/api/models/{version.pk}/export", {"format": "adapter"})
    assert (again.status_code, again.data["id"]) == (202, export.pk)
    assert api.get(f"/api/models/{version.pk}/exports/{export.pk}").data == again.data
    url = api.get(f"/api/models/{version.pk}/exports").data["results"][0]["download_url"]
    whole = api.get(url)
    content = body(whole)
    assert whole["Content-Length"] == str(len(content))
    assert 'filename="tuned-v3-adapter.tar"' in whole["Content-Disposition"]
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = sorted(archive.getnames())
        member = archive.extractfile("tuned-v3-adapter/adapter_model.safetensors")
        assert member is not None
        assert member.read() == (version.directory / "adapter_model.safetensors").read_bytes()
    assert names == sorted(f"tuned-v3-adapter/{file['path']}" for file in export.files)
    cut = 700
    rest = page.get(
        f"/models/{version.pk}/exports/{export.pk}/download", headers={"Range": f"bytes={cut}-", "If-Range": whole["ETag"]}
    )
    assert rest.status_code == 206
    assert rest["Content-Range"] == f"bytes {cut}-{len(content) - 1}/{len(content)}"
    assert body(rest) == content[cut:]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=5-999999999", 206, slice(5, None)),
        ("bytes=0-1,5-6", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=999999999-", 416, slice(0, 0)),
    ],
)
def test_ranges_of_a_single_file(asked: str, status: int, part: slice, version: LanguageModel, api: APIClient) -> None:
    export = made(version, "adapter")
    url = f"/api/models/{version.pk}/exports/{export.pk}/download?file=adapter_model.safetensors"
    content = (version.directory / "adapter_model.safetensors").read_bytes()
    answer = api.get(url, headers={"Range": asked})
    assert answer.status_code == status
    assert (body(answer) if status != 416 else b"") == content[part]
    assert body(api.get(url, headers={"Range": asked, "If-Range": '"another"'})) == content


def test_merged_in_half_precision(version: LanguageModel, in_process: None) -> None:
    export = made(version, "merged", "bf16")
    names = {file["path"] for file in export.files}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert export.checks["agrees"] is True
    whole = (export.directory / "model.safetensors").stat().st_size
    assert whole < 0.6 * (version.base_model.directory / "model.safetensors").stat().st_size  # type: ignore[union-attr]


def test_what_can_not_be_is_refused_by_name(version: LanguageModel, api: APIClient, tiny_dir: Path, tmp_path: Path) -> None:
    url = f"/api/models/{version.pk}/export"
    for wanted, field in (
        ({"format": "onnx"}, "format"),
        ({"format": "gguf", "quantization": "q4_k_m"}, "quantization"),
        ({"format": "merged", "quantization": "int3"}, "quantization"),
        ({"format": "adapter", "quantization": "f16"}, "quantization"),
    ):
        told = api.post(url, wanted)
        assert (told.status_code, list(told.data["fields"])) == (400, [field]), wanted
    odd = Path(shutil.copytree(tiny_dir, tmp_path / "odd"))
    (odd / "config.json").write_text('{"architectures": ["OddForCausalLM"]}')
    LanguageModel.objects.filter(pk=version.base_model_id).update(path=str(odd))
    told = api.post(url, {"format": "gguf"})
    assert told.status_code == 400 and "OddForCausalLM" in told.data["detail"]
    with pytest.raises(Invalid, match="whole model"):
        export_model(model=LanguageModel.objects.get(pk=version.base_model_id), format="adapter")
    assert not Export.objects.exists()


def test_a_full_disk_is_noticed_before_anything_is_queued(version: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_app.services.export_model.shutil.disk_usage", lambda place: shutil._ntuple_diskusage(9, 9, 1000))
    with pytest.raises(Conflict, match=r"1\.0 kB are free"):
        export_model(model=version, format="merged")
    assert not Export.objects.exists()


def test_a_cancelled_export_leaves_nothing(
    version: LanguageModel, in_process: None, monkeypatch: pytest.MonkeyPatch, api: APIClient
) -> None:
    export = export_model(model=version, format="merged")
    real = export_work.run_program

    def cancelled(*arguments: Any, **options: Any) -> None:
        assert api.post(f"/api/models/{version.pk}/exports/{export.pk}/cancel").status_code == 202
        real(*arguments, **options)

    monkeypatch.setattr(export_work, "run_program", cancelled)
    build(export.pk)
    export.refresh_from_db()
    assert export.status == "cancelled"
    assert list(export.directory.parent.iterdir()) == []
    with pytest.raises(Conflict, match="nothing to cancel"):
        cancel_export(export=export)
    told = api.get(f"/api/models/{version.pk}/exports/{export.pk}/download")
    assert (told.status_code, told.data["code"]) == (409, "export_not_ready")


def test_a_lost_worker_is_followed_by_another_three_times(version: LanguageModel) -> None:
    export = export_model(model=version, format="adapter")
    long_ago = timezone.now() - 2 * SILENT
    Export.objects.filter(pk=export.pk).update(status="running", tries=2, updated_at=long_ago)
    reconcile_models()
    build(export.pk)
    export.refresh_from_db()
    assert (export.status, export.tries) == ("ready", 3)
    Export.objects.filter(pk=export.pk).update(status="running")
    build(export.pk)
    export.refresh_from_db()
    assert export.status == "failed" and "several times" in export.error


def test_a_converter_of_the_operators_makes_k_quants(
    version: LanguageModel, in_process: None, settings: Any, tmp_path: Path
) -> None:
    tool = tmp_path / "llama-quantize"
    tool.write_text('#!/bin/sh\nhead -c 100 "$1" > "$2"; echo "$3" >> "$2"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IEXEC)
    settings.LLAMA_QUANTIZE = str(tool)
    export = made(version, "gguf", "q4_k_m")
    assert [file["path"] for file in export.files] == ["tuned-v3-q4_k_m.gguf"]
    content = (export.directory / "tuned-v3-q4_k_m.gguf").read_bytes()
    assert content.startswith(b"GGUF") and content.endswith(b"Q4_K_M\n")
    tool.write_text("#!/bin/sh\necho no such type >&2; exit 1\n")
    export = made(version, "gguf", "q5_k_m")
    assert (export.status, export.error) == ("failed", "llama-quantize failed: no such type")


def test_removed_with_its_files_and_with_its_model(
    version: LanguageModel, in_process: None, django_capture_on_commit_callbacks: Any
) -> None:
    first, second = made(version, "adapter"), made(version, "merged")
    with django_capture_on_commit_callbacks(execute=True):
        delete_export(export=first)
    assert not first.directory.exists() and second.directory.exists()
    with django_capture_on_commit_callbacks(execute=True):
        delete_model(model=version)
    assert not second.directory.exists() and not Export.objects.exists()


def test_the_page_offers_makes_and_lists(version: LanguageModel, page: Client, charlie_page: Client) -> None:
    url = f"/models/{version.pk}/exports"
    assert b"GGUF q8_0" in page.get(url).content
    assert page.post(url, {"kind": "adapter:"}).status_code == 302
    export = Export.objects.get()
    assert "Waiting for a worker" in page.get(url).content.decode()
    assert page.post(url, {"kind": "gguf:q1"}).status_code == 422
    assert page.post(f"{url}/{export.pk}/delete").status_code == 409
    build(export.pk)
    assert b"adapter_model.safetensors" in page.get(url).content
    assert charlie_page.get(url).status_code == 404
    assert charlie_page.get(f"{url}/{export.pk}/download").status_code == 404
