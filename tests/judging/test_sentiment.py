import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.errors import DataError
from preftune.judging import SentimentScorer
from preftune.judging.sentiment import SHIPPED, ngrams
from scripts.demo.imdb import reviews


@pytest.fixture(scope="module")
def scorer():
    return SentimentScorer.load()


def test_praise_scores_above_complaint_in_short_snippets_too(scorer):
    good = ["A wonderful film, beautifully acted.", "I loved every minute of it!"]
    bad = ["A dull film, terribly acted.", "I hated every minute of it.", "not good at all"]
    assert (scorer.score(good) > 0.6).all()
    assert (scorer.score(bad) < 0.4).all()


def test_scores_do_not_depend_on_the_company_or_the_order(scorer):
    texts = ["A great film.", "An awful film.", "A film."]
    together = scorer.score(texts)
    alone = np.concatenate([scorer.score([text]) for text in reversed(texts)])[::-1]
    assert together.dtype == np.float64
    assert together.tolist() == alone.tolist()


@given(st.text(max_size=200))
def test_any_text_has_a_probability(text):
    (score,) = SentimentScorer({"good": 2.0, "bad": -2.0}, 0.1).score([text])
    assert 0 < score < 1


def test_the_score_is_that_of_the_formula():
    scorer = SentimentScorer({"good": 2.0, "film": 0.5, "not good": -3.0}, 0.25)
    known = [2.0, 0.5, -3.0]
    logit = 0.25 + sum(known) / len(known) ** 0.5
    expected = 1 / (1 + np.exp(-logit))
    assert scorer.score(["Not good, good GOOD film"])[0] == pytest.approx(expected, abs=1e-12)
    assert scorer.score(["unheard words"])[0] == pytest.approx(1 / (1 + np.exp(-0.25)))
    assert scorer.score([]).shape == (0,)


def test_ngrams_are_runs_of_up_to_three_words():
    assert list(ngrams("Isn't it good?")) == [
        "isn't", "it", "good", "?",
        "isn't it", "it good", "good ?",
        "isn't it good", "it good ?",
    ]  # fmt: skip


def test_a_saved_scorer_gives_the_same_scores(tmp_path, scorer):
    scorer.save(tmp_path / "copy.safetensors")
    texts = ["A great film, not dull.", "", "why?"]
    copy = SentimentScorer.load(tmp_path / "copy.safetensors")
    assert copy.score(texts).tolist() == scorer.score(texts).tolist()


def test_the_shipped_file_is_at_most_a_megabyte():
    assert SHIPPED.stat().st_size <= 1_000_000


def test_held_out_accuracy_is_what_the_file_beside_it_says(shared, scorer):
    stated = json.loads(SHIPPED.with_suffix(".json").read_text())
    rows = reviews("test", str(shared / "data/imdb"))[::10]
    right = (scorer.score([text for text, _ in rows]) > 0.5) == [label == 1 for _, label in rows]
    # Every tenth review: the accuracy of the sample lies within three standard errors.
    assert right.mean() == pytest.approx(stated["review_accuracy"], abs=3 * (0.09 / 1000) ** 0.5)
    assert stated["review_accuracy"] > 0.88
    assert stated["snippet_accuracy"] > 0.7
    assert "train_scorer.py" in stated["command"]


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x08" + bytes(7) + b'{"a":1} '])
def test_a_file_that_is_no_scorer_is_refused_in_a_sentence(tmp_path, content):
    file = tmp_path / "broken.safetensors"
    file.write_bytes(content)
    with pytest.raises(DataError, match="not a sentiment scorer") as caught:
        SentimentScorer.load(file)
    assert caught.value.code == "PT101"
    assert caught.value.where == str(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="can't be opened") as caught:
        SentimentScorer.load(tmp_path / "nowhere.safetensors")
    assert caught.value.code == "PT100"


def test_another_safetensors_file_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"weights": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="not a sentiment scorer"):
        SentimentScorer.load(tmp_path / "other.safetensors")
