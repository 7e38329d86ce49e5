"""How a model is run, decided once: by what its architecture declares, then by trying it.

Declarations can be wrong or incomplete, so two tiny groups are scored in every way that will be
relied upon, and anything that does not reproduce the model's own padded forward is not used.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from preftune.batching import Batch, pack
from preftune.errors import ConfigError
from preftune.models.architecture import LogitRule, logit_rules, output_layer, why_not_packed
from preftune.models.attention import PACKED, CannotPackError, Locality, packed_forward, register
from preftune.models.head import log_probs_of_logits
from preftune.models.quiet import quiet
from preftune.models.scoring import (
    Inputs,
    Layout,
    fused_log_probs,
    own_logits,
    packed_inputs,
    padded_inputs,
)
from preftune.records import TokenGroup, TokenResponse

LARGEST_DIFFERENCE = 1e-3
"""Nats, in exact float32 and float64: packed and padded differ by rounding, some 1e-4 at most."""
MEAN_DIFFERENCE = 0.1
"""Nats, in 16 bits or TF32, where single tokens differ by more than that in any layout."""
LARGEST_TRACE = 0.05
"""Nats, in 16 bits, between two runs of the same shapes: mostly 0."""

# What an architecture may raise at arguments that it was not made for.
MISFITS = (TypeError, ValueError, RuntimeError, LookupError, AttributeError, AssertionError)


@dataclass(frozen=True, slots=True)
class Route:
    """How log-probs are got out of a model."""

    layout: Layout
    layout_reason: str
    """A sentence to say aloud when the layout is padded."""
    logit_rule: LogitRule | None
    """None: the fused head does not reproduce the model's logits, so they are made in full."""
    head_reason: str


_routes: WeakKeyDictionary[PreTrainedModel, Route] = WeakKeyDictionary()


def route_of(model: PreTrainedModel) -> Route:
    """The model's route: found on the first call, which leaves its attention set accordingly.

    Raises:
        ConfigError: PT404, where tokens are predicted from later tokens.
    """
    if model not in _routes:
        device = model.device.type
        with _evaluating(model), torch.no_grad(), torch.autocast(device, enabled=False), quiet():
            _routes[model] = _find_route(model)
    return _routes[model]


def _find_route(model: PreTrainedModel) -> Route:
    batch = _probe(model)
    expected = _reliable_log_probs(model, batch)
    rule = _fused_rule(model, batch, expected)
    head_reason = "The fused head reproduces the model's logits."
    if rule is None:
        head_reason = (
            f"{type(model).__name__} makes its logits in its own way, so they are made in full: "
            "correct, but slower and with more memory."
        )
    reason = why_not_packed(model) or _why_not_as_padded(model, batch, rule, expected)
    if reason is None:
        sentence = "Responses share their prompt in packed rows without padding."
        return Route("packed", sentence, rule, head_reason)
    sentence = f"{reason}, so each response runs in a padded row of its own: correct, but slower."
    return Route("padded", sentence, rule, head_reason)


def _reliable_log_probs(model: PreTrainedModel, batch: Batch) -> Tensor:
    """What every other way must reproduce: padded rows, the model's own logits and attention."""
    refusal = {
        "why": "preference tuning compares what a causal language model gives to responses.",
        "fix": "name a causal language model.",
    }
    kind = type(model).__name__
    try:
        expected = _padded_log_probs(model, batch, None)
        other = _padded_log_probs(model, _probe(model, change="last tokens"), None)
    except MISFITS as error:
        _reraise_if_out_of_memory(error)
        problem = f"{kind} can't be run on token ids alone ({type(error).__name__}: {error})."
        raise ConfigError("PT404", problem, **refusal) from error
    if not expected.isfinite().all():
        raise ConfigError(
            "PT400",
            f"{kind} gives log-probs that are not finite.",
            why="nothing can be compared with them, and nothing can be trained from here.",
            fix="look whether its weights are damaged, or load it in float32.",
        )
    earlier = batch.response == batch.response.roll(-1)  # not the last of its response
    agree = _untouched if _is_exact(model) else _same
    if not agree(model, expected[earlier], other[earlier]):
        problem = f"{kind} predicts tokens from later ones: it is not a causal language model."
        raise ConfigError("PT404", problem, **refusal)
    return expected


def _fused_rule(model: PreTrainedModel, batch: Batch, expected: Tensor) -> LogitRule | None:
    if output_layer(model) is None:
        return None
    for rule in logit_rules(model):
        try:
            found = _padded_log_probs(model, batch, rule)
        except MISFITS as error:
            _reraise_if_out_of_memory(error)
            return None
        if _same(model, found, expected):
            return rule
    return None


def _why_not_as_padded(
    model: PreTrainedModel, batch: Batch, rule: LogitRule | None, expected: Tensor
) -> str | None:
    """Try packed rows; where they do not give the padded result, undo and say why."""
    before = cast(str, model.config._attn_implementation)  # pyright: ignore[reportPrivateUsage]
    register()
    try:
        model.set_attn_implementation(PACKED)
        reason = _try_packed(model, batch, rule, expected)
    except CannotPackError as error:
        reason = f"{type(model).__name__} can't run packed rows: {error}"
    except MISFITS as error:
        _reraise_if_out_of_memory(error)
        reason = f"{type(model).__name__} can't run packed rows ({type(error).__name__})"
    if reason is not None:
        model.set_attn_implementation(before)
    return reason


def _try_packed(
    model: PreTrainedModel, batch: Batch, rule: LogitRule | None, expected: Tensor
) -> str | None:
    kind = type(model).__name__
    found, locality = _packed_log_probs(model, batch, rule)
    if not locality.reached:
        return f"{kind} does not hand further arguments to its attention"
    # The windows are longer than what is tried here, so that only declarations can be compared.
    if locality.asked != locality.told:
        windows = ", ".join(str(window) for window in sorted(locality.asked ^ locality.told))
        return f"{kind}'s masks and attention disagree about a window of {windows} tokens"
    if not _same(model, found, expected):
        return f"{kind} gives other log-probs in packed rows"
    other, _ = _packed_log_probs(model, _probe(model, change="first responses"), rule)
    later = batch.response % 2 == 1
    if not _untouched(model, found[later], other[later]):
        return f"{kind} lets responses see each other in packed rows"
    if not _is_exact(model):  # too coarse to see a response at another place
        moved = replace(batch, positions=batch.positions + 1 * (batch.positions > 3))
        if torch.equal(found, _packed_log_probs(model, moved, rule)[0]):
            return f"{kind} does not heed the positions in packed rows"
    return None


def _packed_log_probs(
    model: PreTrainedModel, batch: Batch, rule: LogitRule | None
) -> tuple[Tensor, Locality]:
    (part,) = packed_inputs(batch)
    with packed_forward() as locality:
        found = _log_probs(model, part, batch, rule)
    return found, locality


def _padded_log_probs(model: PreTrainedModel, batch: Batch, rule: LogitRule | None) -> Tensor:
    found = torch.zeros(len(batch.mask), dtype=torch.float64, device=batch.ids.device)
    for part in padded_inputs(batch):
        found[part.tokens] = _log_probs(model, part, batch, rule).double()
    return found


def _log_probs(
    model: PreTrainedModel, part: Inputs, batch: Batch, rule: LogitRule | None
) -> Tensor:
    targets = batch.targets[part.tokens]
    if rule is None:
        return log_probs_of_logits(own_logits(model, part), targets)
    return fused_log_probs(model, part, targets, rule)


def _probe(
    model: PreTrainedModel, change: Literal["first responses", "last tokens"] | None = None
) -> Batch:
    """Two tiny groups of two responses, the first long enough to displace the second."""
    vocabulary = int(model.config.get_text_config().vocab_size)  # pyright: ignore
    random = np.random.default_rng(0)

    def draw(count: int) -> NDArray[np.int32]:
        # Special tokens mostly lie at either end of the vocabulary.
        return random.integers(vocabulary // 8, vocabulary // 2, count).astype(np.int32)

    groups: list[TokenGroup] = []
    for prompt, *sizes in ((5, 9, 6), (2, 3, 4)):
        prompt_ids, ids = draw(prompt), [draw(size) for size in sizes]
        if change == "first responses":
            ids[0] = ids[0][::-1].copy()
        if change == "last tokens":
            for response in ids:
                response[-1] = vocabulary // 2
        sides = tuple(TokenResponse(response, np.ones(len(response), bool)) for response in ids)
        groups.append(TokenGroup(prompt_ids, sides))
    return pack(groups).to(model.device)


def _same(model: PreTrainedModel, found: Tensor, expected: Tensor) -> bool:
    """Whether log-probs got in two ways agree."""
    difference = (found.double() - expected.double()).abs()
    if _is_exact(model):
        return bool(difference.max() <= LARGEST_DIFFERENCE)
    return bool(difference.mean() <= MEAN_DIFFERENCE)


def _untouched(model: PreTrainedModel, found: Tensor, other: Tensor) -> bool:
    """Whether log-probs from the very same computation on other data elsewhere are the same."""
    largest = (found.double() - other.double()).abs().max()
    return bool(largest <= (LARGEST_DIFFERENCE / 10 if _is_exact(model) else LARGEST_TRACE))


def _is_exact(model: PreTrainedModel) -> bool:
    wide = model.dtype in {torch.float32, torch.float64}
    return wide and torch.get_float32_matmul_precision() == "highest"


def _reraise_if_out_of_memory(error: BaseException) -> None:
    if isinstance(error, torch.OutOfMemoryError):
        raise error


@contextmanager
def _evaluating(model: nn.Module) -> Generator[None]:
    """No dropout for a while; every module's own mode comes back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
