"""The step "where" of a new job's form: a card for this machine and each provider, with its machines, whether the run fits them, how
long it would take and what it would cost, and what stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from accounts.models import User
from training.executors import EXECUTORS, Hardware, load
from training.services.estimate_places import MachineEstimate

GIB = 1024**3
VERDICTS = {
    "fits": ("ok", "fits"),
    "tight": ("warn", "only just"),
    "too_small": ("bad", "too little memory"),
    "too_few": ("bad", "too few GPUs"),
    "unknown": ("", ""),
}
# What to do about a machine that can't be chosen.
ADVICE = {
    "too_small": "Take a larger one, or make the run smaller: QLoRA, a smaller batch, shorter rows.",
    "too_few": "Take a machine with more GPUs, or lower num_gpus.",
}


@dataclass(frozen=True)
class Machine:
    """One line of a provider's list. `off` says that it can't be chosen, `advice` what would change that. `estimate` is there once
    the form says what is to run."""

    id: str
    name: str
    memory: str
    price: str
    chosen: bool
    off: bool = False
    tone: str = ""
    fit: str = ""
    advice: str = ""
    cheapest: bool = False
    estimate: MachineEstimate | None = None

    @property
    def cost(self) -> str:
        """In words: a run of some seconds costs less than can be written."""
        if self.estimate is None:
            return ""
        low, high = self.estimate.cost.low, self.estimate.cost.high
        return f"${low:.2f} – {high:.2f}" if high >= 0.01 else "under $0.01" if high else "free"


@dataclass(frozen=True)
class PlaceCard:
    """One place; `reason` says why it can't be chosen, `remedy` is the page where that can be changed, `note` what may go wrong there.
    `here` is the estimate for this machine."""

    value: str
    label: str
    help: str
    reason: str
    remedy: str
    note: str
    checked: bool
    machines: list[Machine]
    prices: str
    here: Machine | None = None

    @property
    def field(self) -> str:
        return hardware_field(self.value)


def hardware_field(executor: str) -> str:
    """The form field with this provider's hardware: each has its own, so that choosing works without JavaScript."""
    return f"hardware_{executor}"


def known_place(value: Any) -> str:
    """The executor a form names; this machine where it names none."""
    return str(value) if value in EXECUTORS else "local"


def place_cards(
    owner: User,
    values: Any,
    estimates: Sequence[MachineEstimate] = (),
    troubles: dict[str, str] | None = None,
    notes: dict[str, str] | None = None,
) -> list[PlaceCard]:
    """`values` are the form's, by name; `troubles` and `notes` say, by executor, why this run can't be there, and what may go wrong."""
    known = {(found.executor, found.hardware): found for found in estimates}
    return [_card(name, owner, values, known, (troubles or {}).get(name, ""), (notes or {}).get(name, "")) for name in EXECUTORS]


def chosen_hardware(executor: str, values: Any, offered: list[Hardware] | None = None) -> str:
    """What the form says for this executor; the first GPU where it says nothing yet."""
    if load(executor).is_here:
        return ""
    told = values.get(hardware_field(executor)) or (values.get("hardware") if values.get("executor") == executor else "")
    return str(told or _first(load(executor).capabilities().hardware if offered is None else offered))


def _card(name: str, owner: User, values: Any, known: dict[tuple[str, str], MachineEstimate], trouble: str, note: str) -> PlaceCard:
    place = load(name)
    told = place.capabilities(owner)
    reason = trouble if told.usable else told.reason or "Not usable now."
    here = _here(known.get((name, ""))) if place.is_here else None
    machines = [] if place.is_here else _machines(name, told.hardware, values, known)
    checked = name == known_place(values.get("executor"))
    return PlaceCard(
        name, told.name, told.description, reason, told.remedy, note, checked, machines, _source(told.hardware), here
    )  # fmt: skip


def _machines(name: str, hardware: list[Hardware], values: Any, known: dict[tuple[str, str], MachineEstimate]) -> list[Machine]:
    """Those with as many GPUs as the run asks for, and the one that is chosen; more GPUs than asked for would only cost more. The
    cheapest comes first, and what is too small last."""
    chosen, gpus = chosen_hardware(name, values, hardware), _gpus(values)
    shown = [item for item in hardware if item.id == chosen or (item.count == gpus and (item.kind == "cuda" or gpus == 1))]
    fitting = [found for item in shown if (found := known.get((name, item.id))) and found.verdict == "fits"]
    cheapest = min(fitting, key=lambda found: found.cost.high, default=None)
    listed = [_machine(item, item.id == chosen, known.get((name, item.id)), cheapest) for item in shown]
    return sorted(listed, key=lambda machine: machine.tone == "bad")


def _machine(item: Hardware, chosen: bool, found: MachineEstimate | None, cheapest: MachineEstimate | None) -> Machine:
    # As makers name it: a card of 16 GB has 16 GiB.
    memory = f"{item.memory_bytes / GIB:.0f} GB{' each' if item.count > 1 else ''}" if item.memory_bytes else ""
    price = f"${item.price_per_hour:.2f}/h" if item.price_per_hour else "free"
    machine = Machine(item.id, item.name, memory, price, chosen)
    if found is None:
        return machine
    off = found.verdict in ADVICE and not chosen
    return replace(_estimated(machine, found), off=off, advice=ADVICE.get(found.verdict, ""), cheapest=found is cheapest)


def _estimated(machine: Machine, found: MachineEstimate) -> Machine:
    tone, fit = VERDICTS[found.verdict]
    words = f"Needs {found.needed_bytes / GIB:.1f} GB{f': {fit}' if fit else ''}"
    return replace(machine, tone=tone, fit=words, estimate=found)


def _here(found: MachineEstimate | None) -> Machine | None:
    if found is None:
        return None
    memory = f"{found.memory_bytes / GIB:.0f} GB free" if found.memory_bytes else ""
    return _estimated(Machine("", "", memory, "free", chosen=True), found)


def _gpus(values: Any) -> int:
    text = str(values.get("num_gpus") or "")
    return max(1, int(text)) if text.isdecimal() and len(text) < 4 else 1


def _first(hardware: list[Hardware]) -> str:
    gpus = [item.id for item in hardware if item.kind == "cuda"]
    return (gpus or [item.id for item in hardware] or [""])[0]


def _source(hardware: list[Hardware]) -> str:
    """Where the newest of the prices is from; a list with its own and an operator's says so by the row's page."""
    dated = [item for item in hardware if item.price_as_of]
    newest = max(dated, key=lambda item: item.price_as_of or "", default=None)
    return f"Prices of {newest.price_as_of}, {newest.price_source}." if newest else ""
