"""How much memory a run needs, by part, at its fullest moments."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from preftune.batching import pack
from preftune.errors import ConfigError
from preftune.models.precision import MatmulPrecision
from preftune.models.route import MISFITS
from preftune.models.scoring import Layout
from preftune.objectives.bound import BoundObjective
from preftune.records import TokenGroup
from preftune.training.adamw import PIECE
from preftune.training.config import RunSettings
from preftune.training.gradients import sum_gradients_of
from preftune.training.optimizer import optimizer_bytes
from preftune.training.plan.four_bits import saved_by_four_bits
from preftune.training.plan.ledger import Bytes
from preftune.training.plan.shapes import Shapes, depth_of, shapes_of
from preftune.training.plan.tracing import Pass, Trace, trace
from preftune.training.policy import weight_dtype

PARTS = {
    "process": "Python, torch, the data",
    "weights": "weights",
    "reference": "live reference",
    "optimizer": "optimiser",
    "gradients": "gradients",
    "activations": "activations",
    "working": "working memory",
    "head": "output layer",
}
"""Part of the memory → what to call it."""

DEPTHS = 2, 3
"""Layers of the models that are run: what further layers hold follows from the difference."""

LIBRARIES = 48 * 2**20
"""Bytes of code and buffers that kernels load when they first run, on a CPU (measured)."""

BUFFERS = 6
"""Pieces in float32 that the optimiser holds while it updates one piece."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What the memory of a run depends on."""

    config: PreTrainedConfig
    settings: RunSettings
    objective: BoundObjective
    precision: MatmulPrecision
    groups: Sequence[TokenGroup]
    """Of the fullest micro-batch."""
    num_batches: int
    """Micro-batches of the step that it is in."""
    device: torch.device
    process: int
    """Bytes held before the model is loaded; 0 where they are not on the device."""
    trust_remote_code: bool = False
    known: dict[object, Trace] = field(default_factory=dict[object, Trace])
    """Traces that cases made of this one by `replace` have in common."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is held at one moment of a step."""

    name: str
    parts: dict[str, int]
    """Bytes by key of `PARTS`; only what is there."""

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The moments at which a run may hold most, and the work of its fullest micro-batch."""

    moments: tuple[Moment, ...]
    layout: Layout
    forward_flops: float
    """Floating-point operations of the micro-batch's forward."""
    flops: float
    """The same of forward and backward."""
    parameters: int
    """Numbers in the weights, with adapters."""
    trained: int
    """Those that are trained."""
    trained_bytes: int
    optimizer_bytes: int

    @property
    def peak(self) -> Moment:
        """The fullest moment."""
        return max(self.moments, key=lambda moment: moment.total)


def plan_memory(case: Case) -> MemoryPlan:
    """Count what the run would hold, without weights: from its code and the shapes of its tensors.

    Models of two and of three layers run the fullest micro-batch on tensors without content; what
    every further layer adds is the difference between them.

    Raises:
        ConfigError: as `shapes_of` and `weight_dtype`; PT406 where an architecture can't be run on
            shapes alone.
    """
    layers = depth_of(case.config)
    if layers <= DEPTHS[1]:
        whole = _measured(case, layers)
    else:
        shallow, deep = (_measured(case, depth) for depth in DEPTHS)
        whole = shallow.towards(deep, layers - DEPTHS[0])
    held = Counter(process=case.process) + whole.held
    update = Counter(gradients=whole.gradients, working=whole.update)
    moments = [Moment("update", dict(held + update))]
    moments += [Moment(name, dict(held + peak)) for name, peak in whole.trace.peaks.items()]
    return MemoryPlan(
        tuple(moments),
        whole.layout,
        whole.trace.forward_flops,
        whole.trace.flops,
        whole.counts["parameters"],
        whole.counts["trained"],
        whole.counts["trained_bytes"],
        whole.held["optimizer"],
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """A model of some depth; everything in it grows linearly with the depth."""

    held: Bytes
    """What is there all the time."""
    counts: Counter[str]
    """`parameters`, `trained` and `trained_bytes`."""
    gradients: int
    """All of them."""
    update: int
    """What the optimiser holds while it updates."""
    trace: Trace
    layout: Layout

    def towards(self, deeper: "_Measured", steps: int) -> "_Measured":
        """Of a model deeper by `steps` differences between this one and `deeper`."""

        def line(start: Bytes, further: Bytes) -> Bytes:
            return Counter(
                {key: start[key] + steps * (further[key] - start[key]) for key in start | further}
            )

        peaks = {  # between the first and the last layer there is never more than at one of both
            name: line(peak, deeper.trace.peaks[name])
            for name, peak in self.trace.peaks.items()
            if name != "middle"
        }
        forward, flops = (
            getattr(self.trace, name)
            + steps * (getattr(deeper.trace, name) - getattr(self.trace, name))
            for name in ("forward_flops", "flops")
        )
        return replace(
            self,
            held=line(self.held, deeper.held),
            counts=line(self.counts, deeper.counts),
            gradients=self.gradients + steps * (deeper.gradients - self.gradients),
            trace=Trace(peaks, forward, flops),
        )


def _measured(case: Case, depth: int) -> _Measured:
    settings = case.settings
    shapes = shapes_of(
        case.config,
        settings,
        depth=depth,
        dtype=weight_dtype(settings, case.precision),
        device=case.device,
        trust_remote_code=case.trust_remote_code,
    )
    sum_gradients_of(shapes.model, num_batches=case.num_batches)
    return _Measured(
        _held(case, shapes),
        _counts(shapes),
        0 if settings.optimizer.in_backward else _gradient_bytes(shapes),
        _update_bytes(case, shapes),
        _traced(case, shapes, depth),
        shapes.layout,
    )


def _traced(case: Case, shapes: Shapes, depth: int) -> Trace:
    settings, vocabulary = case.settings, case.objective.vocabulary
    asked = Pass(
        case.precision,
        num_batches=min(case.num_batches, 2),
        in_backward=settings.optimizer.in_backward,
        collision="collision" in vocabulary,
        kl="kl" in vocabulary,
    )
    lora = settings.lora and settings.lora.model_copy(update={"quantize": None})
    key = (
        asked,
        depth,
        shapes.inner.dtype,
        settings.checkpoint_activations,
        repr(lora),
        tuple(group.source for group in case.groups),
    )
    if key not in case.known:
        try:
            case.known[key] = trace(shapes, pack(case.groups).to(case.device), asked)
        except MISFITS as error:
            raise _unforeseeable(shapes, error) from error
    return case.known[key]


def _held(case: Case, shapes: Shapes) -> Bytes:
    """Weights, a live reference and the optimiser's state."""
    settings, model = case.settings, shapes.model
    weights = sum(p.nbytes for p in model.parameters())
    moments = optimizer_bytes(model, settings.optimizer)
    if shapes.twin is not None:  # one weight, where the shapes have two
        weights -= shapes.twin.nbytes
        moments -= optimizer_bytes(_alone(shapes.twin), settings.optimizer)
    moving = settings.reference.every is not None
    reference = 0
    if moving or case.objective.reference == "distribution":
        reference = weights
        if moving:  # what bfloat16 weights can't hold is kept beside them
            reference += sum(p.nbytes for p in model.parameters() if p.dtype == torch.bfloat16)
        if settings.lora is not None:  # the weights are shared; adapters, only if they move
            trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
            reference = trained if moving else 0
    if settings.lora is not None and settings.lora.quantize is not None:
        weights -= saved_by_four_bits(model)
    return Counter(weights=weights, reference=reference, optimizer=moments)


def _alone(weight: Tensor) -> nn.Module:
    """A model of one weight."""
    return nn.ParameterList([nn.Parameter(weight, weight.requires_grad)])


def _counts(shapes: Shapes) -> Counter[str]:
    every = [p for p in shapes.model.parameters() if p is not shapes.twin]
    trained = [parameter for parameter in every if parameter.requires_grad]
    return Counter(
        parameters=sum(p.numel() for p in every),
        trained=sum(p.numel() for p in trained),
        trained_bytes=sum(p.nbytes for p in trained),
    )


def _unforeseeable(shapes: Shapes, error: Exception) -> ConfigError:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConfigError(
        "PT406",
        f"the memory of {type(shapes.inner).__name__} can't be foreseen ({first}).",
        why="its code looks at what is in the tensors, and a plan knows only their shapes.",
        fix="try it instead: --try 60s measures.",
    )


def _update_bytes(case: Case, shapes: Shapes) -> int:
    """What an update holds: nothing where torch's fused AdamW runs over whole float32 weights."""
    chosen = case.settings.optimizer
    trained = [p for p in shapes.model.parameters() if p.requires_grad]
    plain = chosen.name == "adamw" and not chosen.in_backward
    if plain and all(p.dtype != torch.bfloat16 for p in trained):
        return 0
    piece = PIECE.get(case.device.type, PIECE["cpu"])
    return 4 * BUFFERS * min(piece, max(p.numel() for p in trained))


def _gradient_bytes(shapes: Shapes) -> int:
    """Of all gradients together, in the dtypes in which they are summed."""
    return sum(
        p.numel() * (p.grad_dtype or p.dtype).itemsize
        for p in shapes.model.parameters()
        if p.requires_grad and p is not shapes.twin
    )
