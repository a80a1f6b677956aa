"""How the lines of each shape look when there is nothing special about them, as patterns, and what is stored of such a line.

A quote inside a text is always escaped, so what stands between two texts can only be what it looks like: `{"from": "human"` is
replaced by `{"role": "user"` without looking where the texts are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from datasets_app.formats.arrowtexts import cut, joined, replaced, sliced
from datasets_app.formats.conversation import CALLS, CONTENT_KEYS, PLAIN, ROLE_KEYS, ROLES
from datasets_app.formats.pairs import CONVERSATIONS
from datasets_app.formats.quotes import Quoted, in_a_row
from datasets_app.formats.schemas import EXTRA_COLUMNS, EXTRA_LENGTH, Shape

MOST_EXTRA = EXTRA_LENGTH  # characters of the other columns together, so that none of them is longer
_SPACES = r"\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_CODE = r"|\\u[0-9a-fA-F]{4}"  # taken out of the patterns that are tried first
_CHAR = rf'(?:[^"\\\x00-\x1f]|\\["\\nrtbf]{_CODE})'
_TEXT = rf'"(?: |\\[nrt])*(?:[!#-\[\]-~]|[^\x00-\x7f{_SPACES}]|\\["\\]{_CODE}){_CHAR}*"'  # not blank
_SCALAR = r'(?:"[^"\\\x00-\x1f]*"|-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?|true|false)'
_BEGIN = re.compile(r'\{"[^"\\]*"(: ?)')
_END = re.compile(r"\}\r?\n\Z")
_SPOKEN = r'"(?: |\\[nrt])*(?:[\[{]|Human:)'  # a text that is read as several turns
Columns = dict[str, Any]  # Arrow strings by name


@dataclass(frozen=True)
class Style:
    """How the file writes what stands between two values."""

    colon: str
    comma: str

    def written(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(self.comma, self.colon))

    def key(self, name: str) -> str:
        return f'"{name}"{self.colon}'

    def turn(self, role: str, role_key: str = "role", content_key: str = "content") -> str:
        """The beginning of a turn, up to its text."""
        return f'{{{self.key(role_key)}"{role}"{self.comma}{self.key(content_key)}'


@dataclass(frozen=True)
class Part:
    """What a shape learns from in a line: its keys, that stand one after the other; their pattern; what is stored of the text from
    behind the first key to the end of the last value. `quoted` says the same of a line that has nothing else, up to its closing brace."""

    keys: tuple[str, ...]
    pattern: str
    columns: Callable[[Any], Columns]
    empties: dict[str, str] = field(default_factory=dict)  # column → how a row is told that has nothing there
    odd: Callable[[Columns], list[Any]] = lambda columns: []  # masks of rows that need a closer look
    quoted: Quoted | None = None


@dataclass(frozen=True)
class Plain:
    """What the lines of a file look like: the part that is learned, and other columns with short values around it."""

    part: Part
    style: Style
    before: tuple[str, ...]
    after: tuple[str, ...]
    end: str
    pattern: str  # of lines without \\u
    pattern_with_codes: str
    quoted: Quoted | None = None  # how most lines are told without the patterns

    @property
    def columns_in_file(self) -> tuple[str, ...]:
        return (*self.before, *self.part.keys, *self.after)

    def columns_of(self, lines: Any) -> Columns:
        """What is stored of lines that fit the pattern; the other columns as `extra`, a JSON object."""
        first, opening, closing, texts = self.style.key(self.part.keys[0]), None, None, lines
        if self.before:
            opening, texts = cut(texts, first)
        if self.after:
            texts, closing = cut(texts, self.style.comma + self.style.key(self.after[0]), last=True)
        texts = sliced(texts, 0 if self.before else 1 + len(first), 0 if self.after else len(self.end))
        extra = {"extra": self._extra(opening, closing)} if self.before or self.after else {}
        return self.part.columns(texts) | extra

    def _extra(self, opening: Any, closing: Any) -> Any:
        import pyarrow.compute as pc

        begin = "{" if opening is None else sliced(opening, 0, len(self.style.comma))
        if closing is None:
            return pc.binary_join_element_wise(begin, "}", "")
        lead = ("," if self.before else "") + self.style.key(self.after[0])
        return pc.binary_join_element_wise(begin, lead, sliced(closing, 0, len(self.end)), "}", "")

    def respelled(self, name: str, text: str) -> str | None:
        """A stored text as it is usually written; None where it is not one to store."""
        try:
            value = json.loads(f'"{text}"' if name == "text" else text)
            found = value if name == "text" else self.style.written(value)
            found.encode()
        except ValueError:  # half a character among them
            return None
        said = [value] if name == "text" else [turn["content"] for turn in value]
        return found if all(words.strip() for words in said) else None


def plain_line(line: str, row: dict[str, Any], shape: Shape, mapping: Mapping[str, Any]) -> Plain | None:
    """What lines look like this one, which was read as `row`; None for a shape or a line that is not plain enough."""
    begin, end = _BEGIN.match(line), _END.search(line)
    make, made_of = _MAKERS.get(shape.format, (None, ()))
    theirs = {name: mapping.get(name, name) for name in (*shape.fields, *CONVERSATIONS)}
    unplanned = [name for name in shape.fields if name not in made_of and theirs[name] in row]
    if begin is None or end is None or make is None or unplanned:
        return None
    style = Style(begin.group(1), ", " if begin.group(1) == ": " else ",")
    part, names = make(row, theirs, style), tuple(row)
    if part is None or not _stand_together(names, part.keys) or len(names) > EXTRA_COLUMNS:
        return None
    before, after = names[: names.index(part.keys[0])], names[names.index(part.keys[-1]) + 1 :]
    comma = re.escape(style.comma)
    opening = "".join(re.escape(style.key(name)) + _SCALAR + comma for name in before)
    closing = "".join(comma + re.escape(style.key(name)) + _SCALAR for name in after)
    pattern = rf"^\{{{opening}{part.pattern}{closing}{re.escape(end.group())}$"
    alone = part.quoted if not before and not after else None
    quoted = replace(alone, end=alone.end + end.group().encode()) if alone else None
    return Plain(part, style, before, after, end.group(), pattern.replace(_CODE, ""), pattern, quoted)


def _stand_together(names: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    return keys[0] in names and names[names.index(keys[0]) :][: len(keys)] == keys


# --- shapes -----------------------------------------------------------------------------------------------------------------


def _chat(row: dict[str, Any], theirs: Mapping[str, str], style: Style) -> Part | None:
    """A list of turns, each a role and a text."""
    column = next((theirs[name] for name in CONVERSATIONS if theirs[name] in row), "")
    turns = row.get(column)
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) and len(turn) == 2 for turn in turns):
        return None
    keys = tuple(turns[0])
    role_key, content_key = keys if keys[0] in ROLE_KEYS else keys[::-1]
    if role_key not in ROLE_KEYS or content_key not in CONTENT_KEYS:
        return None
    said = {ROLES.get(str(turn.get(role_key))): str(turn.get(role_key)) for turn in turns}
    if CALLS & set(said.values()):
        return None
    usual = {"user": "human", "assistant": "gpt"} if role_key == "from" else {}
    names = {role: said.get(role) or usual.get(role, role) for role in ("system", "user", "assistant")}
    if keys[0] == content_key:
        return _content_first(column, keys, names, style)
    begins = {role: style.turn(name, role_key, content_key) for role, name in names.items()}
    pattern = _turns({role: re.escape(begin) + _TEXT + r"\}" for role, begin in begins.items()}, style)
    changes = [(begin, style.turn(role)) for role, begin in begins.items() if begin != style.turn(role)]
    opening, between = "{" + style.key(column) + "[", '"}' + style.comma
    quoted = _spoken_by_turns(
        [f'{opening}{begins[role]}"' for role in ("system", "user")],
        [f'{between}{begins[role]}"' for role in ("user", "assistant")],
        '"}]',
    )
    stored = re.escape(style.key(column)) + pattern
    return Part((column,), stored, lambda texts: {"messages": replaced(texts, changes)}, quoted=quoted)


def _spoken_by_turns(begins: list[str], joints: list[str], end: str) -> Quoted:
    """Before the first text the system or the user is named, before another one the user or the assistant."""
    system, first, user, assistant = range(4)
    follows = frozenset([(system, user), (first, assistant), (user, assistant), (assistant, user)])
    texts = [tuple(text.encode() for text in group) for group in (begins, joints)]
    return Quoted(texts[0], texts[1], end.encode(), follows, frozenset([assistant]))


def _content_first(column: str, keys: tuple[str, ...], names: dict[str, str], style: Style) -> Part | None:
    """Turns that say who speaks behind what was said: they are stored as they are, so nothing may be named otherwise."""
    if keys != ("content", "role") or not set(names.values()) <= set(PLAIN):
        return None
    begin, between = re.escape("{" + style.key("content")), style.comma + style.key("role")
    turns = {role: begin + _TEXT + re.escape(f'{between}"{name}"}}') for role, name in names.items()}
    opening = "{" + style.key("content") + '"'
    joints = [f'"{between}"{names[role]}"}}{style.comma}{opening}' for role in ("system", "user", "assistant")]
    _, system, user, assistant = range(4)
    follows = frozenset([(0, system), (0, user), (system, user), (user, assistant), (assistant, user)])
    quoted = Quoted(
        (("{" + style.key(column) + "[" + opening).encode(),),
        tuple(map(str.encode, joints)),
        f'"{between}"{names["assistant"]}"}}]'.encode(),
        follows,
        frozenset([user]),
    )
    pattern = re.escape(style.key(column)) + _turns(turns, style)
    return Part((column,), pattern, lambda texts: {"messages": texts}, quoted=quoted)


def _turns(turns: dict[str, str], style: Style) -> str:
    """A system turn or none, then question and answer by turns."""
    comma, system, user, answer = re.escape(style.comma), turns["system"], turns["user"], turns["assistant"]
    return rf"\[(?:{system}{comma})?{user}{comma}{answer}(?:{comma}{user}{comma}{answer})*\]"


def _alpaca(row: dict[str, Any], theirs: Mapping[str, str], style: Style) -> Part:
    return _question(style, theirs["instruction"], theirs["input"] if theirs["input"] in row else "", theirs["output"])


def _two_texts(row: dict[str, Any], theirs: Mapping[str, str], style: Style) -> Part:
    return _question(style, theirs["prompt"], "", theirs["completion"])


def _question(style: Style, question: str, more: str, answer: str) -> Part:
    """A question, perhaps more to it, and its answer."""
    keys = tuple(name for name in (question, more, answer) if name)
    values = {more: f'(?:""|{_TEXT})'} if more else {}
    between, joint = style.comma + style.key(answer), f'"{style.comma}{style.key(more)}"'
    nothing = f'{style.comma}{style.key(more)}""{between}'
    second = "}" + style.comma + style.turn("assistant")
    changes = [(nothing, second), (joint, r"\n\n")] if more else []

    def columns(texts: Any) -> Columns:
        return {"messages": joined("[" + style.turn("user"), replaced(texts, [*changes, (between, second)]), "}]")}

    quoted = _one_by_one(keys, style, empty=frozenset([1]) if more else frozenset())
    return Part(keys, _values(keys, values, style), columns, {more: nothing} if more else {}, quoted=quoted)


def _one_by_one(keys: tuple[str, ...], style: Style, empty: frozenset[int] = frozenset()) -> Quoted:
    """Columns that hold a text each."""
    joints = [f'"{style.comma}{style.key(key)}"' for key in keys[1:]]
    return in_a_row("{" + style.key(keys[0]) + '"', joints, '"', empty=empty)


def _preference(row: dict[str, Any], theirs: Mapping[str, str], style: Style) -> Part:
    """A prompt and two answers, all of them texts."""
    names = ("prompt", "chosen", "rejected")
    keys = tuple(theirs[name] for name in names)
    begins = [("[" + style.turn(role)) for role in ("user", "assistant", "assistant")]

    def columns(texts: Any) -> Columns:
        prompt, rest = cut(texts, style.comma + style.key(keys[1]))
        chosen, rejected = cut(rest, style.comma + style.key(keys[2]))
        given = zip(names, begins, (prompt, chosen, rejected), strict=True)
        return {name: joined(begin, text, "}]") for name, begin, text in given}

    def odd(found: Columns) -> list[Any]:
        import pyarrow.compute as pc

        spoken = [
            pc.match_substring_regex(found[name], f"^{re.escape(begin)}{_SPOKEN}")
            for name, begin in zip(names, begins, strict=True)
        ]
        return [pc.equal(found["chosen"], found["rejected"]), *spoken]

    return Part(keys, _values(keys, {}, style), columns, odd=odd, quoted=_one_by_one(keys, style))


def _plain_text(row: dict[str, Any], theirs: Mapping[str, str], style: Style) -> Part:
    keys = (theirs["text"],)
    return Part(keys, _values(keys, {}, style), lambda texts: {"text": sliced(texts, 1, 1)}, quoted=_one_by_one(keys, style))


def _values(keys: tuple[str, ...], values: dict[str, str], style: Style) -> str:
    return re.escape(style.comma).join(re.escape(style.key(name)) + values.get(name, _TEXT) for name in keys)


_MAKERS: dict[str, tuple[Callable[[dict[str, Any], Mapping[str, str], Style], Part | None], tuple[str, ...]]] = {
    "openai": (_chat, CONVERSATIONS),
    "sharegpt": (_chat, CONVERSATIONS),
    "alpaca": (_alpaca, ("instruction", "input", "output")),
    "prompt_completion": (_two_texts, ("prompt", "completion")),
    "preference": (_preference, ("prompt", "chosen", "rejected")),
    "text": (_plain_text, ("text",)),
}
