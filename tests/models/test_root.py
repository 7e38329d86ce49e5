import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from preftune.batching import pack
from preftune.models import LogProbModel, load_model, load_tokenizer, logps
from preftune.records import Relation, TokenGroup, TokenResponse
from tests.models.plain import KeepFloat64, plain_log_probs, with_plain_attention
from tests.models.tiny import CONFIGS, UNPACKABLE, WINDOW, random_groups, tiny_model

RESPONSES = [2, 4, 1, 2]


def compare_with_plain(kind, layout):
    """Log-probs within 1e-9 and every parameter's gradient within 1e-8 of the plain forward's."""
    groups = random_groups(RESPONSES)
    plain = with_plain_attention(tiny_model(kind))
    model = tiny_model(kind)
    if layout == "padded":
        with_plain_attention(model)  # what runs it then keeps the model's own attention
    root = LogProbModel(model)
    assert root.layout == layout
    with KeepFloat64():
        found = root(pack(groups)).tokens
        expected = plain_log_probs(plain, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    weights = torch.randn(len(found), generator=torch.Generator().manual_seed(0)).double()
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    theirs = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", CONFIGS)
def test_packed_rows_give_what_plain_rows_give(kind):
    compare_with_plain(kind, "packed")


@pytest.mark.parametrize("kind", UNPACKABLE)
def test_padded_rows_give_what_plain_rows_give(kind):
    compare_with_plain(kind, "padded")


@pytest.mark.parametrize("kind", ["mistral", "qwen2", "gemma2", "gemma3_text", "phi3", "smollm3"])
def test_windows_are_shorter_than_the_branches_compared(kind):
    groups = random_groups(RESPONSES)
    narrow = plain_log_probs(with_plain_attention(tiny_model(kind)), groups)
    wide = plain_log_probs(with_plain_attention(tiny_model(kind, sliding_window=60)), groups)
    assert (narrow - wide).abs().max() > 1e-2
    assert max(len(group.prompt_ids) for group in groups) > WINDOW


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "mamba"])
def test_responses_do_not_see_each_other(kind):
    root = LogProbModel(tiny_model(kind))
    assert root.layout == ("padded" if kind == "mamba" else "packed")
    group = random_groups([3], seed=2)[0]
    first, second, third = group.responses
    other = TokenResponse(second.ids[::-1] + 1, second.trained)
    changed = TokenGroup(group.prompt_ids, (first, other, third))
    before, after = root(pack([group])), root(pack([changed]))
    apart = before.response != 1
    assert torch.equal(before.tokens[apart], after.tokens[apart])
    assert not torch.equal(before.tokens[~apart], after.tokens[~apart])
    # The comparison has power: were they one response, the third would depend on the second.
    joined = [
        TokenResponse(
            np.concatenate([first.ids, side.ids, third.ids]),
            np.concatenate([first.trained, side.trained, third.trained]),
        )
        for side in (second, other)
    ]
    sums = [root(pack([TokenGroup(group.prompt_ids, (each,))])).tokens for each in joined]
    last = slice(-len(third.ids), None)
    assert (sums[0][last] - sums[1][last]).abs().max() > 1e-3


def test_groups_do_not_depend_on_the_batch_they_are_in():
    root = LogProbModel(tiny_model("qwen3"))
    groups = random_groups([2, 2, 3], seed=5)
    alone = torch.cat([root(pack([group])).tokens for group in groups])
    torch.testing.assert_close(root(pack(groups)).tokens, alone, rtol=0, atol=1e-6)


def test_untrained_tokens_are_zero_and_the_batchs_indices_are_kept():
    groups = random_groups([2, 3], seed=1)
    sides = groups[0].responses
    groups[0] = TokenGroup(groups[0].prompt_ids, sides, (Relation(1, 0, 0.75),), "a.jsonl:1")
    batch = pack(groups)
    found = LogProbModel(tiny_model("llama"))(batch)
    assert not found.tokens[~batch.mask].any()
    assert (~batch.mask).any()
    assert (found.tokens[batch.mask] < 0).all()
    assert found.winner.tolist() == [1]
    assert found.loser.tolist() == [0]
    assert found.strength.tolist() == [0.75]
    assert found.group.tolist() == [0, 0, 1, 1, 1]
    assert torch.equal(found.mask, batch.mask)
    assert torch.equal(found.response, batch.response)


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_a_batch_with_nothing_to_train_gives_zeros(kind):
    side = TokenResponse(np.array([5, 6], np.int32), np.zeros(2, bool))
    found = LogProbModel(tiny_model(kind))(pack([TokenGroup(np.array([4], np.int32), (side,))]))
    assert found.tokens.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_gradient_checkpointing_changes_nothing(kind):
    groups = random_groups(RESPONSES)
    gradients = []
    for checkpointing in (False, True):
        root = LogProbModel(tiny_model(kind).train())
        if checkpointing:
            root.model.activation_checkpointing_enable()
        root(pack(groups)).tokens.sum().backward()
        gradients.append([parameter.grad for parameter in root.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "mamba"])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_bfloat16_gives_float32_log_probs_near_the_exact_ones(kind, weights):
    groups = random_groups(RESPONSES)
    exact = LogProbModel(tiny_model(kind))(pack(groups)).tokens
    root = LogProbModel(tiny_model(kind).to(weights))
    with torch.autocast("cpu", torch.bfloat16, enabled=weights == torch.float32):
        found = root(pack(groups)).tokens
        found.sum().backward()
    assert found.dtype == torch.float32
    assert root.layout == ("padded" if kind == "mamba" else "packed")
    error = (found - exact).abs()
    assert 1e-5 < error.max() < 0.3
    assert error.mean() < 0.03
    assert all(parameter.grad.dtype == weights for parameter in root.parameters())


def test_the_model_still_generates_and_pads_on_the_left():
    model = tiny_model("gemma2", dtype=torch.float32)
    ids = torch.tensor([[0, 0, 5, 6, 7], [8, 9, 10, 11, 12]])
    settings = {
        "attention_mask": (ids != 0).long(),
        "max_new_tokens": 8,
        "do_sample": False,
        "pad_token_id": 0,
    }
    before = model.generate(ids, **settings)
    LogProbModel(model)
    assert torch.equal(model.generate(ids, **settings), before)


def test_a_scored_model_is_saved_as_any_other(tmp_path):
    model = tiny_model("llama", dtype=torch.float32)
    LogProbModel(model)
    model.save_pretrained(tmp_path)
    assert "preftune" not in (tmp_path / "config.json").read_text()
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.arange(9)[None]
    torch.testing.assert_close(again(ids).logits, model(ids).logits)


def test_logps_takes_a_plain_model_and_keeps_the_gradient():
    model = tiny_model("llama")
    groups = random_groups([2, 2])
    found = logps(model, groups)
    assert torch.equal(found.tokens, logps(LogProbModel(model), groups).tokens)
    assert found.sums.shape == (4,)
    found.sums.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# peft 0.21 asks transformers 5.23 for a name that it deprecates; delete when peft has followed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters_of_peft_are_trained_and_nothing_else():
    groups = random_groups([2, 3])
    settings = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(0)
    model = peft.get_peft_model(tiny_model("llama"), settings).double()
    root = LogProbModel(model)
    with KeepFloat64():
        found = root(pack(groups)).tokens
        found.sum().backward()
        expected = plain_log_probs(model, groups)
        with model.disable_adapter():
            base = root(pack(groups)).tokens
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert (found - base).abs().max() > 1e-3
    trained = {name for name, parameter in root.named_parameters() if parameter.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)


def test_a_real_model_in_float32(shared):
    folder = str(shared / "models" / "stories260k")
    root = LogProbModel(load_model(folder))
    tokenizer = load_tokenizer(folder)
    prompt = np.array(tokenizer("Once upon a time")["input_ids"], np.int32)
    sides = [
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (" there was a little girl named Lily.", " stone window because of of", " a")
    ]
    responses = tuple(
        TokenResponse(np.array(ids, np.int32), np.ones(len(ids), bool)) for ids in sides
    )
    groups = [TokenGroup(prompt, responses), TokenGroup(prompt[:2], responses[1:])]
    found = root(pack(groups))
    assert root.layout == "packed"
    expected = plain_log_probs(with_plain_attention(load_model(folder)), groups)
    torch.testing.assert_close(found.tokens, expected, rtol=0, atol=1e-4)
    means = found.sums / found.lengths
    assert means[0] > means[1] + 1, "the story is likelier than the jumble"
