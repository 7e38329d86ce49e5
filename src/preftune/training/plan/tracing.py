"""One micro-batch forward and backward on shapes alone: what would live at the fullest moments."""

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from preftune.batching import Batch
from preftune.models.architecture import logit_rules, output_layer
from preftune.models.attention import packed_forward
from preftune.models.checkpointing import layers_of
from preftune.models.head import statistics_of_logits, token_statistics
from preftune.models.precision import MatmulPrecision, matmuls_in
from preftune.models.scoring import (
    Inputs,
    lazy_logits,
    own_logits,
    packed_inputs,
    padded_inputs,
    predictors,
)
from preftune.training.plan.ledger import Bytes, Ledger
from preftune.training.plan.shapes import Shapes


@dataclass(frozen=True, slots=True)
class Pass:
    """What a step asks of the model, beside the log-probs of a micro-batch."""

    precision: MatmulPrecision
    num_batches: int = 1
    """Micro-batches of the step: from the second on gradients are there already."""
    in_backward: bool = False
    """Each gradient is used and freed at once."""
    collision: bool = False
    kl: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """What a micro-batch holds and computes."""

    peaks: dict[str, Bytes]
    """For each stage the bytes by part when most are held: `activations` kept for the backward
    pass, the `head`, `gradients`, and `working` memory of the backward pass. Stages are `forward`,
    `head`, and `top`, `middle`, `bottom` of the layers' backward pass. Weights, optimiser and what
    torch itself needs are not counted."""
    forward_flops: float
    """Floating-point operations of the matmuls in the forward, two for each multiplication."""
    flops: float
    """The same of forward and backward."""


def trace(shapes: Shapes, batch: Batch, asked: Pass) -> Trace:
    """Run the micro-batch that comes last in a step, and count.

    Args:
        shapes: The model, told in which dtypes its gradients are summed.
        batch: Real token ids and places, on the device.
        asked: Of the step.

    Raises:
        ConfigError: the architecture can't be run on shapes alone (PT406).
    """
    ledger = Ledger()
    inputs = list(packed_inputs(batch) if shapes.layout == "packed" else padded_inputs(batch))
    for parameter in shapes.model.parameters():
        ledger.ignore(parameter)
        if parameter.requires_grad:
            hook = _drop if asked.in_backward else partial(_book, ledger)
            parameter.register_post_accumulate_grad_hook(hook)
    _watch_layers(layers_of(shapes.inner), ledger)
    with (
        shapes.fake,
        ledger,
        packed_forward(),
        matmuls_in(asked.precision, batch.ids.device),
    ):
        if asked.num_batches > 1:
            _hold_gradients(shapes, ledger)
        total = sum(_log_probs(shapes, part, batch, asked, ledger) for part in inputs)
        forward = ledger.flops
        cast(Tensor, total).backward()
    return Trace(ledger.peaks, forward, ledger.flops)


def _log_probs(shapes: Shapes, part: Inputs, batch: Batch, asked: Pass, ledger: Ledger) -> Tensor:
    """() their sum, differentiable."""
    ledger.enter("forward", "activations")
    model, targets = shapes.inner, shapes.fake.from_tensor(batch.targets[part.tokens])
    part = Inputs(
        {name: _faked(shapes, value) for name, value in part.model.items()},
        *(shapes.fake.from_tensor(places) for places in (part.row, part.column, part.tokens)),
    )
    if output_layer(model) is None:
        logits = own_logits(model, part)
        ledger.enter("head", "head")
        _enter_with_gradient(logits, ledger, "top")
        frozen = logits.detach() if asked.kl else None
        found = statistics_of_logits(logits, targets, collision=asked.collision, reference=frozen)
    else:
        hidden = predictors(model, part)
        ledger.enter("head", "head")
        _enter_with_gradient(hidden, ledger, "top")
        lazy = lazy_logits(model, hidden, logit_rules(model)[0])
        frozen = lazy.detach() if asked.kl else None
        found = token_statistics(lazy, targets, collision=asked.collision, reference=frozen)
    return found.log_probs.sum() if found.kl is None else (found.log_probs + found.kl).sum()


def _faked(shapes: Shapes, value: Any) -> Any:
    return shapes.fake.from_tensor(value) if isinstance(value, Tensor) else value


def _watch_layers(layers: list[nn.Module], ledger: Ledger) -> None:
    """Say in the backward pass when the last layer is done, and when the first begins."""
    second = layers[min(1, len(layers) - 1)]
    for layer, stage in ((layers[-1], "middle"), (second, "bottom")):
        layer.register_forward_pre_hook(partial(_mark, ledger, stage), with_kwargs=True)


def _mark(
    ledger: Ledger, stage: str, layer: nn.Module, args: tuple[Any, ...], settings: dict[str, Any]
) -> None:
    hidden = args[0] if args else settings["hidden_states"]
    if hidden.requires_grad:
        _enter_with_gradient(hidden, ledger, stage)


def _enter_with_gradient(tensor: Tensor, ledger: Ledger, stage: str) -> None:
    """The stage begins when the tensor's gradient is known."""

    def enter(gradient: Tensor) -> None:
        ledger.enter(stage, "working")

    cast(Any, tensor).register_hook(enter)


def _hold_gradients(shapes: Shapes, ledger: Ledger) -> None:
    """The gradients of the micro-batches before this one. Tied embeddings have one together."""
    ledger.enter("forward", "gradients")
    twin = shapes.twin
    for parameter in shapes.model.parameters():
        if parameter.requires_grad and parameter is not twin:
            parameter.grad = torch.empty_like(parameter, dtype=parameter.grad_dtype)


def _book(ledger: Ledger, parameter: Tensor) -> None:
    assert parameter.grad is not None
    ledger.rebook(parameter.grad, "gradients")


def _drop(parameter: Tensor) -> None:
    parameter.grad = None
