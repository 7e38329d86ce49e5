"""Runs with adapters: the start stays the reference, and what is saved is what was evaluated."""

import importlib.util
import json
import math
from copy import deepcopy

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import preftune
from preftune.batching import pack
from preftune.errors import ConfigError
from preftune.generation import generate
from preftune.models import LogProbModel, load_model, load_tokenizer
from preftune.models.reference import fingerprint
from preftune.models.shared_reference import SharedReference
from preftune.objectives.binding import bind
from preftune.records import Relation, Silent, TokenGroup
from preftune.training.checkpoint import checkpoint_bytes
from preftune.training.config import OptimizerSettings
from preftune.training.lora import merge_as
from preftune.training.metrics import read_metrics
from preftune.training.optimizer import make_optimizer
from preftune.training.policy import load_policy
from preftune.training.reference import live_reference, move
from preftune.training.run import train
from preftune.training.runfile import resolve, write_run_file
from preftune.training.step import Example, Stepper
from preftune.training.update import update
from tests.models.test_adapters import adapted, shake
from tests.models.tiny import random_groups

# peft 0.21 asks transformers 5.23 for a name that it deprecates; delete when peft has followed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")

LN2 = math.log(2)
SMALL = {
    "optimizer.pairs_per_step": 8,
    "optimizer.max_steps": 4,
    "optimizer.lr": 1e-2,
    "data.held_out": 0.2,
    "precision": "float32",
    "lora.rank": 2,
}


FILES = ("weights.safetensors", "optimizer.safetensors", "reference.safetensors")


class Listener(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def asked(model, data, out, objective="dpo", **settings):
    given = {"model": str(model), "data": str(data), "objective": objective, "out": str(out)}
    return resolve(None, {**given, **SMALL, **settings})


def run(*where, watch=None, until=None, **settings):
    return train(asked(*where, **settings), watch, until=until)


@pytest.fixture(scope="module")
def sft(tiny_model, tiny_pairs, tmp_path_factory):
    """A run folder whose model is an adapter."""
    out = tmp_path_factory.mktemp("lora") / "sft"
    result = run(tiny_model, tiny_pairs, out, "sft", **{"optimizer.lr": 5e-2})
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


def test_an_adapter_answers_prompts_as_any_model(sft):
    tokenizer = load_tokenizer(str(sft))
    prompt = [tokenizer("Question 1?", return_tensors="np")["input_ids"][0]]
    ((response,),) = generate(load_model(str(sft)), tokenizer, prompt, max_new_tokens=5, seed=0)
    assert 0 < len(response.ids) <= 5


def test_dpo_with_adapters_from_sft_with_adapters_is_anchored_on_the_sft_model(
    sft, tiny_model, tiny_pairs, tmp_path
):
    """Trap 15: with its adapters off the second run is the SFT model, and not the one below."""
    watch = Listener()
    result = run(sft, tiny_pairs, tmp_path / "dpo", watch=watch)
    assert result.held_out_before["loss"] == pytest.approx(LN2, abs=1e-6)
    assert result.held_out["loss"] < LN2 - 0.01
    started = json.loads((tmp_path / "dpo" / "data.json").read_text())["start_weights"]
    start = load_model(str(sft), dtype="float32")
    assert started == fingerprint(start)
    assert started != fingerprint(load_model(str(tiny_model), dtype="float32"))

    policy = load_policy(asked(sft, tiny_pairs, tmp_path / "dpo").settings).model
    batch = pack(random_groups([2, 2], vocabulary=200))
    expected = LogProbModel(start)(batch).tokens
    assert torch.equal(policy(batch).tokens, expected), "at the start"
    shake(policy.model)
    assert (policy(batch).tokens - expected).abs().max() > 0.1
    with policy.model.disable_adapter():
        assert torch.equal(policy(batch).tokens, expected), "with adapters off"
    below = LogProbModel(load_model(str(tiny_model)))(batch).tokens
    assert (below - expected).abs().max() > 0.1

    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "dpo" / "model")
    assert (logits(whole) - logits(start)).abs().max() > 1e-3
    assert any("a whole model will be saved" in sentence for sentence in watch.said)
    assert any(f"of the model {tiny_model.resolve()}." in sentence for sentence in watch.said)


@pytest.mark.slow
def test_all_weights_are_trained_from_an_adapter_too(sft, tiny_pairs, tmp_path):
    settings = {**SMALL, "optimizer.lr": 1e-3}
    settings.pop("lora.rank")
    result = preftune.train(
        model=str(sft), data=str(tiny_pairs), objective="dpo", out=str(tmp_path / "full"),
        settings=settings,
    )  # fmt: skip
    assert result.held_out_before["loss"] == pytest.approx(LN2, abs=1e-6)
    assert result.held_out["loss"] < LN2 - 0.01
    assert (tmp_path / "full" / "model" / "model.safetensors").is_file()


def fate(out):
    entries = read_metrics(out / "metrics.jsonl")
    for entry in entries:
        entry.pop("tokens_per_second", None)
    return (out / "model" / "adapter_model.safetensors").read_bytes(), entries


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        pytest.param("dpo", {}, marks=pytest.mark.slow),
        ("dpo", {"lora.dora": True, "reference.every": 2, "reference.mix": 0.6}),
        pytest.param("tdpo2", {"checkpoint_activations": True}, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_stopped_ends_in_the_same_bits(
    tiny_model, tiny_pairs, tmp_path, objective, settings
):
    where = (tiny_model, tiny_pairs)
    run(*where, tmp_path / "whole", objective, **settings)
    for until in (3, None):
        run(*where, tmp_path / "parts", objective, until=until, **settings)
    assert fate(tmp_path / "parts") == fate(tmp_path / "whole")
    losses = [entry["loss"] for entry in fate(tmp_path / "whole")[1]]
    assert losses[-1] < losses[0]


def test_checkpoints_hold_what_is_trained_and_nothing_else(tiny_model, tiny_pairs, tmp_path):
    settings = {"reference.every": 1}
    run(tiny_model, tiny_pairs, tmp_path, **settings)
    policy = load_policy(asked(tiny_model, tiny_pairs, tmp_path, **settings).settings).model
    trained = {name: p for name, p in policy.named_parameters() if p.requires_grad}
    size = 4 * sum(p.numel() for p in trained.values())
    assert checkpoint_bytes(policy) == 3 * size
    assert checkpoint_bytes(policy, moving=True) == 4 * size
    newest = max((tmp_path / "checkpoints").glob("step-*"))
    assert load_file(newest / "weights.safetensors").keys() == trained.keys()
    moved = load_file(newest / "reference.safetensors")
    assert len(moved) == len(trained)
    assert all(".reference." in name for name in moved)
    tensors = [tensor for file in FILES for tensor in load_file(newest / file).values()]
    held = sum(tensor.nbytes for tensor in tensors)
    assert held == pytest.approx(checkpoint_bytes(policy, moving=True), rel=0.05)


def five_steps(objective, every, mix, *, shared):
    """Losses and gradient norms, and the policy and its reference at the end, in float64."""
    groups = [
        TokenGroup(group.prompt_ids, group.responses, (Relation(0, 1),), "made up")
        for group in random_groups([2] * 4, seed=3)
    ]
    policy, bound = LogProbModel(adapted("llama", dora=True)), bind(objective)
    if shared:
        reference = live_reference(policy, bound, moving=every is not None)
        assert isinstance(reference, SharedReference)
    else:
        reference = LogProbModel(deepcopy(policy.model).requires_grad_(False))
    stepper = Stepper(policy, bound, 60, "float32", reference)
    optimizer = make_optimizer(policy, OptimizerSettings())
    figures = []
    for step in range(5):
        examples = [Example(group) for group in groups]
        outcome, norm = update(stepper, optimizer, examples, lr=1e-2, max_grad_norm=1.0)
        figures += [outcome.loss, norm]
        if every is not None and (step + 1) % every == 0:
            move(reference, policy, mix)
    with torch.no_grad():
        batch = pack(groups)
        return figures, policy(batch).tokens, reference(batch).tokens


@pytest.mark.parametrize(
    ("objective", "every", "mix"),
    [
        ("tdpo2", None, 1.0),
        pytest.param("tdpo2", 2, 0.6, marks=pytest.mark.slow),
        pytest.param("dpo", 2, 1.0, marks=pytest.mark.slow),
        pytest.param("aot", 2, 0.6, marks=pytest.mark.slow),
    ],
)
def test_training_against_shared_weights_is_training_against_a_copy(objective, every, mix):
    ours = five_steps(objective, every, mix, shared=True)
    copied = five_steps(objective, every, mix, shared=False)
    assert ours[0] == pytest.approx(copied[0], rel=1e-9)
    for mine, theirs in zip(ours[1:], copied[1:], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)
    assert (ours[1] - ours[2]).abs().max() > 1e-3


@pytest.mark.slow
def test_merged_results_are_evaluated_as_they_are_saved(tiny_model, tiny_pairs, tmp_path):
    narrow = tmp_path / "narrow"
    load_model(str(tiny_model), dtype="bfloat16").save_pretrained(narrow)
    load_tokenizer(str(tiny_model)).save_pretrained(narrow)
    settings = {"lora.save": "merged"}
    result = run(narrow, tiny_pairs, tmp_path / "run", "sft", **settings)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model").dtype == torch.bfloat16
    assert not (tmp_path / "run" / "model" / "adapter_config.json").exists()
    again = run(tmp_path / "run", tiny_pairs, tmp_path / "again", "sft")
    assert again.held_out_before["loss"] == result.held_out["loss"]
    assert run(narrow, tiny_pairs, tmp_path / "run", "sft", **settings) == result


@pytest.mark.parametrize("saved", [torch.bfloat16, torch.float16, torch.float32])
def test_sums_are_rounded_once_to_the_dtype_of_the_file(saved):
    """And no weight is kept wider than there: with 8 billion of them that would be 16 GB more."""
    root = LogProbModel(shake(adapted("llama", dtype=torch.bfloat16)))
    layer = root.model.get_base_model().model.layers[1].mlp.up_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = (layer.base_layer.weight.float() + 2 * b @ a).to(saved)
    norm = root.model.get_base_model().model.norm.weight.clone()
    merge_as(root, saved)
    assert torch.equal(root.model.model.layers[1].mlp.up_proj.weight, expected)
    assert torch.equal(root.model.model.norm.weight, norm)
    assert {p.itemsize for p in root.model.parameters()} == {saved.itemsize}


@pytest.mark.slow
def test_narrow_weights_are_merged_into_a_file_of_another_dtype(tiny_model, tiny_pairs, tmp_path):
    half = tmp_path / "half"
    load_model(str(tiny_model)).half().save_pretrained(half)
    load_tokenizer(str(tiny_model)).save_pretrained(half)
    settings = {"lora.save": "merged", "precision": "bfloat16", "weights": "bfloat16"}
    result = run(half, tiny_pairs, tmp_path / "run", "sft", **settings)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model").dtype == torch.float16
    again = run(tmp_path / "run", tiny_pairs, tmp_path / "again", "sft", precision="bfloat16")
    assert again.held_out_before["loss"] == pytest.approx(result.held_out["loss"], abs=1e-2)


@pytest.mark.slow
def test_merging_under_a_shared_reference_is_evaluated_before(tiny_model, tiny_pairs, tmp_path):
    watch = Listener()
    settings = {"lora.save": "merged"}
    result = run(tiny_model, tiny_pairs, tmp_path / "run", "tdpo2", watch=watch, **settings)
    assert result.held_out_before["loss"] == pytest.approx(LN2, abs=1e-6)
    assert result.held_out["loss"] < LN2 - 0.01
    assert any("then merged" in text for text in watch.said)
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_a_target_that_is_no_layer_is_refused_before_data_is_read(tiny_model, tmp_path):
    where = (tiny_model, tmp_path / "no-such-file.jsonl", tmp_path / "run")
    with pytest.raises(ConfigError, match="did you mean `v_proj`") as caught:
        run(*where, **{"lora.targets": ["q_proj", "v_prj"]})
    assert caught.value.code == "PT309"
    assert not (tmp_path / "run").exists()


def test_adapters_have_a_learning_rate_of_their_own():
    given = {"model": "m", "data": "pairs.jsonl", "objective": "dpo"}
    full, lora = resolve(None, given), resolve(None, given, ["lora.rank=8"])
    assert (full.settings.optimizer.lr, lora.settings.optimizer.lr) == (1e-6, 1e-5)
    assert lora.settings.lora.alpha == 16
    assert resolve(None, given, ["lora.alpha=5"]).settings.lora.alpha == 5
    assert "LoRA Without Regret" in write_run_file(lora)
    assert "LoRA Without Regret" not in write_run_file(full)
    named = resolve(None, given, ["lora.rank=8", "optimizer.lr=3e-4"])
    assert named.settings.optimizer.lr == 3e-4
    assert named.origins["optimizer.lr"] == "--set optimizer.lr=3e-4"


@pytest.mark.parametrize(
    ("sets", "code", "said"),
    [
        (["lora.rnak=3"], "PT300", "did you mean `lora.rank`?"),
        (["lora=16"], "PT301", "should be settings such as {rank: 16}, or null"),
        (["lora.rank=0"], "PT301", "`lora.rank`"),
        (["lora.targets=[]"], "PT301", "should be a list of names of layers, or all-linear"),
        (["lora.targets=q_proj"], "PT301", "should be a list of names of layers, or all-linear"),
        (["lora.save=both"], "PT301", "'adapter' or 'merged'"),
    ],
)
def test_mistakes_in_the_settings_of_adapters(sets, code, said):
    with pytest.raises(ConfigError) as caught:
        resolve(None, {"model": "m", "data": "pairs.jsonl", "objective": "dpo"}, sets)
    assert caught.value.code == code
    assert said in str(caught.value)


needed = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


@needed
@pytest.mark.slow
def test_a_run_on_4_bits_starts_at_log_two_and_saves_an_adapter(tiny_model, tiny_pairs, tmp_path):
    watch = Listener()
    settings = {"lora.quantize": "nf4"}
    result = run(tiny_model, tiny_pairs, tmp_path / "run", watch=watch, **settings)
    assert result.held_out_before["loss"] == pytest.approx(LN2, abs=1e-6)
    assert result.held_out["loss"] < LN2 - 0.01
    assert any("trained on nf4 weights" in text for text in watch.said)
    for until in (1, None):
        run(tiny_model, tiny_pairs, tmp_path / "parts", until=until, **settings)
    assert fate(tmp_path / "parts") == fate(tmp_path / "run")
    assert (logits(load_model(str(tmp_path / "run"))) - logits(load_model(str(tiny_model)))).any()


@needed
def test_4_bits_with_what_they_exclude(sft, tiny_pairs, tmp_path):
    where = ("m", "pairs.jsonl", "out")
    for key, value in (("weights", "float32"), ("lora.save", "merged")):
        with pytest.raises(ConfigError) as caught:
            asked(*where, **{"lora.quantize": "nf4", key: value})
        assert (caught.value.code, caught.value.where) == ("PT303", key)
    with pytest.raises(ConfigError, match="this is an adapter") as caught:
        run(sft, tiny_pairs, tmp_path / "run", **{"lora.quantize": "nf4"})
    assert "save_pretrained" in caught.value.fix
