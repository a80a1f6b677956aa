"""Whether a run directory's output is what its manifest says: every file, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

from .checkpoints import fingerprint
from .output import MANIFEST, weights_digest
from .rundir import RunDir


def verify(path: Path) -> int:
    """Print what is wrong with DIR/output (or DIR, when it is an output itself); 0 when nothing is, else 1."""
    output = RunDir(path).output if RunDir(path).output.is_dir() else path
    problems = find_problems(output)
    for problem in problems:
        print(problem)
    if not problems:
        manifest = json.loads((output / MANIFEST).read_text())
        print(f"{output}: {len(manifest['files'])} files are what the manifest says. Weights {manifest['weights_sha256']}.")
    return 1 if problems else 0


def find_problems(output: Path) -> list[str]:
    """One sentence for each file that is missing, altered or not in the manifest."""
    try:
        manifest = json.loads((output / MANIFEST).read_text())
        expected, weights = dict(manifest["files"]), manifest["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{output / MANIFEST} can't be read: {error}"]
    present = {file.relative_to(output).as_posix() for file in output.rglob("*") if file.is_file()} - {MANIFEST}
    problems = [f"{name} is missing." for name in sorted(set(expected) - present)]
    problems += [f"{name} is not in the manifest." for name in sorted(present - set(expected))]
    problems += [f"{name} was altered." for name in sorted(present & set(expected)) if fingerprint(output / name) != expected[name]]
    if not problems and weights_digest(output) != weights:
        problems.append("The weights' hash is not the manifest's.")
    return problems
