"""The processes that train one run together. A run on one device is a world of one, where everything here is free.

Values are exchanged on the CPU (gloo), beside the gradients, so that asking never waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class World:
    """This process's place: `rank` of `size`. Every method but `is_main` must be called by all ranks in the same order."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes: events, checkpoints, output."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return flag if self.size == 1 else self.total([float(flag)])[0] > 0

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums of these numbers over all ranks, in float64."""
        if self.size == 1:
            return list(values)
        import torch
        import torch.distributed as dist

        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def union(self, names: Iterable[str]) -> list[str]:
        """The names of all ranks, sorted."""
        if self.size == 1:
            return sorted(names)
        import torch.distributed as dist

        of_all: list[Any] = [None] * self.size
        dist.all_gather_object(of_all, list(names))
        return sorted({name for some in of_all for name in some})

    def share(self, value: Any) -> Any:
        """Rank 0's value; what the others pass is ignored."""
        if self.size == 1:
            return value
        import torch
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def wait(self) -> None:
        """Until all ranks are here."""
        self.any(False)
