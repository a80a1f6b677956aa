"""The step "where" of a new job's form: a card for this machine and each provider, with its hardware and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.models import User
from training.executors import EXECUTORS, Hardware, load


@dataclass(frozen=True)
class Machine:
    """One line of a provider's list."""

    id: str
    words: str
    chosen: bool


@dataclass(frozen=True)
class PlaceCard:
    """One place; `reason` says why it can't be chosen, `remedy` is the page where that can be changed."""

    value: str
    label: str
    help: str
    reason: str
    remedy: str
    checked: bool
    machines: list[Machine]
    prices: str

    @property
    def field(self) -> str:
        return hardware_field(self.value)


def hardware_field(executor: str) -> str:
    """The form field with this provider's hardware: each has its own, so that choosing works without JavaScript."""
    return f"hardware_{executor}"


def known_place(value: Any) -> str:
    """The executor a form names; this machine where it names none."""
    return str(value) if value in EXECUTORS else "local"


def place_cards(owner: User, values: Any) -> list[PlaceCard]:
    """`values` are the form's, by name."""
    now = values.get("executor") or "local"
    return [_card(name, owner, now, values) for name in EXECUTORS]


def chosen_hardware(executor: str, values: Any) -> str:
    """What the form says for this executor; the first GPU where it says nothing yet."""
    if load(executor).is_here:
        return ""
    told = values.get(hardware_field(executor)) or (values.get("hardware") if values.get("executor") == executor else "")
    return str(told or _first(load(executor).capabilities().hardware))


def _card(name: str, owner: User, now: str, values: Any) -> PlaceCard:
    place = load(name)
    told = place.capabilities(owner)
    chosen = chosen_hardware(name, values)
    machines = [] if place.is_here else [Machine(item.id, _words(item), item.id == chosen) for item in told.hardware]
    reason = "" if told.usable else told.reason or "Not usable now."
    return PlaceCard(name, told.name, told.description, reason, told.remedy, name == now, machines, _source(told.hardware))


def _first(hardware: list[Hardware]) -> str:
    gpus = [item.id for item in hardware if item.kind == "cuda"]
    return (gpus or [item.id for item in hardware] or [""])[0]


def _words(item: Hardware) -> str:
    # As makers name it: a card of 16 GB has 16 GiB.
    memory = f"{item.memory_bytes / 1024**3:.0f} GB{' each' if item.count > 1 else ''}" if item.memory_bytes else ""
    price = f"${item.price_per_hour:.2f}/h" if item.price_per_hour else "free"
    return " · ".join(part for part in (item.name, memory, price) if part)


def _source(hardware: list[Hardware]) -> str:
    dated = [item for item in hardware if item.price_as_of]
    newest = max(dated, key=lambda item: item.price_as_of or "", default=None)
    return f"Prices of {newest.price_as_of}, {newest.price_source}." if newest else ""
