"""Rows by length as bars, and numbers as shares."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from finetune.core.bars import framed
from finetune.core.templatetags.ui import compact

register = template.Library()
WIDTH, HEIGHT, GAP = 600, 160, 2


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
    ends = {"first": compact(bars[0]["from"]), "last": compact(bars[-1]["to"])}
    return framed(rects, width=WIDTH, height=HEIGHT, label=label, **ends)


@register.filter
def shares(counts: dict[str, int]) -> list[dict[str, Any]]:
    """{name: number} → [{name, count, share of the largest, share of all}], for rows of meters."""
    total, largest = sum(counts.values()) or 1, max(counts.values(), default=1) or 1
    return [
        {"name": name, "count": count, "of_largest": count / largest, "of_all": count / total} for name, count in counts.items()
    ]


@register.filter
def shares_of(counts: dict[str, int], total: int | None) -> list[dict[str, Any]]:
    """The same, each as a share of `total`."""
    return [
        {"name": name, "count": count, "of_largest": count / (total or 1), "of_all": count / (total or 1)}
        for name, count in counts.items()
    ]


@register.filter
def percent(share: float | None) -> str:
    """0.034 → 3.4 %; 0.05 → 5 %."""
    return "–" if share is None else f"{share * 100:.1f}".removesuffix(".0") + " %"
