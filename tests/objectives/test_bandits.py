"""What a loss does to a whole policy: where it finds the optimum, and where it does not."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from preftune.objectives.logprobs import LogProbs
from preftune.objectives.losses.divergence import dpo_alpha_divergence
from preftune.objectives.losses.likelihood import sft
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.losses.offset import modpo
from preftune.objectives.losses.regression import ipo_mean, ipo_sum
from preftune.objectives.metrics import measures
from tests.objectives.pairs import Loss, policy_over

REFERENCE = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
REWARDS = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)


def bradley_terry_judgements() -> list[tuple[int, int, float]]:
    """All pairs, each with the probability that its winner is better."""
    strengths = {
        (i, j): torch.sigmoid(REWARDS[i] - REWARDS[j]).item()
        for i in range(3)
        for j in range(i + 1, 3)
    }
    return [(i, j, strength) for (i, j), strength in strengths.items()]


def learnt(loss: Loss, reference: Tensor, judged: Sequence[tuple[int, int, float]]) -> Tensor:
    """The policy (probabilities) with the least mean loss of the judgements."""
    logits = reference.log().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits],
        max_iter=200,
        tolerance_grad=1e-13,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss(policy_over(log_softmax(logits, 0), reference.log(), judged)).mean()
        total.backward()
        return total

    optimizer.step(closure)
    return logits.detach().softmax(0)


@pytest.mark.parametrize(
    ("beta", "optimum"),
    [
        (0.5, (0.918672, 0.074597, 0.006730)),
        (1.0, (0.784399, 0.173139, 0.042463)),
        (2.0, (0.661783, 0.240835, 0.097382)),
    ],
)
def test_soft_labels_on_all_pairs_recover_the_optimal_policy(
    beta: float, optimum: tuple[float, float, float]
) -> None:
    """Judgements alone give the optimum of reward - beta KL: reference exp(reward / beta) / Z."""
    policy = learnt(partial(dpo, beta=beta), REFERENCE, bradley_terry_judgements())
    closed_form = (REFERENCE.log() + REWARDS / beta).softmax(0)
    torch.testing.assert_close(policy, closed_form, rtol=0, atol=1e-6)
    torch.testing.assert_close(policy.tolist(), list(optimum), rtol=0, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_another_divergence_finds_another_optimum(alpha: float) -> None:
    """At the optimum of reward - beta D_f, f'(policy / reference) = reward / beta + a constant."""
    beta = 1.0
    loss = partial(dpo_alpha_divergence, beta=beta, alpha=alpha)
    policy = learnt(loss, REFERENCE, bradley_terry_judgements())
    scores = (1 - (policy / REFERENCE) ** -alpha) / alpha
    rest = beta * scores - REWARDS
    torch.testing.assert_close(rest, rest[:1].expand(3), rtol=0, atol=1e-5)
    kl_optimum = (REFERENCE.log() + REWARDS / beta).softmax(0)
    assert (policy - kl_optimum).abs().max() > 0.005


def test_two_objectives_and_one_policy() -> None:
    """MODPO of judgements after r and margins of s: the optimum of w r + (1 - w) s - beta KL."""
    others, share, beta = torch.tensor([-2.0, 0.5, 1.5], dtype=torch.float64), 0.7, 0.8
    judged = bradley_terry_judgements()
    margins = torch.stack([others[winner] - others[loser] for winner, loser, _ in judged])
    policy = learnt(
        lambda logps: modpo(replace(logps, margin=margins), beta=beta, share=share),
        REFERENCE,
        judged,
    )
    total = share * REWARDS + (1 - share) * others
    closed_form = (REFERENCE.log() + total / beta).softmax(0)
    torch.testing.assert_close(policy, closed_form, rtol=0, atol=1e-6)


UNIFORM = torch.tensor([0.5, 0.5], dtype=torch.float64)


@pytest.mark.parametrize("loss", [ipo_sum, ipo_mean])
@pytest.mark.parametrize(
    ("p", "tau", "margin"), [(0.8, 0.1, 3.0), (0.8, 1.0, 0.3), (0.95, 0.5, 0.9), (1.0, 0.1, 5.0)]
)
def test_ipo_finds_the_margin_that_the_judgements_are_worth(
    loss: Loss, p: float, tau: float, margin: float
) -> None:
    """(2 p - 1) / (2 tau), finite also where the judge is sure; one token: sum and mean agree."""
    reference = torch.tensor([0.3, 0.7], dtype=torch.float64)
    policy = learnt(partial(loss, tau=tau), reference, [(0, 1, p)])
    first, second = (policy / reference).log().tolist()
    assert math.isclose(first - second, margin, abs_tol=1e-6)


@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_a_sure_judge_leaves_ipo_with_some_doubt(tau: float) -> None:
    """Of two responses the better one gets sigmoid(1 / (2 tau)), where DPO would give it all."""
    first, _ = learnt(partial(ipo_sum, tau=tau), UNIFORM, [(0, 1, 1.0)]).tolist()
    assert math.isclose(first, 1 / (1 + math.exp(-1 / (2 * tau))), abs_tol=1e-8)
    all_of_it, _ = learnt(partial(dpo, beta=tau), UNIFORM, [(0, 1, 1.0)]).tolist()
    assert all_of_it > 1 - 1e-4


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0])
def test_documented_failure_mass_goes_to_responses_that_nobody_ranked(beta: float) -> None:
    """First over second is all the data says; the third response may take nearly everything.

    The loss is log(1 + (second / first)^beta) and reaches 0 whatever the third does, while reward
    minus KL would give the first everything: the reference never wrote the third (Xu et al. 2024,
    arXiv:2404.10719).
    """
    reference = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64).log()
    judged = [(0, 1, 1.0)]

    def loss(*policy: float) -> float:
        log_policy = torch.tensor(policy, dtype=torch.float64).log()
        # The third response is in no pair, so its infinite log-ratio is never read.
        return dpo(policy_over(log_policy, reference, judged), beta=beta).item()

    for first, second in ((0.5, 0.5), (0.1, 0.02), (0.7, 0.2)):
        expected = math.log1p((second / first) ** beta)
        assert math.isclose(loss(first, second, 1 - first - second), expected, rel_tol=1e-12)
    assert loss(0.1, 1e-300, 0.9) < 1e-29
    # It even prefers giving nearly all to the third over a policy that RLHF would like better.
    assert loss(0.1, 0.001, 0.899) < loss(0.9, 0.1, 0.0)


# Three tokens (good, bad, third), frozen output vectors, one hidden state that is trained.
HEAD = torch.tensor([[1.0, 0.0], [1.0, -1.0], [0.9, 2.0]], dtype=torch.float64)
START = torch.tensor([3.0, 0.0], dtype=torch.float64)


def pair_of(log_policy: Tensor, log_reference: Tensor) -> LogProbs:
    return LogProbs.of_pairs(
        [log_policy[:1]],
        [log_policy[1:2]],
        reference_chosen=[log_reference[:1]],
        reference_rejected=[log_reference[1:2]],
    )


def one_step(rate: float, nll: float = 0.0) -> tuple[LogProbs, list[float]]:
    """One gradient step on the hidden state; the pair and the policy after it."""
    reference = log_softmax(HEAD @ START, 0)
    hidden = START.clone().requires_grad_()
    logps = pair_of(log_softmax(HEAD @ hidden, 0), reference)
    loss = dpo(logps, beta=1.0)[0] + nll * sft(logps)[0]
    (gradient,) = torch.autograd.grad(loss, hidden)
    policy = log_softmax(HEAD @ (START - rate * gradient), 0)
    return pair_of(policy, reference), policy.exp().tolist()


@pytest.mark.parametrize(
    ("rate", "nll", "loss", "policy"),
    [
        (0.0, 0.0, 0.693147, (0.364855, 0.364855, 0.270291)),
        (0.2, 0.0, 0.644397, (0.355913, 0.322043, 0.322043)),
        (1.0, 0.0, 0.474077, (0.276221, 0.167537, 0.556242)),
        (1.0, 1.0, 0.544098, (0.318854, 0.230548, 0.450598)),
    ],
)
def test_displacement(
    rate: float, nll: float, loss: float, policy: tuple[float, float, float]
) -> None:
    """With shared features the loss falls and so does the chosen token: a third one gains."""
    logps, after = one_step(rate, nll)
    assert math.isclose(dpo(logps, beta=1.0).item(), loss, abs_tol=1e-6)
    torch.testing.assert_close(after, list(policy), rtol=0, atol=1e-6)
    assert measures(logps).means()["displacement"] == (1.0 if rate else 0.0)


def test_no_displacement_with_free_logits() -> None:
    """The control: a table of logits raises the chosen token."""
    start = HEAD @ START
    logits = start.clone().requires_grad_()
    reference = log_softmax(start, 0)
    loss = dpo(pair_of(log_softmax(logits, 0), reference), beta=1.0)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    policy = log_softmax(start - gradient, 0)
    logps = pair_of(policy, reference)
    assert math.isclose(dpo(logps, beta=1.0).item(), 0.313262, abs_tol=1e-6)
    torch.testing.assert_close(
        policy.exp().tolist(), [0.550295, 0.202442, 0.247263], rtol=0, atol=1e-6
    )
    assert measures(logps).means()["displacement"] == 0.0
