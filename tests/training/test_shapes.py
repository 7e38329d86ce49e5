"""Whole runs over every shape of data in real files, and over every way of holding a reference."""

import hashlib
import math
import os
import signal

import pytest

import preftune
from preftune.errors import ConfigError, DataError
from preftune.objectives.binding import bind, bind_mixture
from preftune.records import Group, Message, Rating, Relation, Response, Silent
from preftune.training.fitting import fit
from preftune.training.metrics import read_metrics
from preftune.training.runfile import resolve, write_run_file

SHAPES = {
    "thumbs": ("chat-pairs/kto_en_demo.json", "kto", {}),
    "rankings": ("oasst/trees.jsonl.gz", "plackett_luce", {}),
    "rankings as pairs": ("oasst/trees.jsonl.gz", "dpo", {"data.convert": "all-pairs"}),
    "scores": ("ultrafeedback/scored.jsonl.gz", "infonca", {}),
    "ties": ("ultrafeedback/scored.jsonl.gz", "rao_kupper", {}),
    "margins": ("ultrafeedback/scored.jsonl.gz", "odpo", {}),
    "pairs without a reference": ("polite-pairs/instruction-data-with-preference.json", "simpo", {
        "data.map": {"chosen": "chosen", "rejected": "rejected", "instruction": "instruction"}}),
    "pairs as thumbs": ("stories-pairs/pairs.jsonl", "bco", {"data.convert": "thumbs"}),
    "a mixture": ("hh-harmless/train.jsonl.gz", [
        {"name": "dpo", "weight": 0.8}, {"name": "bco", "weight": 0.2}, {"name": "sft"}], {}),
    "a live reference": ("stories-pairs/pairs.jsonl", "tdpo2", {}),
    "the best of rankings": ("oasst/trees.jsonl.gz", "sft", {}),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_trains_from_its_real_file(shared, tmp_path, shape):
    file, objective, settings = SHAPES[shape]
    result = preftune.train(
        model=str(shared / "models/stories260k"),
        data=str(shared / "data" / file),
        objective=objective,
        out=str(tmp_path / "run"),
        settings={
            "data.limit": 100 if shape == "ties" else 24,
            "data.bad_rows": "skip",
            "rendering.max_tokens": 256,
            "rendering.truncation": "response",
            "optimizer.max_steps": 2,
            "optimizer.pairs_per_step": 4,
            **settings,
        },
    )
    assert result.steps == 2
    without_reference = objective in ("simpo", "sft")
    assert ("kl" in result.held_out) == (not without_reference)
    for entry in read_metrics(tmp_path / "run/metrics.jsonl"):
        assert entry["loss"] == entry["loss"]
        assert "accuracy" in entry or objective in ("kto", "bco", "sft")


class Stop(Silent):
    """Asks the run to stop, as Ctrl-C does, after some steps."""

    def __init__(self, after):
        self.after = after
        self.stage = ""

    def begin(self, stage, total, done=0):
        self.stage = stage

    def advance(self, done, note=""):
        if self.stage == "training" and done == self.after:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        ("bco", {"data.convert": "thumbs"}),
        ("beta_dpo", {}),
        ("alpha_dpo", {}),
        ("tdpo2", {}),
        ("kto", {"data.convert": "thumbs"}),
        ("dpo", {"reference.every": 2, "reference.mix": 0.5}),
        ("dpo", {"reference.every": 3}),
    ],
)
def test_a_resumed_run_ends_in_the_same_weights(
    tiny_model, tiny_pairs, tmp_path, objective, settings
):
    """Trap 18: what an objective keeps from step to step, and a moving reference, come back."""

    def run(out, watch=None):
        result = preftune.train(
            model=str(tiny_model),
            data=str(tiny_pairs),
            objective=objective,
            out=str(tmp_path / out),
            settings={
                "optimizer.pairs_per_step": 8,
                "optimizer.lr": 1e-3,
                "optimizer.max_steps": 7,
                "tokens_per_batch": 300,
                **settings,
            },
            watch=watch,
        )
        if result.interrupted:
            return result
        saved = (tmp_path / out / "model/model.safetensors").read_bytes()
        return hashlib.sha256(saved).hexdigest()

    whole = run("whole")
    stopped = run("stopped", Stop(after=4))
    assert stopped.interrupted == signal.SIGINT
    assert stopped.steps == 4
    assert run("stopped") == whole


def test_a_hard_copy_brings_the_loss_back_to_log_two(tiny_model, tiny_pairs, tmp_path):
    """Right after the reference became the policy, every margin is 0."""
    preftune.train(
        model=str(tiny_model),
        data=str(tiny_pairs),
        objective="dpo",
        out=str(tmp_path / "run"),
        settings={
            "optimizer.pairs_per_step": 16,
            "optimizer.lr": 1e-3,
            "optimizer.max_steps": 6,
            "reference.every": 3,
        },
    )
    train = [
        entry["loss"]
        for entry in read_metrics(tmp_path / "run/metrics.jsonl")
        if entry["split"] == "train"
    ]
    assert train[0] == pytest.approx(0.693147, abs=1e-6)
    assert train[3] == pytest.approx(0.693147, abs=1e-6)
    assert min(train[1], train[2], train[4], train[5]) < 0.68


def test_a_reference_that_would_never_move_is_refused(tiny_model, tiny_pairs, tmp_path):
    with pytest.raises(ConfigError, match="would not move before step 4, and the run has 4"):
        preftune.train(
            model=str(tiny_model), data=str(tiny_pairs), objective="dpo",
            out=str(tmp_path / "run"),
            settings={"optimizer.max_steps": 4, "reference.every": 4},
        )  # fmt: skip


def test_a_mixture_is_the_weighted_sum_of_its_parts(tiny_model, tiny_pairs, tmp_path):
    def first_step(objective, out):
        preftune.train(
            model=str(tiny_model), data=str(tiny_pairs), objective=objective,
            out=str(tmp_path / out),
            settings={"optimizer.max_steps": 1, "optimizer.pairs_per_step": 12},
        )  # fmt: skip
        (first,) = [
            entry
            for entry in read_metrics(tmp_path / out / "metrics.jsonl")
            if (entry["step"], entry["split"]) == (0, "train")
        ]
        return first

    parts = [
        {"name": "dpo", "weight": 0.5},
        {"name": "sft", "weight": 2.0},
        {"name": "hinge"},
        {"name": "bco", "weight": 0.2},
    ]
    alone = [first_step(part["name"], part["name"])["loss"] for part in parts[:3]]
    # BCO is divided by responses: of a pair it is the mean of both, not their sum.
    expected = 0.5 * alone[0] + 2.0 * alone[1] + alone[2] + 0.2 * math.log(2)
    mixed = first_step(parts, "mixture")
    assert mixed["loss"] == pytest.approx(expected, rel=1e-6)
    names = ("loss_dpo", "loss_sft", "loss_hinge")
    assert [mixed[name] for name in names] == pytest.approx(alone, rel=1e-6)


# Fitting groups to objectives.


def answers(*ratings):
    return tuple(
        Response((Message("assistant", f"Answer {place}."),), rating)
        for place, rating in enumerate(ratings)
    )


def group(*ratings, relations=(), **more):
    return Group((Message("user", "Why?"),), answers(*ratings), relations, "file:1", **more)


PAIR = group(None, None, relations=(Relation(0, 1),))
TIE = group(None, None, relations=(Relation(0, 1, tie=True),))
THUMB = group(Rating(good=False))
RANKING = group(Rating(rank=1), Rating(rank=0), Rating(rank=1))
SCORES = group(Rating(score=1.0), Rating(score=7.0), Rating(score=3.0))


DOUBT = group(None, None, relations=(Relation(0, 1, strength=0.8),))


@pytest.mark.parametrize(
    ("row", "name", "fix"),
    [
        (THUMB, "dpo", "kto or bco"),
        (RANKING, "dpo", "--convert best-versus-worst, best-versus-random or all-pairs"),
        (SCORES, "simpo", "--convert best-versus-worst"),
        (SCORES, "plackett_luce", "--convert ranks"),
        (PAIR, "kto", "--convert thumbs"),
        (PAIR, "infonca", "--objective dpo"),
        (RANKING, "infonca", "--objective plackett_luce"),
        (THUMB, "davidson", "kto or bco"),
        (group(None), "dpo", "--objective sft"),
        (PAIR, "odpo", "score_chosen=COLUMN"),
        (DOUBT, "aot", "column `strength`"),
        (DOUBT, "plackett_luce", "column `strength`"),
        (group(None, None, relations=(Relation(0, 1),), weight=2.0), "aot", "column `weight`"),
    ],
)
def test_a_misfit_names_what_would_help(row, name, fix):
    with pytest.raises(DataError) as caught:
        fit([row], bind(name))
    assert caught.value.code == "PT105"
    assert fix in str(caught.value)
    assert "file:1" in str(caught.value)


def test_ties_are_left_out_of_pairs_and_counted():
    fitted = fit([PAIR, TIE], bind("dpo"))
    assert fitted.groups == [PAIR]
    assert [one.reason for one in fitted.exclusions] == ["tie"]
    assert fit([PAIR, TIE], bind("davidson")).groups == [PAIR, TIE]


def test_a_pair_is_a_ranking_of_two():
    fitted = fit([PAIR, TIE], bind("plackett_luce"))
    assert [[one.rating.rank for one in row.responses] for row in fitted.groups] == [[0, 1]]
    assert [one.reason for one in fitted.exclusions] == ["all responses tie"]
    assert fitted.said == ["Pairs read as rankings of two: 2."]


def test_rankings_and_scores_say_which_of_two_is_better():
    (ranked,) = fit([RANKING], bind("plackett_luce")).groups
    assert {(one.winner, one.loser) for one in ranked.relations} == {(1, 0), (1, 2)}
    (scored,) = fit([SCORES], bind("infonca")).groups
    assert {(one.winner, one.loser) for one in scored.relations} == {(1, 0), (1, 2), (2, 0)}


def test_demonstrations_are_the_best_responses():
    fitted = fit([PAIR, RANKING, SCORES, THUMB, group(None)], bind("sft"))
    texts = [[one.turns[0].content for one in row.responses] for row in fitted.groups]
    assert texts == [["Answer 0."], ["Answer 1."], ["Answer 1."], ["Answer 0."]]
    assert [one.reason for one in fitted.exclusions] == ["no response was judged good"]
    assert not any(row.relations for row in fitted.groups)


def test_of_a_pair_in_a_mixture_the_chosen_is_good_and_the_rejected_bad():
    mixture = bind_mixture([{"name": "dpo"}, {"name": "kto"}])
    (row,) = fit([PAIR], mixture).groups
    assert [one.rating.good for one in row.responses] == [True, False]
    assert row.relations == PAIR.relations


@pytest.mark.parametrize(
    ("row", "parts", "said"),
    [
        (DOUBT, ("dpo", "kto"), "a strength below 1, which `kto` would ignore"),
        (RANKING, ("plackett_luce", "infonca"), "learns from scores"),
        (SCORES, ("plackett_luce", "infonca"), "learns from rankings"),
        (
            group(None, None, None, relations=(Relation(0, 1), Relation(1, 2))),
            ("dpo", "bco"),
            "holds 2 judgements",
        ),
    ],
)
def test_every_part_of_a_mixture_is_served_or_the_row_is_refused(row, parts, said):
    with pytest.raises(DataError, match=said):
        fit([row], bind_mixture([{"name": name} for name in parts]))


def test_scores_that_contradict_the_label_are_left_out():
    right, wrong = (
        group(Rating(score=high), Rating(score=low), relations=(Relation(0, 1),))
        for high, low in ((2.0, 1.0), (1.0, 2.0))
    )
    fitted = fit([right, wrong], bind("infonca"))
    assert fitted.groups == [right]
    assert [one.reason for one in fitted.exclusions] == ["scores contradict the judgement"]


def test_a_margin_that_is_not_positive_is_left_out_where_its_log_is_taken():
    worse = group(None, None, relations=(Relation(0, 1, margin=-1.0),))
    better = group(None, None, relations=(Relation(0, 1, margin=2.0),))
    fitted = fit([worse, better], bind("odpo"))
    assert fitted.groups == [better]
    assert [one.reason for one in fitted.exclusions] == ["chosen is not rated higher"]
    assert fit([worse, better], bind("odpo_linear")).groups == [worse, better]


# Options without effect.

BASE = {"model": "m", "data": "d", "out": "o"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"objective": "simpo", "reference.every": 4}, "no reference that could move"),
        ({"objective": "dpo", "reference.mix": 0.5}, "no effect without reference.every"),
        ({"objective": "dpo", "data.minimum_gap": 0.5}, "only used by a conversion"),
        ({"objective": "dpo", "data.convert": "bests"}, "there is no conversion"),
        ({"objective": "dpo", "data.convert": "thumbs"}, "makes thumbs, and `dpo` learns from"),
        ({"objective": "infonca", "data.convert": "ranks"}, "makes rankings"),
        ({"objective": []}, "the list of objectives is empty"),
        ({"objective": [{"name": "dpo"}, {"weight": 1}]}, "needs a name"),
        ({"objective": [{"name": "dpo"}, {"name": "kto"}, {"name": "infonca"}]}, "different data"),
        ({"objective": [{"name": "dpo", "weight": -1}]}, "outside"),
    ],
)
def test_an_option_without_effect_is_an_error_before_anything_loads(given, said):
    with pytest.raises(ConfigError, match=said):
        resolve(None, BASE | given)


def test_a_mixture_survives_the_run_file(tmp_path):
    parts = [{"name": "dpo", "weight": 0.8, "beta": 0.2}, {"name": "sft"}]
    resolved = resolve(None, {"model": "m", "data": "d", "objective": parts})
    assert str(resolved.settings.out) == "runs/m-dpo+sft"
    assert resolved.origins["objective"] == "argument"
    file = tmp_path / "run.yaml"
    file.write_text(write_run_file(resolved))
    again = resolve(file)
    assert again.settings == resolved.settings
    assert again.settings.objective[0]["beta"] == 0.2
    assert again.settings.objective[1]["weight"] == 1.0
