"""Which files of a Hub repository are one subset's split: as its card says, else by the names of folders and files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from datasets_app.formats.source import Unreadable, suffix_of

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
# One kind is taken where a repository holds the rows in several.
KINDS = ("parquet", "jsonl", "ndjson", "json", "csv", "tsv", "txt", "md")
NOT_DATA = frozenset({"readme.md", "license.md", "license.txt", "dataset_info.json", "dataset_infos.json", "config.json", "dataset_dict.json",
                      "state.json", "changelog.md", "contributing.md", "requirements.txt", "citation.txt"})  # fmt: skip


class NoSuchFiles(ValueError):
    """The repository does not have that; `field` is what to change, the text says to what."""

    def __init__(self, field: str, words: str):
        super().__init__(words)
        self.field = field


def choose_files(files: Iterable[str], configs: list[dict[str, Any]], subset: str = "", split: str = "") -> list[str]:
    """The paths of the split (train, or all there is, without one), in order; raises NoSuchFiles."""
    usable = sorted(path for path in files if _is_data(path))
    if not usable:
        raise NoSuchFiles("repo_id", "The repository has no files we can read: Parquet, JSON, JSONL, CSV, TSV or text.")
    named = [config for config in configs if config.get("data_files")]
    if named:
        return _by_card(usable, named, subset, split)
    mine = _of_subset(usable, subset)
    return _one_kind(_of_split(mine, split))


def _is_data(path: str) -> bool:
    pure = PurePosixPath(path)
    if pure.name.lower() in NOT_DATA or any(part.startswith(".") for part in pure.parts):
        return False
    try:
        return bool(suffix_of(pure.name))
    except Unreadable:
        return False


def _by_card(files: list[str], configs: list[dict[str, Any]], subset: str, split: str) -> list[str]:
    names = [str(config.get("config_name", "default")) for config in configs]
    wanted = subset or next((name for name, config in zip(names, configs, strict=True) if config.get("default")), "")
    wanted = wanted or ("default" if "default" in names else names[0])
    if wanted not in names:
        raise NoSuchFiles("subset", f"There is no subset “{wanted[:60]}”. There is: {', '.join(names[:20])}.")
    parts = _splits_of(configs[names.index(wanted)]["data_files"])
    name = split or ("train" if "train" in parts else next(iter(parts)))
    if name not in parts:
        raise NoSuchFiles("split", f"There is no split “{name[:60]}”. There is: {', '.join(parts)}.")
    found = [path for path in files if any(_fits(path, pattern) for pattern in parts[name])]
    if not found:
        raise NoSuchFiles("split", "The repository's card names files that are not there.")
    return _one_kind(found)


def _splits_of(data_files: Any) -> dict[str, list[str]]:
    """A card's data_files, in any of its spellings, as split → patterns."""
    if isinstance(data_files, Mapping):
        return {str(name): _listed(paths) for name, paths in data_files.items()}
    if isinstance(data_files, list) and all(isinstance(item, Mapping) for item in data_files):
        return {str(item.get("split", "train")): _listed(item.get("path")) for item in data_files}
    return {"train": _listed(data_files)}


def _listed(paths: Any) -> list[str]:
    return [str(path).removeprefix("./") for path in (paths if isinstance(paths, list) else [paths])]


def _fits(path: str, pattern: str) -> bool:
    """`*` within a folder, `**` over folders."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.fullmatch("".join(meaning.get(part, re.escape(part)) for part in parts), path) is not None


def _of_subset(files: list[str], subset: str) -> list[str]:
    if not subset:
        return files
    found = [path for path in files if subset in PurePosixPath(path).parts[:-1]] or [
        path for path in files if subset in _words(path)
    ]
    if not found:
        folders = sorted({part for path in files for part in PurePosixPath(path).parts[:-1]} - {"data"})
        there = f" Its folders are: {', '.join(folders[:20])}." if folders else " It has no subsets; leave the field empty."
        raise NoSuchFiles("subset", f"There is no subset “{subset[:60]}”.{there}")
    return found


def _words(path: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", path.lower()))


def _of_split(files: list[str], split: str) -> list[str]:
    by_split: dict[str, list[str]] = {}
    for path in files:
        words = _words(path)
        name = next((name for name, spellings in SPLITS.items() if words & set(spellings)), "")
        by_split.setdefault(name, []).append(path)
    if not split:
        return by_split.get("train") or by_split.get("") or files
    canonical = next((name for name, spellings in SPLITS.items() if split.lower() in spellings), split)
    if canonical in by_split:
        return by_split[canonical]
    if canonical == "train" and set(by_split) == {""}:
        return files
    if other := [path for path in files if split.lower() in _words(path)]:
        return other
    there = [name for name in by_split if name]
    raise NoSuchFiles("split", f"There is no split “{split[:60]}”. There is: {', '.join(there) or 'train'}.")


def _one_kind(files: list[str]) -> list[str]:
    kinds = {path: suffix_of(path).split(".")[1] for path in files}
    best = min(kinds.values(), key=KINDS.index)
    return [path for path in files if kinds[path] == best]
