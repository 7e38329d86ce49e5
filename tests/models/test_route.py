import pytest
import torch
from transformers import AutoConfig, BertLMHeadModel, LlamaForCausalLM, LlamaModel

from preftune.batching import pack
from preftune.errors import ConfigError
from preftune.models import LogProbModel
from preftune.models.architecture import LogitRule
from preftune.models.route import route_of
from tests.models.plain import plain_log_probs
from tests.models.tiny import SHAPE, UNPACKABLE, random_groups, tiny_model


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("llama", LogitRule()),
        ("gemma2", LogitRule(softcap=1.5)),
        ("cohere", LogitRule(scale=0.25)),
        ("granite", LogitRule(scale=0.25)),
    ],
)
def test_the_logit_rule_is_the_one_that_reproduces_the_models_logits(kind, rule):
    assert route_of(tiny_model(kind)).logit_rule == rule


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("mamba", "MambaForCausalLM carries a state from token to token"),
        ("lfm2", "Lfm2ForCausalLM has layers of kind conv"),
        ("bloom", "BloomForCausalLM computes attention in its own way"),
        ("gpt_oss", "GptOssForCausalLM can't run packed rows: its attention has sinks"),
        ("qwen2_moe", "masks and attention disagree about a window of 5 tokens"),
    ],
)
def test_the_padded_layout_says_why(kind, reason):
    assert kind in UNPACKABLE
    model = tiny_model(kind)
    before = model.config._attn_implementation
    root = LogProbModel(model)
    assert root.layout == "padded"
    assert reason in root.layout_reason
    assert root.layout_reason.endswith(
        "so each response runs in a padded row of its own: correct, but slower."
    )
    assert model.config._attn_implementation == before


class WithoutPositions(LlamaModel):
    """A backbone that claims the attention interface and ignores position ids."""

    def forward(self, input_ids, position_ids=None, **settings):
        return super().forward(input_ids, **settings)


class Neighbourly(LlamaModel):
    """A backbone that claims the attention interface and mixes each token with the one before."""

    def forward(self, input_ids, inputs_embeds=None, **settings):
        embedded = self.embed_tokens(input_ids)
        mixed = embedded + torch.nn.functional.pad(embedded, (0, 0, 1, 0))[:, :-1]
        return super().forward(inputs_embeds=mixed, **settings)


class Deaf(LlamaModel):
    """A backbone that does not pass further arguments on to its attention."""

    def forward(self, input_ids, packing=None, **settings):
        return super().forward(input_ids, **settings)


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        (WithoutPositions, "packed rows"),
        (Neighbourly, "packed rows"),
        (Deaf, "does not hand further arguments to its attention"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_an_architecture_that_claims_too_much_is_found_out(backbone, reason, dtype):
    model = tiny_model("llama")
    weights = model.model.state_dict()
    model.model = backbone(model.config).double()
    model.model.load_state_dict(weights)
    model = model.to(dtype).eval()
    groups = random_groups([2, 3])
    root = LogProbModel(model)
    assert root.layout == "padded"
    assert reason in root.layout_reason
    expected = plain_log_probs(model, groups).float()
    tolerance = 1e-6 if dtype == torch.float64 else 0.2
    found = root(pack(groups)).tokens.float()
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


class Tilted(LlamaForCausalLM):
    """Logits that are no known function of hidden states and output weight."""

    def forward(self, *args, **settings):
        output = super().forward(*args, **settings)
        output.logits = output.logits + torch.linspace(0, 3, output.logits.shape[-1])
        return output


class TiltedWhole(Tilted):
    """The same, which makes all logits or none."""

    def forward(
        self, input_ids, position_ids=None, attention_mask=None, use_cache=None, packing=None
    ):
        return super().forward(
            input_ids,
            position_ids=position_ids,
            attention_mask=attention_mask,
            use_cache=use_cache,
            packing=packing,
        )


@pytest.mark.parametrize("kind", [Tilted, TiltedWhole])
def test_logits_made_in_a_way_of_their_own_are_left_to_the_model(kind):
    torch.manual_seed(0)
    model = kind(AutoConfig.for_model("llama", **SHAPE)).double().eval()
    groups = random_groups([2, 3])
    root = LogProbModel(model)
    assert root.route.logit_rule is None
    assert "makes its logits in its own way" in root.route.head_reason
    assert root.layout == "packed"
    found = root(pack(groups)).tokens
    torch.testing.assert_close(found, plain_log_probs(model, groups), rtol=0, atol=1e-6)
    found.sum().backward()
    assert model.lm_head.weight.grad is not None


def test_a_model_that_looks_ahead_is_refused():
    settings = {
        "vocab_size": 97,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "attn_implementation": "sdpa",
    }
    model = BertLMHeadModel(AutoConfig.for_model("bert", **settings)).eval()
    with pytest.raises(ConfigError, match="predicts tokens from later ones") as caught:
        LogProbModel(model)
    assert caught.value.code == "PT404"
    decoder = BertLMHeadModel(AutoConfig.for_model("bert", is_decoder=True, **settings)).eval()
    assert LogProbModel(decoder).layout in {"packed", "padded"}


def test_windows_that_no_layer_uses_do_not_count():
    model = tiny_model("qwen2_moe", use_sliding_window=False, layer_types=["full_attention"] * 2)
    assert route_of(model).layout == "packed"


def test_the_route_is_found_once_without_touching_mode_random_state_or_gradients():
    model = tiny_model("gpt2", attn_pdrop=0.5).train()
    model.transformer.h[0].eval()
    state = torch.get_rng_state()
    route = route_of(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert route_of(model) is route
    assert model.training
    assert model.transformer.h[1].attn.training
    assert not model.transformer.h[0].training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_route_does_not_depend_on_being_asked_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert route_of(tiny_model("llama", dtype=torch.float32)).layout == "packed"
