"""One of TRL's losses beside ours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from preftune.objectives import LogProbs
from preftune.objectives.bound import BoundObjective, Part
from preftune.objectives.catalogue import CATALOGUE
from preftune.objectives.losses import thumbs as losses
from tests.field.rows import Row, level, pairs, thumbs

ROWS: Mapping[str, Callable[[list[Row]], list[Any]]] = {
    "pairs": list,
    "level": level,
    "short": partial(level, letters=12),
    "thumbs": thumbs,
}


@dataclass(frozen=True)
class Case:
    """What both run."""

    name: str
    ours: BoundObjective
    rival: BoundObjective | None = None
    """Easily confused with it: the comparison must tell them apart."""
    _: KW_ONLY
    lr: float
    trainer: str = "DPO"
    rows: str = "pairs"
    accumulate: int = 1
    moving: tuple[int, float] | None = None
    """After how many steps the reference moves, and by what share."""
    tokens_per_batch: int = 10**6
    theirs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """TRL's settings."""
    adapters: bool = False
    """Whether only adapters are trained, those of `trl_runs.ADAPTERS`."""
    slow: bool = False

    def data(self, given: list[Row] | None = None) -> list[Any]:
        """Its rows, made from some pairs: by default from those written for these tests."""
        return ROWS[self.rows](given or pairs())


def every(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """A test for each case."""
    marked = [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else [])
        for case in cases
    ]
    return pytest.mark.parametrize("case", marked)


def weighing(bound: BoundObjective, weight: float) -> BoundObjective:
    """The same objective, each part with this weight."""
    return BoundObjective(tuple(replace(part, weight=weight) for part in bound.parts))


def kto_without_kl(**settings: float) -> BoundObjective:
    """APO-zero of single responses."""
    return _with_loss("kto", "loss_of_kto_without_kl", settings)


def bco_without_shift() -> BoundObjective:
    """BCO with the reference's own reward as the border between good and bad."""
    return _with_loss("bco", "loss_of_bco_without_shift", {})


def loss_of_kto_without_kl(logps: LogProbs, **settings: float) -> Tensor:
    return losses.kto(logps, **settings, kl=torch.zeros(()))


def loss_of_bco_without_shift(logps: LogProbs) -> Tensor:
    nothing = torch.zeros(())
    return losses.bco(logps, good_reward=nothing, bad_reward=nothing)


def _with_loss(name: str, loss: str, settings: Mapping[str, float]) -> BoundObjective:
    changed = replace(
        CATALOGUE[name], loss=f"tests.field.case:{loss}", running="", mismatched=False
    )
    return BoundObjective((Part(changed, settings),))
