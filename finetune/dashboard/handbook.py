"""The handbook: the Markdown of docs/, as pages and as something to search in. Read once; a file that changed is read again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import nh3
from django.conf import settings
from django.utils.text import slugify

if TYPE_CHECKING:
    from markdown_it.token import Token

DOCS: Path = settings.BASE_DIR / "docs"
# Chapter → pages (names of files in docs/), in the order of reading.
CHAPTERS: dict[str, tuple[str, ...]] = {
    "Begin": ("getting-started", "data-formats", "methods", "models"),
    "Train": ("reading-curves", "hyperparameters", "out-of-memory", "estimates", "data-rules", "cloud"),
    "Use": ("ollama", "api", "cli"),
    "Look up": ("faq", "glossary", "security", "operations", "deployment", "engine", "architecture"),
}
SLUGS = tuple(slug for slugs in CHAPTERS.values() for slug in slugs)
IMAGES = tuple(sorted(path.name for path in (DOCS / "images").glob("*.png")))
EXAMPLES = tuple(sorted(path.name for path in (DOCS / "examples").glob("*.jsonl")))
TAGS = {"a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "hr", "img", "li", "ol", "p", "pre", "strong", "table", "tbody", "td", "th",
        "thead", "tr", "ul", "wbr"}  # fmt: skip
ATTRIBUTES = {
    "a": {"href"},
    "h1": {"id"},
    "h2": {"id"},
    "h3": {"id"},
    "h4": {"id"},
    "ol": {"start"},
    "code": {"class"},
    "img": {"src", "alt", "width", "height", "loading"},
}


@dataclass(frozen=True)
class Section:
    """A heading and the text below it, for searching."""

    title: str
    anchor: str
    text: str


@dataclass(frozen=True)
class HelpPage:
    slug: str
    title: str
    html: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Hit:
    """Where the words were found: `before`, `match`, `after` are the excerpt."""

    page: HelpPage
    section: Section
    before: str
    match: str
    after: str


def read_page(slug: str) -> HelpPage:
    """One of SLUGS."""
    path = DOCS / f"{slug}.md"
    return _parsed(slug, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _parsed(slug: str, modified: int) -> HelpPage:
    from markdown_it import MarkdownIt  # here: it takes a tenth of a second that nobody waits for at the start

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    markdown.add_render_rule("code_inline", _name)
    tokens = markdown.parse((DOCS / f"{slug}.md").read_text())
    sections = _sections(tokens)
    for token in tokens:
        _relink(token)
    html = nh3.clean(
        markdown.renderer.render(tokens, markdown.options, {}), tags=TAGS, attributes=ATTRIBUTES, link_rel="noopener",
        set_tag_attribute_values={"pre": {"tabindex": "0"}, "table": {"tabindex": "0"}},  # they scroll, so the keyboard must reach them
    )  # fmt: skip
    return HelpPage(slug, sections[0].title, html, sections)


def _name(_: object, tokens: list[Token], index: int, *__: object) -> str:
    """A name in a narrow cell breaks after its underscores, not in the middle of a word."""
    return f"<code>{escape(tokens[index].content).replace('_', '_<wbr>')}</code>"


def _sections(tokens: list[Token]) -> tuple[Section, ...]:
    """Every heading with the text up to the next; each heading gets its anchor."""
    found: list[tuple[str, str, list[str]]] = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            title = _plain(tokens[place + 1])
            anchor = slugify(title)
            token.attrSet("id", anchor)
            found.append((title, anchor, []))
        elif found and token.type in ("inline", "fence", "code_block") and tokens[place - 1].type != "heading_open":
            found[-1][2].append(_plain(token))
    return tuple(Section(title, anchor, " ".join(parts)) for title, anchor, parts in found)


def _plain(token: Token) -> str:
    """The text without its marks."""
    if not token.children:
        return token.content
    return "".join(" " if child.type == "softbreak" else child.content for child in token.children)


def _relink(token: Token) -> None:
    """Links between files of docs/ lead to the pages; to what is not shown here, nowhere."""
    for child in token.children or ():
        if child.type == "image" and (name := str(child.attrGet("src")).removeprefix("images/")) in IMAGES:
            width, height = _pixels(DOCS / "images" / name)
            child.attrs |= {"src": f"/help/images/{name}", "width": width, "height": height, "loading": "lazy"}
        href = child.attrGet("href") if child.type == "link_open" else None
        if href and not re.match(r"[a-z]+:|#|/", str(href)):
            child.attrSet("href", _address(str(href)))


def _pixels(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, so that the page keeps its place for it."""
    with open(path, "rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def _address(href: str) -> str:
    name, _, anchor = href.partition("#")
    if name.removesuffix(".md") in SLUGS:
        return f"/help/{name.removesuffix('.md')}" + (f"#{anchor}" if anchor else "")
    if name.removeprefix("examples/") in EXAMPLES:
        return f"/help/{name}"
    return "/api/docs" if name == "openapi.yaml" else "/help"


def search_pages(words: str) -> list[Hit]:
    """The sections that hold every word, those with the words in a heading first; 30 at most."""
    wanted = [word.casefold() for word in words.split()][:8]
    hits: list[tuple[int, Hit]] = []
    for page in map(read_page, SLUGS if wanted else ()):
        for section in page.sections:
            heading, text = f"{page.title} {section.title}".casefold(), section.text.casefold()
            if all(word in heading or word in text for word in wanted):
                in_heading = sum(word in section.title.casefold() for word in wanted)
                hits.append((-in_heading, _hit(page, section, wanted)))
    return [hit for _, hit in sorted(hits, key=lambda found: found[0])][:30]


def _hit(page: HelpPage, section: Section, wanted: list[str]) -> Hit:
    """With the surroundings of the first word that is in the text."""
    at, word = next(((place, word) for word in wanted if (place := section.text.casefold().find(word)) >= 0), (0, ""))
    start, end = max(0, at - 80), at + len(word)
    before = ("… " if start else "") + section.text[start:at]
    return Hit(page, section, before, section.text[at:end], section.text[end : end + 160])
