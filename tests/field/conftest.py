"""TRL's runs are made once a session, when the first test asks."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import torch

from tests.field.case import Case
from tests.field.rows import Row
from tests.field.trl_runs import ADAPTERS, TrlRun, run_trl


class Theirs(Protocol):
    def __call__(self, case: Case, given: list[Row] | None = None) -> TrlRun: ...


@pytest.fixture(scope="session")
def theirs(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    """TRL's run of a case, on the pairs given or on those written for these tests."""
    made: dict[str, TrlRun] = {}

    def run(case: Case, given: list[Row] | None = None) -> TrlRun:
        rows = case.data(given)
        key = repr((case.trainer, case.lr, case.accumulate, case.adapters, case.theirs, rows))
        if key not in made:
            out = tmp_path_factory.mktemp("trl")
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CI", "1")  # else it reports each trainer that is made to its authors
                made[key] = run_trl(
                    case.trainer,
                    tiny_model,
                    out,
                    rows,
                    lr=case.lr,
                    accumulate=case.accumulate,
                    adapters=ADAPTERS if case.adapters else None,
                    **case.theirs,
                )
        return made[key]

    return run


@pytest.fixture(scope="module", autouse=True)
def _quickly() -> Iterator[None]:
    """One thread, which is faster for so small a model; and each of TRL's runs collects garbage:
    not from everything that was ever imported."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.freeze()
    yield
    gc.unfreeze()
    torch.set_num_threads(threads)
