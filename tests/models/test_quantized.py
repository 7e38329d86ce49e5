"""Weights in 4 bits, for real where bitsandbytes is installed: it works on CPUs, too."""

import importlib.util
import subprocess
import sys

import peft
import pytest
import torch

from preftune.batching import pack
from preftune.errors import ConfigError
from preftune.errors.extras import require_extra
from preftune.models import LogProbModel, load_model
from preftune.models.adapters import add_adapters, describe, linear_layers
from preftune.models.reference import fingerprint
from preftune.models.shared_reference import SharedReference
from tests.models.plain import plain_log_probs
from tests.models.test_adapters import shake
from tests.models.tiny import random_groups

# peft 0.21 asks transformers 5.23 for a name that it deprecates; delete when peft has followed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")

needed = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


def quantized(tiny_model):
    return load_model(str(tiny_model), dtype="float32", quantize="nf4")


def test_a_package_that_is_not_there_is_named_with_its_extra():
    with pytest.raises(ConfigError, match=r"pip install 'preftune\[qlora\]'") as caught:
        require_extra("no_such_package", "qlora", "lora.quantize")
    assert caught.value.code == "PT310"
    require_extra("torch", "qlora", "lora.quantize")


@pytest.mark.slow
def test_a_package_that_is_too_old_for_transformers_is_named_with_its_extra(tiny_model, tmp_path):
    """What an old environment has: transformers looks at the version that is installed."""
    (tmp_path / "bitsandbytes").mkdir()
    (tmp_path / "bitsandbytes" / "__init__.py").touch()
    old = tmp_path / "bitsandbytes-0.40.0.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: bitsandbytes\nVersion: 0.40.0\n")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from preftune.errors import ConfigError
from preftune.models import load_model
try:
    load_model({str(tiny_model)!r}, quantize="nf4")
except ConfigError as error:
    print(error.code, error.fix)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("PT310 pip install -U 'preftune[qlora]'")


@needed
def test_layers_are_kept_in_4_bits_and_the_rest_is_not(tiny_model):
    model = quantized(tiny_model)
    layers = linear_layers(model)
    assert len(layers) == 15
    for name in layers:
        assert model.get_submodule(name).weight.dtype == (
            torch.float32 if name == "lm_head" else torch.uint8
        )
    assert model.dtype == torch.float32
    other = load_model(str(tiny_model), dtype="float32")
    assert fingerprint(model) != fingerprint(other)
    assert fingerprint(model) == fingerprint(quantized(tiny_model))


@needed
def test_how_much_is_trained_does_not_depend_on_the_bits(tiny_model):
    whole = add_adapters(load_model(str(tiny_model), dtype="float32"), rank=2)
    assert describe(add_adapters(quantized(tiny_model), rank=2)) == describe(whole)


@needed
def test_the_rank_of_a_layer_does_not_depend_on_the_bits(tiny_model):
    with pytest.raises(ConfigError, match="set a rank of at most") as whole:
        add_adapters(load_model(str(tiny_model), dtype="float32"), rank=1000)
    with pytest.raises(ConfigError) as packed:
        add_adapters(quantized(tiny_model), rank=1000)
    assert packed.value.problem == whole.value.problem


@needed
@pytest.mark.parametrize("dora", [False, True])
def test_packed_rows_give_what_plain_rows_give(tiny_model, dora):
    groups = random_groups([2, 3])
    plain = shake(add_adapters(quantized(tiny_model), rank=2, dora=dora))
    model = shake(add_adapters(quantized(tiny_model), rank=2, dora=dora))
    root = LogProbModel(model)
    assert root.layout == "packed"
    found, expected = root(pack(groups)).tokens, plain_log_probs(plain, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    found.sum().backward()
    expected.sum().backward()
    theirs = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == ("lora_" in name), name
        if parameter.grad is not None:
            assert parameter.grad.any(), name
            torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-3, atol=1e-3)


@needed
def test_the_model_below_is_a_reference_without_a_copy(tiny_model):
    batch = pack(random_groups([2]))
    start = LogProbModel(quantized(tiny_model))(batch).tokens
    policy = LogProbModel(add_adapters(quantized(tiny_model), rank=2))
    reference = SharedReference(policy, moving=False)
    assert torch.equal(policy(batch).tokens, start)
    shake(policy.model)
    found = policy(batch, reference=reference, kl=True)
    assert torch.equal(found.reference, start)
    assert (found.tokens - start).abs().max() > 0.1


@needed
def test_the_saved_adapter_is_exact_on_weights_of_4_bits(tiny_model, tmp_path):
    batch = pack(random_groups([2]))
    policy = shake(add_adapters(quantized(tiny_model), rank=2))
    policy.save_pretrained(tmp_path, save_embedding_layers=False)
    again = peft.PeftModel.from_pretrained(quantized(tiny_model), tmp_path)
    assert torch.equal(LogProbModel(again)(batch).tokens, LogProbModel(policy)(batch).tokens)
