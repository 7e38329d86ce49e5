import subprocess
import sys

import torch

from preftune.models.precision import denormals_as_zero

PRODUCTS = """
import torch
from contextlib import nullcontext
from preftune.models.precision import denormals_as_zero

with denormals_as_zero() if {flush} else nullcontext():
    torch.set_num_threads(2)
    tiny = torch.full((2**18,), 1e-30)  # enough for both threads
    print(int((tiny * 1e-10).count_nonzero()))
"""


def products_that_are_not_zero(*, flush: bool) -> int:
    code = PRODUCTS.format(flush=flush)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_denormals_are_0_in_all_threads() -> None:
    assert products_that_are_not_zero(flush=False) == 2**18
    assert products_that_are_not_zero(flush=True) == 0


def test_afterwards_numbers_are_as_they_were() -> None:
    with denormals_as_zero():
        with denormals_as_zero():
            assert torch.tensor(1e-39) * 1 == 0
        assert torch.tensor(1e-39) * 1 == 0
    assert torch.tensor(1e-39) * 1 > 0
