import math
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import add

import pytest
import torch

from preftune.objectives import LogProbs
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.metrics import Measures, measures
from tests.objectives.pairs import Pair, record

GOOD = Pair(-40, -55, -42, -50)
DISPLACED = Pair(-45, -60, -42, -50)
WRONG = Pair(-44, -49, -42, -50)
TIED = Pair(-42, -50, -42, -50)


def reward(beta: float) -> Callable[[LogProbs], torch.Tensor]:
    return lambda logps: beta * logps.log_ratios


PAIRS = (GOOD, DISPLACED, WRONG, TIED)


def test_figures_of_pairs() -> None:
    means = measures(record(*PAIRS), reward(0.1)).means()
    kl = means.pop("kl")
    expected = {
        "logps_chosen": -(40 + 45 + 44 + 42) / 4,
        "logps_rejected": -(55 + 60 + 49 + 50) / 4,
        "accuracy": 2.5 / 4,
        "margin": (7 + 7 - 3 + 0) / 4,
        "displacement": 2 / 4,
        "rewards_chosen": 0.1 * (2 - 3 - 2 + 0) / 4,
        "rewards_rejected": 0.1 * (-5 - 10 + 1 + 0) / 4,
    }
    assert means.keys() == expected.keys()
    torch.testing.assert_close([means[name] for name in expected], list(expected.values()))
    assert kl > 0
    # What is logged is what is optimised: the reward margin is beta h.
    torch.testing.assert_close(
        means["rewards_chosen"] - means["rewards_rejected"], 0.1 * means["margin"]
    )


def test_kl_is_half_the_squared_log_ratio_of_trained_tokens_for_each_response() -> None:
    logps = record(GOOD, WRONG)
    mask = logps.mask.clone()
    mask[[0, 9]] = False
    logps = replace(logps, mask=mask)
    assert logps.reference is not None
    by_hand = sum(
        (policy - reference) ** 2 / 2
        for policy, reference, trained in zip(
            logps.tokens.tolist(), logps.reference.tolist(), mask.tolist(), strict=True
        )
        if trained
    )
    assert math.isclose(measures(logps).means()["kl"], by_hand / 4, rel_tol=1e-12)


def test_kl_agrees_with_the_known_value_on_samples_of_the_policy() -> None:
    """On every token of q in its own proportion, the mean is Schulman's k2: 0.080088."""
    policy = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    reference = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    by_token = [
        measures(replace(record(TIED), tokens=p.log().expand(8), reference=r.log().expand(8)))
        for p, r in zip(policy, reference, strict=True)
    ]
    # The pair has 3 + 5 tokens in two responses: four tokens for each response.
    expected = sum(
        p.item() * part.means()["kl"] / 4 for p, part in zip(policy, by_token, strict=True)
    )
    assert math.isclose(expected, 0.080088, abs_tol=1e-6)


def test_at_the_start_all_is_neutral() -> None:
    means = measures(record(TIED, TIED), reward(0.1)).means()
    neutral = {"accuracy": 0.5, "margin": 0, "displacement": 0, "kl": 0}
    assert {name: means[name] for name in neutral} == neutral
    assert means["rewards_chosen"] == means["rewards_rejected"] == 0


@pytest.mark.parametrize("parts", [((GOOD, DISPLACED), (WRONG, TIED)), ((GOOD,), PAIRS[1:])])
def test_micro_batches_add_up_to_the_whole(parts: tuple[tuple[Pair, ...], ...]) -> None:
    whole = measures(record(*PAIRS), reward(0.3))
    total = reduce(add, [measures(record(*part), reward(0.3)) for part in parts])
    assert total.names == whole.names
    torch.testing.assert_close(total.sums, whole.sums)
    torch.testing.assert_close(total.counts, whole.counts, rtol=0, atol=0)


def test_only_what_the_record_can_say() -> None:
    pairs = record(GOOD)
    assert "rewards_chosen" not in measures(pairs).names
    without_reference = replace(pairs, reference=None)
    assert measures(without_reference).names == ("logps_chosen", "logps_rejected")
    none = torch.zeros(0, dtype=torch.int64)
    demonstrations = replace(without_reference, winner=none, loser=none)
    assert measures(demonstrations).means() == {"logps": pytest.approx(-47.5)}


def test_different_kinds_do_not_add() -> None:
    with pytest.raises(ValueError, match="different kinds"):
        measures(record(GOOD), reward(0.1)) + measures(record(GOOD))


def test_no_gradient_flows_and_sums_are_exact() -> None:
    logps = record(GOOD, dtype=torch.float32)
    result = measures(logps, reward(0.1))
    assert result.sums.dtype == torch.float64
    assert not result.sums.requires_grad
    dpo(logps).sum().backward()
    assert logps.tokens.grad is not None


def test_nothing_counted_is_left_out_not_zero() -> None:
    """A step may hold no bad response at all."""
    counted = Measures(("margin", "kl"), torch.zeros(2), torch.tensor([0.0, 2.0]))
    assert counted.means() == {"kl": 0.0}


def test_equal_but_for_rounding_is_a_tie() -> None:
    """The same tokens scored in another micro-batch differ in their last bits."""
    chosen, rejected = [torch.full((50,), -2.0)], [torch.full((60,), -2.0)]
    policy = LogProbs.of_pairs(
        [chosen[0] * (1 + 2e-7)], rejected, reference_chosen=chosen, reference_rejected=rejected
    )
    means = measures(policy, reward(0.1)).means()
    assert means["margin"] != 0
    assert means["accuracy"] == 0.5
    assert means["displacement"] == 0


def test_figures_of_thumbs_leave_mismatched_responses_out() -> None:
    responses = [torch.tensor([value]) for value in (-1.0, -3.0, -8.0)]
    start = [torch.tensor([-2.0])] * 3
    logps = replace(
        LogProbs.of_groups([responses], reference=[start]),
        good=torch.tensor([1.0, -1.0, 0.0]),
        mismatched=torch.tensor([False, False, True]),
    )
    assert measures(logps, reward(0.5)).means() == {
        "logps_good": -1.0,
        "logps_bad": -3.0,
        "rewards_good": 0.5,
        "rewards_bad": -0.5,
        "kl": 0.5,
    }


def test_ties_count_for_nothing() -> None:
    logps = replace(record(GOOD, WRONG), tie=torch.tensor([False, True]))
    means = measures(logps, reward(0.1)).means()
    assert means["accuracy"] == 1
    assert means["margin"] == pytest.approx(GOOD.margin)


def test_accuracy_is_of_what_the_objective_compares() -> None:
    """Longer and likelier in sum, less likely per token."""
    logps = record(Pair(-10, -12, -10, -12, 2, 5))
    assert measures(logps, lambda one: one.sums).means()["accuracy"] == 1
    assert measures(logps, lambda one: one.means).means()["accuracy"] == 0
