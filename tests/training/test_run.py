"""Whole runs on a small real model, through the Python interface."""

import hashlib
import json
import math
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import preftune
from preftune.errors import ConfigError, DataError
from preftune.records import Silent
from preftune.training.metrics import read_metrics

SMALL = {"optimizer.pairs_per_step": 8, "optimizer.lr": 1e-3, "data.held_out": 0.2}


def run(model, data, out, objective="dpo", **settings):
    return preftune.train(
        model=str(model), data=str(data), objective=objective, out=str(out),
        settings={**SMALL, **settings},
    )  # fmt: skip


def weights(folder):
    return hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def lines(folder, split):
    return [entry for entry in read_metrics(folder / "metrics.jsonl") if entry["split"] == split]


@pytest.fixture(scope="module")
def finished(tiny_model, tiny_pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "dpo"
    return run(tiny_model, tiny_pairs, out, **{"optimizer.epochs": 3}), out


def test_dpo_starts_at_log_two_and_learns_the_pairs(finished):
    result, out = finished
    train = lines(out, "train")
    assert train[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert train[0]["accuracy"] == 0.5
    assert result.held_out_before["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert result.held_out["accuracy"] > 0.9
    assert result.held_out["margin"] > 0
    assert train[-1]["loss"] < train[0]["loss"]


def test_every_step_logs_the_declared_figures(finished):
    _, out = finished
    train = lines(out, "train")
    assert [entry["step"] for entry in train] == list(range(len(train)))
    declared = {
        "step", "pairs_seen", "tokens", "loss", "accuracy", "margin", "rewards_chosen",
        "rewards_rejected", "logps_chosen", "logps_rejected", "displacement", "kl", "grad_norm",
        "lr", "tokens_per_second",
    }  # fmt: skip
    for entry in train:
        assert declared <= entry.keys()
        assert entry["margin"] == pytest.approx(
            10 * (entry["rewards_chosen"] - entry["rewards_rejected"]), abs=1e-4
        )
    assert train[1]["pairs_seen"] == 8


def test_the_run_folder_tells_the_whole_run(finished):
    result, out = finished
    account = json.loads((out / "data.json").read_text())
    assert account["rows"] == account["used"] == 60
    assert account["train_groups"] + account["held_out_groups"] == 60
    assert len(account["fingerprint"]) == 64
    text = (out / "run.yaml").read_text()
    assert "beta: 0.1  # default" in text
    assert "epochs: 3.0  # argument" in text
    assert json.loads((out / "result.json").read_text())["steps"] == result.steps


def test_the_result_is_a_model_that_transformers_loads(finished, tiny_model):
    _, out = finished
    tuned = AutoModelForCausalLM.from_pretrained(out / "model")
    start = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    ids = tokenizer("Question 3? Yes", return_tensors="pt").input_ids
    assert ids[0, 0] == 0
    assert torch.isfinite(tuned(ids).logits).all()
    assert not torch.equal(tuned(ids).logits, start(ids).logits)
    assert tuned.config.use_cache == start.config.use_cache
    assert not list((out / "model").glob("*.bin"))


def test_a_finished_run_is_not_trained_again(finished, tiny_model, tiny_pairs):
    result, out = finished
    before = (out / "metrics.jsonl").read_bytes()
    again = run(tiny_model, tiny_pairs, out, **{"optimizer.epochs": 3})
    assert again == result
    assert (out / "metrics.jsonl").read_bytes() == before


def test_another_configuration_is_refused_and_nothing_is_overwritten(
    finished, tiny_model, tiny_pairs
):
    _, out = finished
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError) as caught:
        run(tiny_model, tiny_pairs, out, **{"optimizer.epochs": 3, "objective.beta": 0.5})
    assert caught.value.code == "PT305"
    assert "objective.beta: 0.1 there, 0.5 now" in str(caught.value)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_folder_of_something_else_is_not_touched(tmp_path, tiny_model, tiny_pairs):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError) as caught:
        run(tiny_model, tiny_pairs, tmp_path)
    assert caught.value.code == "PT306"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_fresh_runs_are_bit_identical(tmp_path, tiny_model, tiny_pairs):
    for name in ("one", "two"):
        run(tiny_model, tiny_pairs, tmp_path / name, **{"optimizer.max_steps": 3})
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


def test_the_token_budget_changes_no_result(tmp_path, tiny_model, tiny_pairs):
    for budget in (64, 4096):
        settings = {"optimizer.max_steps": 3, "tokens_per_batch": budget}
        run(tiny_model, tiny_pairs, tmp_path / str(budget), **settings)
    one, other = (lines(tmp_path / str(budget), "train") for budget in (64, 4096))
    for first, second in zip(one, other, strict=True):
        assert first["loss"] == pytest.approx(second["loss"], abs=1e-5)
        assert first["grad_norm"] == pytest.approx(second["grad_norm"], rel=1e-3)


def test_dpo_from_an_sft_run_is_anchored_on_the_sft_result(tmp_path, tiny_model, tiny_pairs):
    """Trap 15: the reference is the policy's own start, not the model below it."""
    sft = run(tiny_model, tiny_pairs, tmp_path / "sft", "sft", **{"optimizer.max_steps": 6})
    assert sft.held_out["loss"] < sft.held_out_before["loss"]
    dpo = run(tmp_path / "sft", tiny_pairs, tmp_path / "dpo", **{"optimizer.max_steps": 2})
    assert dpo.held_out_before["loss"] == pytest.approx(math.log(2), abs=1e-6)
    before = json.loads((tmp_path / "dpo" / "data.json").read_text())["start_weights"]
    assert before != json.loads((tmp_path / "sft" / "data.json").read_text())["start_weights"]


def test_a_changed_start_is_noticed_on_resuming(tmp_path, tiny_model, tiny_pairs):
    """Trap 17: by content, never by path."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    out = tmp_path / "run"
    run(model, tiny_pairs, out, **{"optimizer.max_steps": 2})
    (out / "result.json").unlink()
    changed = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        next(changed.parameters()).add_(0.01)
    changed.save_pretrained(model)
    with pytest.raises(ConfigError, match="start_weights"):
        run(model, tiny_pairs, out, **{"optimizer.max_steps": 2})


def test_no_prompt_is_on_both_sides_of_the_split(tmp_path, tiny_model, tiny_pairs):
    """Each prompt of the file stands in two rows."""
    from preftune.models import load_tokenizer
    from preftune.training.prepare import split_by_prompt

    groups = preftune.render(preftune.read(str(tiny_pairs)), load_tokenizer(str(tiny_model)))
    train, held_out = split_by_prompt(groups, 0.3, seed=0)
    assert len(train) + len(held_out) == 60
    sides = [{group.prompt_ids.tobytes() for group in side} for side in (train, held_out)]
    assert not sides[0] & sides[1]
    assert split_by_prompt(groups[::-1], 0.3, seed=0)[1] == held_out[::-1]


def test_a_response_file_does_not_fit_dpo(tmp_path, tiny_model):
    file = tmp_path / "sft.jsonl"
    file.write_text('{"prompt": "a", "completion": " b"}\n' * 3)
    with pytest.raises(DataError) as caught:
        run(tiny_model, file, tmp_path / "out")
    assert caught.value.code == "PT105"
    assert "sft.jsonl:1" in str(caught.value)


def test_more_tokens_than_positions_are_refused(tmp_path, tiny_model, tiny_pairs):
    with pytest.raises(ConfigError, match="256 positions"):
        run(tiny_model, tiny_pairs, tmp_path / "out", **{"rendering.max_tokens": 257})


def test_losses_work_alone_in_a_loop_of_ones_own(tiny_model, tiny_pairs):
    from preftune.models import load_model, load_tokenizer
    from preftune.objectives import dpo

    model = load_model(str(tiny_model), dtype="float32")
    groups = preftune.render(preftune.read(str(tiny_pairs)), load_tokenizer(str(tiny_model)))[:4]
    with torch.no_grad():
        reference = preftune.logps(model, groups)
    policy = preftune.logps(model, groups)
    loss = dpo(policy.with_reference(reference), beta=0.1).mean()
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_what_a_failed_start_left_behind_is_no_obstacle(tmp_path, tiny_model, tiny_pairs):
    (tmp_path / "lock").write_text("123")
    (tmp_path / ".run.yaml.tmp").write_text("mod")
    assert run(tiny_model, tiny_pairs, tmp_path, **{"optimizer.max_steps": 1}).steps == 1


def test_a_run_file_of_another_program_is_not_touched(tmp_path, tiny_model, tiny_pairs):
    (tmp_path / "run.yaml").write_text("foo: 1\n")
    with pytest.raises(ConfigError) as caught:
        run(tiny_model, tiny_pairs, tmp_path)
    assert caught.value.code == "PT306"
    assert (tmp_path / "run.yaml").read_text() == "foo: 1\n"


def test_another_token_budget_resumes_and_a_lost_model_is_made_again(
    tmp_path, tiny_model, tiny_pairs
):
    first = run(tiny_model, tiny_pairs, tmp_path, **{"optimizer.max_steps": 2})
    shutil.rmtree(tmp_path / "model")
    settings = {"optimizer.max_steps": 2, "tokens_per_batch": 99}
    again = run(tiny_model, tiny_pairs, tmp_path, **settings)
    assert (tmp_path / "model" / "config.json").exists()
    assert again.held_out["loss"] == pytest.approx(first.held_out["loss"], abs=1e-5)


def test_a_held_out_file_that_leaks_is_told(tmp_path, tiny_model, tiny_pairs):
    said = []

    class Listener(Silent):
        def say(self, message):
            said.append(message)

    preftune.train(
        model=tiny_model,
        data=tiny_pairs,
        objective="dpo",
        out=tmp_path / "run",
        settings={"data.held_out": str(tiny_pairs), "optimizer.max_steps": 1},
        watch=Listener(),
    )
    assert "warning: 60 held-out rows have a prompt that is trained on, too." in said
    verdicts = ("ready:", "usable with care:", "mend it first:")
    assert sum(any(verdict in message for verdict in verdicts) for message in said) == 1
