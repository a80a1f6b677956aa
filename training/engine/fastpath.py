"""The quickest way this model can be trained on this device, chosen at the start and said in the log.

Padding-free batches with attention inside each sequence, where a check on the model itself shows that nothing changes but
the speed; else padded batches. The batches hold the same rows in the same order either way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from . import attention
from .attempt import Attempt
from .distributed import strategy
from .model import Device, uses_bf16
from .options import Config
from .products import are_quick

LENGTHS = (23, 14)  # of the rows of the check: unequal, so that the padded batch has padding
TWIN = 9  # tokens that the two begin with where the check is about sharing them
# Relative difference of logits that rounding explains: float32 sums in another order, bfloat16 has 8 bits.
TOLERANCE = {4: 1e-3, 2: 6e-2}


def choose(attempt: Attempt, device: Device, model: Any, *, pairs: bool = False) -> bool:
    """Whether this run's batches go without padding; the model's attention is switched when they do. Says so in the log.

    `pairs`: the batches hold two answers to each prompt, which is then computed once (unpadded.py).
    """
    base = unwrapped(model)
    reason = _obstacle(attempt, device, base, 2 if pairs else 1)
    padding_free = reason is None and (not pairs or _labels_only(base)) and _switch(attempt, base, pairs)
    parts = (
        ["no padding", "attention inside each sequence"] if padding_free else [f"padded batches{f' ({reason})' if reason else ''}"]
    )
    if padding_free and pairs:
        parts.append("what two answers begin with computed once")
    if (device.kind == "cpu" or pairs) and _labels_only(base):
        parts.append("the loss only where there is a label")
    parts.append(f"{_dtype(base)} base weights")
    if device.kind == "cpu" and not uses_bf16(attempt.config, device) and are_quick():
        parts.append("float32 products by oneDNN")
    attempt.log(f"Way of computing: {', '.join(parts)}.")
    if attempt.config.bf16 and device.kind == "cpu" and not device.bf16:
        attempt.log("This processor has no instructions for bf16: it is many times slower here than float32.", "warning")
    return padding_free


def finish_pairs(attempt: Attempt, device: Device, model: Any, padding_free: bool) -> None:
    """What must come after TRL has patched a model that learns from preferences: log-probabilities as `choose` said."""
    base = unwrapped(model)
    if _labels_only(base):
        from . import unpadded

        unpadded.install(base, flat=padding_free)
    _fuse(attempt, device, model, base)


def finish(attempt: Attempt, device: Device, model: Any) -> None:
    """What must come after TRL has patched the model: on a CPU, the loss from labelled positions only, and layers in fewer passes."""
    base = unwrapped(model)
    if device.kind == "cpu" and _labels_only(base):
        from . import labelloss

        labelloss.install(base)
    _fuse(attempt, device, model, base)


def fuses(config: Config, kind: str) -> bool:
    """Whether layers are computed in our own way (fused/): on CPUs, where neither a compiler nor FSDP has its hands on them."""
    return kind == "cpu" and not config.torch_compile and strategy(config) in ("none", "ddp")


def _fuse(attempt: Attempt, device: Device, model: Any, base: Any) -> None:
    """Put our layers in if the model's answers stay the same with them; says so in the log."""
    if not fuses(attempt.config, device.kind):
        return
    from .fused.install import install

    rows = _rows(base)
    before = _padded_logits(base, rows)
    names, undo = install(model, base)
    try:
        worst = max(_distance(one, two) for one, two in zip(_padded_logits(base, rows), before, strict=True))
        difference = None if worst <= TOLERANCE[before[0].element_size()] else f"the logits differ by {worst:.1e}"
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError) as error:
        if "out of memory" in str(error):
            raise
        difference = f"{type(error).__name__}: {error}"
    if difference is not None:
        undo()
        attempt.log(f"Our own layers don't suit this model, so it keeps transformers' ({difference}).", "warning")
    elif names:
        attempt.log(f"Layers in fewer passes: {', '.join(names)}.")


def unwrapped(model: Any) -> Any:
    """The transformers model inside an adapter."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _labels_only(base: Any) -> bool:
    from .labelloss import applies_to

    return applies_to(base)


def _dtype(base: Any) -> str:
    if getattr(base, "is_loaded_in_4bit", False):
        return "4-bit (NF4)"
    return str(base.dtype).removeprefix("torch.")


def _obstacle(attempt: Attempt, device: Device, base: Any, answers: int = 1) -> str | None:
    """Why the batches must keep their padding, in words; None when nothing speaks for it."""
    if device.kind == "mps":
        return "this device has no attention for unequal lengths"
    if device.kind != "cpu" and answers * attempt.config.per_device_train_batch_size == 1 and not attempt.config.packing:
        return "one row a batch has none"  # on a CPU our attention is quicker even so
    if not base._supports_attention_backend:
        return f"{type(base).__name__} brings its own attention"
    config = base.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds - {"full_attention", "sliding_attention"}:
        return "some layers are not plain attention"
    window = getattr(config, "sliding_window", None)
    sliding = "sliding_attention" in kinds or (window and getattr(config, "use_sliding_window", True))
    if sliding and (not window or window < attempt.config.max_length):
        return "attention windows are shorter than max_length"
    if getattr(config, "attn_logit_softcapping", None) is not None:
        return "the attention's scores are capped"
    return None


def _switch(attempt: Attempt, base: Any, pairs: bool) -> bool:
    """Give the model our attention if it computes the same with it; else leave it as it was and say why."""
    before = base.config._attn_implementation
    attention.register()
    try:
        padded, twins = _padded_logits(base, _rows(base)), _padded_logits(base, _twins(base)) if pairs else []
        base.set_attn_implementation(attention.NAME)
        difference = _difference(base, padded) or (_twin_difference(base, twins) if pairs else None)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        if "out of memory" in str(error):
            raise
        difference = f"{type(error).__name__}: {error}"
    finally:
        base.zero_grad(set_to_none=True)
    if difference is None:
        return True
    base.set_attn_implementation(before)
    attempt.log(f"Batches without padding don't suit this model, so they are padded ({difference}).", "warning")
    return False


def _difference(base: Any, padded: list[Any]) -> str | None:
    """What a flattened batch changes in the model's answers beyond rounding; None when nothing. Runs backward once too."""
    rows = _rows(base)
    flat = _flat_logits(base, rows)
    if flat[-1].requires_grad:
        flat[-1].float().square().mean().backward()
    other = [(rows[0] + 1) % base.config.get_text_config().vocab_size, rows[1]]
    tolerance = TOLERANCE[flat[0].element_size()]
    # The same shapes through the same kernels differ far less than two ways of computing (`not <=` refuses NaN too).
    if not _distance(_flat_logits(base, other)[1], flat[1]) <= tolerance / 100:
        return "a row sees the one before it"
    worst = max(_distance(one, two) for one, two in zip(flat, padded, strict=True))
    return f"its logits differ by {worst:.1e}" if not worst <= tolerance else None


def _twin_difference(base: Any, padded: list[Any]) -> str | None:
    """What it changes that two rows share their beginning; None when nothing but rounding."""
    from .unpadded import flatten

    ids, mask = _padded(_twins(base))
    layout = flatten(ids, mask)
    with _quiet(base):
        logits = base(**layout.inputs, attention_mask=None, use_cache=False).logits[0]
    found = [logits[layout.where[row, : len(part)]] for row, part in enumerate(padded)]
    worst = max(_distance(one, two) for one, two in zip(found, padded, strict=True))
    return f"rows that share their beginning differ by {worst:.1e}" if not worst <= TOLERANCE[logits.element_size()] else None


def _distance(one: Any, two: Any) -> float:
    return float((one - two).detach().float().norm() / two.detach().float().norm())


def _rows(base: Any) -> list[Any]:
    """Two rows of fixed random tokens; no generator of the run is touched."""
    import torch

    generator = torch.Generator().manual_seed(0)
    size = base.config.get_text_config().vocab_size
    return [torch.randint(size, (length,), generator=generator).to(base.device) for length in LENGTHS]


def _twins(base: Any) -> list[Any]:
    """The rows, the second beginning as the first does."""
    import torch

    first, second = _rows(base)
    return [first, torch.cat([first[:TWIN], second[TWIN:]])]


def _padded(rows: list[Any]) -> tuple[Any, Any]:
    import torch

    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return ids, torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)


def _padded_logits(base: Any, rows: list[Any]) -> list[Any]:
    import torch

    ids, mask = _padded(rows)
    with _quiet(base), torch.no_grad():
        logits = base(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return [logits[index, : len(row)] for index, row in enumerate(rows)]


def _flat_logits(base: Any, rows: list[Any]) -> list[Any]:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    batch = collate([{"input_ids": row.tolist()} for row in rows])
    inputs = {key: value.to(base.device) if hasattr(value, "to") else value for key, value in batch.items() if key != "labels"}
    with _quiet(base):
        logits = base(**inputs, use_cache=False).logits[0]
    return list(logits.split(list(LENGTHS)))


@contextlib.contextmanager
def _quiet(base: Any) -> Iterator[None]:
    """Without dropout, so that two passes can be compared; and the random generators stay where they are."""
    training = base.training
    base.eval()
    try:
        yield
    finally:
        base.train(training)
