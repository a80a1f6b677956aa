"""What a provider's machines cost now: an operator's word, else the provider's own, else the list that came with this version."""

from __future__ import annotations

from training.executors import Hardware
from training.models import HardwarePrice
from training.price_list import GB, LISTS

# Seconds from Start to the first training step that are billed besides the run: a machine is found, the image is pulled,
# packages and the model come.
START_UP_SECONDS = {"hf_jobs": 240.0, "hf_spaces": 120.0, "modal": 90.0}


def hardware(executor: str) -> list[Hardware]:
    """Every machine of that provider, cheapest first."""
    machines, source, as_of = LISTS.get(executor, ((), "", ""))
    known = {
        item.id: Hardware(item.id, item.name, item.kind, item.memory_gb * GB, item.price_per_hour, item.count, as_of, source)
        for item in machines
    }
    for row in HardwarePrice.objects.filter(executor=executor):
        known[row.hardware] = Hardware(
            row.hardware, row.name, row.kind, row.memory_bytes, float(row.usd_per_hour), row.count, row.as_of.date().isoformat(), row.source_words
        )  # fmt: skip
    return sorted(known.values(), key=lambda item: (item.price_per_hour or 0.0, item.id))


def find_hardware(executor: str, hardware_id: str) -> Hardware | None:
    return next((item for item in hardware(executor) if item.id == hardware_id), None)


def cost(price_per_hour: float | None, seconds: float) -> float:
    """USD, to a hundredth of a cent."""
    return round((price_per_hour or 0.0) * seconds / 3600, 4)
