"""A model of about 100,000 parameters, rows it can learn, and run directories. Everything trains for real."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# One thread and no spinning: the tests share their machine, and torch reads this once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from training.engine.launch import server_ready, start_server
from training.engine.rundir import RunDir, read_events
from training.engine.spec import Config, DataRef, ModelRef, TrainingSpec, check_config

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
THINGS = ("tea", "soap", "bread", "wool", "salt", "glass", "paper", "honey")
PRICES = ("two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="session", autouse=True)
def valkey() -> Iterator[str]:
    """The engine knows no broker, so its tests need no Valkey."""
    yield ""


def conversation(index: int) -> list[dict[str, str]]:
    thing, price = THINGS[index % 8], PRICES[index % 8]
    question = f"What does {thing} cost?" if index % 3 else f"How much is the {thing}, please?"
    return [{"role": "user", "content": question}, {"role": "assistant", "content": f"The {thing} costs {price} coins."}]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A byte-level BPE tokenizer trained on the rows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator((json.dumps(conversation(index)) for index in range(48)), trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = TEMPLATE
    return made


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A Llama of about 100,000 parameters with random weights, in Hugging Face layout."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    path = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, attention_dropout=0.1,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def plain_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model without dropout in its attention: ranks draw other numbers than one process does."""
    path = tmp_path_factory.mktemp("plain") / "model"
    shutil.copytree(tiny_model, path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.0}))
    return path


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Normalised Parquet as datasets_app writes it."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def chat_rows(count: int) -> list[dict[str, Any]]:
    return [{"line": index + 1, "messages": json.dumps(conversation(index)), "tools": None} for index in range(count)]


def preference_rows(count: int) -> list[dict[str, Any]]:
    """Pairs whose better answer names the right price."""
    rows = []
    for index in range(count):
        question, answer = conversation(index)
        worse = f"I do not know what {THINGS[index % 8]} costs." if index % 2 else f"It costs {PRICES[(index + 3) % 8]} apples."
        texts = {"prompt": [question], "chosen": [answer], "rejected": [{"role": "assistant", "content": worse}]}
        rows.append({"line": index + 1} | {name: json.dumps(value) for name, value in texts.items()})
    return rows


def rated_rows(count: int) -> list[dict[str, Any]]:
    """Good and bad answers one by one, two good ones for each bad one."""
    return [
        {"line": row["line"], "prompt": row["prompt"], "completion": row["chosen"] if row["line"] % 3 else row["rejected"],
         "label": bool(row["line"] % 3)}
        for row in preference_rows(count)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("pairs") / "train.parquet", preference_rows(48))


@pytest.fixture(scope="session")
def rated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rated") / "train.parquet", rated_rows(48))


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "train.parquet", chat_rows(48))


MakeRun = Callable[..., RunDir]


@pytest.fixture
def make_run(tmp_path: Path, tiny_model: Path, rows_file: Path) -> MakeRun:
    """Writes a spec into a fresh run directory. Options of the config by name."""
    made: list[RunDir] = []

    def make(
        method: str = "sft",
        *,
        rows: Path = rows_file,
        model: Path = tiny_model,
        kind: str = "sft",
        resume_from: str | None = None,
        **config: Any,
    ) -> RunDir:
        values = {"learning_rate": 5e-3, "max_steps": 8, "per_device_train_batch_size": 4, "max_length": 64} | config
        run_dir = RunDir(tmp_path / f"run{len(made)}")
        made.append(run_dir)
        run_dir.write_spec(
            TrainingSpec(
                method=method,
                model=ModelRef(path=str(model), name="tiny"),
                resume_from=resume_from,
                data=DataRef(train=str(rows), kind=kind, content_hash="abc"),
                config=Config(**check_config(method, values)),
            )
        )
        return run_dir

    return make


def events(run_dir: RunDir, kind: str | None = None) -> list[dict[str, Any]]:
    return [event for event, _ in read_events(run_dir.events_file) if kind in (None, event["kind"])]


def metrics(run_dir: RunDir, split: str = "train") -> list[dict[str, Any]]:
    return [event for event in events(run_dir, "metric") if event["split"] == split]


def losses(run_dir: RunDir) -> dict[int, float]:
    """Step → training loss; a step that was repeated after a crash counts once, with its last value."""
    return {event["step"]: event["values"]["loss"] for event in metrics(run_dir)}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fork server, so that the tests which kill engines don't wait for imports each time."""
    # A Unix socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="aift-") as folder:
        path = Path(folder) / "engine.sock"
        process = start_server(path)
        wait_for(lambda: server_ready(path), seconds=240)
        yield path
        process.communicate(timeout=20)  # closes its stdin


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The condition's first true value; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.003)
    raise AssertionError(f"Nothing came within {seconds} s.")


def ended(run_dir: RunDir, seconds: float = 60) -> dict[str, int]:
    """exit.json, once the engine has ended."""
    return json.loads(wait_for(lambda: run_dir.exit_file.exists() and run_dir.exit_file.read_text(), seconds))


def newest_step(run_dir: RunDir) -> int:
    return max((event["step"] for event in metrics(run_dir)), default=0)


def built(run_dir: RunDir, method: str = "sft") -> Any:
    """The trainer of a run with its optimizer and scheduler, before its first step; its Attempt is `trainer.attempt`."""
    from training.engine.adapter import with_adapter
    from training.engine.attempt import Attempt
    from training.engine.events import EventLog
    from training.engine.model import find_device, load_model, load_tokenizer
    from training.engine.stopping import StopRequest
    from training.engine.supervised import load_examples, sft_trainer

    attempt = Attempt(run_dir, run_dir.read_spec(), EventLog(run_dir.events_file), StopRequest(run_dir))
    tokenizer, model = load_tokenizer(attempt), load_model(attempt, half=False)
    if method == "lora":
        model = with_adapter(attempt, model)
    trainer = sft_trainer(attempt, find_device(), model, tokenizer, load_examples(attempt, tokenizer), None)
    trainer.create_optimizer_and_scheduler(trainer.args.max_steps)
    return trainer
