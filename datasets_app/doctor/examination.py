"""One pass over the rows, beside the reader's: every row is looked at once, and what is found is counted and partly kept."""

from __future__ import annotations

from typing import Any

from datasets_app.doctor import comparisons, texts, tools, turns
from datasets_app.doctor.fixes import TURNS
from datasets_app.doctor.summary import Summary
from datasets_app.doctor.together import Together
from datasets_app.formats.picking import columns_of
from datasets_app.formats.problems import EXCERPT, KEPT_PER_RULE, Problem, Problems
from datasets_app.formats.schemas import SHAPES, Shape, apply_mapping

LONG_ROW = 2048  # tokens, estimated, where no max_length was named


class Doctor:
    """Looks at the rows of one file. `mapping` and `shape` say which columns of the raw rows are in use."""

    def __init__(self, shape: Shape, mapping: dict[str, Any], problems: Problems, max_length: int | None = None):
        self.shape, self.mapping, self.problems = shape, mapping, problems
        self.max_length = max_length or LONG_ROW
        self.summary, self.together, self.lengths = Summary(), Together(shape.kind), comparisons.Lengths()
        self.used = set(columns_of(mapping)) | (set(shape.fields) - set(mapping))
        self.columns: dict[str, None] = {}
        self.others = [other for other in SHAPES if other is not shape and not _within(other, shape)]

    def row(self, line: int, number: int, raw: dict[str, Any], row: dict[str, Any]) -> None:
        """One usable row: as it was read and as it is stored."""
        where = _Where(self.problems, line, number)
        if len(self.columns) < 500:
            self.columns.update(dict.fromkeys(raw))
        self._two_formats(raw, where)
        said = said_in(row)
        for path, role, text in said:
            self._text(path, role, text, where)
        self._turns(row, where)
        tokens = self.summary.add(row, raw, said)
        if tokens > self.max_length:
            where.note("long_rows", f"About {tokens:,} tokens, more than {self.max_length:,}.", "", "")
        before = self.together.add(line, row)
        if before is not None:
            where.note("conflicting", f"The question of line {before} again, with another answer.", "", "")

    def _text(self, path: str, role: str, text: str, where: _Where) -> None:
        for rule, words, at in texts.problems_of(text):
            if where.is_new(rule):
                where.note(rule, words, path, texts.masked(text[max(0, at - 60) : at + EXCERPT]))
        if role == "assistant" and text != text.strip() and text.strip():
            where.note("outer_space", "Blanks or line breaks stand around the answer.", path, "")

    def _turns(self, row: dict[str, Any], where: _Where) -> None:
        if self.shape.kind == "preference":
            for rule, words, path in comparisons.problems_of(row, self.lengths):
                where.note(rule, words, path, "")
        messages = row.get("messages")
        if messages is None:
            return
        for rule, words, path in turns.problems_of(messages, "messages"):
            where.note(rule, words, path, "")
        for rule, words, path in tools.problems_of(messages, row.get("tools"), "messages"):
            where.note(rule, words, path, "")
        if row.get("tools"):
            self.together.toolsets[tools.names_of(row["tools"])] += 1

    def _two_formats(self, raw: dict[str, Any], where: _Where) -> None:
        if len(raw) == len(self.used & set(raw)) and not self.others:
            return
        ours = apply_mapping(raw, self.mapping)
        other = next((other for other in self.others if other.fits(ours)), None)
        if other:
            names = ", ".join(name for group in other.needs for name in group if name in ours)
            where.note("two_formats", f"The row also has the fields of {other.format} ({names}); they are not used.", "", "")

    def finish(self) -> dict[str, Any]:
        """Say what only the whole shows; the summary."""
        for problem in self.together.findings():
            self.problems.add(problem)
        if words := self.lengths.bias():
            self.problems.add(Problem("length_bias", words))
        unused = [name for name in self.columns if name not in self.used]
        if unused:
            words = f"Nothing is learned from {', '.join(f'“{name[:40]}”' for name in unused[:8])}{' and more' if len(unused) > 8 else ''}."
            self.problems.add(Problem("unused_columns", words, line=1))
        self._similar_columns()
        languages = {code or "unknown": count for code, count in self.together.languages.most_common(12)}
        return self.summary.as_dict() | {"languages": languages}

    def _similar_columns(self) -> None:
        lower: dict[str, str] = {}
        for name in self.columns:
            twin = lower.setdefault(name.strip().lower(), name)
            if twin != name:
                words = f"“{twin}” and “{name}” are two columns that differ by case or blanks only."
                self.problems.add(Problem("similar_columns", words, line=1, column=name))


class _Where:
    """The place of one row; each rule is noted once a row, so that counts are rows."""

    def __init__(self, problems: Problems, line: int, number: int):
        self.problems, self.line, self.number = problems, line, number
        self.noted: set[str] = set()

    def is_new(self, rule: str) -> bool:
        return rule not in self.noted

    def note(self, rule: str, words: str, path: str, excerpt: str) -> None:
        if rule in self.noted:
            return
        self.noted.add(rule)
        kept = self.problems.counts[rule] < KEPT_PER_RULE
        self.problems.add(Problem(rule, words, self.line, self.number, path.partition("[")[0], path, excerpt if kept else ""))


def said_in(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(path, role, text) of everything a row says; the role of plain text is ""."""
    if "text" in row:
        return [("text", "", row["text"])]
    return [
        (f"{name}[{at}].content", message["role"], message["content"])
        for name in TURNS
        for at, message in enumerate(row.get(name) or [])
    ]


def _within(other: Shape, shape: Shape) -> bool:
    """Whether what makes a row fit `other` is part of what `shape` uses anyway."""
    return all(set(group) & set(shape.fields) for group in other.needs)
