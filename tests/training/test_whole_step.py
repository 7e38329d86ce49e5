"""Objectives that look at a whole optimiser step: however it is cut, the gradient is the same."""

import math
from copy import deepcopy
from dataclasses import replace

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
from preftune.training.denominators import denominators
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
        if thumbs == "only" and number % 3:
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

    model.zero_grad(set_to_none=True)
    plain = Stepper(model, objective, 10**6, "float32")
    counts = denominators(objective, [example.group for example in examples])
    plain.weighed(plain.losses(plain.forward(examples), counts)).backward()
    for a, b in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(a, b.grad, rtol=1e-8, atol=1e-12)


MOVED = [{"name": "tdpo1"}, {"name": "kto"}, {"name": "wpo"}, {"name": "sft", "weight": 0.1}]


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_a_live_reference_and_the_whole_vocabulary_in_two_passes(model, layout):
    """The KL has a gradient of its own, which must reach the weights through the second pass."""
    model.route = replace(model.route, layout=layout)
    objective = bind_mixture(MOVED)
    reference = LogProbModel(deepcopy(model.model))
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.mul_(1.05)
    made = with_mismatched(groups("both"), seed=3, limit=60)
    examples = [Example(group) for group in made]

    def gradients(stepper, whole):
        model.zero_grad(set_to_none=True)
        if whole:
            counts = denominators(objective, made)
            stepper.weighed(stepper.losses(stepper.forward(examples), counts)).backward()
        else:
            stepper.train(examples)
        return [p.grad.clone() for p in model.parameters()]

    plain = gradients(Stepper(model, objective, 10**6, "float32", reference), whole=True)
    for budget in (1, 150):
        cut = gradients(Stepper(model, objective, budget, "float32", reference), whole=False)
        for a, b in zip(plain, cut, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)
    without_kl = bind_mixture(MOVED[1:])
    other = gradients(Stepper(model, without_kl, 1, "float32", reference), whole=False)
    assert any((a - b).abs().max() > 1e-6 for a, b in zip(plain, other, strict=True))


def test_a_micro_batch_without_any_judgement_says_as_much_as_the_others(model):
    """Equal scores give no relation: the figures are the run's, not the micro-batch's."""
    draw = np.random.default_rng(0)

    def rated(first, second, relations):
        sides = [replace(side(draw), rating=Rating(score=one)) for one in (first, second)]
        return TokenGroup(np.array([5, 6], np.int32), tuple(sides), relations)

    made = [rated(2.0, 1.0, (Relation(0, 1),)), rated(2.0, 2.0, ())]
    references = [np.concatenate(parts) for parts in score(model, made)]
    examples = [Example(g, a) for g, a in zip(made, references, strict=True)]
    outcome = Stepper(model, bind("infonca"), 4, "float32").train(examples)
    assert {"accuracy", "margin", "rewards_chosen"} <= outcome.means.keys()


@pytest.mark.parametrize("name", ["kto", "bco"])
def test_a_step_without_good_responses_teaches_sft_nothing(model, name):
    objective = bind_mixture([{"name": name}, {"name": "sft"}])
    bad = [one for one in groups("only") if one.responses[0].rating.good is False]
    made = with_mismatched(bad, seed=0, limit=60) if name == "kto" else bad
    references = [np.concatenate(parts) for parts in score(model, made)]
    examples = [Example(g, a) for g, a in zip(made, references, strict=True)]
    outcome = Stepper(model, objective, 90, "float32").train(examples)
    alone = Stepper(model, bind(name), 90, "float32").evaluate(examples)
    assert outcome.loss == pytest.approx(alone.loss)


ALL = [(name, budget) for name in ("dpo", "mixture", *STEP) for budget in (90, 10**6)]


def _in_a_process(rank, folder, store):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    assert processes.count() == 2
    model = LogProbModel(load_model(folder, dtype="float32").double())
    everything = []
    for name, budget in ALL:
        objective = objective_of(name)
        found = two_steps(model, objective, examples_for(objective, model), budget)
        everything.append([(one.loss, one.means, gradient) for one, gradient in found])
    torch.save(everything, f"{store}-{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_one(model, tiny_model, tmp_path):
    """Every objective that looks at the whole step, DPO, and a mixture; several micro-batches a
    process, and one or none."""
    store = tmp_path / "store"
    multiprocessing.spawn(_in_a_process, (str(tiny_model), str(store)), nprocs=2, join=True)
    stored = [torch.load(f"{store}-{rank}.pt", weights_only=True) for rank in range(2)]
    for case, (name, budget) in enumerate(ALL):
        objective = objective_of(name)
        expected = two_steps(model, objective, examples_for(objective, model), budget)
        for everything in stored:
            found = [
                (replace(outcome, loss=loss, means=means), gradient)
                for (outcome, _), (loss, means, gradient) in zip(
                    expected, everything[case], strict=True
                )
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
