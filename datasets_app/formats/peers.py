"""Other trainers' ways to say what a file holds, as mappings of ours: LLaMA-Factory's dataset_info.json, Axolotl's types.

Where they drop or change rows without a word we keep them: a column that is not listed still counts under its own name, a first
system turn needs no tag, a row whose turns do not alternate is used with a warning.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

INDEX = "dataset_info.json"
INDEX_BYTES = 4 * 1024**2
_QA = {"prompt": "question", "completion": "answer"}
# Axolotl's type → mapping; {} means that the shape is recognised by itself.
AXOLOTL: dict[str, dict[str, Any]] = {
    "alpaca": {},
    "alpaca_w_system": {},
    "alpaca_w_system.load_open_orca": {"system": "system_prompt", "prompt": "question", "completion": "response"},
    "alpaca_chat.load_qa": _QA,
    "alpaca_chat.load_camel_ai": {"prompt": "message_1", "completion": "message_2"},
    "gpteacher": {"instruction": "instruction", "output": "response"},
    "jeopardy": {"prompt": {"template": "{category}: {question}"}, "completion": "answer"},
    "oasst": {"prompt": "INSTRUCTION", "completion": "RESPONSE"},
    "summarizetldr": {"prompt": {"template": "{article}\n\nTL;DR:"}, "completion": "summary"},
    "context_qa": {"prompt": {"template": "{context}\n\n{question}"}, "completion": "answer"},
    "context_qa.load_v2": {"prompt": {"template": "{context}\n\n{question}"}, "completion": "answer"},
    "reflection": {"instruction": "instruction", "output": "corrected"},
    "metharme": {"prompt": "prompt", "completion": "generation"},
    "pygmalion": {"conversations": "conversations"},
    "chat_template": {},
    "sharegpt": {},
    "completion": {"text": "text"},
    "pretrain": {"text": "text"},
    "input_output": {"segments": "segments"},
    "chatml.intel": {"prompt": "question", "chosen": "chosen", "rejected": "rejected"},
    "chatml.icr": {"prompt": "input", "chosen": "chosen", "rejected": "rejected"},
    "chatml.prompt_pairs": {},
    "chatml.argilla": {"prompt": "instruction", "chosen": "chosen_response", "rejected": "rejected_response"},
    "chatml.ultra": {},
    "chatml.argilla_chat": {},
    "chat_template.default": {},
    "chat_template.argilla_chat": {},
    "chat_template.argilla": {},
    "bradley_terry.chat_template": {},
}
UNSUPPORTED = {"stepwise_supervised": "step-wise rewards are not a kind of data we train on"}


class BadPeer(ValueError):
    """We can't follow this; the text says why."""


def axolotl_mapping(name: Any) -> dict[str, Any]:
    """The mapping that an Axolotl type stands for. `llama3.…` and styles such as `alpaca:chatml` count like their base."""
    if not isinstance(name, str):
        raise BadPeer("name a type such as alpaca, chat_template or completion.")
    base = name.strip().split(":")[0].replace("llama3.", "chatml.", 1)
    if base in UNSUPPORTED:
        raise BadPeer(f"{base} can't be used: {UNSUPPORTED[base]}.")
    if base not in AXOLOTL:
        raise BadPeer(f"“{name[:60]}” is not a type we know. Known are: {', '.join(AXOLOTL)}.")
    return dict(AXOLOTL[base])


def read_index(content: bytes) -> dict[str, dict[str, Any]]:
    """dataset_info.json → {file name: mapping} for its entries that name a file; raises BadPeer."""
    try:
        entries = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise BadPeer(f"{INDEX} is not valid JSON.") from None
    if not isinstance(entries, dict):
        raise BadPeer(f"{INDEX} must be an object: name → entry.")
    found = {}
    for entry in entries.values():
        if isinstance(entry, dict) and isinstance(entry.get("file_name"), str):
            found[PurePosixPath(entry["file_name"]).name] = entry_mapping(entry)
    return found


def entry_mapping(entry: dict[str, Any]) -> dict[str, Any]:
    """One entry of dataset_info.json as a mapping of ours."""
    columns = entry.get("columns")
    columns = {name: column for name, column in columns.items() if isinstance(column, str)} if isinstance(columns, dict) else {}
    if entry.get("formatting", "alpaca") == "alpaca":
        return _alpaca(entry, columns)
    return _conversation(entry, columns)


def _alpaca(entry: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    shared = {name: columns[name] for name in ("system", "history", "tools") if name in columns}
    if entry.get("ranking"):
        names = {
            "prompt": "instruction",
            "query": "input",
            "chosen": "chosen",
            "rejected": "rejected",
            "system": "system",
            "tools": "tools",
        }
        return {ours: columns[theirs] for theirs, ours in names.items() if theirs in columns}
    if "kto_tag" in columns:
        names = {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "kto_tag": "kto_tag",
            "system": "system",
            "tools": "tools",
        }
        return {ours: columns[theirs] for theirs, ours in names.items() if theirs in columns}
    if "prompt" in columns and not {"response", "query"} & set(columns):
        return {"text": columns["prompt"]}  # their way to name the column of a pre-training text
    names = {"prompt": "instruction", "query": "input", "response": "output"}
    return {ours: columns[theirs] for theirs, ours in names.items() if theirs in columns} | shared


def _conversation(entry: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    ours = "messages" if entry.get("formatting") == "openai" else "conversations"
    mapping: dict[str, Any] = {ours: columns["messages"]} if "messages" in columns else {}
    names = ("chosen", "rejected", "system", "tools") if entry.get("ranking") else ("kto_tag", "system", "tools")
    mapping |= {name: columns[name] for name in names if name in columns}
    options = _tags(entry.get("tags"))
    return mapping | ({"options": options} if options else {})


def _tags(tags: Any) -> dict[str, Any]:
    if not isinstance(tags, dict):
        return {}
    roles = {
        "user_tag": "user",
        "assistant_tag": "assistant",
        "observation_tag": "tool",
        "function_tag": "call",
        "system_tag": "system",
    }
    named = {tags[tag]: ours for tag, ours in roles.items() if isinstance(tags.get(tag), str)}
    keys = {"role_tag": "role_key", "content_tag": "content_key"}
    options: dict[str, Any] = {ours: tags[tag] for tag, ours in keys.items() if isinstance(tags.get(tag), str)}
    return options | ({"roles": named} if named else {})
