"""Imports into an Ollama server on the loopback interface: digests checked there, answers really computed there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from finetune.core import ollama as door
from finetune.core.errors import Conflict, Invalid, Unavailable
from models_app.models import Export, LanguageModel, OllamaCopy, OllamaServer
from models_app.ollama_files import readable_config
from models_app.ollama_kinds import checked_name, checked_parameters, checked_template, route_of
from models_app.ollama_work import OllamaWork
from models_app.services.cancel_ollama import cancel_ollama
from models_app.services.export_model import export_model
from models_app.services.import_ollama import import_ollama, send
from models_app.services.reconcile_models import SILENT, reconcile_models
from models_app.services.remove_ollama import remove_ollama
from tests.factories import make_base_model, make_version
from tests.loopback_ollama import LoopbackOllama


@pytest.fixture
def ollama(settings: Any) -> Any:
    with LoopbackOllama() as server:
        settings.OLLAMA_HOST = server.url
        yield server


@pytest.fixture
def version(alice: User, tiny_dir: Path, adapter_dir: Path, settings: Any, tmp_path: Path, in_process: None) -> LanguageModel:
    settings.DATA_DIR = tmp_path
    base = make_base_model(alice, path=str(tiny_dir), bytes=500_000, dtype="float32")
    model = make_version(alice, base=base, method="lora", license="apache-2.0")
    shutil.copytree(adapter_dir, model.directory)
    return model


@pytest.fixture
def whole(version: LanguageModel, tiny_dir: Path) -> LanguageModel:
    """The same as a whole model: nothing has to be merged, which takes the most time."""
    shutil.rmtree(version.directory)
    shutil.copytree(tiny_dir, version.directory)
    LanguageModel.objects.filter(pk=version.pk).update(adapter=False)
    version.refresh_from_db()
    return version


def imported(model: LanguageModel, name: str = "tuned", **wanted: Any) -> OllamaCopy:
    copy = import_ollama(model=model, name=name, **wanted)
    send(copy.pk)
    copy.refresh_from_db()
    return copy


def test_it_answers_there_as_it_does_here(version: LanguageModel, ollama: LoopbackOllama) -> None:
    copy = imported(version, "Me/Tuned:v1", system="Be brief.", parameters={"temperature": 0.3})
    assert (copy.status, copy.error, copy.name, copy.route) == ("ready", "", "me/tuned:v1", "gguf")
    proof = copy.proof
    assert proof["ours"] and proof["equal"] and proof["ours"] == proof["theirs"]
    assert (proof["layout"], proof["rendered"], proof["details"]["quantization_level"]) == ("chatml", "equal", "F16")
    request = ollama.models["me/tuned:v1"]["request"]
    assert request["parameters"] == {"num_ctx": 256, "stop": ["<|im_end|>"], "temperature": 0.3}
    assert (request["system"], request["license"]) == ("Be brief.", "apache-2.0")
    assert request["template"].startswith("{{ range $i, $_ := .Messages }}")
    version.refresh_from_db()
    assert version.ollama_name == "me/tuned:v1"


def test_only_what_the_server_lacks_is_sent_and_names_are_left_alone(whole: LanguageModel, ollama: LoopbackOllama) -> None:
    imported(whole)
    assert ollama.asked("POST", "/api/blobs/") == 1
    with pytest.raises(Conflict, match="has a model “tuned:latest” already"):
        import_ollama(model=whole, name="tuned")
    again = imported(whole, "tuned", overwrite=True)
    assert again.status == "ready" and OllamaCopy.objects.count() == 1
    assert imported(whole, "other").status == "ready"
    assert ollama.asked("POST", "/api/blobs/") == 1  # the same file each time
    ollama.models["foreign:latest"] = {"size": 1}
    with pytest.raises(Conflict):
        import_ollama(model=whole, name="foreign")
    assert not OllamaCopy.objects.filter(name="foreign:latest").exists()


@pytest.mark.parametrize(("kind", "sent", "asked"), [("q8_0", "Q8_0", None), ("q4_k_m", "Q4_K_M", "Q4_K_M")])
def test_number_formats(kind: str, sent: str, asked: str | None, whole: LanguageModel, ollama: LoopbackOllama) -> None:
    ollama.answer = "something else"
    copy = imported(whole, quantization=kind)
    assert copy.status == "ready"
    made = ollama.models["tuned:latest"]
    assert (made["quantization"], made["request"].get("quantize")) == (sent, asked)
    assert (copy.proof["equal"], copy.proof["theirs"]) == (False, "something else")


def test_as_safetensors(version: LanguageModel, ollama: LoopbackOllama) -> None:
    ollama.answer = "hello"
    copy = imported(version, route="safetensors")
    assert (copy.status, copy.error) == ("ready", "")
    files = ollama.models["tuned:latest"]["request"]["files"]
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}
    config = json.loads(ollama.blob(files["config.json"]).read_text())
    assert (config["rope_theta"], config["torch_dtype"]) == (10000.0, "float16")
    assert "<|im_start|>" in json.loads(ollama.blob(files["tokenizer_config.json"]).read_text())["chat_template"]


def test_as_base_and_adapter(version: LanguageModel, ollama: LoopbackOllama) -> None:
    import gguf

    ollama.answer = "hello"
    copy = imported(version, route="adapter")
    assert (copy.status, copy.error) == ("ready", "")
    made = ollama.models["tuned:latest"]
    file = gguf.GGUFReader(made["adapters"][0])
    assert file.get_field("adapter.lora.alpha").contents() == 8.0  # type: ignore[union-attr]
    shapes = {tensor.name: list(tensor.shape) for tensor in file.tensors}
    assert shapes["blk.0.attn_q.weight.lora_a"] == [48, 4] and shapes["blk.1.ffn_down.weight.lora_b"] == [4, 48]


def test_the_servers_refusals_are_told(whole: LanguageModel, ollama: LoopbackOllama) -> None:
    ollama.create_error = "unsupported architecture"
    assert "unsupported architecture" in imported(whole).error
    ollama.create_error, ollama.end_early = "", True
    assert "before it was done" in imported(whole, overwrite=True).error
    ollama.end_early = False
    ollama.fail = {("POST", "/api/generate"): (500, "model requires more system memory")}
    copy = imported(whole, overwrite=True)
    assert (copy.status, copy.made) == ("failed", True) and "more system memory" in copy.error
    ollama.fail = {("POST", "/api/blobs"): (400, "digest mismatch")}
    for path in list(Path(ollama.blob("x").parent).glob("sha256-*")):
        path.unlink()
    assert "digest mismatch" in imported(whole, "second").error
    whole.refresh_from_db()
    assert whole.ollama_name == ""


def test_a_damaged_upload_is_noticed_by_its_digest(ollama: LoopbackOllama, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    with pytest.raises(Invalid, match="digest mismatch"):
        door.put_blob(ollama.url, "0" * 64, file, lambda more: None)
    assert not door.has_blob(ollama.url, "0" * 64)


def test_a_silent_server_is_said_in_words(version: LanguageModel, settings: Any, api: APIClient) -> None:
    settings.OLLAMA_HOST = "http://127.0.0.1:9"
    told = api.post(f"/api/models/{version.pk}/import-ollama", {"name": "tuned"})
    assert (told.status_code, told["Retry-After"]) == (503, "30")
    assert "No Ollama server answers at http://127.0.0.1:9" in told.data["detail"]
    shown = api.get("/api/models/ollama").data
    assert (shown["reachable"], shown["models"]) == (False, [])
    assert not OllamaCopy.objects.exists()


def test_only_servers_that_the_operator_allows(alice: User, settings: Any, api: APIClient, ollama: LoopbackOllama) -> None:
    settings.OLLAMA_ALLOWED_HOSTS = ["gpu-box", "10.0.0.5:8080"]
    for bad in (
        "http://169.254.169.254",
        "http://gpu-box:80",
        "http://gpu-box@evil:11434",
        "file:///etc/passwd",
        "http://gpu-box/x",
        "::",
    ):
        told = api.put("/api/models/ollama", {"server": bad})
        assert (told.status_code, list(told.data["fields"])) == (400, ["server"]), bad
    assert api.put("/api/models/ollama", {"server": "GPU-box"}).status_code == 200
    assert OllamaServer.objects.get().url == "http://gpu-box:11434"
    settings.OLLAMA_ALLOWED_HOSTS = []  # the operator thought better of it
    assert api.get("/api/models/ollama").data["url"] == ollama.url
    assert api.put("/api/models/ollama", {"server": ""}).data["reachable"] is True
    assert not OllamaServer.objects.exists()


def test_redirects_are_not_followed(ollama: LoopbackOllama) -> None:
    ollama.fail = {("GET", "/api/version"): (302, "")}
    with pytest.raises(Unavailable, match="302"):
        door.version(ollama.url)


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b/c/d", "x:", "ü", "a" * 81, "host.name/x/y/z", "../x", "a.b/c"])
def test_names_that_ollama_would_not_take(name: str) -> None:
    if name == "x:":
        assert checked_name(name) == "x:latest"
        return
    if name == "a.b/c":
        name = "a.b/c/d"
    with pytest.raises(Invalid) as refusal:
        checked_name(name)
    assert list(refusal.value.fields) == ["name"]


@pytest.mark.parametrize(
    "parameters", [{"stop": "x"}, {"stop": [1]}, {"temperature": "hot"}, {"num_ctx": 1.5}, {"use_mmap": 1}, {"mood": 1}, ["x"]]
)
def test_parameters_of_a_wrong_type(parameters: Any) -> None:
    with pytest.raises(Invalid) as refusal:
        checked_parameters(parameters)
    assert list(refusal.value.fields) == ["parameters"]


def test_a_jinja_template_is_refused_and_unknown_architectures_are_named(
    version: LanguageModel, tiny_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(Invalid, match="Jinja"):
        checked_template("{% for m in messages %}{% endfor %}")
    odd = Path(shutil.copytree(tiny_dir, tmp_path / "odd"))
    for architecture, route in (("OddForCausalLM", None), ("MixtralForCausalLM", "safetensors")):
        (odd / "config.json").write_text(json.dumps({"architectures": [architecture]}))
        LanguageModel.objects.filter(pk=version.base_model_id).update(path=str(odd))
        model = LanguageModel.objects.get(pk=version.pk)
        if route:
            assert route_of(model, "") == route
        else:
            with pytest.raises(Invalid, match=architecture):
                route_of(model, "")


def test_rotary_scaling_is_said_in_the_old_words() -> None:
    config = readable_config({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 5e5}, "dtype": "bfloat16"})
    assert (config["rope_theta"], config["rope_scaling"]["type"], config["rope_scaling"]["factor"]) == (5e5, "yarn", 4.0)


def test_what_we_made_is_listed_and_removed_there(
    whole: LanguageModel, ollama: LoopbackOllama, page: Client, charlie_api: APIClient, api: APIClient
) -> None:
    ollama.models["foreign:latest"] = {"size": 1}
    told = api.post(f"/api/models/{whole.pk}/import-ollama", {"name": "tuned"})
    copy = OllamaCopy.objects.get()
    assert (told.status_code, copy.status) == (202, "queued")
    send(copy.pk)
    (listed,) = api.get(f"/api/models/{whole.pk}/ollama-copies").data["results"]
    assert listed["status"] == "ready" and api.get(f"/api/models/ollama/copies/{copy.pk}").data == listed
    found = {model["name"]: model["ours"] for model in api.get("/api/models/ollama").data["models"]}
    assert found == {"foreign:latest": False, "tuned:latest": True}
    shown = page.get("/models/ollama").content.decode()
    assert "tuned:latest" in shown and "Proven" in shown
    assert "tuned:latest" in page.get(f"/models/{whole.pk}/lineage").content.decode()
    assert charlie_api.delete(f"/api/models/ollama/copies/{copy.pk}").status_code == 404
    assert api.delete(f"/api/models/ollama/copies/{copy.pk}").status_code == 204
    assert list(ollama.models) == ["foreign:latest"]
    whole.refresh_from_db()
    assert whole.ollama_name == "" and not OllamaCopy.objects.exists()


def test_an_import_that_never_came_that_far_removes_nothing_there(whole: LanguageModel, ollama: LoopbackOllama) -> None:
    ollama.create_error = "no"
    copy = imported(whole, "foreign")
    ollama.models["foreign:latest"] = {"size": 1}
    remove_ollama(copy=copy)
    assert "foreign:latest" in ollama.models


def test_a_lost_worker_is_followed_by_another(whole: LanguageModel, ollama: LoopbackOllama) -> None:
    ollama.answer = "hello"
    copy = import_ollama(model=whole, name="tuned")
    with pytest.raises(Conflict, match="being imported"):
        import_ollama(model=whole, name="tuned")
    OllamaCopy.objects.filter(pk=copy.pk).update(status="running", tries=1, updated_at=timezone.now() - 2 * SILENT)
    reconcile_models()
    send(copy.pk)
    copy.refresh_from_db()
    assert (copy.status, copy.tries) == ("ready", 2)


def test_the_page_imports(version: LanguageModel, ollama: LoopbackOllama, page: Client, charlie_page: Client) -> None:
    url = f"/models/{version.pk}/ollama"
    assert page.post(url, {"name": "no such name!"}).status_code == 422
    assert page.post(url, {"name": "tuned", "quantization": "f16", "parameters": '{"top_k": 5}'}).status_code == 302
    assert OllamaCopy.objects.get().wanted["parameters"] == {"top_k": 5}
    assert "Waiting for a worker" in page.get(url).content.decode()
    assert charlie_page.get(url).status_code == 404
    asked = len(ollama.requests)
    poll = page.get("/models/ollama", headers={"HX-Request": "true", "HX-Target": "made"}).content.decode()
    assert "Waiting for a worker" in poll and 'hx-trigger="every 1s"' in poll and "<html" not in poll
    assert len(ollama.requests) == asked, "a poll asks our own rows alone"
    cancel = f"/models/ollama/copies/{OllamaCopy.objects.get().pk}/cancel"
    assert f'action="{cancel}"' in poll
    assert charlie_page.post(cancel).status_code == 404
    assert page.post(cancel)["Location"] == url
    shown = page.get(url).content.decode()
    assert "Cancelled" in shown and "every 1s" not in shown


def test_cancelling_stops_the_import_and_the_export_it_began(
    whole: LanguageModel, ollama: LoopbackOllama, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = import_ollama(model=whole, name="tuned")
    cancel, answers = f"/api/models/ollama/copies/{copy.pk}/cancel", []
    with monkeypatch.context() as patch:
        patch.setattr("models_app.export_work.ExportWork.make", lambda work: answers.append(api.post(cancel)) or Path("none"))
        send(copy.pk)
    copy.refresh_from_db()
    assert (answers[0].status_code, answers[0].data["status"], copy.status, copy.error) == (202, "cancelled", "cancelled", "")
    assert Export.objects.get(pk=copy.wanted["export"]).status == "cancelled"
    assert (ollama.asked("POST", "/api/blobs/"), ollama.models) == (0, {})
    assert api.post(cancel).status_code == 409
    ollama.answer = "hello"
    assert imported(whole).status == "ready"


def test_an_export_begun_at_the_moment_of_cancelling_is_stopped_too(
    whole: LanguageModel, ollama: LoopbackOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = import_ollama(model=whole, name="tuned")

    def too_late(**wanted: Any) -> Export:
        export = export_model(**wanted)
        cancel_ollama(copy=OllamaCopy.objects.get(pk=copy.pk))
        return export

    monkeypatch.setattr("models_app.ollama_work.export_model", too_late)
    send(copy.pk)
    copy.refresh_from_db()
    assert (copy.status, copy.error, Export.objects.get().status) == ("cancelled", "", "cancelled")


def test_cancelling_stops_an_upload(whole: LanguageModel, ollama: LoopbackOllama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_app.ollama_work.EVERY", 0)
    copy = import_ollama(model=whole, name="tuned")
    tell = OllamaWork._tell

    def telling(work: OllamaWork, stage: str, *values: Any, **more: Any) -> None:
        if stage == "uploading":
            cancel_ollama(copy=OllamaCopy.objects.get(pk=copy.pk))
        tell(work, stage, *values, **more)

    monkeypatch.setattr(OllamaWork, "_tell", telling)
    send(copy.pk)
    copy.refresh_from_db()
    assert (copy.status, ollama.models, ollama.asked("POST", "/api/create")) == ("cancelled", {}, 0)
