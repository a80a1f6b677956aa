"""ORPO: learn the preferred answers, and in the same step raise their odds over the rejected ones (Hong et al. 2024)."""

from __future__ import annotations

from typing import Any

from training.engine import fastpath
from training.engine.attempt import Attempt
from training.engine.checkpoints import Checkpoint
from training.engine.evaluation import OddsMeans
from training.engine.model import Device, load_tokenizer
from training.engine.preference import arguments, find_exact_device, learner, load_examples, load_policy, settle
from training.engine.resume import find_checkpoint
from training.engine.supervised import Examples, fit


def train(attempt: Attempt) -> dict[str, float]:
    """Train, evaluate and write output/; returns the final metrics."""
    device = find_exact_device(attempt)
    tokenizer = load_tokenizer(attempt)
    examples = load_examples(attempt, tokenizer)
    base = load_policy(attempt, device)
    flat = fastpath.choose(attempt, device, base, pairs=True)
    resumed = find_checkpoint(attempt)
    trainer = orpo_trainer(attempt, device, base, tokenizer, examples, resumed)
    settle(attempt, device, trainer, examples, resumed, OddsMeans(attempt.config.beta), flat=flat)
    return fit(attempt, trainer, tokenizer, resumed)


def orpo_trainer(
    attempt: Attempt, device: Device, base: Any, tokenizer: Any, examples: Examples, resumed: Checkpoint | None
) -> Any:
    """TRL's ORPO trainer with our mixin, fed with finished tokens, its log-probabilities from the fused head."""
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference
    from trl.trainer.utils import add_fused_lm_head

    from training.engine.trainer import Durable

    class Trainer(Durable, ORPOTrainer):
        _total_train_tokens = 0

        @property
        def _metrics(self) -> Any:
            """ORPO's averages lie under another name than those of TRL's other trainers."""
            return self._stored_metrics

        def concatenated_forward(self, model: Any, batch: dict[str, Any]) -> tuple[Any, ...]:
            """As TRL's, without the logits: chosen and rejected log-probabilities and mean logits, the loss of the chosen rows."""
            if self.model.training:
                self._total_train_tokens += int(self.accelerator.gather(batch["attention_mask"].sum()).sum())
            return _forward(model, batch)

    trainer = Trainer(
        **learner(attempt, base),
        args=ORPOConfig(**arguments(attempt, device, examples, resumed), remove_unused_columns=False),
        data_collator=DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id),
        train_dataset=_finished(examples.train),
        eval_dataset=_finished(examples.evaluation),
        processing_class=tokenizer,
    )
    trainer.use_dpo_data_collator = True  # ours gives the same batches; without it every evaluation step warns
    # With accumulation accelerate takes the last batches of a pass for padded ones and drops rows from their averages, but not
    # in a run that was resumed.
    trainer.accelerator.gather_for_metrics = trainer.accelerator.gather
    add_fused_lm_head(fastpath.unwrapped(trainer.model), outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    return trainer


def _finished(rows: Any) -> Any:
    """Rows that TRL's preparation leaves as they are: it has no switch, and always maps."""
    if rows is not None:
        rows.map = lambda *args, **kwargs: rows
    return rows


def _forward(model: Any, batch: dict[str, Any]) -> tuple[Any, ...]:
    ids, attention, answers = batch["input_ids"], batch["attention_mask"], batch["completion_mask"].bool()
    count = ids.shape[0] // 2
    # The preferred rows are learned with their prompts, as in the paper; of the others only the answer is judged.
    wanted = answers.clone()
    wanted[:count] = attention[:count].bool()
    labels = ids.masked_fill(~wanted, -100)
    found = model(input_ids=ids, attention_mask=attention, use_cache=False, labels=labels, fused_lm_head=True)
    log_probs, answers = found.log_probs, answers[:, 1:]
    means = (log_probs * answers).sum(1) / answers.sum(1)
    learned = wanted[:count, 1:]
    loss = -(log_probs[:count] * learned).sum() / learned.sum()
    logits = [found.mean_logits[part][answers[part]] for part in (slice(0, count), slice(count, None))]
    return means[:count], means[count:], *logits, loss
