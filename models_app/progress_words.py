"""How far a download, a push or an evaluation is, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finetune.core.templatetags.ui import duration, size
from models_app.models import Export, LanguageModel, OllamaCopy


@dataclass(frozen=True)
class Bar:
    """`fraction` is None while nobody knows."""

    fraction: float | None
    label: str


def bar_of(model: LanguageModel) -> Bar:
    progress = model.progress or {}
    if progress.get("unit") == "merging":
        total = progress.get("total")
        share = f" · {size(progress['done'])} of {size(total)}" if total else ""
        return Bar(progress["done"] / total if total else None, f"Merging the adapter into its base{share}")
    done, total = progress.get("done"), progress.get("total")
    if not progress:
        return Bar(None, "Waiting for a worker")
    if not total or progress.get("unit") != "bytes":
        return Bar(None, f"{done} of {total} {progress.get('unit', '')}" if total else "Asking the Hub")
    rate, left = progress.get("rate"), progress.get("eta_seconds")
    parts = [f"{size(done)} of {size(total)}", f"{size(rate)}/s" if rate else "", f"{duration(left)} left" if left else ""]
    return Bar(done / total, " · ".join(part for part in parts if part))


def progress_bar(progress: dict[str, Any] | None) -> Bar:
    """Of something counted in rows."""
    if not progress or not progress.get("total"):
        return Bar(None, "Waiting for a worker")
    left = progress.get("eta_seconds")
    words = f"{progress['done']:,} of {progress['total']:,} {progress['unit']}"
    return Bar(progress["done"] / progress["total"], f"{words} · {duration(left)} left" if left else words)


STAGES = {
    "merging": "Merging the adapter into its base",
    "comparing": "Comparing the merged model with base and adapter",
    "converting": "Writing GGUF",
    "quantizing": "Quantizing",
    "checksums": "Computing checksums",
}


def bar_of_export(export: Export) -> Bar:
    progress = export.progress or {}
    if not progress:
        return Bar(None, "Waiting for a worker")
    words, done, total = STAGES.get(progress.get("stage", ""), ""), progress.get("done"), progress.get("total")
    if not total:
        return Bar(None, words)
    left = progress.get("eta_seconds")
    parts = [words, f"{size(done)} of {size(total)}", f"{duration(left)} left" if left else ""]
    return Bar(done / total, " · ".join(part for part in parts if part))


COPY_STAGES = {
    "answering": "Asking the model here, for comparison",
    "exporting": "Making the file that Ollama reads",
    "uploading": "Sending what the server lacks",
    "creating": "The server makes the model",
    "proving": "Asking the model there",
}


def bar_of_copy(copy: OllamaCopy) -> Bar:
    progress = copy.progress or {}
    if not progress:
        return Bar(None, "Waiting for a worker")
    done, total = progress.get("done"), progress.get("total")
    words = " · ".join(word for word in (COPY_STAGES.get(progress.get("stage", ""), ""), progress.get("words", "")) if word)
    if not total:
        return Bar(None, words)
    return Bar(min(1.0, done / total), f"{words} · {size(done)} of {size(total)}")
