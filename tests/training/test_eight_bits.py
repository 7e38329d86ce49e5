import pytest
import torch

from preftune.training.eight_bits import BLOCK, dequantise, dynamic_map, num_blocks, quantise


def there_and_back(values, *, signed):
    codes = torch.empty_like(values, dtype=torch.uint8)
    scales = torch.empty(num_blocks(len(values)))
    quantise(values, codes, scales, signed=signed)
    return dequantise(codes, scales, signed=signed), codes, scales


@pytest.fixture
def values():
    torch.manual_seed(0)
    return torch.randn(10_000) * torch.logspace(-9, 3, 10_000)


@pytest.mark.parametrize("signed", [True, False])
def test_the_map_has_256_different_numbers_up_to_one(signed):
    """Worked by hand from the paper's tree: the top decade is cut into 64, or 128 without signs."""
    known = dynamic_map(signed=signed)
    assert len(known.unique()) == 256
    assert torch.equal(known, known.sort().values)
    assert known[-1] == 1
    parts = 64 if signed else 128
    top = known[(known > 0.1) & (known < 1)]
    assert len(top) == parts
    torch.testing.assert_close(top.diff(), torch.full((parts - 1,), 0.9 / parts), rtol=1e-4, atol=0)
    assert known[known > 0].min().item() == pytest.approx(5.5e-7 if signed else 3.25e-7)


@pytest.mark.parametrize("signed", [True, False])
def test_errors_are_half_a_part_of_their_decade(values, signed):
    values = values if signed else values.square()
    again, _, scales = there_and_back(values, signed=signed)
    scale = scales.repeat_interleave(BLOCK)[: len(values)]
    share = (values / scale).abs()
    below = -share.log10().ceil().clamp(min=-6)  # decades below the first
    part = 0.9 * 10.0**-below / (64 if signed else 128) * 2.0**below
    error = (again - values).abs() / scale
    looked_up = 2**-10 * share + 2**-24  # in float16
    lowest = 3.25e-7  # nothing is rounded down to 0 without a sign
    # Between two decades the last part of the lower one is the larger.
    assert (error <= part * 0.5 + looked_up + lowest + (share > 0.99) * part).all()


def test_each_code_is_the_nearest(values):
    """The look-up by float16 against a search over the whole map in float64."""
    _, codes, scales = there_and_back(values, signed=True)
    share = (values / scales.repeat_interleave(BLOCK)[: len(values)]).double()
    known = dynamic_map(signed=True).double()
    best = (share[:, None] - known).abs().min(1).values
    got = (share - known[codes.int()]).abs()
    assert (got <= best + 2**-10 * share.abs() + 2**-24).all()


def test_a_second_moment_never_vanishes(values):
    """With 0 below the root, a step would be divided by eps alone."""
    squares = values.square()
    again, _, _ = there_and_back(squares, signed=False)
    assert (again[squares > 0] > 0).all()
    nothing, _, _ = there_and_back(torch.zeros(300), signed=False)
    assert torch.equal(nothing, torch.zeros(300))


def test_what_was_rounded_once_keeps_its_codes(values):
    again, codes, scales = there_and_back(values.square(), signed=False)
    _, codes_again, scales_again = there_and_back(again, signed=False)
    assert torch.equal(codes_again, codes)
    assert torch.equal(scales_again, scales)


def test_blocks_do_not_touch_each_other(values):
    """One huge number spoils the precision of its own block only."""
    before, _, _ = there_and_back(values, signed=True)
    values[BLOCK] = 1e9
    after, _, _ = there_and_back(values, signed=True)
    assert torch.equal(after[:BLOCK], before[:BLOCK])
    assert torch.equal(after[2 * BLOCK :], before[2 * BLOCK :])
