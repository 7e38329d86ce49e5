"""Against TRL: the same tiny model, tokens and order, plain SGD in float32.

Twenty losses and twenty gradient norms of every loss that both have agree within 1e-4. Where they
don't, `test_trl_differs.py` says why.
"""

from dataclasses import replace

import pytest

from preftune.objectives.bound import BoundObjective
from preftune.records import Rating, Relation, TokenGroup
from tests.field.case import every
from tests.field.cases import CASES
from tests.field.our_runs import agree, run_ours
from tests.field.trl_runs import Step
from tests.field.with_trl import WITH_TRL

pytestmark = WITH_TRL
EARLY = 4
"""Updates after which a wrong objective has shown itself."""


@every(CASES)
def test_losses_and_gradient_norms_agree_for_twenty_steps(tiny_model, theirs, case):
    run = theirs(case)
    assert run.curve.moved >= 0.1, "a loss that stands still proves nothing"
    ours = run_ours(
        tiny_model,
        case.ours,
        run.steps,
        lr=case.lr,
        tokens_per_batch=case.tokens_per_batch,
        moving=case.moving,
    )
    agree(ours, run.curve)


@pytest.mark.parametrize("flip", ["loss", "judgement"])
@every(CASES)
def test_a_planted_sign_flip_is_rejected(tiny_model, theirs, case, flip):
    run = theirs(case)
    objective, steps = (
        (negated(case.ours), run.steps)
        if flip == "loss"
        else (case.ours, [swapped(step) for step in run.steps])
    )
    ours = run_ours(tiny_model, objective, steps, lr=case.lr, updates=EARLY, moving=case.moving)
    with pytest.raises(AssertionError, match="of step"):
        agree(ours, run.curve.first(EARLY))


@every(CASES)
def test_another_objective_is_rejected(tiny_model, theirs, case):
    run = theirs(case)
    assert case.rival is not None
    ours = run_ours(tiny_model, case.rival, run.steps, lr=case.lr, updates=EARLY)
    with pytest.raises(AssertionError, match="of step"):
        agree(ours, run.curve.first(EARLY))


def negated(objective: BoundObjective) -> BoundObjective:
    return BoundObjective(tuple(replace(part, weight=-part.weight) for part in objective.parts))


def swapped(step: Step) -> Step:
    return [[_swapped(group) for group in groups] for groups in step]


def _swapped(group: TokenGroup) -> TokenGroup:
    """Every judgement the other way round."""
    relations = tuple(Relation(one.loser, one.winner) for one in group.relations)
    responses = tuple(
        response
        if response.rating is None
        else replace(response, rating=Rating(good=not response.rating.good))
        for response in group.responses
    )
    return replace(group, responses=responses, relations=relations)
