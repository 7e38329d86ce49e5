import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from preftune.models import token_log_probs

TOKENS, WIDTH, VOCABULARY = 11, 6, 23
RULES = [
    {},
    {"softcap": 1.5},
    {"scale": 0.3},
    {"softcap": 2.0, "scale": 3.0},
]


def case(dtype=torch.float64, *, tokens=TOKENS, width=WIDTH, vocabulary=VOCABULARY, factor=1.0):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return (factor * torch.randn(*shape, generator=generator)).to(dtype).requires_grad_()

    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    return draw(tokens, width), draw(vocabulary, width), draw(vocabulary), targets


def plain(hidden, weight, bias, targets, *, softcap=None, scale=1.0):
    logits = scale * (hidden @ weight.T + (0 if bias is None else bias))
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("blocks", [(23, 11), (5, 3), (8, 100)], ids=str)
@pytest.mark.parametrize("biased", [True, False])
def test_values_and_gradients_are_those_of_all_logits(rule, blocks, biased):
    *inputs, targets = case()
    if not biased:
        inputs[2] = None
    given = [each for each in inputs if each is not None]
    weights = torch.linspace(-1, 1, TOKENS, dtype=torch.float64)
    expected = plain(*inputs, targets, **rule)
    found = token_log_probs(
        *inputs[:2],
        targets,
        bias=inputs[2],
        vocab_block=blocks[0],
        token_block=blocks[1],
        **rule,
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), given),
        torch.autograd.grad((expected * weights).sum(), given),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_gradients_agree_with_finite_differences(rule):
    hidden, weight, bias, targets = case(tokens=4, width=3, vocabulary=9)

    def log_probs(hidden, weight, bias):
        return token_log_probs(hidden, weight, targets, bias=bias, vocab_block=4, **rule)

    assert torch.autograd.gradcheck(log_probs, (hidden, weight, bias))


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation gave."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.numel())
        return result


def test_tokens_times_vocabulary_is_never_held():
    tokens, width, vocabulary = 300, 8, 1000
    hidden, weight, bias, targets = case(tokens=tokens, width=width, vocabulary=vocabulary)
    with Largest() as seen:
        token_log_probs(
            hidden, weight, targets, bias=bias, softcap=5.0, vocab_block=64, token_block=128
        ).sum().backward()
    assert weight.grad is not None
    assert 128 * 64 <= seen.elements <= max(128 * 64, vocabulary * width)
    with Largest() as seen:
        plain(hidden, weight, bias, targets).sum().backward()
    assert seen.elements == tokens * vocabulary, "the measure sees what the plain way holds"


def test_a_frozen_weight_gets_no_gradient():
    hidden, weight, _, targets = case()
    token_log_probs(hidden, weight.detach(), targets).sum().backward()
    assert hidden.grad is not None
    hidden, weight, _, targets = case()
    token_log_probs(hidden.detach(), weight, targets).sum().backward()
    assert weight.grad is not None
    assert hidden.grad is None


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_matmuls_give_float32_log_probs(autocast):
    exact = case(torch.float32, tokens=64, width=64, vocabulary=500, factor=0.5)
    expected = plain(exact[0].double(), exact[1].double(), None, exact[3])
    hidden, weight, _, targets = exact
    if not autocast:
        hidden, weight = hidden.bfloat16(), weight.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = token_log_probs(hidden, weight, targets, vocab_block=100)
    assert found.dtype == torch.float32
    error = (found - expected).abs()
    # Logits here reach 10, where bfloat16 has steps of 1/16.
    assert 1e-4 < error.max() < 0.06
    assert error.mean() < 0.02
    gradient = torch.autograd.grad(found.sum(), weight)[0]
    wanted = torch.autograd.grad(expected.sum(), exact[1])[0]
    assert gradient.dtype == weight.dtype
    assert (gradient - wanted).norm() < 0.02 * wanted.norm()


def test_huge_logits_stay_finite():
    hidden, weight, _, targets = case(torch.float32, factor=300.0)
    found = token_log_probs(hidden, weight, targets, vocab_block=4)
    found.sum().backward()
    assert found.isfinite().all()
    assert found.max() <= 0
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()


def test_no_tokens_give_no_log_probs_and_a_zero_gradient():
    hidden, weight, _, targets = case(tokens=0)
    found = token_log_probs(hidden, weight, targets)
    found.sum().backward()
    assert found.shape == (0,)
    assert weight.grad is not None
    assert not weight.grad.any()
