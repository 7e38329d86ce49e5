"""Objectives that look at a whole optimiser step: however it is cut, the gradient is the same."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from preftune.batching.mismatch import with_mismatched
from preftune.models import LogProbModel, load_model
from preftune.models.reference import score
from preftune.objectives.binding import bind, bind_mixture
from preftune.objectives.catalogue import CATALOGUE
from preftune.records import Rating, Relation, TokenGroup, TokenResponse
from preftune.training import processes
from preftune.training.step import Example, Stepper

STEP = [name for name, one in CATALOGUE.items() if one.scope == "step"]
MIXTURE = [{"name": "dpo"}, {"name": "bco", "weight": 0.5}, {"name": "sft", "weight": 0.2}]


def side(draw, good=None):
    ids = draw.integers(2, 250, draw.integers(1, 20)).astype(np.int32)
    rating = None if good is None else Rating(good=good)
    return TokenResponse(ids, np.ones(len(ids), bool), rating)


def groups(thumbs, count=9):
    """Rows of one kind: single thumbs and pairs of thumbs, or pairs; some weigh more."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(count):
        prompt = draw.integers(2, 250, draw.integers(1, 30)).astype(np.int32)
        if thumbs and number % 3:
            sides, relations = (side(draw, good=bool(number % 2)),), ()
        else:
            sides = (side(draw, good=True), side(draw, good=False))
            relations = () if thumbs == "only" else (Relation(0, 1),)
        made.append(TokenGroup(prompt, sides, relations, source=f"file:{number + 1}"))
    return made


def examples_for(objective, model):
    thumbs = "only" if objective.data == ("thumbs",) else ""
    made = groups(thumbs)
    if "aot" not in objective.name:
        made[2] = replace(made[2], weight=2.5)
    if objective.mismatched:
        made = with_mismatched(made, seed=3, limit=60)
    draw = np.random.default_rng(1)
    references = [np.concatenate(parts) for parts in score(model, made)]
    return [
        Example(group, array + draw.normal(0, 0.3, array.shape).astype(np.float32))
        for group, array in zip(made, references, strict=True)
    ]


def two_steps(model, objective, examples, budget):
    """Gradients and losses of two steps: what is kept from the first shows in the second."""
    stepper = Stepper(model, objective, budget, "float32")
    found = []
    for part in (examples[:5], examples[4:]):
        model.zero_grad(set_to_none=True)
        outcome = stepper.train(part)
        found.append((outcome, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    return found


def assert_same(expected, found):
    for (one, gradient), (other, again) in zip(expected, found, strict=True):
        assert math.isclose(one.loss, other.loss, rel_tol=1e-10)
        assert one.means == pytest.approx(other.means, rel=1e-6, abs=1e-9)
        for a, b in zip(gradient, again, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)


@pytest.fixture
def model(tiny_model):
    return LogProbModel(load_model(str(tiny_model), dtype="float32").double())


def objective_of(name):
    return bind_mixture(MIXTURE) if name == "mixture" else bind(name)


@pytest.mark.parametrize("name", [*STEP, "mixture"])
def test_any_split_into_micro_batches_gives_the_same_gradient(model, name):
    objective = objective_of(name)
    examples = examples_for(objective, model)
    expected = two_steps(model, objective, examples, 10**6)
    assert any(gradient.abs().sum() > 0 for gradient in expected[1][1])
    for budget in (1, 90, 200):
        assert_same(expected, two_steps(model, objective, examples, budget))


@pytest.mark.parametrize("name", [*STEP, "mixture"])
def test_the_gradient_is_that_of_the_loss_of_the_whole_step(model, name):
    """Against autograd through one forward of everything."""
    objective = objective_of(name)
    examples = examples_for(objective, model)
    stepper = Stepper(model, objective, 1, "float32")
    model.zero_grad(set_to_none=True)
    stepper.train(examples)
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]

    from preftune.training.denominators import denominators

    model.zero_grad(set_to_none=True)
    plain = Stepper(model, objective, 10**6, "float32")
    counts = denominators(objective, [example.group for example in examples])
    plain.loss(plain.forward(examples), counts).backward()
    for a, b in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(a, b.grad, rtol=1e-8, atol=1e-12)


def _in_a_process(rank, folder, store, name, budget):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    assert processes.count() == 2
    model = LogProbModel(load_model(folder, dtype="float32").double())
    objective = objective_of(name)
    found = two_steps(model, objective, examples_for(objective, model), budget)
    torch.save(
        [(outcome.loss, outcome.means, gradient) for outcome, gradient in found],
        f"{store}-{rank}.pt",
    )
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("budget", [90, 10**6])
@pytest.mark.parametrize("name", ["dpo", "mixture", *STEP])
def test_two_processes_give_the_gradient_of_one(model, tiny_model, tmp_path, name, budget):
    objective = objective_of(name)
    examples = examples_for(objective, model)
    expected = two_steps(model, objective, examples, budget)
    store = tmp_path / "store"
    multiprocessing.spawn(
        _in_a_process, (str(tiny_model), str(store), name, budget), nprocs=2, join=True
    )
    for rank in range(2):
        stored = torch.load(Path(f"{store}-{rank}.pt"), weights_only=True)
        found = [
            (replace(outcome, loss=loss, means=means), gradient)
            for (outcome, _), (loss, means, gradient) in zip(expected, stored, strict=True)
        ]
        assert_same(expected, found)


def test_an_evaluation_leaves_no_trace(model):
    objective = bind("bco")
    examples = examples_for(objective, model)
    stepper = Stepper(model, objective, 90, "float32")
    before = stepper.evaluate(examples)
    assert stepper.kept() == ({},)
    stepper.train(examples)
    kept = stepper.kept()
    assert kept[0]
    stepper.evaluate(examples[:3])
    assert stepper.kept() == kept
    again = Stepper(model, objective, 90, "float32")
    assert again.evaluate(examples).loss == before.loss


def test_what_is_kept_comes_back_from_a_checkpoint(model):
    objective = bind("bco")
    examples = examples_for(objective, model)
    stepper = Stepper(model, objective, 90, "float32")
    stepper.train(examples[:5])
    other = Stepper(model, objective, 90, "float32")
    other.restore(stepper.kept())
    one, two = stepper.train(examples[4:]), other.train(examples[4:])
    assert math.isclose(one.loss, two.loss, rel_tol=1e-6)
    assert other.kept()[0] == pytest.approx(stepper.kept()[0], rel=1e-6)


def test_the_mismatched_response_gets_no_gradient(model):
    """It only measures: the policy's gradient is that of the rated responses at the same KL."""
    objective = bind("kto")
    examples = examples_for(objective, model)
    stepper = Stepper(model, objective, 10**6, "float32")
    record = stepper.forward(examples)
    part = objective.parts[0]
    slopes = torch.autograd.grad(part(record).sum(), record.tokens)[0]
    other = record.mismatched[record.response]
    assert other.any()
    assert slopes[other].abs().max() == 0
    assert slopes[~other].abs().min() > 0
