"""The comparison with TRL once more, on pairs that people wrote."""

import pytest

from tests.field.case import every
from tests.field.cases import CASES
from tests.field.our_runs import agree, run_ours
from tests.field.rows import FACTS, real
from tests.field.with_trl import WITH_TRL

pytestmark = [pytest.mark.slow, *WITH_TRL]
SOME = {"sigmoid", "ipo", "exo_pair", "aot", "kto", "simpo", "orpo"}


@every([case for case in CASES if case.name in SOME])
def test_they_agree_on_real_pairs_too(tiny_model, theirs, shared, case):
    rows = real(shared / "data" / "polite-pairs")
    assert len(rows) == len(FACTS)
    run = theirs(case, rows)
    assert run.curve.moved >= 0.1
    agree(run_ours(tiny_model, case.ours, run.steps, lr=case.lr), run.curve)
