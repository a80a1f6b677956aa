"""A tokenizer in GGUF: its tokens, how text is cut before them, special tokens and the chat template.

Two kinds of tokenizer.json are known: byte-level BPE, whose way of cutting text has a name in llama.cpp, and SentencePiece's BPE, whose
merges become scores. Anything else is refused rather than written wrongly.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .families import CannotConvert

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
# The regular expressions by which tokenizers cut text, and llama.cpp's name for each.
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASES = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CUTS = {
    _WORDS + r"\p{N}{1,3}" + _REST: "llama-bpe",
    _WORDS + r"\p{N}" + _REST: "qwen2",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_CASES[0]}*{_CASES[1]}+|[^\r\n\p{{L}}\p{{N}}]?{_CASES[0]}+{_CASES[1]}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+": "tekken",
}


def add_vocabulary(writer: Any, directory: Path, size: int) -> None:
    """Everything about the directory's tokenizer, with `size` tokens (rows that no token has are padded)."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    if not getattr(tokenizer, "backend_tokenizer", None):
        raise CannotConvert("its tokenizer has no tokenizer.json")
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    if raw["model"]["type"] != "BPE":
        raise CannotConvert(f"its tokenizer is of the kind {raw['model']['type']}; only BPE is written here")
    add = _add_sentencepiece if raw["model"].get("byte_fallback") else _add_byte_level
    add(writer, tokenizer, raw, _tokens(raw, size))
    _add_special(writer, tokenizer, directory)


def _tokens(raw: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Each id's text and type."""
    texts: list[str] = [f"[PAD{number}]" for number in range(size)]
    types = [UNUSED] * size
    unknown = raw["model"].get("unk_token")
    for text, number in raw["model"]["vocab"].items():
        _place(texts, types, number, text, UNKNOWN if text == unknown else NORMAL)
    for token in raw.get("added_tokens") or []:
        kind = UNKNOWN if token["content"] == unknown else CONTROL if token["special"] else USER_DEFINED
        _place(texts, types, token["id"], token["content"], kind)
    return texts, types


def _place(texts: list[str], types: list[int], number: int, text: str, kind: int) -> None:
    if number >= len(texts):
        raise CannotConvert(f"its tokenizer has the token {text!r} ({number}), for which the model has no row")
    texts[number], types[number] = text, kind


def _add_byte_level(writer: Any, tokenizer: Any, raw: dict[str, Any], tokens: tuple[list[str], list[int]]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut_of(raw))
    writer.add_token_list(tokens[0])
    writer.add_token_types(tokens[1])
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in raw["model"]["merges"]])


def cut_of(raw: dict[str, Any]) -> str:
    """llama.cpp's name for the way a byte-level tokenizer cuts text. CannotConvert for one it has no name for."""
    normalizer = (raw.get("normalizer") or {}).get("type")
    if normalizer not in (None, "NFC") and (raw["normalizer"].get("normalizers") != []):
        raise CannotConvert(f"its tokenizer changes text by {normalizer}, which llama.cpp does not do")
    steps = (raw.get("pre_tokenizer") or {}).get("pretokenizers") or [raw.get("pre_tokenizer") or {}]
    kinds = [step.get("type") for step in steps]
    if kinds[-1:] != ["ByteLevel"] or steps[-1].get("add_prefix_space"):
        raise CannotConvert("its tokenizer's way of cutting text is not known here")
    if steps[-1].get("use_regex", True):
        if kinds == ["ByteLevel"]:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
            return "smollm"
    elif kinds == ["Split", "ByteLevel"] and steps[0].get("behavior") == "Isolated":
        pattern = steps[0]["pattern"].get("Regex", "")
        if pattern in CUTS:
            return CUTS[pattern]
    raise CannotConvert("its tokenizer's way of cutting text has no name in llama.cpp that is known here")


def _add_sentencepiece(writer: Any, tokenizer: Any, raw: dict[str, Any], tokens: tuple[list[str], list[int]]) -> None:
    texts, types = tokens
    scores = _scores(raw)
    for number, text in enumerate(texts):
        if types[number] == NORMAL and len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            types[number] = BYTE
        if types[number] == USER_DEFINED:
            texts[number] = text.replace("\u2581", " ")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(texts)
    writer.add_token_scores([scores.get(text, -1e6) for text in texts])
    writer.add_token_types(types)
    first = tokenizer.convert_ids_to_tokens(tokenizer("a", add_special_tokens=False)["input_ids"])[0]
    writer.add_add_space_prefix(first.startswith("\u2581"))


def _scores(raw: dict[str, Any]) -> dict[str, float]:
    """SentencePiece joins the pair whose result scores highest; here the earliest merge does.

    It may join any two neighbours whose result is a token, so every such pair has to be among the merges.
    """
    pairs = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ", 1)) for pair in raw["model"]["merges"]]
    ranks: dict[str, float] = {}
    for rank, (left, right) in enumerate(pairs):
        ranks.setdefault(left + right, -float(rank))
    known, vocabulary = set(pairs), raw["model"]["vocab"]
    for text in ranks:
        for cut in range(1, len(text)):
            pair = (text[:cut], text[cut:])
            if pair[0] in vocabulary and pair[1] in vocabulary and pair not in known:
                raise CannotConvert("its tokenizer's merges can't be said as SentencePiece scores")
    return ranks


def _add_special(writer: Any, tokenizer: Any, directory: Path) -> None:
    for name, add in (("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id), ("unk", writer.add_unk_token_id),
                      ("pad", writer.add_pad_token_id)):  # fmt: skip
        if (number := getattr(tokenizer, f"{name}_token_id")) is not None:
            add(number)
    ids = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(ids[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(ids[-1] == tokenizer.eos_token_id)
    if (turn := _end_of_turn(tokenizer, directory)) is not None:
        writer.add_eot_token_id(turn)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def _end_of_turn(tokenizer: Any, directory: Path) -> int | None:
    """A second token that ends an answer, where the model's generation settings name one."""
    try:
        ends = json.loads((directory / "generation_config.json").read_text()).get("eos_token_id")
    except (OSError, ValueError):
        return None
    others = [end for end in (ends if isinstance(ends, list) else [ends]) if end not in (None, tokenizer.eos_token_id)]
    return others[0] if others and others[0] < len(tokenizer) else None
