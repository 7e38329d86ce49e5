"""Compiled layers: the same log-probs and gradients but for rounding, whatever else is on."""

import pytest
import torch

from preftune.batching import pack
from preftune.errors import ConfigError
from preftune.models import LogProbModel
from preftune.models.checkpointing import checkpoint_layers
from preftune.models.compiling import compile_layers
from tests.models.tiny import UNPACKABLE, random_groups, tiny_model

# Compilers take seconds for each model; and torch's own still calls what torch has deprecated.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
]


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def gradients(root, groups):
    found = root(pack(groups)).tokens
    weights = torch.randn(len(found), generator=torch.Generator().manual_seed(0)).double()
    root.zero_grad()
    (found * weights).sum().backward()
    return found.detach(), {n: p.grad for n, p in root.model.named_parameters() if p.requires_grad}


KINDS = ["llama", "gemma2", "gpt2", "qwen3_moe", "smollm3", "cohere"]


@pytest.mark.parametrize(
    ("kind", "recompute"), [*((kind, False) for kind in KINDS), ("gemma2", True)]
)
def test_compiled_layers_give_the_same(kind, recompute):
    plain, compiled = LogProbModel(tiny_model(kind)), LogProbModel(tiny_model(kind))
    compile_layers(compiled)
    if recompute:
        checkpoint_layers(compiled.model)
    for seed, responses in enumerate(([2, 3, 1], [2, 2])):  # rows of other lengths
        groups = random_groups(responses, seed=seed)
        expected, slopes = gradients(plain, groups)
        found, others = gradients(compiled, groups)
        # Norms of transformers compute in float32, whatever the weights are.
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        for name, slope in slopes.items():
            torch.testing.assert_close(others[name], slope, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", UNPACKABLE)
def test_architectures_in_padded_rows_are_refused(kind):
    with pytest.raises(ConfigError) as refusal:
        compile_layers(LogProbModel(tiny_model(kind)))
    assert refusal.value.code == "PT407"
