"""Adapters in every architecture, merged, and in references that share the policy's weights."""

from copy import deepcopy

import pytest
import torch

from preftune.batching import pack
from preftune.errors import ConfigError
from preftune.models import LogProbModel
from preftune.models.adapters import (
    add_adapters,
    describe,
    linear_layers,
    merge,
    skeleton,
)
from preftune.models.checkpointing import checkpoint_layers
from preftune.models.shared_reference import SharedReference
from tests.models.plain import KeepFloat64, plain_log_probs, with_plain_attention
from tests.models.tiny import CONFIGS, UNPACKABLE, random_groups, tiny_model

RESPONSES = [2, 3, 1]
MAMBA = ["in_proj", "x_proj"]
FEW = ["llama", "gpt2", "gemma2", "qwen3_moe", "mamba"]
REST = [kind for kind in [*CONFIGS, *UNPACKABLE] if kind not in FEW]
NO_DORA = {"qwen3_moe", "qwen2_moe"}
"""peft has no DoRA for experts."""


def shake(model, seed=0):
    """Adapters as training might leave them: every one matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(0.2 * noise.to(parameter))
    return model


def adapted(kind, *, dtype=torch.float64, **settings):
    targets = MAMBA if kind == "mamba" else "all-linear"
    model = tiny_model(kind, dtype=dtype)
    return add_adapters(model, **({"rank": 2, "targets": targets} | settings))


def compare_with_plain(kind, *, dora):
    groups = random_groups(RESPONSES)
    plain = shake(adapted(kind, dora=dora))
    with_plain_attention(plain.get_base_model())
    model = shake(adapted(kind, dora=dora))
    if kind in UNPACKABLE:
        with_plain_attention(model.get_base_model())
    root = LogProbModel(model)
    assert root.layout == ("padded" if kind in UNPACKABLE else "packed")
    with KeepFloat64():
        found = root(pack(groups)).tokens
        expected = plain_log_probs(plain, groups)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
        weights = torch.randn(len(found), generator=torch.Generator().manual_seed(0)).double()
        (found * weights).sum().backward()
        (expected * weights).sum().backward()
    theirs = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == ("lora_" in name), name
        if parameter.grad is not None:
            assert parameter.grad.any(), name
            torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", FEW)
def test_lora_gives_what_plain_rows_give(kind):
    compare_with_plain(kind, dora=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", REST)
def test_lora_gives_what_plain_rows_give_in_every_architecture(kind):
    compare_with_plain(kind, dora=False)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_dora_gives_what_plain_rows_give(kind):
    compare_with_plain(kind, dora=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in [*FEW[2:], *REST] if k not in NO_DORA])
def test_dora_gives_what_plain_rows_give_in_every_architecture(kind):
    compare_with_plain(kind, dora=True)


@pytest.mark.parametrize(
    ("kind", "dora"),
    [
        ("llama", False),
        ("llama", True),
        ("gpt2", True),
        pytest.param("qwen3_moe", False, marks=pytest.mark.slow),
        pytest.param("mamba", True, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fresh_adapters_change_nothing(kind, dora, dtype):
    """To the last bit: the policy starts as the model that it adapts."""
    batch = pack(random_groups(RESPONSES))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        expected = LogProbModel(tiny_model(kind, dtype=dtype))(batch).tokens
        found = LogProbModel(adapted(kind, dtype=dtype, dora=dora))(batch).tokens
    assert torch.equal(found, expected)


def test_a_layer_adds_alpha_over_rank_times_the_product():
    model = shake(add_adapters(tiny_model("llama"), rank=3, alpha=5.0, targets=["q_proj"]))
    layer = model.get_base_model().model.layers[0].self_attn.q_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    x = torch.randn(7, 32, dtype=torch.float64)
    expected = x @ (tiny_model("llama").model.layers[0].self_attn.q_proj.weight + 5 / 3 * b @ a).T
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
    trained = {name.rsplit(".", 4)[1] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"q_proj"}


def test_the_scale_is_twice_the_rank_over_the_rank_by_default():
    model = add_adapters(tiny_model("llama"), rank=3)
    layers = [module for module in model.modules() if hasattr(module, "lora_A")]
    assert {layer.scaling["default"] for layer in layers} == {2.0}


@pytest.mark.parametrize("dora", [False, True])
def test_weights_are_drawn_from_the_seed_alone(dora):
    def parameters(seed):
        model = tiny_model("llama")
        torch.rand(seed + 1)
        state = torch.get_rng_state()
        model = add_adapters(model, rank=2, seed=seed % 4, dora=dora)
        assert torch.equal(torch.get_rng_state(), state)
        return torch.cat([p.flatten() for p in model.parameters() if p.requires_grad])

    assert torch.equal(parameters(3), parameters(7))
    assert not torch.equal(parameters(3), parameters(4))


@pytest.mark.parametrize("dora", [False, True])
def test_adapters_of_narrow_weights_are_float32_and_learn_under_autocast(dora):
    groups = random_groups(RESPONSES)
    exact = LogProbModel(shake(adapted("llama", dora=dora)))(pack(groups)).tokens
    model = add_adapters(tiny_model("llama").to(torch.bfloat16), rank=2, dora=dora)
    root = LogProbModel(shake(model))
    with torch.autocast("cpu", torch.bfloat16):
        found = root(pack(groups)).tokens
        found.sum().backward()
    assert found.dtype == torch.float32
    assert 1e-5 < (found - exact).abs().max() < 0.3
    for name, parameter in root.named_parameters():
        trained = "lora_" in name
        assert parameter.dtype == (torch.float32 if trained else torch.bfloat16)
        assert (parameter.grad is not None) == trained
    assert not any(getattr(module, "p", 0) for module in root.modules()), "no dropout"


@pytest.mark.parametrize(
    ("kind", "dora"),
    [
        ("llama", False),
        ("gpt2", True),
        *(pytest.param(kind, False, marks=pytest.mark.slow) for kind in FEW[1:]),
        *(pytest.param(kind, True, marks=pytest.mark.slow) for kind in ("llama", "mamba")),
    ],
)
def test_merged_weights_are_the_adapters_sum(kind, dora):
    batch = pack(random_groups(RESPONSES))
    model = shake(adapted(kind, dora=dora))
    with KeepFloat64():
        expected = LogProbModel(model)(batch).tokens
        whole = merge(model)
        found = LogProbModel(whole)(batch).tokens
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert type(whole) is type(tiny_model(kind))
    assert not any("lora" in name for name, _ in whole.named_parameters())


def test_narrow_weights_are_merged_wide_and_rounded_once():
    model = shake(add_adapters(tiny_model("llama", dtype=torch.bfloat16), rank=2))
    layer = model.get_base_model().model.layers[1].mlp.up_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = (layer.base_layer.weight.float() + 2 * b @ a).bfloat16()
    norm = model.get_base_model().model.norm.weight.clone()
    whole = merge(model)
    assert torch.equal(whole.model.layers[1].mlp.up_proj.weight, expected)
    assert torch.equal(whole.model.norm.weight, norm)
    assert whole.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["q_prj"], "`q_prj` is no linear layer of this LlamaForCausalLM"),
        (["q_prj"], "did you mean `q_proj`?"),
        (["q_proj", "nothing"], "name some of q_proj, k_proj, v_proj"),
        (["embed_tokens"], "`embed_tokens` is no linear layer"),
        (["mlp"], "`mlp` is no linear layer"),
        (["lm_head"], "`lm_head` shares its weight with the embedding"),
    ],
)
def test_targets_that_are_no_layers_are_named_with_those_that_are(targets, said):
    with pytest.raises(ConfigError) as caught:
        add_adapters(tiny_model("llama"), rank=2, targets=targets)
    assert caught.value.code == "PT309"
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "targets", "largest"),
    [
        ("llama", "all-linear", 32),
        ("llama", ["k_proj", "v_proj"], 16),
        ("gpt2", ["c_fc"], 32),
        ("mamba", ["x_proj"], 12),
    ],
)
def test_a_rank_above_that_of_every_layer_is_refused_with_the_largest(kind, targets, largest):
    model = skeleton(tiny_model(kind).config)
    with pytest.raises(ConfigError, match=f"at most {largest};") as caught:
        add_adapters(model, rank=largest + 1, targets=targets)
    assert (caught.value.code, caught.value.where) == ("PT309", "lora.rank")
    add_adapters(model, rank=largest, targets=targets)


def test_a_layer_that_is_never_called_is_no_target():
    with pytest.raises(ConfigError, match="`dt_proj` of this MambaForCausalLM has no effect") as it:
        adapted("mamba", targets=["in_proj", "dt_proj"])
    assert it.value.fix == "name others: in_proj, x_proj, out_proj, lm_head."


def test_adapters_that_peft_does_not_make_are_refused():
    for kind, settings in (("qwen3_moe", {"dora": True}), ("mamba", {"targets": "all-linear"})):
        with pytest.raises(ConfigError, match="can't be put into") as caught:
            adapted(kind, **settings)
        assert caught.value.code == "PT309"


def test_an_output_layer_with_a_weight_of_its_own_may_be_a_target():
    groups = random_groups(RESPONSES)
    model = tiny_model("llama", tie_word_embeddings=False)
    model = shake(add_adapters(model, rank=2, targets=["lm_head"]))
    with KeepFloat64():
        found = LogProbModel(model)(pack(groups)).tokens
        expected = plain_log_probs(model, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_the_output_layer_is_none_of_all_linear_layers():
    for kind in ("llama", "gpt2", "phi"):
        model = adapted(kind)
        names = [name for name, module in model.named_modules() if hasattr(module, "lora_A")]
        layers = linear_layers(tiny_model(kind))
        assert layers[-1] == "lm_head"
        assert len(names) == len(layers) - 1 > 0
        assert not any("lm_head" in name for name in names)


def test_a_skeleton_takes_adapters_without_memory_for_weights():
    model = add_adapters(skeleton(tiny_model("llama").config), rank=2)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert describe(model) == describe(adapted("llama"))
    assert "in 14 layers: 1,856 trained parameters (9.1%)" in describe(model)


def roots(*, moving, dora=False, checkpointed=False):
    """The same policy twice, with a shared reference and with a deep copy as reference."""
    pairs = []
    for shared in (True, False):
        policy = LogProbModel(shake(adapted("llama", dora=dora)) if moving else adapted("llama"))
        if checkpointed:
            checkpoint_layers(policy.model)
        copy = LogProbModel(deepcopy(policy.model).requires_grad_(False))
        pairs.append((policy, SharedReference(policy, moving=moving) if shared else copy))
    return pairs


@pytest.mark.parametrize(
    ("moving", "checkpointed", "kl"),
    [
        (False, True, True),
        (True, True, True),
        pytest.param(False, False, False, marks=pytest.mark.slow),
        pytest.param(True, False, False, marks=pytest.mark.slow),
    ],
)
def test_a_shared_reference_is_what_a_copy_is(moving, checkpointed, kl):
    """Values and gradients, with forwards of policy and reference in turn before any backward."""
    records, gradients = [], []
    batches = [pack(random_groups(RESPONSES, seed=seed)) for seed in (0, 1)]
    for policy, reference in roots(moving=moving, checkpointed=checkpointed):
        shake(policy.model, seed=1)
        found = [policy(batch, reference=reference, kl=kl) for batch in batches]
        assert not any(record.reference.requires_grad for record in found)
        losses = [
            (record.kl if kl else record.tokens * (record.tokens - record.reference)).sum()
            for record in found
        ]
        sum(losses).backward()
        records.append(torch.cat([record.reference for record in found]))
        gradients.append({n: p.grad for n, p in policy.named_parameters() if p.grad is not None})
        assert (found[0].reference - found[0].tokens).abs().max() > 1e-3
    torch.testing.assert_close(*records, rtol=0, atol=1e-12)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert gradient.any(), name
        torch.testing.assert_close(gradient, gradients[1][name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("moving", [False, True])
def test_a_reference_leaves_the_policy_as_it_was(moving):
    batch = pack(random_groups([2]))
    ((policy, reference), _) = roots(moving=moving)
    shake(policy.model, seed=1)
    before = policy(batch).tokens
    trained = [name for name, p in policy.named_parameters() if p.requires_grad]
    reference(batch)
    reference.predictions(batch)
    assert torch.equal(policy(batch).tokens, before)
    assert [name for name, p in policy.named_parameters() if p.requires_grad] == trained
    with pytest.raises(ValueError, match="A KL needs a reference"):
        reference(batch, kl=True)
    assert torch.equal(policy(batch).tokens, before), "also after a failure"


def test_the_parameters_of_a_reference_are_those_that_move():
    ((policy, fixed), _), ((_, moving), _) = roots(moving=False), roots(moving=True)
    assert list(fixed.parameters()) == []
    trained = [p.shape for p in policy.parameters() if p.requires_grad]
    assert [p.shape for p in moving.parameters()] == trained
    assert not any(p.requires_grad for p in moving.parameters())
