import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from preftune.generation import generate

VOCABULARY = 12
EOS = 1


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        bos_token_id=0, eos_token_id=EOS, pad_token_id=None, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def tokenizer():
    words = {"<s>": 0, "</s>": EOS} | {chr(97 + i): i + 2 for i in range(VOCABULARY - 2)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="a")),
        bos_token="<s>", eos_token="</s>",
    )  # fmt: skip


def prompts_of(*rows):
    return [np.array(row, np.int32) for row in rows]


PROMPTS = prompts_of([0, 2, 3], [0], [0, 5, 6, 7, 8, 9], [4, 4])


def ids_of(result):
    return [[response.ids.tolist() for response in responses] for responses in result]


def test_each_prompt_gets_n_responses_in_its_place(model, tokenizer):
    result = generate(model, tokenizer, PROMPTS, n=3, max_new_tokens=5, seed=0)
    assert [len(responses) for responses in result] == [3, 3, 3, 3]
    for responses in result:
        for response in responses:
            assert response.ids.dtype == np.int32
            assert response.trained.all()
            assert 1 <= len(response.ids) <= 5
            # Ended by itself with the end-of-sequence token, once and last; or cut at the limit.
            assert EOS not in response.ids[:-1]
            assert response.ids[-1] == EOS or len(response.ids) == 5


def test_both_kinds_of_ending_happen(model, tokenizer):
    result = generate(model, tokenizer, PROMPTS, n=50, max_new_tokens=5, seed=0)
    ended = [response.ids[-1] == EOS for responses in result for response in responses]
    assert 0 < sum(ended) < len(ended)


def test_the_same_seed_gives_the_same_responses(model, tokenizer):
    first, same, other = (
        ids_of(generate(model, tokenizer, PROMPTS, n=4, max_new_tokens=6, seed=seed))
        for seed in (7, 7, 8)
    )
    assert first == same
    assert first != other


def test_the_limit_of_rows_is_kept_and_every_response_still_comes_home(model, tokenizer):
    result = generate(
        model, tokenizer, PROMPTS, n=2, max_new_tokens=4, seed=0, temperature=0, rows_at_once=3
    )
    alone = [
        generate(model, tokenizer, [prompt], n=1, max_new_tokens=4, seed=0, temperature=0)[0][0]
        for prompt in PROMPTS
    ]
    # Greedy: padding on the left and the company in the batch must not change a thing.
    assert ids_of(result) == [[one.ids.tolist()] * 2 for one in alone]


def test_samples_follow_the_models_distribution(model, tokenizer):
    prompt = prompts_of([0, 2, 3])[0]
    drawn = generate(model, tokenizer, [prompt], n=20_000, max_new_tokens=1, seed=0)[0]
    counts = np.bincount([int(response.ids[0]) for response in drawn], minlength=VOCABULARY)
    with torch.no_grad():
        logits = model(torch.tensor(prompt.astype(np.int64))[None]).logits[0, -1]
    expected = torch.softmax(logits, -1).numpy()
    error = np.sqrt(expected * (1 - expected) / 20_000)
    assert (np.abs(counts / 20_000 - expected) < 4.5 * error + 1e-6).all()


def test_temperature_and_top_p_narrow_the_draw(model, tokenizer):
    prompt = prompts_of([0, 2, 3])[0]
    with torch.no_grad():
        logits = model(torch.tensor(prompt.astype(np.int64))[None]).logits[0, -1]
    chances, order = torch.softmax(logits, -1).sort(descending=True)
    kept = order[: int((chances.cumsum(0) < 0.5).sum()) + 1].tolist()
    drawn = generate(model, tokenizer, [prompt], n=500, max_new_tokens=1, seed=0, top_p=0.5)[0]
    assert {int(response.ids[0]) for response in drawn} <= set(kept)
    cold = generate(model, tokenizer, [prompt], n=50, max_new_tokens=1, seed=0, temperature=0)[0]
    assert {int(response.ids[0]) for response in cold} == {int(order[0])}


def test_the_models_own_generation_settings_are_set_aside(model, tokenizer):
    """A model folder may ask for top-k 1, a repetition penalty, 2 tokens: none of it counts."""
    plain = ids_of(generate(model, tokenizer, PROMPTS, n=3, max_new_tokens=6, seed=0))
    own = model.generation_config
    model.generation_config = GenerationConfig(
        do_sample=True, top_k=1, repetition_penalty=5.0, min_p=0.9, max_new_tokens=2, eos_token_id=1
    )
    settings = model.generation_config
    try:
        assert ids_of(generate(model, tokenizer, PROMPTS, n=3, max_new_tokens=6, seed=0)) == plain
        assert model.generation_config is settings
    finally:
        model.generation_config = own


def test_another_end_token_of_the_model_ends_a_response_too(model, tokenizer):
    own = model.generation_config
    model.generation_config = GenerationConfig(eos_token_id=[EOS, 7])
    try:
        result = generate(model, tokenizer, PROMPTS, n=50, max_new_tokens=6, seed=0)
    finally:
        model.generation_config = own
    last = {int(response.ids[-1]) for responses in result for response in responses}
    inner = {int(i) for responses in result for response in responses for i in response.ids[:-1]}
    assert {EOS, 7} <= last
    assert not {EOS, 7} & inner


def test_model_and_random_state_are_left_as_they_were(model, tokenizer):
    model.train()
    model.config.use_cache = False
    state, weights = torch.get_rng_state(), [p.clone() for p in model.parameters()]
    try:
        generate(model, tokenizer, PROMPTS, max_new_tokens=3, seed=0)
        assert model.training
        assert model.config.use_cache is False
        assert torch.equal(torch.get_rng_state(), state)
        pairs = zip(model.parameters(), weights, strict=True)
        assert all(torch.equal(now, before) for now, before in pairs)
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
    finally:
        model.eval()
        model.config.use_cache = True


def test_a_model_that_was_scored_packed_still_samples_the_same(model, tokenizer):
    from preftune.batching import pack
    from preftune.models import LogProbModel
    from preftune.records import TokenGroup

    plain = ids_of(generate(model, tokenizer, PROMPTS, n=2, max_new_tokens=6, seed=0))
    drawn = generate(model, tokenizer, PROMPTS, n=2, max_new_tokens=6, seed=0)
    groups = [TokenGroup(p, tuple(r)) for p, r in zip(PROMPTS, drawn, strict=True)]
    scoring = LogProbModel(model)
    before = scoring(pack(groups)).sums.detach()
    assert ids_of(generate(model, tokenizer, PROMPTS, n=2, max_new_tokens=6, seed=0)) == plain
    assert torch.equal(scoring(pack(groups)).sums.detach(), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "n must be"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"rows_at_once": 0}, "rows_at_once"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"prompts": prompts_of([0], [])}, "Prompt 1 is empty"),
    ],
)
def test_numbers_out_of_range_are_refused(model, tokenizer, change, message):
    arguments = {"prompts": PROMPTS, "max_new_tokens": 2, "seed": 0} | change
    with pytest.raises(ValueError, match=message):
        generate(model, tokenizer, **arguments)


def test_no_prompts_no_responses(model, tokenizer):
    assert generate(model, tokenizer, [], max_new_tokens=2, seed=0) == []
