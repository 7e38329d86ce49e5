"""What DPO does to a whole policy: where it finds the optimum, and where it does not."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from preftune.objectives.losses.likelihood import sft
from preftune.objectives.logprobs import LogProbs
from preftune.objectives.metrics import measures
from preftune.objectives.losses.logistic import dpo
from tests.objectives.pairs import policy_over

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
    logits = REFERENCE.log().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits],
        max_iter=200,
        tolerance_grad=1e-13,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )
    judged = bradley_terry_judgements()

    def closure() -> Tensor:
        optimizer.zero_grad()
        logps = policy_over(log_softmax(logits, 0), REFERENCE.log(), judged)
        loss = dpo(logps, beta=beta).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    policy = logits.detach().softmax(0)
    closed_form = (REFERENCE.log() + REWARDS / beta).softmax(0)
    torch.testing.assert_close(policy, closed_form, rtol=0, atol=1e-6)
    torch.testing.assert_close(policy.tolist(), list(optimum), rtol=0, atol=1e-6)


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
    assert measures(logps, beta=1.0).means()["displacement"] == (1.0 if rate else 0.0)


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
