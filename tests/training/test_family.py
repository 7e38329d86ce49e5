"""Every objective on a real model and real data: the loss at the start, and that it can fall."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.nn.functional import logsigmoid, softplus

from preftune.models import LogProbModel, load_model, load_tokenizer
from preftune.models.reference import score
from preftune.objectives.binding import bind
from preftune.objectives.catalogue import CATALOGUE
from preftune.records import Silent
from preftune.training.config import OptimizerSettings
from preftune.training.optimizer import make_optimizer
from preftune.training.prepare import prepare
from preftune.training.reference import live_reference
from preftune.training.runfile import bind_objective, resolve
from preftune.training.step import Example, Stepper
from preftune.training.update import update

LN2 = math.log(2)
TOKENS = 160
ROWS = 12

# Loss at policy = reference, from the settings: what the published tables say.
AT_START = {
    "dpo": lambda s: LN2,
    "robust_dpo": lambda s: LN2,
    "hinge": lambda s: 1.0,
    "exo": lambda s: 0.5 * (math.log(0.5 / (1 - s["epsilon"])) + math.log(0.5 / s["epsilon"])),
    "discopop": lambda s: LN2 / 2 + 0.5,
    "ipo_sum": lambda s: 1 / (4 * s["tau"] ** 2),
    "ipo_mean": lambda s: 1 / (4 * s["tau"] ** 2),
    "sppo_hard": lambda s: 1 / (2 * s["beta"] ** 2),
    "cal_dpo": lambda s: LN2 + s["calibration"] / (2 * s["beta"] ** 2),
    "dpo_norm": lambda s: LN2,
    "ld_dpo": lambda s: LN2,
    "dpo_forward_kl": lambda s: LN2,
    "dpo_jensen_shannon": lambda s: LN2,
    "dpo_alpha_divergence": lambda s: LN2,
    "dpop": lambda s: LN2,
    "nca": lambda s: 2 * LN2,
    "apo_zero": lambda s: 1.0,
    "apo_down": lambda s: 1.0,
    "aot": lambda s: LN2,
    "aot_unpaired": lambda s: LN2,
    "beta_dpo": lambda s: LN2,
    "tdpo1": lambda s: LN2,
    "tdpo2": lambda s: LN2,
    "kto": lambda s: 0.5,
    "bco": lambda s: LN2,
    "nca_scores": lambda s: 2 * LN2,
}
SOURCES = {
    "pairs": {"data.train": "stories-pairs/pairs.jsonl"},
    "margins": {"data.train": "ultrafeedback/scored.jsonl.gz"},
    "ties": {"data.train": "ultrafeedback/scored.jsonl.gz"},
    "thumbs": {"data.train": "chat-pairs/kto_en_demo.json"},
    "rankings": {"data.train": "oasst/trees.jsonl.gz"},
    "scores": {"data.train": "ultrafeedback/scored.jsonl.gz"},
    "demonstrations": {"data.train": "hh-harmless/train.jsonl.gz"},
}


def source_of(objective):
    return "margins" if objective.margins != "no" else objective.data


@pytest.fixture(scope="module")
def model_path(shared):
    return shared / "models/stories260k"


@pytest.fixture(scope="module")
def start(model_path):
    """The starting weights in float64, shared: every test takes a copy."""
    return load_model(str(model_path), dtype="float32").double()


@pytest.fixture(scope="module")
def prepared(shared, model_path):
    """Token groups for an objective, from the real file of its kind."""
    tokenizer, cache = load_tokenizer(str(model_path)), {}

    def groups_for(name):
        kind = source_of(CATALOGUE[name])
        key = (kind, name if kind not in ("pairs", "margins") else kind, name == "kto")
        if key not in cache:
            given = {
                "model": str(model_path),
                "objective": name,
                "data.held_out": 0.0,
                "data.limit": 4 * ROWS,
                "rendering.max_tokens": TOKENS,
                "rendering.truncation": "response",
                **SOURCES[kind],
            }
            given["data.train"] = str(shared / "data" / given["data.train"])
            settings = resolve(None, given).settings
            data = prepare(settings, bind_objective(settings), tokenizer, TOKENS, Silent())
            short = [group for group in data.train if group.length < 4 * TOKENS]
            assert len(short) >= ROWS
            cache[key] = short[:ROWS]
        return cache[key]

    return groups_for


def stepper_for(start, name, groups):
    from copy import deepcopy

    policy = LogProbModel(deepcopy(start))
    objective = bind(name)
    reference = live_reference(policy, objective, moving=False)
    stepper = Stepper(policy, objective, 2048, "float32", reference)
    if objective.reference != "logps":
        return stepper, [Example(group) for group in groups]
    import numpy as np

    arrays = [np.concatenate(parts) for parts in score(policy, groups)]
    return stepper, [Example(g, a) for g, a in zip(groups, arrays, strict=True)]


def sums_of(start, groups):
    """Log-probs and lengths of both responses of pairs, from the model's own padded forwards."""
    found = []
    for group in groups:
        row = []
        for index in (group.relations[0].winner, group.relations[0].loser):
            response = group.responses[index]
            ids = torch.cat(
                [torch.from_numpy(part).long() for part in (group.prompt_ids, response.ids)]
            )
            with torch.no_grad():
                log_p = start(ids[None]).logits[0].double().log_softmax(-1)
            at = torch.arange(len(group.prompt_ids) - 1, len(ids) - 1)
            own = log_p[at, ids[len(group.prompt_ids) :]]
            mask = torch.from_numpy(response.trained)
            row += [own[mask].sum(), mask.sum().double()]
        found.append(torch.stack(row))
    return torch.stack(found).T


def judged_margins(groups):
    return torch.tensor([group.relations[0].margin for group in groups], dtype=torch.float64)


def with_ties(groups, win, tie):
    ties = torch.tensor([group.relations[0].tie for group in groups])
    assert ties.any()
    assert not ties.all()
    return torch.where(ties, -math.log(tie), -math.log(win)).double()


def ranking(groups):
    """Every response is chosen from itself and those ranked below it."""
    losses = []
    for group in groups:
        ranks = [response.rating.rank for response in group.responses]
        losses.append(sum(math.log(1 + sum(other > rank for other in ranks)) for rank in ranks))
    return torch.tensor(losses, dtype=torch.float64)


def reverse_kl_of_even(group, temperature):
    scores = torch.tensor([r.rating.score for r in group.responses], dtype=torch.float64)
    log_target = (scores / temperature).log_softmax(0)
    even = torch.full_like(log_target, -math.log(len(scores)))
    return (even.exp() * (even - log_target)).sum()


def alphapo(s, w, m, lost, n):
    bent = [(1 - (-s["alpha"] * mean).exp()) / s["alpha"] for mean in (w / m, lost / n)]
    return softplus(s["gamma"] - s["beta"] * (bent[0] - bent[1]))


def orpo(s, w, m, lost, n):
    odds = [mean - torch.log1p(-mean.exp()) for mean in (w / m, lost / n)]
    return -w / m + s["lam"] * softplus(-(odds[0] - odds[1]))


# Where the loss at the start depends on the data: settings and groups to one value for each.
BY_JUDGEMENT = {
    "odpo": lambda s, groups: softplus(s["alpha"] * judged_margins(groups).log()),
    "odpo_linear": lambda s, groups: softplus(s["alpha"] * judged_margins(groups)),
    "modpo": lambda s, groups: softplus((1 - s["share"]) / s["share"] * judged_margins(groups)),
    "rao_kupper": lambda s, groups: with_ties(
        groups, 1 / (1 + s["nu"]), (s["nu"] - 1) / (s["nu"] + 1)
    ),
    "davidson": lambda s, groups: with_ties(groups, 1 / (2 + 2 * s["nu"]), s["nu"] / (1 + s["nu"])),
    "plackett_luce": lambda s, groups: ranking(groups),
    "infonca": lambda s, groups: torch.tensor(
        [math.log(len(group.responses)) for group in groups], dtype=torch.float64
    ),
    "exo_scores": lambda s, groups: torch.stack(
        [reverse_kl_of_even(group, s["temperature"]) for group in groups]
    ),
}
# Settings; log-prob and length of chosen and of rejected under the policy.
BY_LOG_PROB = {
    "len_dpo": lambda s, w, m, lost, n: softplus(-s["alpha"] * (m - n)),
    "dpo_nll": lambda s, w, m, lost, n: LN2 - s["alpha"] * w / m,
    "unlikelihood": lambda s, w, m, lost, n: -w + s["alpha"] * lost,
    "slic": lambda s, w, m, lost, n: (s["delta"] - w + lost).clamp(min=0) - s["lam"] * w,
    "cpo": lambda s, w, m, lost, n: softplus(-s["beta"] * (w - lost)) - s["alpha"] * w / m,
    "simpo": lambda s, w, m, lost, n: softplus(s["gamma"] - s["beta"] * (w / m - lost / n)),
    "orpo": orpo,
    "alphapo": alphapo,
}


def worked_by_hand(name, settings, start, groups):
    if name in BY_JUDGEMENT:
        return BY_JUDGEMENT[name](settings, groups).mean()
    if name in BY_LOG_PROB:
        return BY_LOG_PROB[name](settings, *sums_of(start, groups)).mean()
    assert name == "sft"
    pieces = [sums_of_one(start, group) for group in groups]
    return -sum(total for total, _ in pieces) / sum(count for _, count in pieces)


def sums_of_one(start, group):
    total, count = 0.0, 0
    for response in group.responses:
        ids = torch.cat([torch.from_numpy(p).long() for p in (group.prompt_ids, response.ids)])
        with torch.no_grad():
            log_p = start(ids[None]).logits[0].double().log_softmax(-1)
        at = torch.arange(len(group.prompt_ids) - 1, len(ids) - 1)
        mask = torch.from_numpy(response.trained)
        total += log_p[at, ids[len(group.prompt_ids) :]][mask].sum()
        count += int(mask.sum())
    return total, count


NOT_AT_START = {"wpo", "alpha_dpo"}
"""Their loss at the start depends on the policy's own certainty, and on running statistics."""


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in NOT_AT_START])
def test_loss_at_the_start_is_the_table_s(start, prepared, name):
    groups = prepared(name)
    stepper, examples = stepper_for(start, name, groups)
    loss = stepper.evaluate(examples).loss
    settings = stepper.objective.parts[0].settings
    if name in AT_START:
        expected = AT_START[name](settings)
    else:
        expected = float(worked_by_hand(name, settings, start, groups))
    # The reference's log-probs are kept in float32: some 1e-5 nats for sums of hundreds.
    assert loss == pytest.approx(expected, rel=1e-4)


def test_wpo_at_the_start_is_its_mean_weight_times_log_2(start, prepared):
    groups = prepared("wpo")
    stepper, examples = stepper_for(start, "wpo", groups)
    record = stepper.forward(examples)
    weights = (record.add_up(record.tokens - record.collision) / record.lengths).exp()
    both = (weights[record.winner] * weights[record.loser]).clamp(max=1.0)
    assert 0.01 < both.mean() < 0.99
    assert stepper.evaluate(examples).loss == pytest.approx(LN2 * both.mean().item(), rel=1e-4)


def test_alpha_dpo_at_the_start_is_simpo_while_all_gaps_are_zero(start, prepared):
    groups = prepared("alpha_dpo")
    stepper, examples = stepper_for(start, "alpha_dpo", groups)
    own = stepper.objective.parts[0].settings
    simpo = {"beta": own["beta"], "gamma": own["gamma"]}
    expected = Stepper(stepper.model, bind("simpo", simpo), 2048, "float32").evaluate(
        [Example(group) for group in groups]
    )
    # Gaps are rounding errors, and rounding errors are standardised: each margin moves by some.
    assert stepper.evaluate(examples).loss == pytest.approx(expected.loss, rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE)
def test_30_steps_on_real_data_lower_the_loss(start, prepared, name):
    groups = prepared(name)
    few = groups if CATALOGUE[name].data == "ties" else groups[:5]
    stepper, examples = stepper_for(start, name, few)
    stepper.model.float()
    optimizer = make_optimizer(stepper.model, OptimizerSettings())
    before = stepper.evaluate(examples).loss
    for _ in range(30):
        update(stepper, optimizer, examples, lr=3e-4, max_grad_norm=1.0)
    after = stepper.evaluate(examples)
    assert after.loss < before
    if name not in ("discopop", "apo_down") and "accuracy" in after.means:
        assert after.means["accuracy"] > 0.6
    assert all(math.isfinite(value) for value in after.means.values())


def test_logsigmoid_is_what_the_table_means():
    """The table's softplus(-z) and the code's -logsigmoid(z)."""
    z = torch.linspace(-50, 50, 101, dtype=torch.float64)
    torch.testing.assert_close(softplus(-z, threshold=1000), -logsigmoid(z))


WAITS = {"beta_dpo", "ld_dpo"}
"""Objectives that ask the device for a number once a step: how many tokens, which pairs."""


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE)
def test_a_step_never_waits_for_the_device(name, start, prepared):
    """Trap 24: tensors without data run through it; asking one for its data is an error."""
    stepper, examples = stepper_for(start, name, prepared(name))
    waits = pytest.raises((DataDependentOutputException, DynamicOutputShapeException))
    with FakeTensorMode(allow_non_fake_inputs=True), waits if name in WAITS else nullcontext():
        parts, sums = stepper.add_up(examples[:4])
        assert isinstance(parts, FakeTensor)
        assert isinstance(sums.sums, FakeTensor)
