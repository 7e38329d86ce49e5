"""Tiny random models of many architectures, and groups to score, made in the process."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from preftune.records import TokenGroup, TokenResponse

VOCABULARY = 97

SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OWN_SHAPE = {name: value for name, value in SHAPE.items() if name != "head_dim"}
WINDOW = 5
BOTH = ["sliding_attention", "full_attention"]

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": SHAPE | {"tie_word_embeddings": True},
    "mistral": SHAPE | {"sliding_window": WINDOW},
    "qwen2": OWN_SHAPE
    | {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    "qwen3": SHAPE,
    "gemma2": SHAPE
    | {
        "sliding_window": WINDOW,
        "layer_types": BOTH,
        "query_pre_attn_scalar": 8,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 1.5,
    },
    "gemma3_text": SHAPE
    | {"sliding_window": WINDOW, "layer_types": BOTH, "query_pre_attn_scalar": 8},
    "phi3": OWN_SHAPE | {"sliding_window": WINDOW},
    "gpt2": {
        "vocab_size": VOCABULARY,
        "n_positions": 64,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "gpt_neox": OWN_SHAPE | {"rotary_pct": 0.25},
    "olmo2": OWN_SHAPE,
    "smollm3": OWN_SHAPE
    | {
        "num_hidden_layers": 4,
        "no_rope_layers": [1, 0, 1, 0],
        "use_sliding_window": True,
        "sliding_window": WINDOW,
        "layer_types": BOTH * 2,
    },
    "phi": OWN_SHAPE | {"partial_rotary_factor": 0.5},
    "cohere": OWN_SHAPE | {"logit_scale": 0.25},
    "granite": OWN_SHAPE | {"logits_scaling": 4.0, "attention_multiplier": 0.3},
    "qwen3_moe": SHAPE | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "opt": {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "word_embed_proj_dim": 16,
    },
}

MAMBA: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "state_size": 4,
    "num_hidden_layers": 2,
    "expand": 2,
    "time_step_rank": 4,
    "use_mambapy": False,
}
UNPACKABLE: dict[str, dict[str, Any]] = {
    "mamba": MAMBA,
    "gpt_oss": SHAPE
    | {
        "sliding_window": WINDOW,
        "layer_types": BOTH,
        "num_local_experts": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "num_experts_per_tok": 2,
    },
    "qwen2_moe": OWN_SHAPE
    | {
        "use_sliding_window": True,
        "sliding_window": WINDOW,
        "layer_types": BOTH,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
    "lfm2": OWN_SHAPE | {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8},
    "bloom": {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4},
}


def tiny_model(
    kind: str, *, dtype: torch.dtype = torch.float64, seed: int = 0, **settings: Any
) -> PreTrainedModel:
    """A random model whose every weight matters: also biases and norms, which start trivial."""
    config = AutoConfig.for_model(kind, **((CONFIGS | UNPACKABLE)[kind] | settings))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, experts_implementation="eager").to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def random_groups(
    responses: Sequence[int], *, seed: int = 0, vocabulary: int = VOCABULARY
) -> list[TokenGroup]:
    """A group for each number of responses; about a third of the tokens is not trained."""
    random = np.random.default_rng(seed)

    def response() -> TokenResponse:
        count = int(random.integers(1, 13))
        trained = random.random(count) < 0.7
        trained[random.integers(count)] = True
        return TokenResponse(random.integers(3, vocabulary, count).astype(np.int32), trained)

    return [
        TokenGroup(
            random.integers(3, vocabulary, random.integers(1, 15)).astype(np.int32),
            tuple(response() for _ in range(count)),
        )
        for count in responses
    ]
