"""Model cards: Markdown that strangers wrote, as HTML that can do no harm and loads nothing."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import urljoin

import nh3
from markdown_it import MarkdownIt

TAGS = {"a", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em", "h3", "h4", "h5", "h6", "hr", "i", "b", "li", "ol", "p",
        "pre", "s", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"}  # fmt: skip
MAX_CHARACTERS = 200_000
_FRONT = re.compile(r"\A\s*---\r?\n.*?\r?\n---\s*\r?\n", re.DOTALL)
_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_HEADING = re.compile(r"<(/?)h([1-6])\b[^>]*>")
_OWN = re.compile(r"""\b(src|alt)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)


def render_card(text: str, address: str) -> str:
    """The card without its front matter. Pictures become links, links leave the page, headings begin at the third level.

    `address` is the repository's page, which relative links are relative to.
    """
    body = _FRONT.sub("", text)[:MAX_CHARACTERS]
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(body)
    html = _HEADING.sub(lambda tag: f"<{tag[1]}h{min(6, int(tag[2]) + 2)}>", _IMAGE.sub(_link_for_image, html))

    def absolute(tag: str, attribute: str, value: str) -> str | None:
        if attribute != "href" or value.startswith("#"):
            return None if attribute == "href" else value
        return urljoin(f"{address}/blob/main/", value)

    return nh3.clean(
        html, tags=TAGS, attributes={"a": {"href"}, "td": {"align"}, "th": {"align"}}, url_schemes={"http", "https"},
        attribute_filter=absolute, link_rel="noopener noreferrer nofollow", clean_content_tags={"script", "style"},
        set_tag_attribute_values={"pre": {"tabindex": "0"}, "table": {"tabindex": "0"}},  # they scroll, so the keyboard must reach them
    )  # fmt: skip


def _link_for_image(tag: re.Match[str]) -> str:
    found = {name.lower(): double or single for name, double, single in _OWN.findall(tag[0])}
    source, alt = found.get("src", ""), found.get("alt", "")
    return f'<a href="{escape(source, quote=True)}">{escape(alt) or "Picture"}</a>' if source else ""
