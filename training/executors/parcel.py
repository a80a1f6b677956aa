"""What a run takes along: the engine's source, and its run directory made fit for another machine."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from training.engine import checkpoints
from training.engine.rundir import RunDir
from training.engine.spec import to_dict
from training.executors.placement import Placement

CODE, RUN = "code", "run"
ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = f"{CODE}/training/engine/remote/bootstrap.py"
Files = dict[str, Path | bytes]


def code_files() -> Files:
    """The engine as it is here, so that the same program runs there. It is whole without Django and without our apps."""
    engine = ROOT / "training" / "engine"
    sources = [path for path in sorted(engine.rglob("*")) if path.suffix in (".py", ".txt") and "__pycache__" not in path.parts]
    package: Files = {f"{CODE}/training/__init__.py": b"# The engine is in engine/.\n"}
    return package | {f"{CODE}/{path.relative_to(ROOT).as_posix()}": path for path in sources}


def run_files(run_dir: Path, placement: Placement) -> Files:
    """spec.json with paths inside the run directory, the rows, the checkpoint to go on from, and the base model or where it is."""
    run = RunDir(run_dir)
    spec = run.read_spec()
    files: Files = _below(run.data, f"{RUN}/data")
    start = checkpoints.newest(run.checkpoints)[0]
    if start is None and spec.resume_from:
        start = checkpoints.newest(Path(spec.resume_from))[0]
    if start:
        files |= _below(start.path, f"{RUN}/checkpoints/{start.path.name}")
    if placement.base:
        files[f"{RUN}/base.json"] = json.dumps(placement.base).encode()
    else:
        files |= _below(run.resolve(spec.model.path), f"{RUN}/model")
    moved = dataclasses.replace(spec, model=dataclasses.replace(spec.model, path="model"), resume_from=None)
    return files | {f"{RUN}/spec.json": json.dumps(to_dict(moved), indent=2).encode()}


def _below(folder: Path, name: str) -> Files:
    return {f"{name}/{path.relative_to(folder).as_posix()}": path for path in sorted(folder.rglob("*")) if path.is_file()}
