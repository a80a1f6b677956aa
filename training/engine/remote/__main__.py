"""python -m training.engine.remote job|space|sandbox: what a provider's container runs, settings in AIFT_… variables."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """The run's exit code; a Space does not return before it is paused."""
    kind = arguments[0] if arguments else ""
    if kind == "job":
        from .job import run_job

        return run_job()
    if kind == "space":
        from .space import run_space

        return run_space()
    if kind == "sandbox":
        from .sandbox import run_sandbox

        return run_sandbox()
    print("Which? job, space or sandbox.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
