"""Models kept warm in memory. Adapters of one base share its weights; the least recently used base leaves first."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .adapters import Loaded, owns_base, select_adapter, stamp_of, tokenizer_of
from .loading import devices, empty_cache, held_bytes, load_base, needed_bytes, yield_the_processor
from .turns import Turns
from .types import CannotGenerate, Weights

log = logging.getLogger(__name__)
Room = Callable[[str, int], int | None]


def no_limit(device: str, held: int) -> int | None:
    """As much as there is."""
    return None


class Session:
    """One generation with some weights, while it is its turn."""

    def __init__(self, pool: ModelPool, entry: Loaded, weights: Weights):
        self._pool, self._entry, self._weights = pool, entry, weights
        self.model = entry.base
        self.tokenizer = tokenizer_of(entry, weights.base, weights.adapter)

    def pass_on(self) -> None:
        """Let others go first; afterwards everything is as it was: the adapter, and where the random numbers had got to."""
        if not self._pool.turns.is_wanted:
            return
        drawn = _random_state(self._entry.device)
        self._pool.turns.pass_on()
        _restore(self._entry.device, drawn)
        select_adapter(self._entry, self._weights.adapter)


class ModelPool:
    """Loads on first use. `room(device, held)` says how many bytes all models there may take together, of which `held` are taken;
    None for no limit. Any number of threads may generate; each computes when it is its turn."""

    def __init__(self, room: Room = no_limit, *, most: int = 8, idle_seconds: float = 600):
        yield_the_processor()
        self.room, self.most, self.idle_seconds = room, most, idle_seconds
        self.turns = Turns()
        self._loaded: OrderedDict[tuple[str, str], Loaded] = OrderedDict()  # the least recently used first

    @contextmanager
    def using(self, weights: Weights) -> Iterator[Session]:
        """Exactly these weights, ready, while the block runs. CannotGenerate when they can't be loaded or there is no room."""
        with self.turns.taking_part():
            entry = self._ready(weights)
            entry.users += 1
            try:
                yield Session(self, entry, weights)
            finally:
                entry.users -= 1
                entry.used_at = time.monotonic()

    def held(self, device: str | None = None) -> int:
        """Bytes of weights in memory, on one device or all."""
        return sum(entry.bytes for entry in list(self._loaded.values()) if device in (None, entry.device))

    def tidy(self) -> None:
        """Unload what nobody has used for a while, and whatever is more than there is room for by now."""
        if not self._loaded:
            return
        with self.turns.taking_part():
            for key, entry in list(self._loaded.items()):
                if not entry.users and time.monotonic() - entry.used_at > self.idle_seconds:
                    self._unload(key)
            for device in {entry.device for entry in self._loaded.values()}:
                while self._over(device) and self._unload_oldest(device):
                    pass

    def clear(self) -> None:
        """Give the memory back."""
        with self.turns.taking_part():
            self._loaded.clear()
            empty_cache()

    # --- while it is our turn --------------------------------------------------------------------

    def _ready(self, weights: Weights) -> Loaded:
        entry = None
        try:
            entry = self._entry(weights)
            select_adapter(entry, weights.adapter)
        except CannotGenerate:
            raise
        except Exception as error:  # the libraries raise what they like; every one of them means the same here
            self._drop(entry)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise CannotGenerate(f"The model could not be loaded: {reason}") from error
        return entry

    def _entry(self, weights: Weights) -> Loaded:
        key = (stamp_of(weights.base), stamp_of(weights.adapter) if weights.adapter and owns_base(weights.adapter) else "")
        if key not in self._loaded:
            device = self._make_room(weights.base)
            if key not in self._loaded:  # somebody else needed the same while we waited for room
                self._loaded[key] = self._load(weights.base, device)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _load(self, base: str, device: str) -> Loaded:
        """Give up the other models' memory when this one does not fit beside them after all."""
        try:
            model = load_base(base, device)
        except (RuntimeError, MemoryError) as error:
            if "memory" not in f"{type(error).__name__} {error}".lower() or not self._unload_oldest(device):
                raise
            return self._load(base, device)
        return Loaded(model, device, held_bytes(model), used_at=time.monotonic())

    def _make_room(self, base: str) -> str:
        """The device with room for this model, after others have left; those in use are waited for."""
        while True:
            left = {device: self._left(device) for device in devices()}
            device = max(left, key=lambda name: left[name])
            needed = needed_bytes(base, device)
            if left[device] >= needed and len(self._loaded) < self.most:
                return device
            if self._unload_oldest(device if left[device] < needed else None):
                continue
            if not any(entry.users for entry in self._loaded.values()):
                raise CannotGenerate(_no_room(needed, left[device]))
            if not self.turns.pass_on():  # its user is about to leave
                time.sleep(0.01)

    def _left(self, device: str) -> float:
        held = self.held(device)
        room = self.room(device, held)
        return float("inf") if room is None else room - held

    def _over(self, device: str) -> bool:
        return self._left(device) < 0

    def _unload_oldest(self, device: str | None) -> bool:
        """Unload the least recently used model (of one device) that nobody is using; False when there is none."""
        for key, entry in self._loaded.items():
            if not entry.users and device in (None, entry.device):
                self._unload(key)
                return True
        return False

    def _drop(self, entry: Loaded | None) -> None:
        """The next one loads its base anew: an adapter that could not be read may have left a part of itself in this one."""
        for key in [key for key, loaded in self._loaded.items() if loaded is entry]:
            self._unload(key)

    def _unload(self, key: tuple[str, str]) -> None:
        log.info("%s leaves the memory.", key[0].partition("@")[0])
        del self._loaded[key]
        empty_cache()


def _no_room(needed: int, left: float) -> str:
    gigabytes = f"It needs about {needed / 1e9:.1f} GB, and {max(0.0, left) / 1e9:.1f} GB are free"
    return (
        f"There is no room for this model now. {gigabytes} beside what training runs were promised. Try again when they have ended."
    )


def _random_state(device: str) -> Any:
    import torch

    on_gpu = torch.cuda.get_rng_state(device) if device.startswith("cuda") else None
    return torch.get_rng_state(), on_gpu


def _restore(device: str, state: Any) -> None:
    import torch

    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
