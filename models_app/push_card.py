"""The README.md of a pushed model: what it is, what it was made from, with which data and options, and how to load it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from models_app.models import LanguageModel

SHOWN_METRICS = {
    "eval_loss": "Evaluation loss",
    "first_eval_loss": "Evaluation loss before training",
    "eval_perplexity": "Perplexity",
    "eval_mean_token_accuracy": "Token accuracy",
    "loss": "Training loss",
}
METHOD_WORDS = {"sft": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA", "dpo": "DPO", "orpo": "ORPO"}
# Options of the machine, which mean nothing to who reads the card.
UNSAID = {"num_gpus", "distributed", "torch_compile", "save_steps", "save_total_limit", "logging_steps", "eval_steps"}
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "tokenizers")


@dataclass(frozen=True)
class Story:
    """How a model came to be, from its manifest and its job."""

    dataset_name: str = ""
    dataset_repo: str = ""
    dataset_hash: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)


def story_of(model: LanguageModel) -> Story:
    """Read from the run's manifest; what is missing there is left out."""
    manifest = model.manifest
    job = getattr(model, "produced_by", None)
    dataset = job.dataset if job else None
    origin = getattr(dataset, "origin_detail", None) or {}
    return Story(
        dataset_name=dataset.name if dataset else "",
        dataset_repo=origin.get("repo_id", ""),
        dataset_hash=(manifest.get("dataset") or {}).get("content_hash", ""),
        config=(manifest.get("spec") or {}).get("config") or (job.config if job else {}),
        packages=manifest.get("packages") or {},
    )


def write_card(model: LanguageModel, repo_id: str, *, merged: bool, story: Story) -> str:
    """The card's text. Names and texts that people chose are put where they can't become markup of the front matter."""
    return "\n".join([*_front(model, merged, story), "", *_body(model, repo_id, merged, story)]) + "\n"


def _front(model: LanguageModel, merged: bool, story: Story) -> Iterator[str]:
    base = model.base_model
    adapter = model.adapter and not merged
    yield "---"
    if base and base.repo_id:
        yield f"base_model: {base.repo_id}"
        yield f"base_model_relation: {'adapter' if adapter else 'finetune'}"
    if licence := (model.license or (base.license if base else "")):
        yield f"license: {json.dumps(licence)}" if licence.islower() and " " not in licence else "license: other"
    yield f"library_name: {'peft' if adapter else 'transformers'}"
    yield "pipeline_tag: text-generation"
    yield "tags:"
    for tag in ("aifinetune", model.method or "fine-tuned"):
        yield f"- {tag}"
    if story.dataset_repo:
        yield f"datasets:\n- {story.dataset_repo}"
    yield "---"


def _body(model: LanguageModel, repo_id: str, merged: bool, story: Story) -> Iterator[str]:
    base = model.base_model
    method = METHOD_WORDS.get(model.method, model.method)
    yield f"# {_plain(model.name)}"
    yield ""
    from_words = f" of {_link(base)}" if base else ""
    form = "A LoRA adapter" if model.adapter and not merged else "A fine-tuned model"
    yield f"{form}: version {model.version}{from_words}{f', made with {method}' if method else ''}{', merged into its base' if merged else ''}."
    if model.version_notes:
        yield f"\n{_plain(model.version_notes)}"
    yield from _licence(model)
    yield from _data(story)
    yield from _table("Evaluation", "Metric", {words: model.metrics.get(key) for key, words in SHOWN_METRICS.items()})
    options = {f"`{name}`": value for name, value in story.config.items() if name not in UNSAID and value not in (None, "", [])}
    yield from _table("Options", "Option", options)
    yield from _table("Made with", "Package", {name: story.packages.get(name) for name in PACKAGES})
    yield from _loading(model, repo_id, adapter=model.adapter and not merged)


def _licence(model: LanguageModel) -> Iterator[str]:
    base = model.base_model
    if base and (licence := model.license or base.license):
        yield f"\nThe base model's licence, {licence}, holds for this one too."


def _data(story: Story) -> Iterator[str]:
    if not (story.dataset_name or story.dataset_hash):
        return
    where = f" ([{story.dataset_repo}](https://huggingface.co/datasets/{story.dataset_repo}))" if story.dataset_repo else ""
    yield f"\n## Data\n\n{_plain(story.dataset_name) or 'A dataset'}{where}"
    if story.dataset_hash:
        yield f"\nSHA-256 of its content: `{story.dataset_hash}`"


def _table(title: str, head: str, values: dict[str, Any]) -> Iterator[str]:
    shown = {name: value for name, value in values.items() if value is not None}
    if not shown:
        return
    yield f"\n## {title}\n\n| {head} | Value |\n|---|---|"
    for name, value in shown.items():
        yield f"| {name} | {_cell(value)} |"


def _loading(model: LanguageModel, repo_id: str, *, adapter: bool) -> Iterator[str]:
    loader = "peft import AutoPeftModelForCausalLM" if adapter else "transformers import AutoModelForCausalLM"
    name = loader.rpartition(" ")[2]
    yield f"\n## How to load it\n\n```python\nfrom {loader}\nfrom transformers import AutoTokenizer\n"
    yield f'model = {name}.from_pretrained("{repo_id}")\ntokenizer = AutoTokenizer.from_pretrained("{repo_id}")\n```'


def _link(base: LanguageModel) -> str:
    return f"[{base.repo_id}](https://huggingface.co/{base.repo_id})" if base.repo_id else _plain(base.name)


def _plain(text: str) -> str:
    """One paragraph of text: no markup, no second front matter."""
    words = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in words)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")[:200]
