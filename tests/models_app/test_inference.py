"""Generation with a real model of ~100k parameters."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from models_app.inference.generate import generate
from models_app.inference.pool import ModelPool
from models_app.inference.types import Answer, CannotGenerate, Sampling, Weights
from tests.models_app.conftest import make_adapter

pytestmark = pytest.mark.engine
HELLO = [{"role": "user", "content": "Say hello"}]
GREEDY = Sampling(max_new_tokens=12, temperature=0)


@pytest.fixture(scope="module")
def pool() -> ModelPool:
    return ModelPool()


def answer(
    pool: ModelPool, weights: Weights, sampling: Sampling = GREEDY, messages=HELLO, stop=lambda: False
) -> tuple[Answer, list[str]]:
    pieces: list[str] = []
    result = generate(pool, weights, messages, sampling, on_text=pieces.append, should_stop=stop)
    return result, pieces


def reference(directory: Path, messages=HELLO, tokens: int = 12) -> str:
    """What transformers itself answers, greedily."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory)
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = AutoModelForCausalLM.from_pretrained(directory).generate(**ids, max_new_tokens=tokens, do_sample=False)
    return tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


def prompt_of(directory: Path) -> list[int]:
    from transformers import AutoTokenizer

    told = AutoTokenizer.from_pretrained(directory).apply_chat_template(HELLO, add_generation_prompt=True, return_dict=True)
    return told["input_ids"]


def test_greedy_answers_are_what_transformers_answers(pool: ModelPool, tiny_dir: Path) -> None:
    result, pieces = answer(pool, Weights(base=str(tiny_dir)))
    assert result.text == "".join(pieces) == reference(tiny_dir)
    assert len(pieces) > 1
    assert result.tokens > 0 and result.prompt_tokens == len(prompt_of(tiny_dir))
    assert result.seconds > 0
    assert result.tokens_per_second == round(result.tokens / result.seconds, 2)


def test_it_stops_at_the_longest_answer(pool: ModelPool, tiny_dir: Path) -> None:
    result, _ = answer(pool, Weights(base=str(tiny_dir)), Sampling(max_new_tokens=3, temperature=0))
    assert (result.tokens, result.stop_reason) == (3, "length")


def test_it_stops_at_the_end_of_the_turn(tiny_dir: Path, tmp_path: Path) -> None:
    """A model whose every next token is the end of the turn says nothing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = tmp_path / "quiet"
    shutil.copytree(tiny_dir, directory)
    model = AutoModelForCausalLM.from_pretrained(directory)
    end = AutoTokenizer.from_pretrained(directory).convert_tokens_to_ids("<|im_end|>")
    with torch.no_grad():
        model.model.norm.weight.fill_(0.0)  # all logits become 0 …
        model.model.norm.weight[0] = 1.0
        model.lm_head.weight.fill_(0.0)
        model.model.embed_tokens.weight[:, 0] = 10.0
        model.lm_head.weight[end, 0] = 10.0  # … but the end's
    model.generation_config.eos_token_id = None
    model.save_pretrained(directory)
    result, pieces = answer(ModelPool(), Weights(base=str(directory)))
    assert (result.text, result.tokens, result.stop_reason, pieces) == ("", 0, "stop", [])


def test_it_stops_when_asked(pool: ModelPool, tiny_dir: Path) -> None:
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) >= 4

    result, _ = answer(pool, Weights(base=str(tiny_dir)), Sampling(max_new_tokens=100, temperature=0), stop=stop)
    assert result.stop_reason == "cancelled"
    assert result.tokens == 4


def test_a_seed_repeats_a_draw_and_another_one_changes_it(pool: ModelPool, tiny_dir: Path) -> None:
    weights = Weights(base=str(tiny_dir))
    draws = [answer(pool, weights, Sampling(max_new_tokens=20, temperature=1.0, seed=seed))[0].text for seed in (7, 7, 8)]
    assert draws[0] == draws[1] != draws[2]


def test_a_small_top_p_is_greedy(pool: ModelPool, tiny_dir: Path) -> None:
    narrow, _ = answer(pool, Weights(base=str(tiny_dir)), Sampling(max_new_tokens=12, temperature=1.0, top_p=1e-6))
    assert narrow.text == reference(tiny_dir)


def test_adapters_share_their_base_and_none_leaks_into_another(
    pool: ModelPool, tiny_dir: Path, adapter_dir: Path, tmp_path: Path
) -> None:
    second = make_adapter(tiny_dir, tmp_path / "second", seed=2)
    plain, one, two = (
        Weights(base=str(tiny_dir)),
        *(Weights(base=str(tiny_dir), adapter=str(path)) for path in (adapter_dir, second)),
    )
    order = [plain, one, plain, two, one, two, plain]
    texts = [answer(pool, weights)[0].text for weights in order]
    assert texts[0] == texts[2] == texts[6] == reference(tiny_dir)
    assert texts[1] == texts[4] == reference_with(tiny_dir, adapter_dir)
    assert texts[3] == texts[5] == reference_with(tiny_dir, second)
    assert len({texts[0], texts[1], texts[3]}) == 3


def test_an_adapter_that_cannot_be_read_leaves_nothing_in_the_base(tiny_dir: Path, adapter_dir: Path, tmp_path: Path) -> None:
    torn = Path(shutil.copytree(adapter_dir, tmp_path / "torn"))
    (torn / "adapter_model.safetensors").write_bytes(b"torn")
    pool = ModelPool()
    with pytest.raises(CannotGenerate, match="could not be loaded"):
        answer(pool, Weights(base=str(tiny_dir), adapter=str(torn)))
    assert pool.held() == 0
    assert answer(pool, Weights(base=str(tiny_dir), adapter=str(adapter_dir)))[0].text == reference_with(tiny_dir, adapter_dir)


def reference_with(base: Path, adapter: Path) -> str:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    ids = tokenizer.apply_chat_template(HELLO, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    out = model.generate(**ids, max_new_tokens=12, do_sample=False)
    return tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_least_used_base_leaves_first(tiny_dir: Path, tmp_path: Path) -> None:
    pool = ModelPool(most=2)
    paths = [Path(shutil.copytree(tiny_dir, tmp_path / name)) for name in ("a", "b", "c")]
    models = {}
    for path in (paths[0], paths[1], paths[0], paths[2]):
        models[path] = model_of(pool, path)
    assert model_of(pool, paths[0]) is models[paths[0]]
    assert model_of(pool, paths[1]) is not models[paths[1]]


def model_of(pool: ModelPool, base: Path) -> Any:
    with pool.using(Weights(base=str(base))) as session:
        return session.model


def test_a_prompt_that_is_too_long_is_refused_in_words(pool: ModelPool, tiny_dir: Path) -> None:
    with pytest.raises(CannotGenerate, match=r"this model reads at most 256"):
        answer(pool, Weights(base=str(tiny_dir)), messages=[{"role": "user", "content": "hello everyone " * 300}])


def test_an_answer_never_outgrows_the_context(pool: ModelPool, tiny_dir: Path) -> None:
    long = [{"role": "user", "content": "hello everyone " * 10}]
    result, _ = answer(pool, Weights(base=str(tiny_dir)), Sampling(max_new_tokens=4096, temperature=0), messages=long)
    assert result.stop_reason in {"length", "stop"}
    assert result.tokens < 256


def test_without_a_chat_template_the_prompt_goes_in_as_it_is(tiny_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = Path(shutil.copytree(tiny_dir, tmp_path / "plain"))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.chat_template = None
    (directory / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(directory)
    ids = tokenizer("Say hello", return_tensors="pt")
    out = AutoModelForCausalLM.from_pretrained(directory).generate(**ids, max_new_tokens=12, do_sample=False)
    expected = tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer(ModelPool(), Weights(base=str(directory)))[0].text == expected


def test_a_template_without_a_system_role_gets_it_in_the_first_turn(tiny_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from models_app.inference.prompts import prompt_ids

    tokenizer = AutoTokenizer.from_pretrained(tiny_dir)
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    plain = prompt_ids(tokenizer, [{"role": "user", "content": "Be brief.\n\nHi"}])
    tokenizer.chat_template = refusing + tokenizer.chat_template
    assert prompt_ids(tokenizer, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]) == plain


def test_a_directory_that_is_no_model_is_refused_in_words(pool: ModelPool, tmp_path: Path) -> None:
    with pytest.raises(CannotGenerate, match="could not be loaded"):
        answer(pool, Weights(base=str(tmp_path)))


def test_half_characters_are_never_given_out(tiny_dir: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from models_app.inference.writer import Writer

    tokenizer = AutoTokenizer.from_pretrained(tiny_dir)
    text = "naïve 東京 👋🏽 ok"
    pieces: list[str] = []
    writer = Writer(tokenizer, set(), pieces.append, lambda: False)
    writer.put(torch.tensor([[1, 2]]))  # the prompt
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    for token in ids:
        writer.put(torch.tensor([token]))
    writer.end()
    assert "".join(pieces) == writer.text == text
    assert len(pieces) < len(ids)
    assert all("\ufffd" not in piece for piece in pieces)
