"""`preftune train … --plan` and `--try` as a user meets them."""

import json

import pytest

from preftune.cli.plan import size


def run(preftune, model, data, out, *more):
    return preftune(
        "train", "--model", model, "--data", data, "--objective", "dpo", "--out", out, *more
    )


def test_a_plan_is_a_table(tiny_model, tiny_pairs, tmp_path, preftune):
    fits = run(preftune, tiny_model, tiny_pairs, tmp_path / "out", "--plan", "--price", "2.5")
    assert fits.returncode == 0, fits.stderr
    for word in ("weights", "optimiser", "activations", "output layer", "tokens", "cost", "fits:"):
        assert word in fits.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_plan_that_can_t_fit_exits_with_3_and_names_remedies(
    tiny_model, tiny_pairs, tmp_path, preftune
):
    arguments = (tiny_model, tiny_pairs, tmp_path / "out", "--plan", "--memory", "1MiB")
    refused = run(preftune, *arguments, "--json")
    assert refused.returncode == 3, refused.stderr
    plan = json.loads(refused.stdout)
    assert plan["fits"] is False
    assert plan["free_bytes"] == 2**20
    assert plan["peak"]["bytes"] == sum(plan["peak"]["parts"].values())
    assert plan["remedies"]
    shown = run(preftune, *arguments)
    assert shown.returncode == 3
    assert "does not fit" in shown.stdout
    assert "saves" in shown.stdout
    assert "--set optimizer.in_backward=true" in shown.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--memory", "24GiB"], "--memory has no effect without --plan"),
        (["--price", "1"], "--price has no effect without --plan"),
        (["--try", "soon"], "--try 90s"),
        (["--try", "0s"], "--try 90s"),
        (["--try", "5s", "--plan"], "--try has no effect beside --plan"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(more, said, tmp_path, preftune):
    result = run(preftune, "m", "d", tmp_path / "out", *more)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_trial_shows_figures_and_answers_side_by_side(tiny_model, tiny_pairs, tmp_path, preftune):
    result = run(preftune, tiny_model, tiny_pairs, tmp_path / "out", "--try", "0.5s")
    assert result.returncode == 0, result.stderr
    for word in ("the whole run, foreseen", "memory, measured", "held out", "before ", "after "):
        assert word in result.stdout
    assert not (tmp_path / "out").exists()


def test_sizes_are_in_units_of_1024():
    assert size(3 * 2**30 // 2) == "1.5 GiB"
