"""How a model gets into an Ollama server: what has to be sent is made, what it lacks is sent, then it is asked something."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from django.utils import timezone

from finetune.core import ollama
from finetune.core.errors import Conflict, DomainError
from models_app.announce import announce
from models_app.hub_transfer import Stopped
from models_app.models import Export, LanguageModel, OllamaCopy
from models_app.ollama_files import Blob, adapter_blob, safetensors_blobs
from models_app.ollama_kinds import SERVERS
from models_app.programs import run_program
from models_app.services.cancel_export import cancel_export
from models_app.services.export_model import ACTIVE as EXPORTING
from models_app.services.export_model import build, export_model

EVERY = 0.4  # seconds between two tellings of one stage
LONGEST_CONTEXT = 8192  # of a chat by default: the cache of a longer one takes gigabytes


class OllamaWork:
    """One import; `send()` gives the proof."""

    def __init__(self, copy: OllamaCopy, folder: Path):
        self.copy, self.folder = copy, folder
        self._told = ("", 0.0)

    @property
    def model(self) -> LanguageModel:
        assert self.copy.model is not None
        return self.copy.model

    def send(self) -> dict[str, Any]:
        facts = self._prepare()
        files, adapters = self._blobs()
        for blob in [*files, *adapters]:
            self._upload(blob)
        ollama.create(self.copy.server, self._request(facts, files, adapters), self._heard)
        self._keep(made=True)
        return self._prove(facts)

    def _prepare(self) -> dict[str, Any]:
        """Template, stops, and our own greedy answer, by a program of its own."""
        out = self.folder / "facts.json"
        base = self.model.whole.directory
        self._tell("answering")
        adapter = str(self.model.directory) if self.model.adapter else "-"
        run_program("ollama_prepare", str(base), adapter, str(out), on_wait=self._keep, what="Asking the model here")
        return json.loads(out.read_text())

    def _blobs(self) -> tuple[list[Blob], list[Blob]]:
        """(files of the model, adapters on top)."""
        kind = self.copy.wanted["quantization"]
        if self.copy.route == OllamaCopy.Route.SAFETENSORS:
            source = self._export(self.model, Export.Format.MERGED, "bf16" if kind == "bf16" else "fp16")
            return safetensors_blobs(source.directory, self.folder / "safetensors"), []
        sent = "f16" if kind in SERVERS else kind
        if self.copy.route == OllamaCopy.Route.ADAPTER and self.model.base_model:
            adapter = adapter_blob(self.model, self.folder / "adapter.gguf", self._keep)
            return self._gguf(self.model.base_model, sent), [adapter]
        return self._gguf(self.model, sent), []

    def _gguf(self, model: LanguageModel, kind: str) -> list[Blob]:
        export = self._export(model, Export.Format.GGUF, kind)
        directory = export.directory
        return [Blob(file["path"], directory / file["path"], file["sha256"]) for file in export.files]

    def _export(self, model: LanguageModel, format: str, kind: str) -> Export:
        """The model's export of that kind, made here unless it is there; another worker that is at it is waited for."""
        asked = Export.objects.filter(model=model, format=format, quantization=kind, status__in=EXPORTING).exists()
        export = export_model(model=model, format=format, quantization=kind)
        if export.busy and not asked:
            self._own(export)
        self._tell("exporting")
        while export.busy:
            build(export.pk)
            export.refresh_from_db()
            if export.busy:
                self._keep()
                time.sleep(1)
        if export.status != Export.Status.READY:
            raise Conflict(export.error or "The export that Ollama needs was cancelled.", code="export_failed")
        return export

    def _own(self, export: Export) -> None:
        """Note that it is ours, so that it ends with the import when that is cancelled, also in this very moment."""
        try:
            self._keep(wanted={**self.copy.wanted, "export": export.pk})
        except Stopped:
            with contextlib.suppress(DomainError):  # it has just ended
                cancel_export(export=export)
            raise

    def _upload(self, blob: Blob) -> None:
        """Only what the server lacks."""
        self._keep()
        if ollama.has_blob(self.copy.server, blob.sha256):
            return
        state = {"done": 0, "began": time.monotonic()}
        total = blob.file.stat().st_size

        def sent(more: int) -> None:
            state["done"] += more
            self._tell("uploading", int(state["done"]), total, time.monotonic() - state["began"])

        ollama.put_blob(self.copy.server, blob.sha256, blob.file, sent)

    def _request(self, facts: dict[str, Any], files: list[Blob], adapters: list[Blob]) -> dict[str, Any]:
        wanted = self.copy.wanted
        context = {"num_ctx": min(facts["context_length"], LONGEST_CONTEXT)} if facts["context_length"] else {}
        stops = {"stop": facts["stop"]} if facts["stop"] else {}
        body: dict[str, Any] = {
            "model": self.copy.name,
            "files": {blob.name: f"sha256:{blob.sha256}" for blob in files},
            "parameters": {**context, **stops, **wanted["parameters"]},
            "stream": True,
        }
        if adapters:
            body["adapters"] = {blob.name: f"sha256:{blob.sha256}" for blob in adapters}
        optional = {"template": wanted["template"] or facts["template"], "system": wanted["system"], "license": self.model.license}
        body |= {name: value for name, value in optional.items() if value}
        return body | ({"quantize": wanted["quantization"].upper()} if wanted["quantization"] in SERVERS else {})

    def _heard(self, line: dict[str, Any]) -> None:
        self._tell("creating", int(line.get("completed") or 0), line.get("total"), words=str(line.get("status", ""))[:120])

    def _prove(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Our greedy answer and theirs to the same raw prompt; a server that can't answer fails the import."""
        self._tell("proving")
        options = {"temperature": 0, "num_predict": 32, "seed": 0}
        asked = {"model": self.copy.name, "prompt": facts["prompt"], "raw": True, "options": options, "keep_alive": 0}
        answer = str(ollama.generate(self.copy.server, asked).get("response", ""))
        ours = facts["answer"]
        same = next(
            (at for at, (one, other) in enumerate(zip(ours, answer, strict=False)) if one != other), min(len(ours), len(answer))
        )
        return {
            "question": facts["question"],
            "ours": ours,
            "theirs": answer,
            "equal": ours == answer,
            "same_characters": same,
            "layout": facts["layout"],
            "template": self._template_words(facts),
            "rendered": self._rendered(facts),
            "details": self._details(),
        }

    def _template_words(self, facts: dict[str, Any]) -> str:
        if self.copy.wanted["template"]:
            return "The template that you gave."
        if facts["layout"]:
            return f"The {facts['layout']} layout, compared with the model's own template."
        if facts["has_chat_template"]:
            return (
                "No known layout writes conversations as this model's own template does. New servers read that one from the file; "
                "for others give a Go template."
            )
        return "The model brings no chat template: it continues plain text."

    def _rendered(self, facts: dict[str, Any]) -> str:
        """Whether the server writes the test conversation as we do: equal, different, or unknown to servers that can't tell."""
        asked = {"model": self.copy.name, "prompt": facts["question"], "_debug_render_only": True}
        try:
            told = ollama.generate(self.copy.server, asked).get("_debug_info") or {}
        except DomainError:
            return "unknown"
        text = told.get("rendered_template") if isinstance(told, dict) else None
        return "unknown" if text is None else "equal" if text == facts["prompt"] else "different"

    def _details(self) -> dict[str, Any]:
        try:
            return ollama.show(self.copy.server, self.copy.name).get("details") or {}
        except DomainError:
            return {}

    def _tell(self, stage: str, done: int = 0, total: int | None = None, seconds: float = 0.0, words: str = "") -> None:
        if self._told[0] == f"{stage}{words}" and time.monotonic() - self._told[1] < EVERY:
            return
        self._told = (f"{stage}{words}", time.monotonic())
        rate = done / seconds if seconds > 0 else 0
        eta = round((total - done) / rate, 1) if rate and total else None
        progress = {
            "done": done,
            "total": total,
            "unit": "bytes",
            "rate": round(rate),
            "eta_seconds": eta,
            "stage": stage,
            "words": words,
        }
        self._keep(progress=progress)
        announce(self.model, progress=progress)

    def _keep(self, **values: Any) -> None:
        """Write to the row as long as the import is wanted."""
        rows = OllamaCopy.objects.filter(pk=self.copy.pk, status=OllamaCopy.Status.RUNNING)
        if not rows.update(updated_at=timezone.now(), **values):
            raise Stopped
