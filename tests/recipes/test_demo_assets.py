"""What ships with the demo is what the issue, the model card and the scripts say it is."""

import gzip
import json

import numpy as np
import pytest

from preftune.judging import SentimentScorer
from preftune.models import load_model, load_tokenizer
from preftune.recipes.demo.experiment import ASSETS, MOST_NEW_TOKENS, unseen_prompts
from scripts.demo.imdb import SPLITS, reviews
from scripts.demo.verbatim import standing_in


@pytest.fixture(scope="module")
def pairs():
    with gzip.open(ASSETS / "pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(str(ASSETS / "model"))


def test_there_are_about_two_thousand_pairs_each_of_another_prompt(pairs):
    assert 1900 <= len(pairs) <= 2100
    columns = ["prompt", "chosen", "rejected", "score_chosen", "score_rejected"]
    assert all(list(pair) == columns for pair in pairs)
    assert len({pair["prompt"].lower() for pair in pairs}) == len(pairs)
    responses = [pair[side] for pair in pairs for side in ("chosen", "rejected")]
    assert len(set(responses)) == len(responses)


def test_held_out_prompts_stand_in_no_pair(pairs):
    held_out = unseen_prompts()
    assert len({prompt.lower() for prompt in held_out}) == len(held_out) == 256
    assert not {p.lower() for p in held_out} & {pair["prompt"].lower() for pair in pairs}


def test_labels_are_the_shipped_scorers(pairs):
    scorer = SentimentScorer.load()
    for side in ("chosen", "rejected"):
        scores = scorer.score([pair["prompt"] + pair[side] for pair in pairs])
        stated = np.array([pair[f"score_{side}"] for pair in pairs])
        np.testing.assert_allclose(scores, stated, atol=1e-4)
    gaps = [pair["score_chosen"] - pair["score_rejected"] for pair in pairs]
    assert min(gaps) > 0.1


def test_prompts_and_responses_are_short_and_join_at_a_space(pairs, tokenizer):
    def count(text):
        return len(tokenizer(text, add_special_tokens=False).input_ids)

    for pair in pairs:
        assert 2 <= count(pair["prompt"]) <= 8
        for side in ("chosen", "rejected"):
            text = pair[side]
            assert text[0] == " "
            assert text.isprintable()
            assert count(text) + 1 <= MOST_NEW_TOKENS == 48  # with the end-of-sequence token
            # The boundary is one in token space, too: nothing merges over it.
            assert count(pair["prompt"] + text) == count(pair["prompt"]) + count(text)


def test_length_gives_the_preference_away_hardly_more_than_a_coin(pairs):
    longer = np.mean([len(pair["chosen"]) > len(pair["rejected"]) for pair in pairs])
    assert 0.35 < longer < 0.65


@pytest.mark.slow
def test_nothing_stands_word_for_word_in_imdb(shared, pairs):
    corpus = [text for split in SPLITS for text, _ in reviews(split, str(shared / "data/imdb"))]
    sides = [(pair["prompt"], pair[side]) for pair in pairs for side in ("chosen", "rejected")]
    texts = [response.strip() for _, response in sides]
    texts += [prompt + response for prompt, response in sides]
    known = " ".join(corpus[12_345].split()[5:12])
    assert standing_in([*texts, known], corpus) == {known}


def test_the_model_is_small_bf16_and_reads_its_own_files(tokenizer):
    from safetensors import safe_open

    files = {path.name: path.stat().st_size for path in (ASSETS / "model").iterdir()}
    assert files["model.safetensors"] <= 8_000_000
    assert sum(files.values()) <= 8_500_000
    with safe_open(ASSETS / "model/model.safetensors", framework="pt") as weights:
        names = list(weights.keys())
        assert {weights.get_slice(name).get_dtype() for name in names} == {"BF16"}
    model = load_model(str(ASSETS / "model"), dtype="float32")
    assert model.num_parameters() <= 4_000_000
    assert model.config.model_type == "llama"
    assert len(tokenizer) == model.config.vocab_size == 4096


def test_the_card_says_what_it_must():
    card = (ASSETS / "model/README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    for needed in (
        "IMDb", "research use", "Maas", "stanfordnlp/imdb", "perplexity", "train_model.py",
        "accuracy", "train_scorer.py", "Limits", "had not ended",
    ):  # fmt: skip
        assert needed in card


@pytest.mark.slow
def test_held_out_perplexity_is_what_the_card_says(shared, tokenizer):
    """On a sample of the snippets that the card's figure was measured on."""
    import re

    import torch

    from scripts.demo.imdb import snippets

    card = (ASSETS / "model/README.md").read_text(encoding="utf-8")
    stated = float(re.search(r"\(([\d.]+) nats\)", card)[1])
    model = load_model(str(ASSETS / "model"), dtype="float32").eval()
    nats, tokens = 0.0, 0
    for index, (text, _) in enumerate(reviews("test", str(shared / "data/imdb"))[:300]):
        pieces = snippets(text, lambda sentence: len(tokenizer(sentence).input_ids), 54, seed=index)
        for piece in list(pieces)[:2]:
            ids = torch.tensor([[*tokenizer(piece).input_ids, 1]])
            with torch.no_grad():
                logps = torch.log_softmax(model(ids).logits[0, :-1], -1)
            nats -= logps.gather(1, ids[0, 1:, None]).sum().item()
            tokens += ids.shape[1] - 1
    assert nats / tokens == pytest.approx(stated, abs=0.12)
