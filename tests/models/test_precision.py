import subprocess
import sys

PRODUCTS = """
import torch
from preftune.models.precision import flush_denormals

if {flush}:
    flush_denormals()
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
