"""The bars of the analytics, drawn on the server: they need no script, print, and can be read out."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from finetune.core.templatetags.ui import compact

register = template.Library()
WIDTH, HEIGHT, FOOT, TOP = 720, 150, 20, 14
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
    foot = TOP + HEIGHT + FOOT - 4
    return format_html(
        '<svg class="bars" viewBox="0 0 {} {}" role="img" aria-label="{}"><text x="0" y="10">{}</text>{}'
        '<line class="axis" x1="0" y1="{}" x2="{}" y2="{}"/>'
        '<text x="0" y="{}">{}</text><text x="{}" y="{}" text-anchor="end">{}</text></svg>',
        WIDTH, TOP + HEIGHT + FOOT, label, compact(tallest), rects, TOP + HEIGHT, WIDTH, TOP + HEIGHT,
        foot, f"{days[0]['day']:%-d %b}", WIDTH, foot, f"{days[-1]['day']:%-d %b}",
    )  # fmt: skip


def _rects(days: list[dict[str, Any]], parts: tuple[tuple[str, str], ...], step: float, tallest: float) -> list[tuple]:
    found = []
    for place, day in enumerate(days):
        floor = float(TOP + HEIGHT)
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
