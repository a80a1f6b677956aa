"""Which kernels a run takes and why not the others, with stand-ins for the packages: the real ones need an NVIDIA GPU."""

from __future__ import annotations

import importlib
import sys

import pytest

from tests.engine.conftest import built, events
from training.engine import kernels
from training.engine.attempt import Attempt
from training.engine.events import EventLog
from training.engine.failures import EngineError
from training.engine.run import run
from training.engine.stopping import StopRequest

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]

LIGER = """
calls = []
def apply_liger_kernel_to_llama(rope=True, cross_entropy=False, fused_linear_cross_entropy=True, model=None): ...
MODEL_TYPE_TO_APPLY_LIGER_FN = {families}
def _apply_liger_kernel_to_instance(model, **options):
    calls.append((type(model).__name__, options))
"""
UNSLOTH = """
class FastLanguageModel:
    calls = []
    @classmethod
    def from_pretrained(cls, **options):
        cls.calls.append(options)
        return "model", "tokenizer"
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts stand-in packages where find_spec finds them."""

    def put(name, text, module="__init__.py"):
        path = tmp_path / "site" / name / module
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.parents:
            if folder.name == "site":
                break
            (folder / "__init__.py").touch()
        path.write_text(text)
        monkeypatch.syspath_prepend(tmp_path / "site")
        importlib.invalidate_caches()

    yield put
    for name in [name for name in sys.modules if name.split(".")[0] in kernels.MODULES.values()]:
        del sys.modules[name]


def put_liger(install, families="{'llama': apply_liger_kernel_to_llama}"):
    install("liger_kernel", LIGER.replace("{families}", families), "transformers/monkey_patch.py")


def attempt_of(run_dir) -> Attempt:
    return Attempt(run_dir, run_dir.read_spec(), EventLog(run_dir.events_file), StopRequest(run_dir))


def choice(make_run, method="lora", device="cuda", **options) -> kernels.Choice:
    return kernels.choose(attempt_of(make_run(method, **options)), device)


def test_auto_takes_what_is_installed_and_suits(make_run, install) -> None:
    found = choice(make_run)
    assert found.name == "none" and "not installed" in found.refused["liger"] and "not installed" in found.refused["unsloth"]
    install("unsloth", UNSLOTH)
    assert choice(make_run).name == "unsloth"
    put_liger(install)
    assert choice(make_run).name == "liger"
    assert choice(make_run, device="cpu").name == "none"
    assert choice(make_run, kernels="unsloth").name == "unsloth"
    assert choice(make_run, kernels="none") == kernels.Choice()


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("sft", {}, "for adapters"),
        ("lora", {"packing": True}, "borders of packed rows"),
        ("lora", {"use_dora": True}, "no DoRA"),
        ("lora", {"init_lora_weights": "pissa"}, "init_lora_weights"),
        ("lora", {"torch_compile": True}, "torch_compile"),
        ("lora", {"num_gpus": 2}, "one GPU"),
    ],
)
def test_unsloth_is_refused_where_it_does_not_suit(make_run, install, method, options, words) -> None:
    install("unsloth", UNSLOTH)
    found = choice(make_run, method, **options)
    assert found.name == "none" and words in found.refused["unsloth"]
    with pytest.raises(EngineError, match=words):
        choice(make_run, method, kernels="unsloth", **options)


def test_a_family_that_liger_does_not_know_is_passed_over(make_run, install) -> None:
    put_liger(install, "{'mistral': apply_liger_kernel_to_llama}")
    assert "family llama" in choice(make_run).refused["liger"]


def test_the_run_says_what_it_took_and_why_not_the_others(make_run) -> None:
    run_dir = make_run("lora", max_steps=1)
    assert run(run_dir.path) == 0
    said = next(event["text"] for event in events(run_dir, "log") if event["text"].startswith("Kernels:"))
    assert "torch and transformers" in said and "not liger-kernel" in said and "not unsloth" in said and "NVIDIA GPU" in said


def test_what_was_asked_for_and_can_not_be_is_refused_at_once(make_run) -> None:
    run_dir = make_run("lora", kernels="liger")
    assert run(run_dir.path) == 2
    assert events(run_dir, "failed")[0]["message"].startswith("kernels: liger-kernel needs an NVIDIA GPU")


def test_liger_gets_the_loaded_model_without_its_losses(make_run, install) -> None:
    put_liger(install)
    base = built(make_run("sft")).model
    kernels.apply_liger(base)
    patch = importlib.import_module("liger_kernel.transformers.monkey_patch")
    assert patch.calls == [("LlamaForCausalLM", {"cross_entropy": False, "fused_linear_cross_entropy": False})]


def test_unsloth_loads_as_the_run_wants_it(install, tmp_path) -> None:
    import torch

    install("unsloth", UNSLOTH)
    assert kernels.load_unsloth(tmp_path, half=True, length=64, four_bit=True) == "model"
    (options,) = importlib.import_module("unsloth").FastLanguageModel.calls
    assert options == {"model_name": str(tmp_path), "max_seq_length": 64, "dtype": torch.bfloat16, "load_in_4bit": True}
