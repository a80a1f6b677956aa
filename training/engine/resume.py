"""Where a run continues: the newest whole checkpoint of this attempt or of the earlier one its spec names."""

from __future__ import annotations

from pathlib import Path

from . import checkpoints
from .attempt import Attempt
from .checkpoints import Checkpoint


def find_checkpoint(attempt: Attempt) -> Checkpoint | None:
    """The checkpoint to continue from, inside this run directory; None starts from the beginning.

    Torn checkpoints are said in the log and passed over. One of an earlier attempt is adopted (linked) first. Rank 0 looks
    for all ranks.
    """
    return attempt.world.share(_find(attempt) if attempt.world.is_main else None)


def _find(attempt: Attempt) -> Checkpoint | None:
    own = attempt.dir.checkpoints
    own.mkdir(parents=True, exist_ok=True)
    checkpoints.clean(own)
    roots = [own] + ([attempt.dir.resolve(attempt.spec.resume_from)] if attempt.spec.resume_from else [])
    for root in roots:
        checkpoint, torn = checkpoints.newest(root)
        for path in torn:
            attempt.log(f"{path.name} is damaged and is passed over.", "warning")
        if checkpoint:
            attempt.log(f"Continuing after step {checkpoint.step}.")
            if checkpoint.ranks != attempt.world.size:
                words = f"{checkpoint.ranks} process(es) wrote the checkpoint and {attempt.world.size} continue"
                attempt.log(f"{words}: the result is as good, but no longer the same to the last bit.", "warning")
            _adopt_best(checkpoint, root, own)
            return checkpoints.adopt(checkpoint, own)
    if attempt.spec.resume_from:
        attempt.log("No whole checkpoint was found: starting from the beginning.", "warning")
    return None


def _adopt_best(checkpoint: Checkpoint, root: Path, own: Path) -> None:
    """The best checkpoint so far may become the result, so it comes along; a damaged one is noticed at the end (best.py)."""
    step = checkpoint.progress().get("best", {}).get("step")
    best = checkpoints.open_checkpoint(root / f"{checkpoints.PREFIX}{step}") if step else None
    if best and best.step != checkpoint.step:
        checkpoints.adopt(best, own)
