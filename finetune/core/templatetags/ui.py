"""Filters and tags every template has: human sizes, durations and times, icons, query strings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django import template
from django.forms.utils import flatatt
from django.http import QueryDict
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    from typing_extensions import TypeIs

register = template.Library()

# Status word (of datasets, models and jobs) → badge tone and the words people read.
STATUSES = {
    "draft": ("idle", "Draft"),
    "uploaded": ("idle", "Uploaded"),
    "remote": ("idle", "Not downloaded"),
    "queued": ("idle", "Queued"),
    "cancelled": ("idle", "Cancelled"),
    "validating": ("run", "Checking"),
    "downloading": ("run", "Downloading"),
    "making": ("run", "Being made"),
    "running": ("run", "Running"),
    "cancelling": ("warn", "Cancelling"),
    "ready": ("ok", "Ready"),
    "succeeded": ("ok", "Succeeded"),
    "done": ("ok", "Done"),
    "invalid": ("bad", "Invalid"),
    "failed": ("bad", "Failed"),
}


METHODS = {
    "lora": "LoRA",
    "qlora": "QLoRA",
    "sft": "Full fine-tuning",
    "dpo": "DPO",
    "orpo": "ORPO",
    "kto": "KTO",
    "pretrain": "Continued pre-training",
}


EXECUTORS = {
    "local": "This installation",
    "modal": "Modal",
    "hf_jobs": "Hugging Face Jobs",
    "hf_spaces": "Hugging Face Spaces",
}


def _missing(value: Any) -> TypeIs[None]:
    """None, or the "" by which Django's templates pass on a name that is not there."""
    return value is None or value == ""


@register.filter
def size(value: float | str | None) -> str:
    """Bytes for people, decimal units: 1.2 GB."""
    if _missing(value):
        return "–"
    number = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


@register.filter
def compact(value: float | str | None) -> str:
    """A count for people: 1,234 · 12.3k · 1.2M · 7.0B."""
    if _missing(value):
        return "–"
    number = float(value)
    if abs(number) < 10_000:
        return f"{number:,.0f}"
    for unit in ("k", "M", "B"):
        number /= 1000
        if abs(number) < 1000:
            return f"{number:.1f}{unit}"
    return f"{number / 1000:.1f}T"


@register.filter
def duration(seconds: float | str | None) -> str:
    """Seconds for people: 4 s · 3 min 12 s · 2 h 5 min · 3 d 4 h."""
    if _missing(seconds):
        return "–"
    whole = max(0, round(float(seconds)))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """A relative time with the absolute one on hover."""
    if moment is None:
        return "–"
    seconds = (timezone.now() - moment).total_seconds()
    words = "just now" if seconds < 10 else f"{duration(seconds).rsplit(' ', 2)[0] if seconds >= 60 else duration(seconds)} ago"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S} UTC", words)


@register.filter
def ahead(moment: datetime | None) -> SafeString | str:
    """A coming moment for people: `in 5 min`, with the moment itself on hover."""
    if moment is None:
        return "–"
    seconds = (moment - timezone.now()).total_seconds()
    words = "now" if seconds < 10 else f"in {duration(seconds).rsplit(' ', 2)[0] if seconds >= 60 else duration(seconds)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S} UTC", words)


@register.filter
def decimals(value: float | str | None, places: int = 4) -> str:
    """A number to at most four decimals, without trailing zeros; an en dash for none."""
    return "–" if _missing(value) else f"{float(value):.{int(places)}f}"


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """mapping[key], or nothing."""
    return mapping.get(key) if hasattr(mapping, "get") else None


@register.filter
def option_value(value: Any) -> str:
    """The value of an option as people read it."""
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return (" · " if any(" " in str(item) for item in value) else ", ").join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


@register.filter
def result_value(value: float | None, field: str) -> str:
    """A measured value in the unit its name tells."""
    if field.endswith("_bytes"):
        return size(value)
    if field.endswith("_seconds"):
        return duration(value)
    return compact(value) if field == "num_tokens" else decimals(value)


@register.filter
def percent(fraction: float | str | None) -> str:
    """0.256 → 26 %."""
    return "–" if _missing(fraction) else f"{100 * float(fraction):.0f} %"


@register.filter
def tone(status: str) -> str:
    """The badge class of a status: ok, run, warn, bad or idle."""
    return STATUSES.get(status, ("idle", ""))[0]


@register.filter
def status_words(status: str, phase: str = "") -> str:
    """A status in words; while it runs, the phase says more."""
    if status == "running" and phase:
        return phase.capitalize()
    return STATUSES[status][1] if status in STATUSES else str(status).replace("_", " ").capitalize()


@register.filter
def method_words(method: str) -> str:
    """A training method as people call it."""
    return METHODS.get(method, method)


METHODS_SHORT = METHODS | {"sft": "Full", "pretrain": "Pretrain"}


@register.filter
def method_names(methods: list[str]) -> str:
    """Several training methods, as short as people say them."""
    return ", ".join(METHODS_SHORT.get(method, method) for method in methods)


@register.filter
def executor_words(executor: str) -> str:
    """Where a job runs, in words."""
    return EXECUTORS.get(executor, executor)


@register.simple_tag
def status_badge(status: str, phase: str = "") -> SafeString:
    """The badge of a status; `phase` says more while it runs."""
    return format_html('<span class="badge badge-{}">{}</span>', tone(status), status_words(status, phase))


@register.simple_tag
def options(choices: Iterable[tuple[Any, str]], chosen: Any = "") -> SafeString:
    """The options of a select that may have hundreds, from (value, label) pairs; `chosen` is a value as an address has it."""
    rows = ((value, SafeString(" selected" if str(value) == chosen else ""), label) for value, label in choices)
    return format_html_join("", '<option value="{}"{}>{}</option>', rows)


@register.simple_tag
def widget_options(choices: Iterable[dict[str, Any]]) -> SafeString:
    """The options of one group of a form's select, as Django's own templates write them."""
    rows = ((option["value"], flatatt(option["attrs"]), option["label"]) for option in choices)
    return format_html_join("", '\n  <option value="{}"{}>{}</option>', rows)


@register.simple_tag
@lru_cache(maxsize=500)
def icon(name: str, title: str = "") -> SafeString:
    """One symbol of static/icons.svg; without a title it is decoration for screen readers."""
    label = format_html('role="img" aria-label="{}"', title) if title else SafeString('aria-hidden="true"')
    return format_html('<svg class="icon" {}><use href="{}#{}"></use></svg>', label, static("icons.svg"), name)


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """This page's query string with some parameters changed; None or "" drops one."""
    params: QueryDict = context["request"].GET.copy()
    for key, value in changes.items():
        if value in (None, ""):
            params.pop(key, None)
        else:
            params[key] = value
    return f"?{params.urlencode()}"


@register.simple_tag(takes_context=True)
def nav_link(context: template.Context, name: str, label: str, symbol: str) -> SafeString:
    """A link of the main navigation; marked as current on its page and on the pages below it."""
    href, path = reverse(name), context["request"].path
    here = path == href or (href != "/" and path.startswith(href))
    current = SafeString(' aria-current="page"') if here else ""
    return format_html(
        '<a class="nav-link" href="{}"{} title="{}">{}<span>{}</span></a>', href, current, label, icon(symbol), label
    )
