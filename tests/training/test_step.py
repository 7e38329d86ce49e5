import math

import numpy as np
import pytest
import torch

from preftune.batching import pack
from preftune.errors import RunError
from preftune.models import LogProbModel, load_model, logps
from preftune.models.reference import score
from preftune.objectives.binding import bind
from preftune.records import Relation, TokenGroup, TokenResponse
from preftune.training.config import OptimizerSettings
from preftune.training.denominators import denominators
from preftune.training.optimizer import make_optimizer
from preftune.training.step import Example, Stepper
from preftune.training.update import update


def side(*ids, trained=None):
    mask = np.ones(len(ids), bool) if trained is None else np.array(trained)
    return TokenResponse(np.array(ids, np.int32), mask)


def groups(count, seed=0, responses=2):
    draw = np.random.default_rng(seed)
    made = []
    for number in range(count):
        sides = tuple(side(*draw.integers(2, 250, draw.integers(1, 20))) for _ in range(responses))
        prompt = draw.integers(2, 250, draw.integers(1, 30)).astype(np.int32)
        relations = (Relation(0, 1),) if responses == 2 else ()
        made.append(TokenGroup(prompt, sides, relations, source=f"file:{number + 1}"))
    return made


def stepper_of(folder, name="dpo", tokens_per_batch=10**6, precision="float32"):
    model = load_model(str(folder), dtype="float32").double()
    return Stepper(LogProbModel(model), bind(name, {}), tokens_per_batch, precision)


def with_reference(stepper, made):
    """References drawn at random: a policy that has moved."""
    draw = np.random.default_rng(1)
    arrays = [np.concatenate(parts) for parts in score(stepper.model, made)]
    return [
        Example(group, array + draw.normal(0, 0.3, array.shape).astype(np.float32))
        for group, array in zip(made, arrays, strict=True)
    ]


def gradients(stepper, examples):
    stepper.model.zero_grad(set_to_none=True)
    outcome = stepper.train(examples)
    return outcome, [p.grad.clone() for p in stepper.model.parameters() if p.grad is not None]


@pytest.mark.parametrize(("name", "responses"), [("dpo", 2), ("sft", 1)])
def test_how_a_step_is_cut_into_micro_batches_changes_nothing(tiny_model, name, responses):
    """Trap 12: pairs and tokens weigh the same, whatever the token budget."""
    made = groups(9, responses=responses)
    whole = stepper_of(tiny_model, name)
    examples = with_reference(whole, made) if name == "dpo" else [Example(g) for g in made]
    outcome, expected = gradients(whole, examples)
    for budget in (1, 60, 137):
        cut = Stepper(whole.model, whole.objective, budget, "float32")
        again, found = gradients(cut, examples)
        assert math.isclose(again.loss, outcome.loss, rel_tol=1e-12)
        assert again.means == pytest.approx(outcome.means, rel=1e-6, abs=1e-9)
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_the_loss_is_the_mean_over_pairs_and_over_tokens_worked_by_hand(tiny_model):
    made = groups(5)
    stepper = stepper_of(tiny_model)
    examples = with_reference(stepper, made)
    record = logps(stepper.model, made)
    joined = torch.from_numpy(np.concatenate([example.reference for example in examples]))
    sums = record.with_reference(joined.double()).log_ratios.view(5, 2)
    by_hand = torch.nn.functional.softplus(-0.1 * (sums[:, 0] - sums[:, 1])).mean()
    assert stepper.evaluate(examples).loss == pytest.approx(by_hand.item(), rel=1e-9)

    single = groups(5, responses=1)
    record = logps(stepper.model, single)
    tokens = sum(len(group.responses[0].ids) for group in single)
    sft = stepper_of(tiny_model, "sft").evaluate([Example(group) for group in single])
    assert sft.loss == pytest.approx(-record.tokens.sum().item() / tokens, rel=1e-9)


def test_denominators_are_counted_from_the_data():
    prompt = np.array([5, 6], np.int32)
    ranked = (Relation(0, 1), Relation(0, 2), Relation(1, 2))
    three = (side(1, 1), side(1, 2, trained=[True, False]), side(1))
    made = [
        TokenGroup(prompt, three, ranked),
        TokenGroup(prompt, (side(1, 2, trained=[False, True]), side(3)), (Relation(1, 0),)),
    ]
    assert denominators(bind("dpo"), made) == [4]
    assert denominators(bind("sft"), made) == [2 + 1]
    assert pack(made).mask.sum() == 6


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tiny_model, bad):
    stepper = stepper_of(tiny_model)
    examples = with_reference(stepper, groups(4))
    examples[2].reference[0] = bad
    optimizer = make_optimizer(stepper.model, OptimizerSettings())
    before = [p.detach().clone() for p in stepper.model.parameters()]
    with pytest.raises(RunError) as caught:
        update(stepper, optimizer, examples, lr=0.1, max_grad_norm=1.0)
    assert caught.value.code == "PT500"
    assert "file:3" in str(caught.value)
    assert "file:1" not in str(caught.value)
    for old, new in zip(before, stepper.model.parameters(), strict=True):
        assert torch.equal(old, new)
    assert not optimizer.state_dict()["state"]


def test_a_gradient_that_is_not_finite_names_its_row(tiny_model):
    """The loss is finite; only the gradient that reaches one row's first prompt token is not."""
    stepper = stepper_of(tiny_model)
    made = groups(3)
    made[1].prompt_ids[0] = 255  # drawn nowhere else
    examples = with_reference(stepper, made)

    def spoil(module, inputs, output):
        if output.requires_grad:
            bad = (inputs[0] == 255)[..., None]
            output.register_hook(lambda gradient: gradient.masked_fill(bad, math.nan))

    stepper.model.model.get_input_embeddings().register_forward_hook(spoil)
    assert math.isfinite(stepper.evaluate(examples).loss)
    optimizer = make_optimizer(stepper.model, OptimizerSettings())
    before = [p.detach().clone() for p in stepper.model.parameters()]
    with pytest.raises(RunError, match="file:2") as caught:
        update(stepper, optimizer, examples, lr=0.1, max_grad_norm=None)
    assert "gradient norm nan" in str(caught.value)
    assert "file:1" not in str(caught.value)
    for old, new in zip(before, stepper.model.parameters(), strict=True):
        assert torch.equal(old, new)


def test_clipping_scales_the_whole_gradient(tiny_model):
    made = groups(4)
    moved = {}
    for limit in (None, 1e-3):
        stepper = stepper_of(tiny_model)
        examples = with_reference(stepper, made)
        sgd = torch.optim.SGD(stepper.model.parameters(), lr=1.0)
        start = torch.cat([p.detach().flatten().clone() for p in stepper.model.parameters()])
        _, norm = update(stepper, sgd, examples, lr=1.0, max_grad_norm=limit)
        after = torch.cat([p.detach().flatten() for p in stepper.model.parameters()])
        moved[limit] = (start - after, norm)
    assert moved[None][1] == pytest.approx(moved[1e-3][1])
    assert moved[1e-3][0].norm().item() == pytest.approx(1e-3, rel=1e-3)
    scaled = moved[None][0] * (1e-3 / moved[None][1])
    torch.testing.assert_close(scaled, moved[1e-3][0], rtol=1e-3, atol=1e-9)


def test_bfloat16_matmuls_keep_log_probs_in_float32(tiny_model):
    model = LogProbModel(load_model(str(tiny_model), dtype="float32"))
    made = groups(4)
    plain = Stepper(model, bind("dpo", {}), 10**6, "float32")
    narrow = Stepper(model, bind("dpo", {}), 10**6, "bfloat16")
    examples = [
        Example(g, np.concatenate(a)) for g, a in zip(made, score(model, made), strict=True)
    ]
    assert narrow.forward(examples).tokens.dtype == torch.float32
    assert plain.evaluate(examples).loss == pytest.approx(math.log(2), abs=1e-6)
    assert narrow.evaluate(examples).loss == pytest.approx(math.log(2), abs=1e-2)
