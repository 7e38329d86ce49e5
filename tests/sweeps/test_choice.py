"""The choice: what is best, what can't be told from it, and whether anything beats the start."""

from dataclasses import replace

import numpy as np
import pytest

from preftune.sweeps.choice import choose, figures_of
from preftune.sweeps.held_out import HeldOut
from preftune.sweeps.plots import plot_sweep
from preftune.sweeps.result import Outcome, SweepResult
from preftune.sweeps.words import report
from preftune.training.halves import decides_early


def held_out(right, *, seed=0, start=0.5, kl=None):
    """A run that is right where it says, two pairs to a prompt."""
    number = len(right)
    right = np.asarray(right, float)
    return HeldOut(
        pairs=[f"{seed} rows:{at} 0" for at in range(number)],
        prompts=[f"prompt {at // 2}" for at in range(number)],
        values={
            "accuracy": right.tolist(),
            "accuracy_start": [start] * number,
            "reward_margin": (right - 0.4).tolist(),
            "margin": (10 * right - 4).tolist(),
            "displacement": (1 - right).tolist(),
        },
        kl_prompts=[] if kl is None else [f"prompt {at}" for at in range(20)],
        kl=[] if kl is None else [kl + 0.01 * at for at in range(20)],
    )


def share(accuracy, number=400, seed=0):
    return np.random.default_rng(seed).random(number) < accuracy


def chosen(**settings):
    runs = {name: one if isinstance(one, list) else [one] for name, one in settings.items()}
    figures = {name: figures_of(those) for name, those in runs.items()}
    choice = choose(runs, {name: one.kl for name, one in figures.items()})
    outcomes = [
        Outcome(name=f"{name},seed={at}", setting=name, values={"objective.name": name, "seed": at},
                out="x", state="finished")
        for name, those in runs.items() for at in range(len(those))
    ]  # fmt: skip
    return SweepResult(out="x", runs=outcomes, figures=figures, choice=choice)


def test_of_equals_the_one_with_the_smaller_kl_is_taken():
    good = share(0.75)
    nearly = good.copy()
    nearly[:4] = ~nearly[:4]
    result = chosen(
        far=held_out(good, kl=9.0),
        near=held_out(nearly, kl=1.0),
        bad=held_out(share(0.5, seed=1), kl=0.1),
    )
    choice = result.choice
    assert set(choice.alike) == {"near"} if choice.best == "far" else {"far"}
    assert choice.take == "near"
    assert set(choice.better_than_start) == {"far", "near"}
    told = "\n".join(report(result))
    assert "can't be told apart from it; of these, near has the smallest KL (1.10 [" in told
    assert "Measured on 400 held-out pairs of 200 prompts." in told
    assert "of all 6 differences" in told


def test_the_best_is_taken_where_it_stands_alone():
    result = chosen(good=held_out(share(0.9)), bad=held_out(share(0.6, seed=1)))
    assert (result.choice.best, result.choice.take, result.choice.alike) == ("good", "good", {})
    assert report(result)[0].startswith("Best: good (accuracy 0.")


def test_none_may_be_better_than_the_start():
    result = chosen(one=held_out(share(0.5)), other=held_out(share(0.5, seed=1)))
    assert result.choice.take is None
    assert report(result)[0].startswith("None of these is better than the start")


def test_a_start_that_is_as_good_already_is_not_beaten():
    assert chosen(one=held_out(share(0.75), start=0.75)).choice.better_than_start == []
    assert chosen(one=held_out(share(0.75), start=0.5)).choice.better_than_start == ["one"]


def test_seeds_of_a_setting_are_one_figure_over_their_prompts():
    both = [held_out(share(0.8), seed=0), held_out(share(0.6, seed=1), seed=1)]
    figures = figures_of(both)
    right = np.concatenate([share(0.8), share(0.6, seed=1)])
    assert figures.accuracy.value == pytest.approx(right.mean())
    assert (figures.pairs, figures.accuracy.n) == (800, 200)


def test_settings_are_compared_on_the_pairs_that_all_of_them_held_out():
    half, whole = held_out(share(0.9, 100)), held_out(share(0.6, 400, seed=1))
    result = chosen(half=half, whole=whole)
    assert (result.choice.pairs, result.choice.prompts) == (100, 50)
    apart = chosen(one=held_out(share(0.9), seed=0), other=held_out(share(0.9), seed=1))
    assert apart.choice is None
    assert "No recommendation" in report(apart)[0]


def test_numbers_are_drawn_as_lines(tmp_path):
    result = chosen(**{name: held_out(share(0.7), kl=1.0) for name in ("0.01", "0.1", "1.0")})
    runs = [
        Outcome(name=one.name, setting=one.setting, out="x", state="finished",
                values={"objective.beta": float(one.setting)})
        for one in result.runs
    ]  # fmt: skip
    drawn = plot_sweep(SweepResult(out="x", runs=runs, figures=result.figures), tmp_path / "a.png")
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_the_smallest_kl_is_sought_among_what_is_better_than_the_start():
    good = share(0.62)
    worse = good.copy()
    worse[np.flatnonzero(good)[:10]] = False
    result = chosen(far=held_out(good, kl=9.0), weak=held_out(worse, kl=1.0))
    assert result.choice.better_than_start == ["far"]
    assert list(result.choice.alike) == ["weak"]
    told = "\n".join(report(result))
    assert "of those that are better than the start, far has the smallest KL (9.10 [" in told


def test_after_halving_the_choice_is_on_prompts_that_halving_did_not_see():
    right = share(0.8)
    whole = replace(held_out(right), prompts=[f"{at // 2:016x}" for at in range(len(right))])
    kept = whole.for_the_choice()
    places = [at for at in range(len(right)) if at // 2 % 2]
    assert kept.pairs == [whole.pairs[at] for at in places]
    assert not any(map(decides_early, kept.prompts))
    assert kept.values["accuracy"] == right[places].tolist()
    result = replace(chosen(one=kept), halved=True)
    assert result.choice.pairs == 200
    assert "decided on the other half of the held-out prompts" in "\n".join(report(result))


def test_below_20_prompts_nothing_is_recommended():
    few, enough = (chosen(one=held_out(np.ones(2 * number, bool))) for number in (19, 20))
    assert few.choice is None
    assert report(few)[0].startswith("No recommendation: too few held-out prompts to choose by.")
    assert few.figures["one"].accuracy.value == 1.0
    assert enough.choice.take == "one"


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (("failed", "failed"), "all runs failed"),
        (("stopped", "failed"), "no run was finished"),
        (("finished", "failed"), "no finished run holds out pairs"),
    ],
)
def test_without_figures_the_reason_is_given(states, said):
    runs = [
        Outcome(name=f"{at}", setting=f"{at}", values={}, out="x", state=state)
        for at, state in enumerate(states)
    ]
    assert report(SweepResult(out="x", runs=runs))[0] == f"No recommendation: {said}."


def test_a_run_that_was_stopped_says_where():
    result = chosen(good=held_out(share(0.9)))
    stopped = Outcome(name="bad", setting="bad", values={}, out="x", state="stopped", steps=5,
                      num_steps=20, held_out={"accuracy": 0.612})  # fmt: skip
    result = SweepResult(
        out="x", runs=[*result.runs, stopped], figures=result.figures, choice=result.choice
    )
    told = "\n".join(report(result))
    assert "stopped at step 5 of 20, held-out accuracy 0.61 then" in told
    assert "1 of 2 were not compared" in told
