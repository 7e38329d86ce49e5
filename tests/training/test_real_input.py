"""The main job on real preferences with a real pretrained model."""

import math

import pytest

import preftune


def run(shared, out, objective, model=None, **settings):
    return preftune.train(
        model=str(model or shared / "models/stories260k"),
        data=str(shared / "data/hh-harmless/train.jsonl.gz"),
        objective=objective,
        out=str(out),
        settings={
            "data.limit": 400, "optimizer.pairs_per_step": 16, "optimizer.max_steps": 8, **settings
        },
    )  # fmt: skip


@pytest.mark.slow
def test_harmless_pairs_from_sft_to_dpo(shared, tmp_path):
    sft = run(shared, tmp_path / "sft", "sft", **{"optimizer.lr": 1e-3})
    assert sft.held_out["loss"] < sft.held_out_before["loss"]
    # Few pairs seen several times: whether they are learnt, not whether 8 steps generalise.
    few = {"data.limit": 60, "optimizer.max_steps": 16, "optimizer.lr": 1e-4}
    dpo = run(shared, tmp_path / "dpo", "dpo", model=tmp_path / "sft", **few)
    assert dpo.held_out_before["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert dpo.train["loss"] < 0.65
    assert dpo.train["accuracy"] > 0.6
    assert {"accuracy", "margin"} <= dpo.held_out.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 1e-2)])
def test_the_loss_starts_at_log_two(shared, tmp_path, precision, tolerance):
    result = run(shared, tmp_path / "dpo", "dpo", precision=precision, **{"optimizer.max_steps": 1})
    assert result.train["loss"] == pytest.approx(math.log(2), abs=tolerance)
    assert result.held_out_before["loss"] == pytest.approx(math.log(2), abs=tolerance)
