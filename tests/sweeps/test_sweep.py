"""Whole sweeps on a small real model: each run as if alone, stopped and resumed at will."""

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import replace

import pytest

from preftune.errors import ConfigError
from preftune.records import Silent
from preftune.sweeps.grid import parse_grid
from preftune.sweeps.result import to_json
from preftune.sweeps.runs import resolve_runs
from preftune.sweeps.sweep import sweep
from preftune.sweeps.words import report
from preftune.training.halves import decides_early
from preftune.training.metrics import read_metrics
from preftune.training.run import train
from preftune.training.runfile import resolve

GRID = "objective=dpo,simpo,{name: dpo, beta: 0.5}"
FAST = {"optimizer.lr": 1e-3}


class Listener(Silent):
    """Remembers what was said, and how many groups the reference still had to score."""

    def __init__(self):
        self.said, self.scored = [], []

    def say(self, message):
        self.said.append(message)

    def begin(self, stage, total, done=0):
        if stage == "reference":
            self.scored.append(total - done)


@contextmanager
def fresh_cache(folder):
    """References that nobody has scored yet."""
    before = os.environ["PREFTUNE_CACHE"]
    os.environ["PREFTUNE_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ["PREFTUNE_CACHE"] = before


def keys(model, data, **more):
    return {
        "model": str(model), "data.train": str(data), "data.held_out": 0.75,
        "optimizer.pairs_per_step": 8, "optimizer.max_steps": 4, **more,
    }  # fmt: skip


def swept(root, model, data, *grid, watch=None, halving=False, kl_samples=0, **more):
    root, runs = resolve_runs(parse_grid(grid), root, given=keys(model, data, **more))
    return sweep(root, runs, watch, halving=halving, kl_samples=kl_samples)


def fate(out):
    """Everything but timings."""
    entries = read_metrics(out / "metrics.jsonl")
    for entry in entries:
        entry.pop("tokens_per_second", None)
    weights = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    return weights, entries, json.loads((out / "data.json").read_text())


@pytest.fixture(scope="module")
def done(tiny_model, tiny_pairs, tmp_path_factory):
    folder, listener = tmp_path_factory.mktemp("sweep"), Listener()
    with fresh_cache(folder / "cache"):
        result = swept(
            folder / "sweep", tiny_model, tiny_pairs, GRID, watch=listener, kl_samples=4, **FAST
        )
    return folder / "sweep", listener, result


def test_each_run_is_the_same_as_if_made_alone(done, tiny_model, tiny_pairs, tmp_path):
    root, _, _ = done
    name = "objective=name-dpo+beta-0.5"
    more = {"objective": {"name": "dpo", "beta": 0.5}, **FAST}
    alone = resolve(None, {**keys(tiny_model, tiny_pairs), **more, "out": tmp_path / "alone"})
    with fresh_cache(tmp_path / "cache"):
        train(alone)
    assert fate(tmp_path / "alone") == fate(root / name)
    listener = Listener()
    same = replace(alone, settings=alone.settings.model_copy(update={"out": root / name}))
    train(same, listener)
    assert listener.said == [f"{root / name}: this run is finished; nothing is left to do."]


def test_the_reference_is_scored_once_for_all_runs(done):
    _, listener, _ = done
    assert listener.scored[0] > 0
    assert listener.scored[1:] == [0]  # and SimPO has no reference


def test_figures_are_those_that_the_runs_logged(done):
    _, _, result = done
    assert [run.state for run in result.runs] == ["finished"] * 3
    for run in result.runs:
        found, logged = result.figures[run.setting], run.held_out
        assert found.accuracy.value == pytest.approx(logged["accuracy"], abs=1e-6)
        rewards = logged["rewards_chosen"] - logged["rewards_rejected"]
        assert found.reward_margin.value == pytest.approx(rewards, abs=1e-5)
        assert found.kl.n == 4
    dpo, simpo = (result.figures[f"objective={name}"] for name in ("dpo", "simpo"))
    assert dpo.accuracy_start.value == 0.5
    assert simpo.accuracy_start.value != 0.5  # it compares log-probs, which differ from the start
    assert result.choice.pairs == dpo.pairs
    assert (done[0] / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_repeated_trains_and_measures_nothing(done, tiny_model, tiny_pairs):
    root, _, result = done
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    again = swept(root, tiny_model, tiny_pairs, GRID, kl_samples=4, **FAST)
    assert again == result
    assert json.loads((root / "sweep.json").read_text()) == json.loads(json.dumps(to_json(result)))
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"sweep.json", "sweep.png"}


@pytest.mark.slow
def test_halving_stops_the_worse_half_and_leaves_the_rest_as_if_alone(
    tmp_path, tiny_model, tiny_pairs
):
    grid = "optimizer.lr=1e-9,1e-3,3e-3,1e-8,2e-3", "objective=dpo,hinge"
    result = swept(tmp_path / "sweep", tiny_model, tiny_pairs, *grid, halving=True)
    steps = [run.steps for run in result.runs]
    assert (steps.count(1), steps.count(2), steps.count(4)) == (5, 2, 3)
    ended = [run.name for run in result.runs if run.state == "finished"]
    assert set(result.figures) == set(ended)
    stops = json.loads((tmp_path / "sweep" / "stops.json").read_text())
    first = {name: stop["early"]["accuracy"] for name, stop in stops["1/4"].items()}
    worst = min(first[name] for name in stops["1/2"])
    assert all(one <= worst for name, one in first.items() if name not in stops["1/2"])
    prompts = json.loads((tmp_path / "sweep" / "held_out" / f"{ended[0]}.json").read_text())[
        "prompts"
    ]
    left = [prompt for prompt in prompts if not decides_early(prompt)]
    assert 0 < len(left) < len(prompts)
    assert result.halved
    assert result.figures[ended[0]].pairs == len(left)
    lr, objective = (word.partition("=")[2] for word in ended[0].split(","))
    more = {"optimizer.lr": float(lr), "objective": objective, "out": tmp_path / "alone"}
    train(resolve(None, {**keys(tiny_model, tiny_pairs), **more}))
    assert fate(tmp_path / "alone") == fate(tmp_path / "sweep" / ended[0])
    again = swept(tmp_path / "sweep", tiny_model, tiny_pairs, *grid, halving=True)
    assert again == result


def test_a_run_whose_loss_explodes_is_noted_and_the_sweep_goes_on(tmp_path, tiny_model, tiny_pairs):
    grid = "optimizer.lr=1e30,1e-3"
    result = swept(tmp_path, tiny_model, tiny_pairs, grid, objective="dpo")
    assert [run.state for run in result.runs] == ["failed", "finished"]
    assert "gradient norm" in result.runs[0].error
    assert result.choice.best == "lr=0.001"


def test_where_all_runs_fail_nobody_goes_on(tmp_path, tiny_model, tiny_pairs):
    listener = Listener()
    more = {"objective": "dpo", "optimizer.max_steps": 8, "data.held_out": 0.5}
    grid = "optimizer.lr=1e30,2e30,3e30"
    result = swept(tmp_path, tiny_model, tiny_pairs, grid, halving=True, watch=listener, **more)
    assert [run.state for run in result.runs] == ["failed"] * 3
    assert "no run goes on after 1/4 of the steps: all failed." in listener.said
    assert report(result)[0] == "No recommendation: all runs failed."


@pytest.mark.parametrize(
    ("grid", "halving", "held_out", "code", "said"),
    [
        ("objective=dpo,simpo", True, 0.75, "PT303", "the grid has 2 settings, and halving lets 2"),
        ("seed=0,1,2", True, 0.75, "PT303", "the grid has 1 setting, and"),
        ("seed=0,1,2", False, 0.01, "PT301", "seed=0 holds out 1 prompt; at least two are needed."),
        ("objective=dpo,simpo,hinge", True, 0.05, "PT301", "two others to choose by"),
    ],
)
def test_what_can_not_be_compared_is_refused_before_training(  # noqa: PLR0917
    grid, halving, held_out, code, said, tmp_path, tiny_model, tiny_pairs
):
    more = {} if "objective" in grid else {"objective": "dpo"}
    more["data.held_out"] = held_out
    with pytest.raises(ConfigError) as caught:
        swept(tmp_path, tiny_model, tiny_pairs, grid, halving=halving, **more)
    assert caught.value.code == code
    assert said in caught.value.problem
    assert not list(tmp_path.iterdir())


def test_too_few_prompts_to_choose_by_are_told_before_training(tmp_path, tiny_model, tiny_pairs):
    listener = Listener()
    more = {"data.held_out": 0.3, "optimizer.max_steps": 1}
    result = swept(tmp_path, tiny_model, tiny_pairs, "objective=dpo,simpo", watch=listener, **more)
    told = "leaves 9 held-out prompts to choose by: below 20 nothing will be recommended."
    first = next(at for at, said in enumerate(listener.said) if said.startswith("run 1 of 2"))
    assert f"objective=dpo {told}" in listener.said[:first]
    assert result.choice is None
    assert set(result.figures) == {"objective=dpo", "objective=simpo"}


@pytest.mark.parametrize(
    ("content", "said"), [("run.yaml", "a single run"), ("thesis.tex", "no sweep of preftune")]
)
def test_a_folder_of_something_else_is_not_touched(content, said, tmp_path, tiny_model, tiny_pairs):
    (tmp_path / content).write_text("years of work")
    with pytest.raises(ConfigError, match=said) as caught:
        swept(tmp_path, tiny_model, tiny_pairs, "objective=dpo,simpo")
    assert caught.value.code == "PT306"
    assert [path.name for path in tmp_path.iterdir()] == [content]


def test_data_without_pairs_is_trained_on_but_no_choice_is_made(tmp_path, tiny_model, tiny_pairs):
    result = swept(tmp_path, tiny_model, tiny_pairs, "optimizer.lr=1e-3,2e-3", objective="sft")
    assert [run.state for run in result.runs] == ["finished"] * 2
    assert (result.choice, result.figures) == (None, {})
    assert "lr=0.001  loss " in "\n".join(report(result))
