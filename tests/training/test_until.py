"""Stopping at a step that was asked for, and sharing what was read: neither changes a bit."""

import hashlib

import pytest

from preftune.objectives.binding import bind
from preftune.training.metrics import read_metrics
from preftune.training.reference import live_reference
from preftune.training.run import train
from preftune.training.runfile import resolve
from preftune.training.shared import Shared


def settings(model, data, out, **more):
    keys = {
        "model": str(model), "data.train": str(data), "objective.name": "dpo", "out": str(out),
        "data.held_out": 0.2, "optimizer.pairs_per_step": 8, "optimizer.max_steps": 6,
        "optimizer.lr": 1e-3, "evaluate_every": 2,
    }  # fmt: skip
    return resolve(None, {**keys, **more})


def fate(out):
    """What must not depend on stops and sharing: the weights and the logged figures."""
    entries = read_metrics(out / "metrics.jsonl")
    for entry in entries:
        entry.pop("tokens_per_second", None)
    (weights,) = (file.read_bytes() for file in (out / "model").glob("*model.safetensors"))
    return hashlib.sha256(weights).hexdigest(), entries


@pytest.fixture(scope="module")
def whole(tiny_model, tiny_pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    train(settings(tiny_model, tiny_pairs, out))
    return fate(out)


def test_a_run_stopped_at_a_step_goes_on_to_the_same_bits(tmp_path, tiny_model, tiny_pairs, whole):
    resolved = settings(tiny_model, tiny_pairs, tmp_path)
    stopped = train(resolved, until=3)
    assert (stopped.steps, stopped.finished, stopped.interrupted) == (3, False, None)
    last = read_metrics(tmp_path / "metrics.jsonl")[-1]
    assert (last["step"], last["split"]) == (3, "held_out")
    assert stopped.held_out == last
    assert not (tmp_path / "result.json").exists()
    assert train(resolved, until=3).held_out == stopped.held_out
    ended = train(resolved)
    assert ended.finished
    assert fate(tmp_path) == whole


def test_runs_that_share_what_they_read_are_as_if_alone(tmp_path, tiny_model, tiny_pairs, whole):
    shared = Shared()
    for name in ("ipo_sum", "dpo"):
        out = tmp_path / name
        train(settings(tiny_model, tiny_pairs, out, **{"objective.name": name}), shared=shared)
    assert fate(tmp_path / "dpo") == whole


def adapted(model, data, out, **more):
    return settings(model, data, out, **{"lora.rank": 2, "optimizer.max_steps": 3, **more})


def test_a_policy_is_reused_without_the_reference_of_the_run_before(tiny_model, tiny_pairs):
    shared, moving = Shared(), adapted(tiny_model, tiny_pairs, "out", **{"reference.every": 1})
    for _ in range(2):
        policy = shared.policy(moving.settings).model
        names = [name for name, _ in policy.named_parameters()]
        reference = live_reference(policy, bind("dpo"), moving=True)
        assert len(list(reference.parameters())) > 0
    fixed = adapted(tiny_model, tiny_pairs, "out")
    assert shared.policy(fixed.settings).model is policy
    assert [name for name, _ in policy.named_parameters()] == names


def test_a_policy_with_hooks_of_updates_in_backward_is_not_reused(tiny_model, tiny_pairs):
    shared, hooks = Shared(), {"optimizer.in_backward": True, "optimizer.max_grad_norm": None}
    hooked = adapted(tiny_model, tiny_pairs, "out", **hooks).settings
    plain = adapted(tiny_model, tiny_pairs, "out").settings
    policy = shared.policy(plain).model
    assert shared.policy(hooked).model is policy, "there are none yet"
    assert shared.policy(plain).model is not policy


@pytest.mark.slow
def test_adapters_are_swapped_where_the_reference_moves(tmp_path, tiny_model, tiny_pairs):
    shared = Shared()
    for every in (2, 1):
        out = tmp_path / str(every)
        train(adapted(tiny_model, tiny_pairs, out, **{"reference.every": every}), shared=shared)
    train(adapted(tiny_model, tiny_pairs, tmp_path / "alone", **{"reference.every": 1}))
    assert fate(tmp_path / "1") == fate(tmp_path / "alone")
    assert fate(tmp_path / "1") != fate(tmp_path / "2")


@pytest.mark.slow
def test_adapters_are_swapped_over_the_same_weights(tmp_path, tiny_model, tiny_pairs):
    shared, lora = Shared(), {"lora.rank": 4, "checkpoint_activations": False}  # not a run's choice
    first = settings(tiny_model, tiny_pairs, tmp_path / "first", **lora)
    train(first, shared=shared)
    kept = shared.policy(first.settings).model
    second = settings(
        tiny_model, tiny_pairs, tmp_path / "second", **lora, **{"objective.beta": 0.5}
    )
    train(second, shared=shared)
    assert shared.policy(second.settings).model is kept
    alone = settings(tiny_model, tiny_pairs, tmp_path / "alone", **lora, **{"objective.beta": 0.5})
    train(alone)
    assert fate(tmp_path / "second") == fate(tmp_path / "alone")
    assert fate(tmp_path / "first") != fate(tmp_path / "second")
