"""A language model of ~100k parameters, made once; its adapter; an inference worker."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from django.core.cache import cache
from django.utils import timezone

from accounts.models import Credential, User
from celery_worker import app
from finetune.core import crypto, storage
from models_app.models import LanguageModel
from tests.bucket import bucket_environment, objects, on  # noqa: F401
from tests.factories import make_base_model, make_version
from tests.fakes import FakeHub
from tests.loopback_hub import LoopbackHub, Repo

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = [f"Say {number}, then say hello to everyone: über, naïve, 東京, 👋." for number in range(200)]


def make_tokenizer():
    """A byte-level BPE tokenizer with ChatML's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="session")
def tiny_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of ~100k random parameters with a tokenizer, in Hugging Face layout."""
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def make_tiny(directory: Path) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=256, eos_token_id=tokenizer.eos_token_id, **sizes)
    LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    (directory / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    return directory


@pytest.fixture(scope="session")
def adapter_dir(tiny_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter that changes what the tiny model says."""
    return make_adapter(tiny_dir, tmp_path_factory.mktemp("adapter"), seed=1)


def make_adapter(base: Path, directory: Path, *, seed: int) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data.mul_(10)
    model.save_pretrained(directory)
    return directory


@pytest.fixture(autouse=True)
def no_old_models(settings: Any) -> None:
    """Rolled-back tests give their ids back, but not their files."""
    shutil.rmtree(settings.DATA_DIR / "models", ignore_errors=True)


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    return FakeHub().install(monkeypatch)


@pytest.fixture
def adapter_copy(adapter_dir: Path, tmp_path: Path) -> Path:
    """The adapter as a run's output directory."""
    return Path(shutil.copytree(adapter_dir, tmp_path / "output"))


@pytest.fixture
def inference_worker(transactional_db: None) -> Iterator[None]:
    """A Celery worker that answers prompts, in a thread of this process, over the real broker."""
    with start_worker(app, pool="solo", queues=["inference"], perform_ping_check=False, shutdown_timeout=60):
        yield


@pytest.fixture
def hub(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """The real client against a Hub on the loopback interface, an empty Hub cache, and a DATA_DIR of the test's own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("models_app.hub_transfer.TICK", 0.05)
    settings.DATA_DIR = tmp_path
    cache.clear()
    with LoopbackHub() as server:
        settings.HF_ENDPOINT = server.url
        yield server


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs' own `main`, without a process of its own each time: those take seconds to start."""

    def run(module: str, *arguments: str, on_wait: Any, what: str) -> None:
        monkeypatch.setattr("sys.argv", [module, *arguments])
        importlib.import_module(f"models_app.inference.{module}").main()
        on_wait()

    for module in ("export_work", "ollama_work", "ollama_files"):
        monkeypatch.setattr(f"models_app.{module}.run_program", run)


def add_model(hub: LoopbackHub, repo_id: str, directory: Path, **values: Any) -> Repo:
    """The directory's files as a repository, with what the Hub says about a language model of its size."""
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    extra = {
        "pipeline_tag": "text-generation", "library_name": "transformers", "downloads": 10, "likes": 2,
        "tags": ["transformers", "safetensors", "license:apache-2.0"], "config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
        "safetensors": {"parameters": {"F32": 100_000}, "total": 100_000}, **values.pop("extra", {}),
    }  # fmt: skip
    return hub.add("models", repo_id, files, extra=extra, **values)


def store_token(user: Any, token: str) -> None:
    values = {"ciphertext": crypto.encrypt(token), "last4": token[-4:], "checked_at": timezone.now()}
    Credential.objects.create(owner=user, kind=Credential.Kind.HUGGING_FACE, **values)


@pytest.fixture
def base(alice: User, tiny_dir: Path) -> LanguageModel:
    """The tiny model as alice's."""
    model = make_base_model(alice)
    shutil.copytree(tiny_dir, storage.model_dir(model.pk))
    return model


@pytest.fixture
def version(alice: User, base: LanguageModel, adapter_dir: Path) -> LanguageModel:
    """Its adapter as a version of it."""
    model = make_version(alice, base=base)
    shutil.copytree(adapter_dir, storage.model_dir(model.pk))
    return model
