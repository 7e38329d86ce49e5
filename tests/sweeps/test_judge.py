"""Results are judged as their runs evaluated them last, whatever their weights are kept in."""

import numpy as np
import pytest

from preftune.errors import ResourceError
from preftune.sweeps.compare import enough_memory
from preftune.sweeps.grid import parse_grid
from preftune.sweeps.runs import resolve_runs
from preftune.sweeps.sweep import sweep

BFLOAT16 = {"precision": "bfloat16", "weights": "bfloat16"}


def swept(root, model, data, grid, **more):
    keys = {
        "model": str(model), "data.train": str(data), "data.held_out": 0.75,
        "optimizer.pairs_per_step": 8, "optimizer.max_steps": 2, **more,
        **({} if "objective=" in grid else {"objective.name": "dpo"}),
    }  # fmt: skip
    root, runs = resolve_runs(parse_grid([grid]), root, given=keys)
    return sweep(root, runs, kl_samples=4)


def logged(result, name):
    """What the runs of the setting logged last, on average over as many pairs each."""
    ends = [run.held_out for run in result.runs if run.setting == name]
    return {key: np.mean([one[key] for one in ends]) for key in ends[0] if key != "split"}


def assert_as_logged(result, within):
    """The figures of each setting are those that its runs logged."""
    assert result.figures
    for name, found in result.figures.items():
        said = logged(result, name)
        assert found.margin.value == pytest.approx(said["margin"], **within)
        assert found.accuracy.value == pytest.approx(said["accuracy"], abs=1e-6)
        assert found.displacement.value == pytest.approx(said["displacement"], abs=1e-6)
        assert np.isfinite(found.kl.value)


@pytest.mark.parametrize(
    "more",
    [
        BFLOAT16 | {"lora.rank": 4, "optimizer.lr": 1e-4},
        pytest.param(
            BFLOAT16 | {"lora.rank": 4, "lora.save": "merged", "optimizer.lr": 1e-3},
            marks=pytest.mark.slow,
        ),
        pytest.param(BFLOAT16 | {"optimizer.lr": 1e-5}, marks=pytest.mark.slow),
    ],
    ids=["adapter", "merged", "whole"],
)
def test_bfloat16_weights_lose_none_of_what_was_learned(more, tmp_path, tiny_model, tiny_pairs):
    result = swept(tmp_path, tiny_model, tiny_pairs, grid="objective.beta=0.1,1", **more)
    assert_as_logged(result, {"rel": 1e-3})


@pytest.mark.slow
def test_4_bits_stay_4_bits(tmp_path, tiny_model, tiny_pairs):
    pytest.importorskip("bitsandbytes")
    more = {"lora.quantize": "nf4", "lora.rank": 4, "optimizer.lr": 1e-3}
    result = swept(tmp_path, tiny_model, tiny_pairs, grid="objective.beta=0.1,1", **more)
    assert_as_logged(result, {"rel": 1e-3})


@pytest.mark.slow
def test_seeds_and_objectives_of_adapters_are_judged_in_any_order(tmp_path, tiny_model, tiny_pairs):
    """One needs the start's whole distribution, the others its log-probs."""
    more = {"lora.rank": 4, "optimizer.lr": 1e-3}
    result = swept(
        tmp_path, tiny_model, tiny_pairs, grid="objective=dpo_forward_kl,hinge,dpo", **more
    )
    assert_as_logged(result, {"rel": 1e-4})


def test_memory_that_runs_out_is_told_with_what_helps(tmp_path):
    given = {"model": "m", "data.train": "d", "objective": "dpo"}
    _, (run, _) = resolve_runs(parse_grid(["seed=0,1"]), tmp_path, given=given)
    with pytest.raises(ResourceError) as caught, enough_memory(run):
        np.ones(2**58)
    assert caught.value.code == "PT601"
    assert "seed=0 was compared" in caught.value.problem
