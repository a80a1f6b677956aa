"""The first thing a container runs: install what the engine needs where the image lacks it, then become the runner.

    python training/engine/remote/bootstrap.py job|space|sandbox

Standard library only: nothing else is sure to be there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CODE = Path(__file__).resolve().parents[3]
REQUIREMENTS = CODE / "training" / "engine" / "requirements.txt"
# The runner's own: what carries files from and to the Hub.
OWN = CODE / "training" / "engine" / "remote" / "requirements.txt"


def pins(path: Path) -> dict[str, str]:
    """Package → pinned version of a requirements file."""
    lines = [line.split(";")[0].strip() for line in path.read_text().splitlines()]
    return dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))


def missing(path: Path) -> list[str]:
    """What of a requirements file is not installed in its version. A build's own suffix (+cpu, +cu130) does not count."""
    return [f"{name}=={wanted}" for name, wanted in pins(path).items() if _installed(name) != wanted]


def install() -> None:
    """Bring every pin; torch first and alone, as on the platform's own machine."""
    wanted = [item for file in (REQUIREMENTS, OWN) for item in missing(file)]
    torch = [item for item in wanted if item.startswith("torch==")]
    for batch in (torch, [item for item in wanted if item not in torch]):
        if batch:
            print("Installing", *batch, flush=True)
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", *batch]
            subprocess.run(command, check=True)


def _installed(name: str) -> str:
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return ""


def main() -> None:
    install()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.execv(sys.executable, [sys.executable, "-m", "training.engine.remote", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
