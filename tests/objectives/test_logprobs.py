import math
from dataclasses import replace

import pytest
import torch

from preftune.objectives import LogProbs
from preftune.objectives.losses.logistic import dpo
from tests.objectives.pairs import Pair, record


def test_a_log_ratio_of_zero_is_still_a_token() -> None:
    """Masks come from the data: policy = reference, or a log-prob of 0, shortens nothing."""
    start = record(Pair(-3, -5, -3, -5, 3, 5))
    assert start.log_ratios.tolist() == [0.0, 0.0]
    assert start.lengths.tolist() == [3.0, 5.0]
    certain = replace(start, tokens=torch.zeros(8, dtype=torch.float64))
    assert certain.lengths.tolist() == [3.0, 5.0]


def test_later_turns_inside_a_response_do_not_count() -> None:
    """Assistant, user, assistant: the middle tokens are context."""
    logps = record(Pair(-6, -5, -6, -5, 3, 5))
    mask = torch.tensor([True, False, True, True, True, True, True, True])
    masked = replace(logps, mask=mask)
    assert masked.sums.tolist() == pytest.approx([-4.0, -5.0])
    assert masked.reference_sums.tolist() == pytest.approx([-4.0, -5.0])
    assert masked.lengths.tolist() == [2.0, 5.0]


def test_a_response_without_tokens_has_log_prob_zero() -> None:
    pair = LogProbs.of_pairs([torch.tensor([-1.0])], [torch.tensor([])])
    assert pair.sums.tolist() == [-1.0, 0.0]
    assert pair.lengths.tolist() == [1.0, 0.0]


def test_the_reference_never_gets_a_gradient() -> None:
    policy, reference = record(Pair(-3, -5, 0, 0)), record(Pair(-4, -4, 0, 0))
    logps = policy.with_reference(reference)
    assert logps.margins.item() == pytest.approx((-3 + 4) - (-5 + 4))
    dpo(logps).sum().backward()
    assert policy.tokens.grad is not None
    assert reference.tokens.grad is None
    torch.testing.assert_close(policy.with_reference(reference.tokens).margins, logps.margins)


def test_the_same_record_as_its_own_reference_is_the_start() -> None:
    policy = record(Pair(-3, -5, 0, 0))
    loss = dpo(policy.with_reference(policy))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-12)


def test_a_reference_of_other_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"reference has \(7,\) tokens, the policy \(8,\)"):
        record(Pair(-3, -5, 0, 0)).with_reference(torch.zeros(7))


def test_what_does_not_belong_together_is_refused() -> None:
    """Swapped references of like total length would give a loss, and a wrong one."""
    two, three = torch.zeros(2), torch.zeros(3)
    with pytest.raises(ValueError, match=r"\[\[2, 3\]\] tokens, the reference's \[\[3, 2\]\]"):
        LogProbs.of_pairs([two], [three], reference_chosen=[three], reference_rejected=[two])
    with pytest.raises(ValueError, match="of both sides"):
        LogProbs.of_pairs([two], [three], reference_chosen=[two])
    with pytest.raises(ValueError, match="1 chosen responses, 2 rejected"):
        LogProbs.of_pairs([two], [three, three])
    with pytest.raises(ValueError, match=r"got \(2, 2\)"):
        LogProbs.of_groups([[torch.zeros(2, 2)]])
    with pytest.raises(ValueError, match=r"Relation \(0, 5\) names none of the 1 responses"):
        LogProbs.of_groups([[two]], relations=[(0, 5)])


def test_records_are_made_where_the_tokens_are() -> None:
    """On another device than the CPU: `meta` holds no numbers, but refuses mixed devices."""
    tokens = [torch.zeros(2, device="meta"), torch.zeros(3, device="meta")]
    made = LogProbs.of_pairs(
        tokens[:1], tokens[1:], reference_chosen=tokens[:1], reference_rejected=tokens[1:]
    )
    assert made.margins.device.type == "meta"
    assert made.preferred is not None
    assert made.preferred.device.type == "meta"
    assert made.members.device.type == "meta"
