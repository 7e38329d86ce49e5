"""Adapter folders as starts: found, checked, and merged into the model below them."""

import contextlib
import json
import os
import shutil
from functools import partial

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from preftune.errors import ConfigError
from preftune.models import LogProbModel, load_config, load_model, load_tokenizer
from preftune.models.adapters import add_adapters, skeleton
from tests.models import tiny
from tests.models.test_adapters import shake

# peft 0.21 asks transformers 5.23 for a name that it deprecates; delete when peft has followed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")


@pytest.fixture(scope="module")
def saved(tiny_model, tmp_path_factory):
    """An adapter as peft saves it: without a tokenizer."""
    folder = tmp_path_factory.mktemp("adapters") / "adapter"
    model = shake(add_adapters(load_model(str(tiny_model)), rank=2))
    model.peft_config["default"].base_model_name_or_path = str(tiny_model)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "adapter")


def change(folder, **values):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refusal(name, load=load_model):
    with pytest.raises(ConfigError) as caught:
        load(str(name))
    return caught.value


def logits(model):
    with torch.no_grad():
        return model(torch.arange(2, 40)[None]).logits


def test_an_adapter_is_merged_into_the_model_below(saved, tiny_model):
    model = load_model(str(saved))
    theirs = peft.AutoPeftModelForCausalLM.from_pretrained(saved)
    torch.testing.assert_close(logits(model), logits(theirs), rtol=0, atol=1e-4)
    assert (logits(model) - logits(load_model(str(tiny_model)))).abs().max() > 0.1
    assert not hasattr(model, "peft_config")
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.config.use_cache
    assert LogProbModel(model).layout == "packed"


def test_configuration_and_tokenizer_are_those_of_the_model_below(saved, tiny_model):
    assert load_config(str(saved)).to_dict() == load_config(str(tiny_model)).to_dict()
    text = "Question 1?"
    assert load_tokenizer(str(saved))(text) == load_tokenizer(str(tiny_model))(text)


def test_wide_weights_are_added_to_before_they_are_narrowed(saved):
    narrow, wide = load_model(str(saved), dtype="bfloat16"), load_model(str(saved))
    assert narrow.dtype == torch.bfloat16
    for name, parameter in narrow.named_parameters():
        assert torch.equal(parameter, wide.get_parameter(name).bfloat16()), name
    rotations = narrow.model.rotary_emb.inv_freq
    assert torch.equal(rotations, wide.model.rotary_emb.inv_freq)


def test_the_model_below_is_looked_for_from_here_and_from_the_adapter(folder, tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "base")
    expected = logits(load_model(str(folder)))
    change(folder, base_model_name_or_path="../base")
    assert torch.equal(logits(load_model(str(folder))), expected)
    change(folder, base_model_name_or_path="./base")
    with contextlib.chdir(tmp_path):
        assert torch.equal(logits(load_model(str(folder))), expected)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"base_model_name_or_path": "/no/such/folder"},
            "/no/such/folder, can't be used: there is",
        ),
        ({"base_model_name_or_path": "a" * 300}, "can't be used: this is no name"),
        ({"base_model_name_or_path": "~nobody-here/x"}, "there is no home folder ~nobody-here."),
        ({"base_model_name_or_path": None}, "does not say which model"),
        ({"base_model_name_or_path": "../adapter"}, "is an adapter itself"),
        ({"revision": "v2"}, "of the revision v2"),
        ({"peft_type": "IA3"}, "of another kind (IA3 for CAUSAL_LM)"),
        ({"task_type": "SEQ_CLS"}, "of another kind (LORA for SEQ_CLS)"),
        ({"use_tomorrows_trick": True}, "not followed here: use_tomorrows_trick"),
        ({"megatron_config": {"a": 1}, "megatron_core": "own"}, "megatron_config, megatron_core."),
        ({"layer_replication": [[0, 9]]}, "not followed here: layer_replication"),
        ({"init_lora_weights": "pissa"}, "trained on changed weights: pissa"),
        ({"init_lora_weights": ["loftq"]}, "trained on changed weights: ['loftq']"),
        ({"target_modules": "(.*)*x"}, "target_modules in adapter_config.json is a regular"),
        ({"exclude_modules": ".*"}, "exclude_modules in adapter_config.json is a regular"),
        ({"rank_pattern": {"(.*)*x": 4}}, "rank_pattern in adapter_config.json is a regular"),
        ({"alpha_pattern": {"(a|a)*": 4}}, "alpha_pattern in adapter_config.json is a regular"),
        ({"modules_to_save": ["(.*)*x"]}, "modules_to_save in adapter_config.json holds no names"),
        ({"layers_pattern": "(.*)*x"}, "layers_pattern in adapter_config.json holds no names"),
        ({"target_modules": [7]}, "target_modules in adapter_config.json holds no names"),
        ({"rank_pattern": [7]}, "rank_pattern in adapter_config.json holds no names"),
        ({"rank_pattern": {"q_proj": "x"}}, "does not fit"),
        ({"layers_to_transform": {}, "lora_alpha": []}, "does not fit"),
        ({"peft_type": ["LORA"]}, "of another kind"),
        ({"revision": {}}, "of the revision {}"),
        ({"r": 10**9}, "ask for a rank of 1,000,000,000"),
        ({"rank_pattern": {"q_proj": 10**9}}, "ask for a rank of 1,000,000,000"),
        ({"r": "many"}, "does not fit"),
        ({"r": 3}, "does not fit"),
        ({"target_modules": ["nothing"]}, "does not fit"),
        ({"target_modules": ["q_proj"]}, "not those that its settings ask for"),
        ({"use_dora": True}, "not those that its settings ask for"),
    ],
)
def test_an_adapter_that_can_t_be_used_says_why(folder, values, said):
    change(folder, **values)
    error = refusal(folder)
    assert error.code == "PT400"
    assert said in error.problem


def test_settings_of_newer_versions_that_are_off_do_no_harm(folder):
    expected = logits(load_model(str(folder)))
    change(folder, use_tomorrows_trick=False)
    assert torch.equal(logits(load_model(str(folder))), expected)


def test_settings_that_only_training_followed_do_no_harm(folder):
    expected = logits(load_model(str(folder)))
    change(folder, init_lora_weights="gaussian", lora_dropout=0.5, auto_mapping={"a": "b"})
    assert torch.equal(logits(load_model(str(folder))), expected)


def test_settings_that_a_folder_nests_without_end(folder):
    (folder / "adapter_config.json").write_text("[" * 100_000)
    assert refusal(folder).code == "PT400"


def test_adapters_of_experts_that_are_one_tensor_are_merged(tmp_path):
    """peft writes their ranks as patterns of its own."""
    base = tiny.tiny_model("qwen3_moe", dtype=torch.float32)
    base.save_pretrained(tmp_path / "base")
    model = shake(add_adapters(base, rank=2))
    expected = logits(model)
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.save_pretrained(tmp_path / "adapter")
    found = logits(load_model(str(tmp_path / "adapter")))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("content", ["{", "[]", "", "{}"])
def test_a_configuration_that_says_nothing(folder, content):
    (folder / "adapter_config.json").write_text(content)
    assert refusal(folder).code == "PT400"
    assert refusal(folder, load_config).code == "PT400"


@pytest.mark.parametrize("kept", [0, 5, 100, 5000])
def test_damaged_weights(folder, kept):
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    error = refusal(folder)
    assert error.code == "PT400"
    assert "damaged" in error.problem


def test_weights_that_lack_something_or_have_too_much(folder):
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    name = next(iter(weights))
    save_file(weights | {"base_model.model.other.lora_A.weight": torch.zeros(2, 2)}, path)
    assert "other" in refusal(folder).problem
    weights.pop(name)
    save_file(weights, path)
    assert "not those that its settings ask for" in refusal(folder).problem


def test_pickled_adapters_are_refused_and_not_opened(folder, tmp_path):
    (folder / "adapter_model.safetensors").unlink()
    canary = tmp_path / "canary"

    class Poison:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    torch.save({"weight": Poison()}, folder / "adapter_model.bin")
    error = refusal(folder)
    assert error.code == "PT402"
    assert "adapter_model.bin" in error.problem
    assert not canary.exists()


def test_an_adapter_without_weights(folder):
    (folder / "adapter_model.safetensors").unlink()
    assert refusal(folder).problem == "there are no weights."


def test_a_folder_that_could_be_both_is_refused(folder, tiny_model):
    shutil.copytree(tiny_model, folder, dirs_exist_ok=True)
    assert "both a whole model and an adapter" in refusal(folder).problem


def test_a_folder_around_an_adapter_points_at_it(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run" / "model")
    assert str(tmp_path / "run" / "model") in refusal(tmp_path / "run").fix


def test_an_adapter_is_not_quantised(folder):
    with pytest.raises(ConfigError, match="can't be kept in 4 bits"):
        load_model(str(folder), quantize="nf4")


@pytest.mark.parametrize("load", [load_model, load_config, load_tokenizer])
def test_trust_in_an_adapter_is_no_trust_in_the_model_that_it_names(
    folder, tiny_model, tmp_path, load
):
    base = shutil.copytree(tiny_model, tmp_path / "base")
    change(folder, base_model_name_or_path=str(base))
    canary = tmp_path / "canary"
    (base / "own.py").write_text(f"import os; os.mkdir({str(canary)!r})")
    path = base / ("tokenizer_config.json" if load is load_tokenizer else "config.json")
    own = {"AutoConfig": "own.A", "AutoModelForCausalLM": "own.B", "AutoTokenizer": ["own.C", None]}
    strange = {"model_type": "own", "tokenizer_class": "Own", "auto_map": own}
    path.write_text(json.dumps(json.loads(path.read_text()) | strange))
    error = refusal(folder, partial(load, trust_remote_code=True))
    assert (error.code, error.where) == ("PT403", str(base))
    assert "name this one with it" in error.fix
    assert not canary.exists()


def test_a_known_architecture_below_an_adapter_does_without_its_own_code(
    folder, tiny_model, tmp_path
):
    base = shutil.copytree(tiny_model, tmp_path / "base")
    change(folder, base_model_name_or_path=str(base))
    expected = logits(load_model(str(folder)))
    canary = tmp_path / "canary"
    (base / "own.py").write_text(f"import os; os.mkdir({str(canary)!r})")
    path = base / "config.json"
    own = {"AutoConfig": "own.A", "AutoModelForCausalLM": "own.B"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": own}))
    assert torch.equal(logits(load_model(str(folder), trust_remote_code=True)), expected)
    config = load_config(str(folder), trust_remote_code=True)
    skeleton(config, trust_remote_code=True)
    assert not canary.exists()
