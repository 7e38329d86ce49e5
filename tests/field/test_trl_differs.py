"""Where TRL and preftune differ, with the reason, and a third computation that says who does what.

Ours is the documented formula, TRL's differs in the way that is named, both for twenty steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from preftune.objectives.binding import bind
from tests.field import by_hand
from tests.field.by_hand import (
    Formula,
    mean_of_micro_batches,
    over_all,
    response_mean,
    run_by_hand,
    token_mean,
)
from tests.field.case import Case, weighing
from tests.field.our_runs import agree, run_ours
from tests.field.with_trl import WITH_TRL

pytestmark = WITH_TRL


@dataclass(frozen=True)
class Difference:
    """A loss of the same name that is not the same."""

    case: Case
    documented: Formula
    theirs: Formula
    what_trl_does: str


def both(cases: Sequence[Difference]) -> pytest.MarkDecorator:
    marked = [
        pytest.param(one, id=one.case.name, marks=[pytest.mark.slow] if one.case.slow else [])
        for one in cases
    ]
    return pytest.mark.parametrize("difference", marked)


DIFFERENCES = [
    Difference(
        Case(
            "label smoothing",
            bind("dpo", {"label_smoothing": 0.2}),
            lr=0.02,
            theirs={"loss_type": "sigmoid", "label_smoothing": 0.2},
        ),
        documented=over_all(partial(by_hand.dpo, smoothing=0.2)),
        theirs=over_all(by_hand.dpo),
        what_trl_does="`sigmoid` accepts `label_smoothing` and does not use it",
    ),
    Difference(
        Case(
            "aot, two micro-batches",
            bind("aot", {"beta": 0.1}),
            lr=0.01,
            rows="level",
            accumulate=2,
            slow=True,
            theirs={"loss_type": "aot"},
        ),
        documented=over_all(partial(by_hand.aot, beta=0.1)),
        theirs=mean_of_micro_batches(partial(by_hand.aot, beta=0.1)),
        what_trl_does="sorts inside each micro-batch, not over the optimiser step",
    ),
    Difference(
        Case(
            "kto, two micro-batches",
            bind("kto"),
            lr=0.1,
            trainer="KTO",
            rows="thumbs",
            accumulate=2,
            slow=True,
        ),
        documented=over_all(partial(by_hand.kto, beta=0.1)),
        theirs=mean_of_micro_batches(partial(by_hand.kto, beta=0.1)),
        what_trl_does="estimates the KL from each micro-batch by itself, and cuts it there at 0",
    ),
    Difference(
        Case(
            "sft, two micro-batches",
            bind("sft"),
            lr=0.1,
            accumulate=2,
            slow=True,
            theirs={"loss_type": "sft"},
        ),
        documented=over_all(token_mean),
        theirs=mean_of_micro_batches(token_mean),
        what_trl_does="takes the mean of micro-batch means: tokens of short batches count more",
    ),
    Difference(
        Case(
            "sigmoid and sft",
            bind("dpo_nll", {"alpha": 0.2}),
            lr=0.02,
            slow=True,
            theirs={"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.2]},
        ),
        documented=over_all(
            partial(by_hand.dpo_with_likelihood, alpha=0.2, likelihood=response_mean)
        ),
        theirs=over_all(partial(by_hand.dpo_with_likelihood, alpha=0.2, likelihood=token_mean)),
        what_trl_does="the likelihood is a mean over the batch's tokens, not over each response's",
    ),
    Difference(
        Case("cpo", bind("cpo"), lr=0.02, trainer="CPO"),
        documented=over_all(partial(by_hand.cpo, beta=0.1, likelihood=response_mean)),
        theirs=over_all(partial(by_hand.cpo, beta=0.1, likelihood=token_mean)),
        what_trl_does="the likelihood is a mean over the batch's tokens, not over each response's",
    ),
    Difference(
        Case("orpo", bind("orpo"), lr=0.05, trainer="ORPO"),
        documented=over_all(partial(by_hand.orpo, lam=0.1, likelihood=response_mean)),
        theirs=over_all(
            partial(by_hand.orpo, lam=0.1, likelihood=partial(token_mean, prompts=True))
        ),
        what_trl_does="trains the prompts' tokens too, and takes the mean over the batch's tokens",
    ),
    Difference(
        Case(
            "use_weighting",
            bind("wpo", {"beta": 0.1}),
            lr=0.02,
            slow=True,
            theirs={"loss_type": "sigmoid", "use_weighting": True},
        ),
        documented=over_all(partial(by_hand.wpo, beta=0.1, largest=1.0)),
        theirs=over_all(partial(by_hand.wpo, beta=0.1, largest=float("inf"))),
        what_trl_does="does not cut WPO's weight at 1 as the authors' code does",
    ),
    Difference(
        Case(
            "bco_pair",
            weighing(bind("bco", {"memory": 0.0}), 2.0),
            lr=0.02,
            theirs={"loss_type": "bco_pair"},
        ),
        documented=over_all(partial(by_hand.bco, beta=0.1, shifted=True)),
        theirs=over_all(partial(by_hand.bco, beta=0.1, shifted=False)),
        what_trl_does="leaves BCO's shift out, and adds chosen and rejected up instead of a mean",
    ),
]


@both(DIFFERENCES)
def test_a_difference_is_the_one_that_is_named(tiny_model, theirs, difference):
    case = difference.case
    run = theirs(case)
    assert run.curve.moved >= 0.1
    ours = run_ours(tiny_model, case.ours, run.steps, lr=case.lr)
    documented = run_by_hand(tiny_model, difference.documented, run.steps, lr=case.lr)
    named = run_by_hand(tiny_model, difference.theirs, run.steps, lr=case.lr)
    agree(ours, documented)
    agree(run.curve, named)
    with pytest.raises(AssertionError, match="of step"):
        agree(ours, run.curve)
