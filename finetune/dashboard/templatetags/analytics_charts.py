"""The bars of the analytics."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from finetune.core.bars import framed
from finetune.core.templatetags.ui import compact

register = template.Library()
WIDTH, HEIGHT = 720, 150
# From the bottom up, with the class that colours it.
PARTS = (("succeeded", "bar-ok"), ("failed", "bar-bad"), ("cancelled", "bar-idle"))


@register.simple_tag
def bars_per_day(days: list[dict[str, Any]], keys: str, label: str) -> SafeString:
    """A bar for each day: `keys` is `ends` (three outcomes on each other) or the name of one number."""
    parts = PARTS if keys == "ends" else ((keys, "bar"),)
    tallest = max((sum(day[name] for name, _ in parts) for day in days), default=0)
    step = WIDTH / max(1, len(days))
    rects = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        _rects(days, parts, step, tallest or 1),
    )
    ends = {"first": f"{days[0]['day']:%-d %b}", "last": f"{days[-1]['day']:%-d %b}"}
    return framed(rects, width=WIDTH, height=HEIGHT, label=label, top=compact(tallest), **ends)


def _rects(days: list[dict[str, Any]], parts: tuple[tuple[str, str], ...], step: float, tallest: float) -> list[tuple]:
    found = []
    for place, day in enumerate(days):
        floor = float(HEIGHT)
        for name, css in parts:
            height = HEIGHT * day[name] / tallest
            floor -= height
            if height:
                words = f"{day['day']:%-d %b}: {day[name]:,} {name}"
                found.append((css, f"{place * step:.1f}", f"{floor:.1f}", f"{max(1.0, step - 2):.1f}", f"{height:.1f}", words))
    return found


@register.simple_tag
def meter(rows: list[dict[str, Any]], key: str, value: float | None, label: str) -> SafeString:
    """How much of the largest `key` of the rows this value is, as a bar."""
    most = max((row[key] or 0 for row in rows), default=0) or 1
    return format_html(
        '<progress class="meter" max="1" value="{}" aria-label="{}"></progress>', f"{(value or 0) / most:.4f}", label
    )
