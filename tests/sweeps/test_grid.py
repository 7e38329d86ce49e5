"""The grid: every mistake is found before anything is loaded, every name is a folder's."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.errors import ConfigError
from preftune.sweeps.grid import combinations, parse_grid
from preftune.sweeps.runs import resolve_runs

RUN = {"model": "m", "data.train": "d.jsonl", "objective.name": "dpo"}


def runs(*grid, seeds=None, sets=(), **keys):
    return resolve_runs(parse_grid(grid, seeds), given={**RUN, **keys}, sets=sets)


def refused(*grid, **more):
    with pytest.raises(ConfigError) as caught:
        runs(*grid, **more)
    return str(caught.value)


def test_each_combination_is_a_run_with_its_own_settings():
    root, found = runs("objective.beta=0.03,0.3", "optimizer.lr=1e-6,5e-7", seeds="0,1")
    assert str(root) == "runs/m-sweep"
    assert len(found) == 8
    assert found[0].name == "beta=0.03,lr=1e-6,seed=0"
    assert found[-1].settings.objective == {"name": "dpo", "beta": 0.3, "label_smoothing": 0.0}
    assert found[-1].settings.optimizer.lr == 5e-7
    assert found[-1].settings.seed == 1
    assert found[-1].settings.out == root / "beta=0.3,lr=5e-7,seed=1"
    assert found[-1].setting == "beta=0.3,lr=5e-7"


def test_the_folder_is_beside_the_one_that_the_run_file_names(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("{model: m, data: d.jsonl, objective: dpo, out: runs/first}")
    root, found = resolve_runs(parse_grid(["objective.beta=0.1,0.2"]), run_file=file)
    assert str(root) == "runs/first-sweep"
    assert found[0].settings.out == root / "beta=0.1"


def test_an_objective_and_what_lies_in_it_may_both_be_swept():
    axes = parse_grid(["objective.beta=0.1,0.2", "objective=dpo,hinge"])
    _, found = resolve_runs(axes, given={"model": "m", "data": "d"})
    assert [run.settings.objective["name"] for run in found] == ["dpo", "hinge"] * 2
    assert [run.settings.objective["beta"] for run in found] == [0.1, 0.1, 0.2, 0.2]


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ([], "the grid is empty"),
        (["objective.beta"], "key=value,value"),
        (["objective.beta=0.1"], "has 1 value"),
        (["objective.beta="], "has no value"),
        (["objective.beta=0.1,,0.2"], "can't be read"),
        (["objective.beta=0.1,0.2,"], "missing after the last comma"),
        (["data.train=*.jsonl,b"], "can't be read"),
        (["objective.beta=0.1,0.2", "objective.beta=0.3,0.4"], "stands twice"),
        (["objective.beta=0.1,0.10"], "the value 0.1 of `objective.beta` stands twice"),
        (["objective.label_smoothing=0,0.0"], "are the same run"),
        (["data.limit=9,9"], "the value 9 of `data.limit` stands twice"),
        (["out=a,b"], "folder follows"),
        (["tokens_per_batch=99,999"], "changes no result"),
        (["objective.betta=1,2"], "did you mean `beta`"),
        (["optimizer.lr=-1,1e-6"], "lr=-1: `optimizer.lr` (--grid optimizer.lr=-1) = -1: "),
        (["objective.name=dpo,nonsense", "optimizer.lr=-1,1"], "3 of 4 combinations can't be run"),
        (["data.held_out=0,0.1"], "nothing is held out, so held_out=0"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(grid, said):
    given = {key: value for key, value in RUN.items() if f"{key}=" not in "".join(grid)}
    with pytest.raises(ConfigError) as caught:
        resolve_runs(parse_grid(grid), given=given)
    assert said in str(caught.value)


def test_values_that_do_not_fit_one_objective_name_their_combinations():
    given = {key: RUN[key] for key in ("model", "data.train")}
    with pytest.raises(ConfigError) as caught:
        resolve_runs(
            parse_grid(["objective.label_smoothing=0.1,0.4", "objective.name=dpo,ipo_sum,orpo"]),
            given=given,
        )
    told = str(caught.value)
    assert "4 of 6 combinations" in told
    assert "label_smoothing=0.1,name=ipo_sum; label_smoothing=0.4,name=ipo_sum: " in told
    assert "`orpo` does not use the setting `label_smoothing`" in told
    assert "name=dpo" not in told


def test_what_is_set_for_all_runs_is_not_swept_too():
    assert "is set for all runs" in refused("objective.name=dpo,ipo_sum")
    assert "`objective.name` is set" in refused("objective=dpo,ipo_sum")
    assert "`seed` is set" in refused("optimizer.lr=1,2", seeds="0,1", sets=["seed=3"])
    problem = "which overrides it"
    assert problem in refused("optimizer.epochs=1,2", sets=["optimizer.max_steps=5"])


scalars = st.one_of(
    st.integers(), st.booleans(), st.none(), st.text(max_size=60),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip


@given(st.lists(scalars, min_size=2, max_size=6, unique_by=json.dumps))
def test_names_are_unique_folders_whatever_the_values(values):
    axes = parse_grid([f"data.split={','.join(map(json.dumps, values))}"])
    assert len(axes[0].values) == len(values)
    names = [one.name for one in combinations(axes)]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"split=[\w.+-]+", name, re.ASCII) for name in names)
