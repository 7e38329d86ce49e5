"""Whole runs with bfloat16 weights, 8-bit moments and updates in the backward pass."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from preftune.errors import ConfigError
from preftune.training.metrics import read_metrics
from preftune.training.run import train
from preftune.training.runfile import resolve

SIXTEEN = {"weights": "bfloat16", "precision": "bfloat16"}
EIGHT = {"optimizer.name": "adamw-8bit"}
INSIDE = {"optimizer.in_backward": True, "optimizer.max_grad_norm": None}
WAYS = {
    "bfloat16": SIXTEEN,
    "8-bit": EIGHT,
    "in backward": INSIDE,
    "all": SIXTEEN | EIGHT | INSIDE | {"checkpoint_activations": True},
    "adapters": SIXTEEN | INSIDE | {"lora.rank": 4, "lora.save": "merged", "optimizer.lr": 1e-2},
}


def settings(model, data, out, **more):
    return resolve(
        None,
        {
            "model": str(model), "data.train": str(data), "objective": "dpo", "out": str(out),
            "optimizer.pairs_per_step": 8, "optimizer.lr": 1e-3, "optimizer.max_steps": 6,
            "data.held_out": 0.2, **more,
        },
    )  # fmt: skip


@pytest.fixture(scope="session")
def wide_model(tiny_model, tmp_path_factory):
    """The tiny model with weights large enough for 8-bit moments."""
    folder = tmp_path_factory.mktemp("wide") / "model"
    config = AutoModelForCausalLM.from_pretrained(tiny_model).config
    config.update({"hidden_size": 64, "intermediate_size": 96, "head_dim": 16})
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny_model / name).read_bytes())
    return folder


def fate(out):
    digest = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    entries = read_metrics(out / "metrics.jsonl")
    for entry in entries:
        entry.pop("tokens_per_second", None)
    return digest, entries


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_was_stopped_ends_in_the_same_bits(tmp_path, wide_model, tiny_pairs, way):
    whole = settings(wide_model, tiny_pairs, tmp_path / "whole", **WAYS[way])
    parts = settings(wide_model, tiny_pairs, tmp_path / "parts", **WAYS[way])
    result = train(whole)
    assert result.held_out["loss"] < result.held_out_before["loss"]
    assert not train(parts, until=2).finished
    train(parts)
    assert fate(tmp_path / "parts") == fate(tmp_path / "whole")


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_the_file_has_all_the_bits_it_has_room_for(tmp_path, tiny_model, tiny_pairs, stored):
    """Of a float32 start a float32 result, though the weights in memory were bfloat16."""
    start = tmp_path / "start"
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=stored).save_pretrained(start)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (start / name).write_bytes((tiny_model / name).read_bytes())
    few = {"optimizer.max_steps": 2, "optimizer.lr": 1e-6}
    train(settings(start, tiny_pairs, tmp_path / "run", **SIXTEEN, **few))
    tuned = load_file(tmp_path / "run" / "model" / "model.safetensors")
    before = load_file(start / "model.safetensors")
    assert all(weight.dtype == stored for weight in tuned.values())
    moved = [not torch.equal(tuned[n], before[n].bfloat16().to(stored)) for n in tuned]
    assert all(moved) if stored == torch.float32 else not all(moved)
    finer = [
        not torch.equal(weight.bfloat16().float(), weight.float()) for weight in tuned.values()
    ]
    assert all(finer) if stored == torch.float32 else not any(finer)


def test_bfloat16_weights_under_float32_matmuls_are_refused(tmp_path, tiny_model, tiny_pairs):
    with pytest.raises(ConfigError, match="precision=bfloat16") as caught:
        settings(tiny_model, tiny_pairs, tmp_path / "run", weights="bfloat16", precision="float32")
    assert caught.value.code == "PT311"
