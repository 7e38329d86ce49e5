import pytest
import torch

from preftune.models import LazyLogits
from tests.models.test_head import RULES
from tests.models.test_token_statistics import lazy, plain_logits, tensors


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_logits_made_in_full_are_the_formula(rule):
    logits = lazy(0, 6, **rule)
    found = logits.in_full()
    torch.testing.assert_close(found, plain_logits(logits).detach(), rtol=0, atol=1e-13)
    assert not found.requires_grad


def test_some_tokens_logits_are_rows_of_all():
    logits = lazy(0, 6, softcap=2.0)
    rows = torch.tensor([4, 0, 4])
    # Other shapes of a matmul may round in another way.
    torch.testing.assert_close(logits[rows].in_full(), logits.in_full()[rows], rtol=0, atol=1e-14)


def test_detached_logits_share_the_numbers_and_not_the_gradient():
    logits = lazy(0, 6)
    frozen = logits.detach()
    assert not any(each.requires_grad for each in tensors(frozen))
    assert torch.equal(frozen.in_full(), logits.in_full())
    assert LazyLogits(frozen.hidden, frozen.weight).detach().bias is None


def test_autocast_makes_float32_logits_from_narrow_matmuls():
    logits = lazy(0, 6, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = logits.in_full()
    assert found.dtype == torch.float32
    error = (found - plain_logits(logits)).abs().max()
    assert 1e-4 < error < 0.1
