"""What an Ollama server can be given: names, number formats, parameters, and which way a model gets there."""

from __future__ import annotations

import json
import re
from typing import Any

from finetune.core import store
from finetune.core.errors import Invalid, invalid_field
from models_app.export_kinds import why_no_gguf
from models_app.models import LanguageModel, OllamaCopy

R = OllamaCopy.Route
MAX_PART = 80
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# Formats that we write ourselves, and those that the server makes of a 16-bit upload.
OURS, SERVERS = ("f16", "bf16", "q8_0"), ("q4_k_m", "q4_k_s")
QUANTIZATIONS = (*OURS, *SERVERS)
# Architectures that Ollama converts from safetensors and we do not write as GGUF (its convert/convert.go).
CONVERTED = {
    "MixtralForCausalLM", "GemmaForCausalLM", "Olmo3ForCausalLM", "CohereForCausalLM", "GptOssForCausalLM", "DeepseekV3ForCausalLM",
    "Glm4MoeLiteForCausalLM", "Lfm2ForCausalLM", "Lfm2MoeForCausalLM", "NemotronHForCausalLM",
}  # fmt: skip
ALSO_CONVERTED = {"LlamaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM", "Phi3ForCausalLM", "Qwen2ForCausalLM"}
INTEGERS = {
    "num_ctx",
    "num_predict",
    "num_keep",
    "num_batch",
    "num_gpu",
    "num_thread",
    "seed",
    "top_k",
    "repeat_last_n",
    "main_gpu",
}
NUMBERS = {"top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty"}
FLAGS = {"use_mmap"}


def checked_name(text: str) -> str:
    """`[namespace/]model[:tag]` in lower case, with its tag. Invalid (field `name`) for what Ollama would not take."""
    name = text.strip().lower()
    rest, _, tag = name.partition(":")
    parts = [*rest.split("/"), tag or "latest"]
    if len(parts) > 3 or not all(PART.fullmatch(part) and len(part) <= MAX_PART for part in parts) or "." in "".join(parts[:-2]):
        words = (
            "A name looks like helpdesk, me/helpdesk or helpdesk:v2: letters, digits, “_”, “-” and “.”, up to 80 characters a part."
        )
        raise invalid_field("name", words)
    return f"{rest}:{tag or 'latest'}"


def checked_quantization(text: str) -> str:
    """Lower case; f16 when empty."""
    kind = text.strip().lower() or "f16"
    if kind not in QUANTIZATIONS:
        raise invalid_field("quantization", f"Choose one of: {', '.join(QUANTIZATIONS)}.")
    return kind


def checked_parameters(parameters: Any) -> dict[str, Any]:
    """Ollama takes a wrong type and fails only when the model is loaded, so types are checked here."""
    if not isinstance(parameters, dict):
        raise invalid_field("parameters", 'Give an object such as {"temperature": 0.2, "stop": ["User:"]}.')
    for name, value in parameters.items():
        if name == "stop":
            good, words = isinstance(value, list) and all(isinstance(word, str) and word for word in value), "a list of texts"
        elif name in INTEGERS:
            good, words = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        elif name in NUMBERS:
            good, words = isinstance(value, (int, float)) and not isinstance(value, bool), "a number"
        elif name in FLAGS:
            good, words = isinstance(value, bool), "true or false"
        else:
            known = ", ".join(sorted(INTEGERS | NUMBERS | FLAGS | {"stop"}))
            raise invalid_field("parameters", f"Ollama has no parameter “{str(name)[:40]}”. It has: {known}.")
        if not good:
            raise invalid_field("parameters", f"{name} has to be {words}.")
    return parameters


def checked_template(text: str) -> str:
    """A Go template; Jinja, which models bring, is another language."""
    if "{%" in text:
        raise invalid_field(
            "template", "This is a Jinja template. Ollama wants Go's, such as {{ .Prompt }}; leave it empty for the model's own."
        )
    if text and text.count("{{") != text.count("}}"):
        raise invalid_field("template", "The template has another number of {{ than of }}.")
    return text


def route_of(model: LanguageModel, wanted: str) -> str:
    """GGUF where we can write it, else safetensors where Ollama converts them; a wish is checked. Invalid names the architecture."""
    if wanted and wanted not in R.values:
        raise invalid_field("route", f"Choose one of: {', '.join(R.values)}.")
    trouble = why_no_gguf(model)
    if wanted == R.ADAPTER:
        return _adapter_route(model, trouble)
    architecture = architecture_of(model)
    converted = architecture in CONVERTED | ALSO_CONVERTED
    if wanted == R.SAFETENSORS and not converted:
        raise invalid_field("route", f"Ollama does not convert {architecture} from safetensors; send it as GGUF.")
    if wanted == R.GGUF and trouble:
        raise invalid_field("route", trouble)
    if wanted:
        return wanted
    if not trouble:
        return R.GGUF
    if converted:
        return R.SAFETENSORS
    raise Invalid(f"{trouble} Ollama does not convert {architecture} from safetensors either.", code="cannot_convert")


def _adapter_route(model: LanguageModel, trouble: str) -> str:
    if not model.adapter:
        raise invalid_field("route", f"“{model}” is a whole model; there is no adapter to send.")
    if trouble:
        raise invalid_field("route", trouble)
    config = json.loads(store.read_text(model.place, "adapter_config.json"))
    if config.get("use_dora") or config.get("modules_to_save") or config.get("peft_type") != "LORA":
        raise invalid_field("route", "llama.cpp only knows plain LoRA adapters; send this one merged, as GGUF.")
    return R.ADAPTER


def architecture_of(model: LanguageModel) -> str:
    try:
        return next(iter(json.loads(store.read_text(model.whole.place, "config.json")).get("architectures") or []), "")
    except (OSError, ValueError):
        return ""
