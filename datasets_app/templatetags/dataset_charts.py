"""Bars drawn on the server: they need no script, print, and can be read out."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from finetune.core.templatetags.ui import compact

register = template.Library()
WIDTH, HEIGHT, FOOT, GAP = 600, 160, 18, 2


@register.simple_tag
def histogram(bars: list[dict[str, Any]], label: str, limit: int | None = None) -> SafeString:
    """Rows by length; a line marks `limit`, and the bars beyond it are coloured as cut."""
    if not bars:
        return SafeString("")
    tallest = max(bar["rows"] for bar in bars) or 1
    step = WIDTH / len(bars)
    rects = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}–{} tokens: {} rows</title></rect>',
        (
            (
                "bar-cut" if limit and bar["from"] > limit else "bar",
                f"{at * step:.1f}",
                f"{HEIGHT - HEIGHT * bar['rows'] / tallest:.1f}",
                f"{step - GAP:.1f}",
                f"{HEIGHT * bar['rows'] / tallest:.1f}",
                f"{bar['from']:,}",
                f"{bar['to']:,}",
                f"{bar['rows']:,}",
            )
            for at, bar in enumerate(bars)
        ),
    )
    return format_html(
        '<svg class="bars" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<line class="axis" x1="0" y1="{}" x2="{}" y2="{}"/>'
        '<text x="0" y="{}">{}</text><text x="{}" y="{}" text-anchor="end">{}</text></svg>',
        WIDTH, HEIGHT + FOOT, label, rects, HEIGHT, WIDTH, HEIGHT, HEIGHT + FOOT - 4, compact(bars[0]["from"]),
        WIDTH, HEIGHT + FOOT - 4, compact(bars[-1]["to"]),
    )  # fmt: skip


@register.filter
def shares(counts: dict[str, int]) -> list[dict[str, Any]]:
    """{name: number} → [{name, count, share of the largest, share of all}], for rows of meters."""
    total, largest = sum(counts.values()) or 1, max(counts.values(), default=1) or 1
    return [
        {"name": name, "count": count, "of_largest": count / largest, "of_all": count / total} for name, count in counts.items()
    ]


@register.filter
def percent(share: float | None) -> str:
    """0.034 → 3.4 %."""
    return "–" if share is None else f"{share * 100:.1f} %"
