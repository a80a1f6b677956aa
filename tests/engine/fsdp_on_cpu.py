"""The engine with accelerate persuaded to shard over CPU processes, which it does for GPUs only: python fsdp_on_cpu.py DIR."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from training.engine import ranks, warm
from training.engine.run import prepare_environment, run

prepare_environment()
warm.import_stack()


def main(path: Path) -> int:
    import torch
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    def set_device(self: Any) -> None:
        self.device = torch.device("cpu")

    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    PartialState.set_device = set_device
    ranks.refuse = lambda attempt: None
    return run(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
