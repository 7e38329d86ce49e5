import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import logsigmoid

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.length import (
    desensitised_reward,
    dpo_norm,
    ld_dpo,
    len_dpo,
    regularised_reward,
)
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.rewards import mean_log_ratio
from tests.objectives.pairs import (
    FIXTURES,
    Loss,
    Pair,
    betas,
    check_central_difference,
    check_doubt,
    check_finite,
    check_golden,
    close,
    doubled,
    few,
    fewer,
    lengths,
    pairs,
    record,
    record_of_tokens,
    slopes,
    sure_pairs,
    value,
)

DTYPES = [torch.float32, torch.float64]
LOSSES: dict[str, Loss] = {"dpo_norm": dpo_norm, "len_dpo": len_dpo, "ld_dpo": ld_dpo}
shares = st.floats(0.0, 1.0)
costs = st.floats(0.001, 1.0)

# Loss, slope by the chosen and by the rejected log-prob, from 40-digit arithmetic.
GOLDEN: list[tuple[Loss, dict[str, tuple[float, float, float]]]] = [
    (
        partial(len_dpo, beta=0.1, alpha=0.05),
        {
            "start": (0.82593942, -0.0562177, 0.0562177),
            "good": (0.49324895, -0.0389361, 0.0389361),
            "displaced": (0.49324895, -0.0389361, 0.0389361),
            "wrong": (1.0054925, -0.0634136, 0.0634136),
        },
    ),
    (
        partial(dpo_norm, beta=5.0),
        {
            "start": (0.69314718, -0.125, 0.1),
            "good": (0.20141328, -0.0456064, 0.0364851),
            "displaced": (0.25192908, -0.055675, 0.04454),
            "wrong": (1.103186, -0.167047, 0.133638),
        },
    ),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize(("loss", "golden"), GOLDEN, ids=["len_dpo", "dpo_norm"])
def test_golden_values(
    loss: Loss,
    golden: dict[str, tuple[float, float, float]],
    fixture: str,
    dtype: torch.dtype,
) -> None:
    check_golden(loss, record(FIXTURES[fixture], dtype=dtype), golden[fixture])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (partial(dpo_norm, beta=5.0), 0.360884816),
        (partial(len_dpo, beta=0.1, alpha=0.05), 0.708259676),  # 0.611755 with the wrong sign
        (partial(ld_dpo, beta=0.1, alpha=0.0), 0.678259676),
        (partial(ld_dpo, beta=0.1, alpha=0.5), 0.668459648),
        (partial(ld_dpo, beta=0.1, alpha=1.0), 0.658759556),
    ],
)
def test_golden_values_from_tokens(loss: Loss, expected: float) -> None:
    close(loss(record_of_tokens()).item(), expected, 1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_the_start(dtype: torch.dtype) -> None:
    logps = record(Pair(-30, -60, -30, -60, 7, 4), dtype=dtype)
    check_golden(partial(dpo_norm, beta=2.0), logps, (math.log(2), -1 / 7, 1 / 4))
    offset = 0.2 * 3
    pull = 0.3 / (1 + math.exp(offset))
    regularised = partial(len_dpo, beta=0.3, alpha=0.2)
    check_golden(regularised, logps, (math.log1p(math.exp(-offset)), -pull, pull))
    close(ld_dpo(logps).item(), math.log(2), 1e-6)
    by_token = by_tokens(partial(ld_dpo, beta=0.3, alpha=0.2), logps)
    expected = [-0.15] * 4 + [-0.03] * 3 + [0.15] * 4
    torch.testing.assert_close(by_token, torch.tensor(expected, dtype=dtype), rtol=0, atol=1e-7)


def by_tokens(loss: Loss, logps: LogProbs) -> Tensor:
    (gradient,) = torch.autograd.grad(loss(logps).sum(), logps.tokens)
    return gradient


def pull_of(logit: float) -> float:
    """Sigmoid(-logit): the slope of softplus(-logit), its sign turned."""
    return torch.tensor(-logit, dtype=torch.float64).sigmoid().item()


@few
@given(sure_pairs, betas, costs)
def test_gradients_are_the_closed_forms(pair: Pair, beta: float, alpha: float) -> None:
    """dL/d log-ratio = -+beta sigmoid(-logit), over the length where it is a mean."""
    up, down = pair.chosen - pair.reference_chosen, pair.rejected - pair.reference_rejected
    more = pair.tokens_chosen - pair.tokens_rejected
    pull = beta * pull_of(beta * (up / pair.tokens_chosen - down / pair.tokens_rejected))
    chosen, rejected = slopes(partial(dpo_norm, beta=beta), pair)
    close(chosen, -pull / pair.tokens_chosen)
    close(rejected, pull / pair.tokens_rejected)
    pull = beta * pull_of(beta * pair.margin + alpha * more)
    chosen, rejected = slopes(partial(len_dpo, beta=beta, alpha=alpha), pair)
    close(chosen, -pull)
    close(rejected, pull)


def with_settings(name: str, beta: float, alpha: float) -> Loss:
    return {
        "dpo_norm": partial(dpo_norm, beta=beta),
        "len_dpo": partial(len_dpo, beta=beta, alpha=alpha),
        "ld_dpo": partial(ld_dpo, beta=beta, alpha=alpha),
    }[name]


@pytest.mark.parametrize("name", LOSSES)
@fewer
@given(pairs, st.floats(0.01, 0.5), shares)
def test_gradient_is_the_central_difference(
    name: str, pair: Pair, beta: float, alpha: float
) -> None:
    check_central_difference(with_settings(name, beta, alpha), record(pair))


@few
@given(pairs, betas, costs)
def test_doubt_is_the_expectation_over_both_judgements(
    pair: Pair, beta: float, alpha: float
) -> None:
    check_doubt(partial(dpo_norm, beta=beta), pair)
    check_doubt(partial(len_dpo, beta=beta, alpha=alpha), pair)
    loss = partial(ld_dpo, beta=beta, alpha=alpha)
    sure = replace(pair, strength=1.0)
    right, wrong = value(loss, sure), value(loss, sure.swapped)
    close(value(loss, pair), pair.strength * right + (1 - pair.strength) * wrong)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margin", [1e4, -1e4])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_margins_stay_finite(name: str, margin: float, dtype: torch.dtype) -> None:
    for tokens in ((1, 1), (1, 9), (9, 1)):
        pair = Pair(margin - 30, -40, -30, -40, *tokens, strength=0.9)
        check_finite(with_settings(name, 5.0, 0.5), record(pair, dtype=dtype))
    right = record(Pair(margin - 30, -40, -30, -40, 1, 1), dtype=dtype)
    close(with_settings(name, 1.0, 0.5)(right).item(), max(0.0, -margin), 1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_without_a_reference_they_refuse(loss: Loss) -> None:
    with pytest.raises(ValueError, match="carry no reference"):
        loss(replace(record(FIXTURES["good"]), reference=None))


# DPO per token


@few
@given(pairs, lengths, betas)
def test_for_equal_lengths_dpo_norm_is_dpo_with_beta_over_the_length(
    pair: Pair, length: int, beta: float
) -> None:
    same = replace(pair, tokens_chosen=length, tokens_rejected=length)
    plain, norm = partial(dpo, beta=beta / length), partial(dpo_norm, beta=beta)
    close(value(norm, same), value(plain, same))
    assert slopes(norm, same) == pytest.approx(slopes(plain, same), abs=1e-12)


@few
@given(sure_pairs, betas)
def test_doubled_tokens_leave_dpo_norm_alone(pair: Pair, beta: float) -> None:
    logps = record(pair)
    loss = partial(dpo_norm, beta=beta)
    close(loss(doubled(logps)).item(), loss(logps).item())
    close(dpo(doubled(logps), beta=beta).item(), dpo(logps, beta=2 * beta).item())


# Length-regularised DPO


@few
@given(pairs, betas)
def test_len_dpo_at_no_cost_is_dpo(pair: Pair, beta: float) -> None:
    loss = partial(len_dpo, beta=beta, alpha=0.0)
    close(value(loss, pair), value(partial(dpo, beta=beta), pair), 1e-12)
    assert slopes(loss, pair) == pytest.approx(slopes(partial(dpo, beta=beta), pair), abs=1e-12)


@few
@given(pairs, lengths, betas, costs)
def test_len_dpo_for_equal_lengths_is_dpo(
    pair: Pair, length: int, beta: float, alpha: float
) -> None:
    same = replace(pair, tokens_chosen=length, tokens_rejected=length)
    loss = partial(len_dpo, beta=beta, alpha=alpha)
    close(value(loss, same), value(partial(dpo, beta=beta), same), 1e-12)


@few
@given(st.floats(-100, 100), lengths, st.integers(1, 9), costs)
def test_a_longer_chosen_response_leaves_less_to_learn(
    margin: float, length: int, more: int, alpha: float
) -> None:
    loss = partial(len_dpo, beta=0.1, alpha=alpha)
    pair = Pair(margin - 30, -40, -30, -40, length, 6)
    longer = replace(pair, tokens_chosen=length + more)
    assert value(loss, longer) < value(loss, pair)
    assert slopes(loss, pair)[0] < slopes(loss, longer)[0] < 0
    # A token weighs as much as alpha / beta nats of margin.
    close(value(loss, longer), value(loss, replace(pair, chosen=pair.chosen + more * alpha / 0.1)))


# LD-DPO


@few
@given(pairs, betas)
def test_ld_dpo_with_a_whole_tail_is_dpo(pair: Pair, beta: float) -> None:
    logps, loss, plain = (
        record(pair),
        partial(ld_dpo, beta=beta, alpha=1.0),
        partial(dpo, beta=beta),
    )
    close(loss(logps).item(), plain(logps).item())
    torch.testing.assert_close(by_tokens(loss, logps), by_tokens(plain, logps), rtol=0, atol=1e-12)


@few
@given(pairs, lengths, betas, shares)
def test_ld_dpo_for_equal_lengths_is_dpo(
    pair: Pair, length: int, beta: float, alpha: float
) -> None:
    same = record(replace(pair, tokens_chosen=length, tokens_rejected=length))
    loss, plain = partial(ld_dpo, beta=beta, alpha=alpha), partial(dpo, beta=beta)
    close(loss(same).item(), plain(same).item())
    torch.testing.assert_close(by_tokens(loss, same), by_tokens(plain, same), rtol=0, atol=1e-12)


@few
@given(sure_pairs, betas, shares)
def test_tokens_of_the_tail_move_alpha_times_as_much(pair: Pair, beta: float, alpha: float) -> None:
    logps = record(pair)
    loss = partial(ld_dpo, beta=beta, alpha=alpha)
    gradient = by_tokens(loss, logps)
    common = min(pair.tokens_chosen, pair.tokens_rejected)
    pull = -math.expm1(-loss(logps).item()) * beta  # 1 - exp(-L) = sigmoid(-logit)
    for side, sign in (
        (gradient[: pair.tokens_chosen], -1),
        (gradient[pair.tokens_chosen :], 1),
    ):
        expected = [sign * pull * (1.0 if place < common else alpha) for place in range(len(side))]
        torch.testing.assert_close(side.tolist(), expected, rtol=0, atol=1e-12)


def logit_of(loss: float) -> float:
    """The logit whose softplus(-logit) is the loss."""
    return -math.log(math.expm1(loss))


@few
@given(st.builds(Pair, *[st.floats(-20.0, 0.0)] * 4, lengths, lengths), shares)
def test_the_margin_of_ld_dpo_is_linear_in_alpha(pair: Pair, alpha: float) -> None:
    cut, between, whole = (
        logit_of(value(partial(ld_dpo, beta=0.1, alpha=share), pair)) for share in (0.0, alpha, 1.0)
    )
    close(between, (1 - alpha) * cut + alpha * whole)


def random_groups(seed: int, sizes: list[int]) -> LogProbs:
    """Groups with every response compared with every other, of random lengths and masks."""
    generator = torch.Generator().manual_seed(seed)

    def response() -> Tensor:
        length = int(torch.randint(1, 8, (1,), generator=generator))
        return -torch.rand(length, generator=generator, dtype=torch.float64) * 5

    groups = [[response() for _ in range(size)] for size in sizes]
    reference = [
        [-torch.rand(len(one), generator=generator, dtype=torch.float64) * 5 for one in group]
        for group in groups
    ]
    first, relations = 0, []
    for size in sizes:
        relations += [(first + i, first + j) for i in range(size) for j in range(size) if i != j]
        first += size
    logps = LogProbs.of_groups(groups, reference=reference, relations=relations)
    mask = torch.rand(len(logps.tokens), generator=generator) < 0.7
    starts = torch.cat([torch.ones(1, dtype=torch.bool), logps.response.diff() > 0])
    # Every response keeps a token.
    return replace(logps, mask=mask | starts, tokens=logps.tokens.requires_grad_())


def one_by_one(logps: LogProbs, beta: float, alpha: float) -> list[float]:
    """LD-DPO written down token by token."""
    assert logps.reference is not None
    difference = (logps.tokens - logps.reference).detach()
    trained = [
        difference[(logps.response == response) & logps.mask].tolist()
        for response in range(len(logps.group))
    ]
    losses = []
    for winner, loser in zip(logps.winner.tolist(), logps.loser.tolist(), strict=True):
        common = min(len(trained[winner]), len(trained[loser]))
        chosen, rejected = (
            sum(one[:common]) + alpha * sum(one[common:])
            for one in (trained[winner], trained[loser])
        )
        logit = torch.tensor(beta * (chosen - rejected), dtype=torch.float64)
        losses.append(-logsigmoid(logit).item())
    return losses


@fewer
@given(st.integers(0, 2**31), st.lists(st.integers(2, 4), min_size=1, max_size=3), betas, shares)
def test_ld_dpo_of_groups_and_masks_is_its_definition(
    seed: int, sizes: list[int], beta: float, alpha: float
) -> None:
    """Tokens are counted as trained, and anew in every comparison that a response is in."""
    logps = random_groups(seed, sizes)
    loss = ld_dpo(logps, beta=beta, alpha=alpha)
    torch.testing.assert_close(loss.tolist(), one_by_one(logps, beta, alpha))
    (gradient,) = torch.autograd.grad(loss.sum(), logps.tokens)
    assert (gradient[~logps.mask] == 0).all()
    check_central_difference(partial(ld_dpo, beta=beta, alpha=alpha), logps)


def test_a_tail_begins_after_the_trained_tokens_of_the_shorter() -> None:
    """A user turn inside a response has no place in the count, and no gradient."""
    logps = record(Pair(-30, -40, -30, -40, 5, 2))
    mask = torch.tensor([False, True, False, True, True, True, True])
    gradient = by_tokens(partial(ld_dpo, beta=0.2, alpha=0.5), replace(logps, mask=mask))
    torch.testing.assert_close(gradient.tolist(), [0.0, -0.1, 0.0, -0.1, -0.05, 0.1, 0.1])


# Rewards


@pytest.mark.parametrize(
    ("name", "reward"),
    [
        ("dpo_norm", mean_log_ratio),
        ("len_dpo", regularised_reward),
        ("ld_dpo", desensitised_reward),
    ],
)
@few
@given(sure_pairs, betas, shares)
def test_the_reward_is_what_the_loss_compares(
    name: str,
    reward: Callable[[LogProbs, dict[str, float]], Tensor],
    pair: Pair,
    beta: float,
    alpha: float,
) -> None:
    logps = record(pair)
    rewards = reward(logps, {"beta": beta, "alpha": alpha})
    assert rewards.shape == (2,)
    expected = -logsigmoid(rewards[0] - rewards[1])
    close(with_settings(name, beta, alpha)(logps).item(), expected.item())


def test_rewards_by_hand() -> None:
    logps = record_of_tokens()
    settings = {"beta": 0.1, "alpha": 0.5}
    torch.testing.assert_close(regularised_reward(logps, settings).tolist(), [1.52, 2.45])
    # The last two tokens of the rejected response: log-ratios -0.5 and 0.1, halved.
    torch.testing.assert_close(desensitised_reward(logps, settings).tolist(), [0.02, -0.03])
    # Of three responses with 3, 5 and 1 tokens the second is compared with both others.
    three = LogProbs.of_groups(
        [[torch.ones(3), torch.ones(5), torch.ones(1)]],
        reference=[[torch.zeros(3), torch.zeros(5), torch.zeros(1)]],
        relations=[(0, 1), (1, 2)],
    )
    values = desensitised_reward(three, {"beta": 1.0, "alpha": 0.0})
    assert values.tolist() == [3.0, 1.0, 1.0]
