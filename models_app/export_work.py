"""How an export is made, step by step, in a folder of its own; every step tells how far it is and may be stopped."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.utils import timezone

from finetune.core import storage
from models_app.announce import announce
from models_app.hub_transfer import Stopped
from models_app.inference.progress import read_progress
from models_app.models import Export, LanguageModel
from models_app.programs import run_command, run_program
from models_app.push_files import copy_files

PLAIN_GGUF = ("f32", "f16", "bf16", "q8_0")
CHUNK = 8 * 1024**2
EVERY = 0.4  # seconds between two tellings of one stage


class ExportWork:
    """One export: `make()` gives the directory with its files, `checks` what was found out about them."""

    def __init__(self, export: Export, folder: Path):
        self.export, self.folder = export, folder
        self.model: LanguageModel = export.model
        self.checks: dict[str, Any] = {}
        self._began, self._told = time.monotonic(), ("", 0.0)

    def make(self) -> Path:
        content = self._fresh("content")
        if self.export.format == Export.Format.GGUF:
            self._gguf(content / gguf_name(self.model, self.export.quantization))
        elif self.export.format == Export.Format.MERGED and (self.model.adapter or self.export.quantization):
            self._merge(content, self.export.quantization)
        else:
            copy_files(self.model, content)
        return content

    def hashed(self, content: Path) -> list[dict[str, Any]]:
        """[{path, bytes, sha256}] of everything made."""
        files = sorted(path for path in content.rglob("*") if path.is_file())
        total, done, found = sum(path.stat().st_size for path in files), 0, []
        for path in files:
            digest = hashlib.sha256()
            with open(path, "rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    done += len(chunk)
                    self._tell("checksums", done, total)
            name = path.relative_to(content).as_posix()
            found.append({"path": name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()})
        return found

    def _gguf(self, file: Path) -> None:
        source = self.model.directory
        if self.model.adapter:
            source = self._fresh("merged")
            self._merge(source, "")
        kind = self.export.quantization
        plain = file if kind in PLAIN_GGUF else self.folder / "plain.gguf"
        arguments = (str(source), str(plain), "--type", kind if kind in PLAIN_GGUF else "f16", "--name", str(self.model))
        self._program("llamacpp.convert", *arguments, stage="converting", what="Writing GGUF")
        if plain != file:
            command = [settings.LLAMA_QUANTIZE, str(plain), str(file), kind.upper()]
            self._tell("quantizing", 0, None)
            run_command(command, on_wait=self.beat, what="llama-quantize")
            plain.unlink()

    def _merge(self, output: Path, dtype: str) -> None:
        """Base and adapter become one; their logits are compared where memory allows."""
        base = self.model.whole.directory
        adapter = str(self.model.directory) if self.model.adapter else "-"
        options = ("--dtype", dtype) if dtype else ()
        self._program("merge", str(base), adapter, str(output), *options, stage="merging", what="Merging")
        if self.model.adapter:
            self._verify(base, output)

    def _verify(self, base: Path, merged: Path) -> None:
        precision = self._precision()
        if not precision:
            self.checks = {"agrees": None, "reason": "The server had too little free memory to load the model and compare."}
            return
        verdict = self.folder / "verdict.json"
        self._tell("comparing", 0, None)
        arguments = (str(base), str(self.model.directory), str(merged), str(verdict), "--dtype", precision)
        run_program("verify_merge", *arguments, on_wait=self.beat, what="Checking the merged model")
        self.checks = json.loads(verdict.read_text())

    def _precision(self) -> str:
        """float32 where the model fits in it with half as much again, else its own number format, else none."""
        base = self.model.base_model or self.model
        free = psutil.virtual_memory().available
        if 1.5 * 4 * (base.parameters or base.bytes / 2) < free:
            return "float32"
        dtype = base.dtype if base.dtype in ("float16", "bfloat16") else ""
        return dtype if 1.5 * base.bytes < free else ""

    def _program(self, module: str, *arguments: str, stage: str, what: str) -> None:
        file = self.folder / "progress.json"
        file.unlink(missing_ok=True)
        self._began = time.monotonic()
        self._tell(stage, 0, None)
        run_program(module, *arguments, "--progress", str(file), on_wait=self._follow(file, stage), what=what)

    def _follow(self, file: Path, stage: str) -> Callable[[], None]:
        return lambda: self._tell(stage, *(read_progress(file) or (0, None)))

    def _fresh(self, name: str) -> Path:
        storage.remove_tree(self.folder / name)
        (self.folder / name).mkdir()
        return self.folder / name

    def _tell(self, stage: str, done: int, total: int | None) -> None:
        if self._told[0] == stage and time.monotonic() - self._told[1] < EVERY:
            return
        self._told = (stage, time.monotonic())
        rate = done / max(time.monotonic() - self._began, 1e-3)
        eta = round((total - done) / rate, 1) if rate and total else None
        progress = {"done": done, "total": total, "unit": "bytes", "rate": round(rate), "eta_seconds": eta, "stage": stage}
        self._keep(progress=progress)
        announce(self.model, progress=progress)

    def beat(self) -> None:
        """Still at it; Stopped when nobody wants the export any more."""
        self._keep()

    def _keep(self, **values: Any) -> None:
        """Write to the row as long as the export is wanted."""
        rows = Export.objects.filter(pk=self.export.pk, status=Export.Status.RUNNING)
        if not rows.update(updated_at=timezone.now(), **values):
            raise Stopped


def file_stem(model: LanguageModel) -> str:
    """A file name out of the model's name and version."""
    words = f"{model.name}-v{model.version}" if model.kind != LanguageModel.Kind.BASE else model.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-.")[:80] or "model"


def gguf_name(model: LanguageModel, quantization: str) -> str:
    return f"{file_stem(model)}-{quantization}.gguf"
