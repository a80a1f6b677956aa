"""The frame of bars that are drawn on the server: they need no script, print, and can be read out."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString


def framed(rects: SafeString, *, width: int, height: int, label: str, first: str, last: str, top: str = "") -> SafeString:
    """`rects` of a `width` × `height` drawing, with what its two ends and its top stand for.

    The drawing is stretched to the place it has; the words are not part of it, so that they stay readable on a phone.
    """
    return format_html(
        '{}<svg class="bars" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}'
        '<line class="axis" x1="0" y1="{}" x2="{}" y2="{}"/></svg><p class="bars-ends"><span>{}</span><span>{}</span></p>',
        format_html('<p class="bars-ends">{}</p>', top) if top else "",
        width, height, label, rects, height, width, height, first, last,
    )  # fmt: skip
