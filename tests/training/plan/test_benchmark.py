"""The plan beside the memory of real processes."""

import argparse
import sys

import pytest

from benchmarks.memory import SETUPS, measure


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's account of memory is Linux's")
def test_the_plan_is_within_a_tenth_of_what_a_process_takes(shared, tmp_path):
    data = shared / "data" / "hh-harmless" / "train.jsonl.gz"
    row = measure(SETUPS["20M"], tmp_path, argparse.Namespace(data=data, threads=1))
    assert row["predicted"] == pytest.approx(row["measured fixed"], rel=0.1)
