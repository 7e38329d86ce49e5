"""The whole vocabulary's statistics from the fused head, against all logits at once."""

import math
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from preftune.models import LazyLogits, token_statistics
from preftune.models.head import statistics_of_logits
from tests.models.test_head import RULES, Largest

TOKENS, VOCABULARY = 11, 23
BLOCKS = [(23, 11), (5, 3), (8, 100), (1, 1)]


def draw(generator, *shape, dtype=torch.float64, factor=1.0):
    return (factor * torch.randn(*shape, generator=generator)).to(dtype).requires_grad_()


def lazy(seed, width, *, tokens=TOKENS, vocabulary=VOCABULARY, biased=True, **settings):
    """Random logits, every tensor of which needs a gradient."""
    rule = {name: settings.pop(name) for name in ("softcap", "scale") if name in settings}
    generator = torch.Generator().manual_seed(seed)
    shapes = [(tokens, width), (vocabulary, width), (vocabulary,)][: 3 if biased else 2]
    return LazyLogits(*(draw(generator, *shape, **settings) for shape in shapes), **rule)


def tensors(logits):
    return [each for each in (logits.hidden, logits.weight, logits.bias) if each is not None]


def targets_of(tokens=TOKENS, vocabulary=VOCABULARY):
    return torch.randint(vocabulary, (tokens,), generator=torch.Generator().manual_seed(3))


def plain_logits(lazy):
    logits = lazy.hidden @ lazy.weight.T
    logits = lazy.scale * (logits if lazy.bias is None else logits + lazy.bias)
    if lazy.softcap is None:
        return logits
    return lazy.softcap * torch.tanh(logits / lazy.softcap)


def plain(policy, targets, reference):
    """Log-probs, collision, KL and the reference's log-probs, as the formulas say them."""
    log_p, log_r = (plain_logits(each).log_softmax(1) for each in (policy, reference))
    kl = (log_r.exp() * (log_r - log_p)).sum(1)
    picked, frozen = (each.gather(1, targets[:, None])[:, 0] for each in (log_p, log_r))
    return picked, log_p.exp().square().sum(1).log(), kl, frozen


def mixed(log_probs, kl):
    """A loss in which every token's log-prob and KL weigh something else."""
    weights = torch.linspace(-1, 1, len(log_probs)).to(log_probs)
    return (log_probs * weights + kl * (weights + 0.3).square()).sum()


def assert_close(found, expected, tolerance=1e-12):
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("frozen_rule", [{}, {"softcap": 3.0, "scale": 0.5}], ids=str)
@pytest.mark.parametrize("blocks", BLOCKS, ids=str)
@pytest.mark.parametrize("biased", [True, False])
def test_values_and_gradients_are_those_of_all_logits(rule, frozen_rule, blocks, biased):
    policy = lazy(0, 6, biased=biased, **rule)
    reference = lazy(1, 4, biased=not biased, **frozen_rule)
    targets = targets_of()
    vocab_block, token_block = blocks
    found = token_statistics(
        policy,
        targets,
        collision=True,
        reference=reference,
        vocab_block=vocab_block,
        token_block=token_block,
    )
    log_probs, collision, kl, frozen = plain(policy, targets, reference)
    assert_close(found.log_probs, log_probs)
    assert_close(found.collision, collision.detach())
    assert_close(found.kl, kl)
    assert_close(found.reference, frozen.detach())
    for ours, theirs in zip(
        torch.autograd.grad(mixed(found.log_probs, found.kl), tensors(policy)),
        torch.autograd.grad(mixed(log_probs, kl), tensors(policy)),
        strict=True,
    ):
        assert_close(ours, theirs)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_gradients_agree_with_finite_differences(rule):
    policy, reference = lazy(0, 3, tokens=4, vocabulary=9), lazy(1, 2, tokens=4, vocabulary=9)

    def outputs(hidden, weight, bias):
        logits = LazyLogits(hidden, weight, bias, **rule)
        found = token_statistics(
            logits, targets_of(4, 9), reference=reference, vocab_block=4, token_block=3
        )
        return found.log_probs, found.kl

    assert torch.autograd.gradcheck(outputs, tuple(tensors(policy)))


@pytest.mark.parametrize("used", ["log_probs", "kl"])
def test_one_of_the_two_may_be_left_out_of_the_loss(used):
    policy, reference, targets = lazy(0, 6), lazy(1, 6), targets_of()
    found = token_statistics(policy, targets, reference=reference, vocab_block=5)
    expected = dict(zip(("log_probs", "_", "kl"), plain(policy, targets, reference), strict=False))
    for ours, theirs in zip(
        torch.autograd.grad(getattr(found, used).sum(), tensors(policy)),
        torch.autograd.grad(expected[used].sum(), tensors(policy)),
        strict=True,
    ):
        assert_close(ours, theirs)


def test_neither_the_collision_nor_the_reference_carries_a_gradient():
    policy, reference = lazy(0, 6), lazy(1, 4)
    found = token_statistics(policy, targets_of(), collision=True, reference=reference)
    assert found.kl.requires_grad
    assert not found.collision.requires_grad
    assert not found.reference.requires_grad
    mixed(found.log_probs, found.kl).backward()
    assert all(each.grad is not None for each in tensors(policy))
    assert all(each.grad is None for each in tensors(reference))


def test_the_graph_behind_a_reference_is_not_kept():
    policy, attached = lazy(0, 6), lazy(1, 4)
    found = token_statistics(policy, targets_of(), reference=attached)
    saved = [each for each in found.kl.grad_fn.saved_tensors if each.requires_grad]
    assert {each.data_ptr() for each in saved} == {each.data_ptr() for each in tensors(policy)}


def test_what_is_frozen_in_the_policy_gets_no_gradient():
    policy, reference = lazy(0, 6), lazy(1, 4)
    whole = token_statistics(policy, targets_of(), reference=reference)
    wanted = torch.autograd.grad(mixed(whole.log_probs, whole.kl), policy.hidden)[0]
    hidden = policy.hidden.detach().requires_grad_()
    part = LazyLogits(hidden, policy.weight.detach(), policy.bias.detach())
    found = token_statistics(part, targets_of(), reference=reference)
    mixed(found.log_probs, found.kl).backward()
    assert torch.equal(hidden.grad, wanted)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("blocks", BLOCKS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_model_does_not_diverge_from_itself(rule, blocks, dtype):
    """Exactly: no rounding is left over, in the KL or in its gradient."""
    policy, reference = (lazy(0, 6, dtype=dtype, factor=3.0, **rule) for _ in range(2))
    found = token_statistics(
        policy, targets_of(), reference=reference, vocab_block=blocks[0], token_block=blocks[1]
    )
    assert torch.equal(found.kl, torch.zeros_like(found.kl))
    assert torch.equal(found.reference, found.log_probs)
    (found.kl * torch.linspace(-1, 2, TOKENS)).sum().backward()
    assert not any(each.grad.any() for each in tensors(policy))


@pytest.mark.parametrize(
    ("dtype", "rounding"), [(torch.float64, 1e-13), (torch.float32, 2e-6)], ids=str
)
@pytest.mark.parametrize("step", [1e-6, 1e-3, 1.0, 30.0])
def test_the_divergence_is_negative_by_rounding_only(dtype, rounding, step):
    policy = lazy(0, 6, tokens=200, dtype=dtype)
    moved = policy.hidden + step * draw(torch.Generator().manual_seed(5), 200, 6, dtype=dtype)
    reference = LazyLogits(moved, policy.weight, policy.bias)
    found = token_statistics(policy, targets_of(200), reference=reference, vocab_block=4)
    assert found.kl.min() >= -rounding
    if step**2 > 100 * rounding:
        assert (found.kl > 0).all()


def test_published_weights_and_a_divergence_by_hand():
    """WPO's weights p / sum p^2 for p = (.7, .2, .08, .02), and a KL of two letters."""
    shares = torch.tensor([[0.7, 0.2, 0.08, 0.02]], dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.float64)
    weights = []
    for target in range(4):
        policy = LazyLogits(one, shares.log().T)
        found = token_statistics(policy, torch.tensor([target]), collision=True, vocab_block=3)
        weights.append((found.log_probs - found.collision).exp().item())
    assert weights == pytest.approx([1.30402, 0.372578, 0.149031, 0.0372578], abs=5e-6)
    mean = sum(share * weight for share, weight in zip(shares[0].tolist(), weights, strict=True))
    assert mean == pytest.approx(1.0, abs=1e-12)
    halves, quarters = (torch.tensor(each, dtype=torch.float64) for each in ([1, 1], [1, 3]))
    found = token_statistics(
        LazyLogits(one, quarters.log()[:, None]),
        torch.tensor([0]),
        reference=LazyLogits(one, halves.log()[:, None]),
    )
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert found.kl.item() == pytest.approx(expected, abs=1e-15)


def test_a_uniform_policy_collides_once_in_the_vocabulary():
    policy = LazyLogits(torch.zeros(2, 3), torch.randn(1000, 3))
    found = token_statistics(policy, torch.tensor([1, 999]), collision=True, vocab_block=300)
    assert_close(found.collision, torch.full((2,), -math.log(1000)), 1e-5)


def test_later_blocks_may_outweigh_all_earlier_ones():
    """What was summed before is rescaled to nothing, and back and forth nothing overflows."""
    heights = torch.tensor([0.0, 1.0, 400.0, 399.0, -400.0, 0.0, 1200.0, 1201.0])
    heights = heights.double()[:, None]
    one = torch.ones(1, 1, dtype=torch.float64)
    for policy, reference in [(heights, heights.flip(0)), (heights.flip(0), heights / 2)]:
        lazies = LazyLogits(one, policy), LazyLogits(one, reference)
        target = torch.tensor([1])
        found = token_statistics(
            lazies[0], target, collision=True, reference=lazies[1], vocab_block=2
        )
        expected = plain(lazies[0], target, lazies[1])
        assert_close(found.collision, expected[1])
        assert_close(found.kl, expected[2], 1e-10)


def test_huge_logits_stay_finite():
    settings = {"dtype": torch.float32, "factor": 300.0}
    policy, reference = lazy(0, 6, **settings), lazy(1, 6, **settings)
    found = token_statistics(
        policy, targets_of(), collision=True, reference=reference, vocab_block=4
    )
    mixed(found.log_probs, found.kl).backward()
    assert found.kl.isfinite().all()
    assert (found.collision <= 1e-6).all()
    assert (found.collision >= -math.log(VOCABULARY)).all()
    assert policy.hidden.grad.isfinite().all()


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_matmuls_give_float32_statistics(autocast):
    sizes = {"tokens": 64, "vocabulary": 500, "biased": False}
    exact = [lazy(seed, 64, dtype=torch.float32, factor=0.5, **sizes) for seed in (0, 1)]
    targets = targets_of(64, 500)
    wide = [LazyLogits(each.hidden.double(), each.weight.double()) for each in exact]
    expected = plain(wide[0], targets, wide[1])
    given = exact
    if not autocast:
        given = [LazyLogits(each.hidden.bfloat16(), each.weight.bfloat16()) for each in exact]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = token_statistics(
            given[0], targets, collision=True, reference=given[1], vocab_block=100
        )
    # Logits here reach 10, where bfloat16 has steps of 1/16; the KL is 10 nats on average.
    for ours, theirs in zip((found.collision, found.kl), expected[1:3], strict=True):
        assert ours.dtype == torch.float32
        error = (ours - theirs).abs()
        assert 1e-5 < error.max() < 0.15
        assert error.mean() < 0.03
    gradient = torch.autograd.grad(found.kl.sum(), exact[0].weight)[0]
    wanted = torch.autograd.grad(expected[2].sum(), exact[0].weight)[0]
    assert (gradient - wanted).norm() < 0.02 * wanted.norm()


def test_a_reference_may_have_another_dtype():
    policy, reference, targets = lazy(0, 6), lazy(1, 4, dtype=torch.float32), targets_of()
    found = token_statistics(policy, targets, collision=True, reference=reference, vocab_block=5)
    wide = LazyLogits(*(each.detach().double() for each in tensors(reference)))
    assert found.reference.dtype == found.kl.dtype == torch.float64
    assert_close(found.kl, plain(policy, targets, wide)[2], 1e-5)


def test_tokens_times_vocabulary_is_never_held():
    sizes = {"tokens": 300, "vocabulary": 1000}
    policy, reference = lazy(0, 8, **sizes, softcap=5.0), lazy(1, 6, **sizes)
    targets = targets_of(300, 1000)
    with Largest() as seen:
        found = token_statistics(
            policy, targets, collision=True, reference=reference, vocab_block=64, token_block=128
        )
        mixed(found.log_probs, found.kl).backward()
    assert all(each.grad is not None for each in tensors(policy))
    assert 128 * 64 <= seen.elements <= max(128 * 64, 1000 * 8)


class Products(TorchDispatchMode):
    """Counts matrix products."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[func.overloadpacket._qualified_op_name] += 1
        return func(*args, **(kwargs or {}))

    @property
    def count(self):
        return sum(self.seen[name] for name in ("aten::mm", "aten::addmm_"))


@pytest.mark.parametrize(
    ("asked", "used", "forward", "backward"),
    [
        ({}, ["log_probs"], 1, 3),
        ({"collision": True}, ["log_probs"], 1, 3),
        ({"reference": True}, ["log_probs", "kl"], 2, 4),
        ({"reference": True}, ["log_probs"], 2, 3),
    ],
    ids=str,
)
def test_matrix_products_of_the_vocabulary_are_as_few_as_can_be(asked, used, forward, backward):
    """In units of token * vocab * hidden multiplications; a KL left out of the loss costs none."""
    policy, reference = lazy(0, 6), lazy(1, 6)
    asked = asked | ({"reference": reference} if "reference" in asked else {})
    with Products() as first:
        found = token_statistics(policy, targets_of(), vocab_block=VOCABULARY, **asked)
    loss = sum(getattr(found, name).sum() for name in used)
    with Products() as second:
        loss.backward()
    assert (first.count, second.count) == (forward, backward)


def test_nothing_is_computed_that_nobody_asked_for():
    found = token_statistics(lazy(0, 6), targets_of())
    assert found.collision is None
    assert found.kl is None
    assert found.reference is None


def test_no_tokens_give_no_statistics_and_a_zero_gradient():
    policy, reference = lazy(0, 6, tokens=0), lazy(1, 4, tokens=0)
    found = token_statistics(policy, targets_of(0), collision=True, reference=reference)
    mixed(found.log_probs, found.kl).backward()
    assert found.kl.shape == found.collision.shape == found.reference.shape == (0,)
    assert not policy.weight.grad.any()


@pytest.mark.parametrize("sizes", [{"vocabulary": 24}, {"tokens": 10}], ids=str)
def test_a_reference_over_other_tokens_is_refused(sizes):
    policy, reference = lazy(0, 6), lazy(1, 6, **sizes)
    with pytest.raises(ValueError, match="a KL needs the same tokens and vocabulary"):
        token_statistics(policy, targets_of(), reference=reference)
    with pytest.raises(ValueError, match="a KL needs the same tokens and vocabulary"):
        statistics_of_logits(plain_logits(policy), targets_of(), reference=plain_logits(reference))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_full_logits_give_the_same_by_plain_autograd(rule):
    policy, reference, targets = lazy(0, 6, **rule), lazy(1, 4), targets_of()
    found = statistics_of_logits(
        plain_logits(policy), targets, collision=True, reference=plain_logits(reference)
    )
    fused = token_statistics(policy, targets, collision=True, reference=reference, vocab_block=5)
    for name in ("log_probs", "collision", "kl", "reference"):
        assert_close(getattr(found, name), getattr(fused, name))
    assert not found.collision.requires_grad
    assert not found.reference.requires_grad
    for ours, theirs in zip(
        torch.autograd.grad(mixed(found.log_probs, found.kl), tensors(policy)),
        torch.autograd.grad(mixed(fused.log_probs, fused.kl), tensors(policy)),
        strict=True,
    ):
        assert_close(ours, theirs)
    same = statistics_of_logits(plain_logits(policy), targets, reference=plain_logits(policy))
    assert torch.equal(same.kl, torch.zeros_like(same.kl))
    same.kl.sum().backward()
    assert not any(each.grad.any() for each in tensors(policy))
