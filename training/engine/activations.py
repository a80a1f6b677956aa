"""What the forward pass keeps for the backward pass, in bytes.

The formulas list what autograd saves in transformers' decoder layers (v5, SDPA attention) under PEFT's LoRA and torch's
autocast: counted with torch.autograd.graph.saved_tensors_hooks, which tests/engine/test_memory.py repeats. For the method
of counting see Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models" (2022), section 4; the
numbers differ because RMSNorm, gated MLPs, GQA and frozen weights save other tensors than GPT-3's layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from .shapes import Shape

FLOAT, HALF = 4, 2  # bytes
# On a GPU TRL's fused head works through tiles of so many positions and words (trl/kernels/chunked_logprob.py).
TILE_POSITIONS, TILE_WORDS = 4096, 32768
# Elsewhere ours (labelloss.py) makes so many logits at once, and their exponentials beside them.
SLICE, SLICE_ROWS, SLICE_COPIES = 8_000_000, 256, 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a run uses its device: everything its memory depends on beside the model's shape.

    `tokens` are the positions computed in one micro-batch, padding included, `width` is its longest sequence, `scored` the
    positions whose logits are computed. `quadratic` says that attention keeps its scores; `padded` that it gets a mask;
    `flattened` that the rows lie one after the other and each is attended to by itself (attention.py); `fused` that layers are
    computed in our own way (fused/).
    """

    adapter: str  # none, lora or qlora
    device: str  # cuda, mps or cpu
    half_base: bool  # the weights are held in 16 bits
    autocast: bool  # computes in 16 bits
    checkpointing: bool
    optim: str
    accumulates: bool
    lora_r: int
    lora_dropout: float
    targets: tuple[str, ...]
    dora: bool
    rows: int
    width: int
    tokens: int
    scored: int
    padded: bool
    flattened: bool = False
    fused: bool = False
    quadratic: bool = False

    @property
    def trains_all(self) -> bool:
        return self.adapter == "none"

    @property
    def size(self) -> int:
        """Bytes of a computed value."""
        return HALF if self.autocast else FLOAT


def saved_bytes(shape: Shape, plan: Plan) -> float:
    """Bytes of activations that live when the backward pass begins; with checkpointing one layer is whole, of the others its input."""
    layer = plan.tokens * layer_bytes(shape, plan)
    residual = HALF if plan.half_base else FLOAT
    ends = plan.tokens * shape.hidden * (2 * FLOAT if plan.trains_all else FLOAT) + plan.scored * shape.hidden * plan.size
    if plan.checkpointing:
        return shape.layers * plan.tokens * shape.hidden * residual + layer + ends
    return shape.layers * layer + ends


def layer_bytes(shape: Shape, plan: Plan) -> float:
    """Bytes that one layer saves for one position."""
    return _norms(shape, plan) + _inputs(shape, plan) + _attention(shape, plan) + _mlp(shape, plan) + _adapter(shape, plan)


def _norms(shape: Shape, plan: Plan) -> float:
    """RMSNorm computes in float32 and keeps its input; a norm that learns keeps the normed value too. LayerNorm keeps its input."""
    kept: float = FLOAT * (2 if plan.trains_all and not shape.layer_norm else 1)
    if plan.fused and not shape.layer_norm:
        kept = HALF if plan.half_base else FLOAT
    over_heads = (shape.attention_width + shape.kv_width) if shape.qk_norm else 0
    return kept * (shape.norms_per_layer * shape.hidden + over_heads)


def _inputs(shape: Shape, plan: Plan) -> float:
    """The normed values that enter the first linear layers: kept once in float32, under autocast one cast for each layer."""
    fed = [linear for linear in _learning(shape, plan) if linear.inputs == shape.hidden and linear.name not in _closing(shape)]
    if _drops(plan):
        return 0.0  # each layer keeps a dropped copy of its own instead
    if not plan.autocast:
        groups = {linear.part for linear in fed} if shape.norms_per_layer > 1 else {"both"}
        return FLOAT * shape.hidden * len(groups) if fed else 0.0
    if _fused_adapter(plan) and plan.half_base:
        return HALF * shape.hidden * len({linear.part for linear in fed})
    return HALF * shape.hidden * sum(linear.count * linear.active for linear in fed) / shape.layers


def _attention(shape: Shape, plan: Plan) -> float:
    """Query, key, value, output and the row sums. With a mask, transformers repeats the shared heads and SDPA keeps the mask."""
    by_products = plan.flattened and plan.device == "cpu" and not plan.quadratic  # makes the scores again (fused/attention.py)
    heads = shape.attention_width if plan.padded or plan.quadratic else shape.kv_width
    kept = plan.size * (2 * shape.attention_width + 2 * heads) + (0 if by_products else FLOAT * shape.heads)
    if plan.padded:
        kept += plan.size * plan.width
    if plan.flattened and plan.device == "cpu" and not by_products:
        kept += plan.size * shape.attention_width  # each row's output, and all of them joined
    if plan.quadratic:
        kept += shape.heads * plan.width * (FLOAT + plan.size)
    if any(linear.name in ("qkv_proj", "query_key_value") for linear in shape.linears):
        # The value is a view that keeps the fused projection alive beside the rotated query and key.
        kept += plan.size * (shape.attention_width + shape.kv_width)
    recast = (
        not _fused_adapter(plan)
        and plan.adapter != "none"
        and plan.autocast
        and _closing(shape)[0] in {linear.name for linear in _learning(shape, plan)}
    )
    return kept + (HALF * shape.attention_width if recast else 0)


def _mlp(shape: Shape, plan: Plan) -> float:
    """Gate, its activation, up and their product; without a gate the activation's input and output."""
    inner = sum(
        linear.outputs * linear.count * linear.active
        for linear in shape.linears
        if linear.part == "mlp" and linear.inputs == shape.hidden
    )
    inner /= shape.layers * (2 if shape.gated else 1)
    if not shape.gated:  # GPT-2's and Phi's GELU is written out and keeps its steps; GPT-NeoX's is one kernel
        return plan.size * inner * (2 if shape.family == "gpt_neox" else 5)
    adapted = any(linear.name == _closing(shape)[1] for linear in _learning(shape, plan))
    product = plan.trains_all or (adapted and not _drops(plan))
    return plan.size * inner * (4 if product else 3)


def _adapter(shape: Shape, plan: Plan) -> float:
    """What enters B, and with dropout each layer's own dropped input with its mask."""
    if plan.trains_all:
        return 0.0
    learning = _learning(shape, plan)
    mask = 1 if plan.device == "cuda" else FLOAT
    kept = sum(linear.count * plan.lora_r * plan.size for linear in learning)
    kept += sum(linear.count * linear.inputs * (mask + plan.size) for linear in learning) if _drops(plan) else 0
    kept += sum(linear.count * linear.outputs * (plan.size + FLOAT) for linear in learning) if plan.dora else 0
    return kept / shape.layers


def _learning(shape: Shape, plan: Plan) -> tuple:
    return shape.linears if plan.trains_all else shape.targets(plan.targets)


def _drops(plan: Plan) -> bool:
    return not plan.trains_all and plan.lora_dropout > 0


def _fused_adapter(plan: Plan) -> bool:
    """Whether an adapter and its layer are one step (fused/lora.py)."""
    return plan.fused and plan.adapter == "lora" and not plan.dora and not _drops(plan)


def _closing(shape: Shape) -> tuple[str, str]:
    """The names of attention's and the MLP's last layers, which don't read a norm's output."""
    last = {linear.part: linear.name for linear in shape.linears if linear.outputs == shape.hidden}
    return last.get("attention", ""), last.get("mlp", "")


def head_bytes(shape: Shape, plan: Plan) -> float:
    """The loss's buffers at their largest: one tile or slice of logits, the hidden states it is made from and their gradient."""
    states = plan.scored * shape.hidden * (FLOAT + plan.size)
    if plan.device == "cuda":
        return min(plan.scored, TILE_POSITIONS) * min(shape.vocab, TILE_WORDS) * plan.size + states
    rows = max(1, min(SLICE_ROWS, SLICE // shape.vocab, plan.scored))
    return rows * shape.vocab * FLOAT * SLICE_COPIES + states


def work_bytes(shape: Shape, plan: Plan) -> float:
    """Gradients of activations alive at once while one layer's MLP goes backward."""
    return plan.tokens * plan.size * (4 * shape.intermediate + 4 * shape.hidden)
