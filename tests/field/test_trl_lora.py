"""Against TRL with adapters: the same random A, plain SGD in float32, for twenty steps."""

from dataclasses import replace

import pytest

from tests.field.case import every
from tests.field.cases import CASES
from tests.field.our_runs import agree, run_ours
from tests.field.trl_runs import ADAPTERS
from tests.field.with_trl import WITH_TRL

pytestmark = WITH_TRL
FASTER = {"sigmoid": 20, "ipo": 20, "robust": 20, "hinge": 20, "simpo": 10}
"""How many times the rate of full training: B starts at 0, so that at first little moves."""


def adapted():
    return [
        replace(case, lr=FASTER[case.name] * case.lr, adapters=True, slow=case.name != "sigmoid")
        for case in CASES
        if case.name in FASTER
    ]


@every(adapted())
def test_losses_and_gradient_norms_of_adapters_agree_for_twenty_steps(tiny_model, theirs, case):
    run = theirs(case)
    assert run.curve.moved >= 0.1
    ours = run_ours(tiny_model, case.ours, run.steps, lr=case.lr, adapters=ADAPTERS)
    agree(ours, run.curve)


@pytest.mark.slow
@every(adapted())
def test_adapters_of_another_scale_are_rejected(tiny_model, theirs, case):
    run = theirs(case)
    other = replace(ADAPTERS, alpha=2 * ADAPTERS.alpha)
    ours = run_ours(tiny_model, case.ours, run.steps, lr=case.lr, adapters=other, updates=4)
    with pytest.raises(AssertionError, match="of step"):
        agree(ours, run.curve.first(4))
