"""Runs with adapters: the start stays the reference, and what is saved is what was evaluated."""

import hashlib
import json
import math
import shutil

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import preftune
from preftune.errors import ConfigError
from preftune.models import LogProbModel, load_model
from preftune.records import Silent
from preftune.training.metrics import read_metrics

# peft 0.21 asks transformers 5.23 for a name that it deprecates; delete when peft has followed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")

SMALL = {
    "optimizer.pairs_per_step": 8,
    "optimizer.lr": 1e-2,
    "data.held_out": 0.2,
    "precision": "float32",
}
LORA = {"lora.rank": 2}


class Listener(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


def run(model, data, out, objective="dpo", watch=None, **settings):
    return preftune.train(
        model=str(model), data=str(data), objective=objective, out=str(out), watch=watch,
        settings={**SMALL, **settings},
    )  # fmt: skip


@pytest.fixture(scope="module")
def sft(tiny_model, tiny_pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("lora") / "sft"
    result = run(tiny_model, tiny_pairs, out, "sft", **LORA, **{"optimizer.max_steps": 5})
    assert result.held_out["loss"] < result.held_out_before["loss"] - 0.1
    return out


def logits(model):
    ids = torch.arange(2, 30)[None]
    with torch.no_grad():
        return model(ids).logits


def test_the_result_is_an_adapter_that_peft_and_transformers_load(sft, tiny_model):
    names = {path.name for path in (sft / "model").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
    assert not {"model.safetensors", "config.json", "README.md"} & names
    said = json.loads((sft / "model" / "adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(tiny_model.resolve())
    weights = load_file(sft / "model" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    merged = load_model(str(sft))
    theirs = peft.AutoPeftModelForCausalLM.from_pretrained(sft / "model")
    other = AutoModelForCausalLM.from_pretrained(sft / "model")
    for model in (theirs, other):
        torch.testing.assert_close(logits(model), logits(merged), rtol=0, atol=1e-4)
    assert (logits(merged) - logits(load_model(str(tiny_model)))).abs().max() > 0.1
    assert AutoTokenizer.from_pretrained(sft / "model")("Yes")["input_ids"]
