"""The background half of evaluations: one at a time in a worker, row by row, taken up where a lost worker left it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import shared_task
from django.utils import timezone

from datasets_app import tokens
from datasets_app.formats import rowsfile
from finetune.core.errors import DomainError
from models_app.answering import weights_at
from models_app.inference import checks, measures
from models_app.models import Evaluation, EvaluationSample
from models_app.services.try_prompt import weights_of
from models_app.warm_models import pool

logger = logging.getLogger(__name__)
S = Evaluation.Status
LOOK_SECONDS = 0.5  # between two looks whether it was cancelled
_one_at_a_time = threading.Lock()


class Stopped(Exception):
    """Cancelled, deleted, or another worker has it."""


class Turn:
    """The right to write about one evaluation, good for one attempt."""

    def __init__(self, evaluation: Evaluation):
        self.mine = Evaluation.objects.filter(pk=evaluation.pk, status=S.RUNNING, attempt=evaluation.attempt)
        self.began, self.looked = time.monotonic(), time.monotonic()

    def save(self, **values: Any) -> None:
        if not self.mine.update(updated_at=timezone.now(), **values):
            raise Stopped

    def is_lost(self) -> bool:
        """Asked at every token; looks now and then, which also shows that the worker lives."""
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return False
        self.looked = time.monotonic()
        return not self.mine.update(updated_at=timezone.now())

    def progress(self, done: int, total: int, begun_with: int) -> None:
        rate = (done - begun_with) / max(time.monotonic() - self.began, 1e-3)
        eta = round((total - done) / rate, 1) if rate else None
        self.save(progress={"done": done, "total": total, "unit": "rows", "rate": round(rate, 2), "eta_seconds": eta})


@shared_task
def run_evaluations() -> None:
    """Run what waits, the oldest first. While one runs in this process another delivery does nothing: chats keep their threads."""
    while Evaluation.objects.filter(status=S.QUEUED).exists():
        if not _one_at_a_time.acquire(blocking=False):
            return
        try:
            while evaluation := _claim():
                _run(evaluation)
        finally:
            _one_at_a_time.release()


def _claim() -> Evaluation | None:
    for evaluation in Evaluation.objects.filter(status=S.QUEUED).order_by("pk").select_related("model__base_model", "dataset"):
        if evaluation.move(S.RUNNING, when=S.QUEUED, attempt=evaluation.attempt + 1, updated_at=timezone.now()):
            return evaluation
    return None


def _run(evaluation: Evaluation) -> None:
    from models_app.inference.types import CannotGenerate

    turn = Turn(evaluation)
    try:
        _measure(evaluation, turn)
        samples = list(evaluation.samples.values("nll", "tokens", *measures.NAMES))
        turn.save(status=S.DONE, metrics=measures.summary(samples), progress=None, finished_at=timezone.now())
    except Stopped:
        logger.info("Evaluation %s was cancelled or taken over.", evaluation.pk)
    except (DomainError, CannotGenerate) as error:
        _fail(turn, str(error))
    except Exception as error:
        logger.exception("Evaluation %s failed.", evaluation.pk)
        missing = isinstance(error, FileNotFoundError)
        _fail(
            turn, "The rows are no longer on this machine." if missing else "It stopped on an error; that is in the worker's log."
        )


def _fail(turn: Turn, words: str) -> None:
    turn.mine.update(status=S.FAILED, error=words, progress=None, finished_at=timezone.now(), updated_at=timezone.now())


def _measure(evaluation: Evaluation, turn: Turn) -> None:
    """A sample of each row that has none yet."""
    if evaluation.dataset is None:
        raise DomainError("The dataset was deleted.")
    judge = Judge(evaluation, turn)
    begun_with = evaluation.samples.count()
    for number, row in enumerate(_rows(evaluation)):
        if number >= begun_with:
            sample = judge.sample(row)
            turn.progress(number + 1, evaluation.rows, begun_with)
            EvaluationSample.objects.create(evaluation=evaluation, row=number, line=row["line"], **sample)


def _rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    assert evaluation.dataset is not None
    path = evaluation.dataset.split_file(evaluation.split) if evaluation.split else evaluation.dataset.rows_file
    for start in range(0, evaluation.rows, rowsfile.BATCH):
        yield from rowsfile.read_slice(path, start, min(rowsfile.BATCH, evaluation.rows - start))


class Judge:
    """Measures one row after the other with one version."""

    def __init__(self, evaluation: Evaluation, turn: Turn):
        from models_app.inference.types import Sampling

        self.kind, self.turn = evaluation.kind, turn
        self.weights = weights_at(weights_of(evaluation.model))
        self.row_tokens = tokens.load(Path(tokens.tokenizer_directory(evaluation.owner, evaluation.model_id)))
        options = evaluation.options
        self.sampling = Sampling(max_new_tokens=options["max_new_tokens"], temperature=0)
        self.pattern = checks.compiled(options["pattern"]) if options.get("pattern") else None
        self.schema = checks.validator(options["schema"]) if options.get("schema") else None

    def sample(self, row: dict[str, Any]) -> dict[str, Any]:
        """The fields of the row's sample."""
        found: dict[str, Any] = {"prompt": [], "nll": None, "tokens": 0}
        try:
            found |= self._likelihood(row)
        except ValueError as error:  # the chat template refuses the conversation
            found["problem"] = str(error)
        if self.kind == "text":
            found["expected"] = row["text"]
        else:
            found |= self._answer(row)
        return {**found, "score": measures.score_of(found)}

    def _likelihood(self, row: dict[str, Any]) -> dict[str, Any]:
        from models_app.inference.likelihood import negative_log_likelihood

        sums = [negative_log_likelihood(pool(), self.weights, *each) for each in self.row_tokens.learned(row, self.kind)]
        nll, count = sums[0]
        found: dict[str, Any] = {"nll": nll if count else None, "tokens": count}
        return found | ({"prefers": nll < sums[1][0]} if len(sums) == 2 else {})

    def _answer(self, row: dict[str, Any]) -> dict[str, Any]:
        prompt, expected = split_row(row, self.kind)
        found: dict[str, Any] = {"prompt": prompt, "expected": expected}
        if not expected.strip() or not prompt:
            return {**found, "problem": "The last turn is no text that an answer could be compared with."}
        return found | self._generated(prompt, expected)

    def _generated(self, prompt: list[dict[str, str]], expected: str) -> dict[str, Any]:
        from models_app.inference.generate import generate
        from models_app.inference.types import CannotGenerate

        try:
            answer = generate(pool(), self.weights, prompt, self.sampling, on_text=lambda text: None, should_stop=self.turn.is_lost)
        except CannotGenerate as error:
            if not pool().held():
                raise  # not this row's fault: the model can't be loaded
            return {"problem": str(error)}
        if answer.stop_reason == "cancelled":
            raise Stopped
        return {
            "output": answer.text,
            "thinking": answer.thinking,
            "stop_reason": answer.stop_reason,
            "exact": measures.exact_match(answer.text, expected),
            "f1": measures.token_f1(answer.text, expected),
            "rouge_l": measures.rouge_l(answer.text, expected),
            **self._checked(answer.text),
        }

    def _checked(self, text: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.pattern is not None:
            found["pattern_ok"] = self.pattern.search(text) is not None
            found |= {} if found["pattern_ok"] else {"problem": "The expression is not found in the answer."}
        if self.schema is not None:
            misfit = checks.misfit(self.schema, text)
            found["schema_ok"] = not misfit
            found |= {"problem": misfit} if misfit else {}
        return found


def split_row(row: dict[str, Any], kind: str) -> tuple[list[dict[str, str]], str]:
    """(conversation before the last answer, that answer) of a canonical row; of a comparison the chosen one."""
    turns = [*row["prompt"], *row["chosen"]] if kind == "preference" else list(row["messages"])
    last = next((at for at in range(len(turns) - 1, -1, -1) if turns[at]["role"] == "assistant"), None)
    if last is None:
        return [], ""
    return turns[:last], str(turns[last].get("content") or "")
