"""The pieces that the demo's scripts are made of."""

import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from scripts.demo.imdb import reviews, snippets, tidy
from scripts.demo.verbatim import standing_in

words = st.text("ab é", min_size=1, max_size=40)


@given(st.lists(words, max_size=6), st.lists(st.text("ab é", max_size=80), max_size=4))
def test_what_stands_in_the_corpus_is_found_and_nothing_else(texts, corpus):
    assert standing_in(texts, corpus) == {t for t in texts if any(t in text for text in corpus)}


@given(st.text("abcdefgh ", min_size=30, max_size=200), st.data())
def test_any_piece_of_a_text_is_found(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(start + 1, len(text)))
    piece = text[start:stop]
    assert standing_in([piece], ["before", text, "behind"]) == {piece}


def test_a_text_over_the_end_of_a_review_is_not_in_it():
    assert standing_in(["one review and another"], ["one review", "and another"]) == set()


def test_a_piece_over_the_border_of_two_chunks_is_found():
    text = "x" * ((1 << 22) - 7) + "a piece that lies over the border" + "y" * 50
    assert standing_in(["a piece that lies over the border"], [text])


def test_snippets_are_whole_sentences_within_the_limit():
    text = ("One two three. Four five! Six? Seven eight nine ten. " * 20).strip()
    found = list(snippets(text, lambda sentence: len(sentence.split()), 12, seed=3))
    assert len(found) > 3
    assert all(len(piece.split()) <= 12 for piece in found)
    assert all(piece[-1] in ".!?" for piece in found)
    assert " ".join(found).split() == text.split()
    assert len({len(piece.split()) for piece in found}) > 1


def test_reviews_are_read_from_a_folder(tmp_path):
    rows = [
        {"text": "Good.<br /><br />Very  good.", "label": "pos"},
        {"text": "Bad.", "label": 0},
        {"text": "Who knows?", "label": None},
    ]
    with gzip.open(tmp_path / "train.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    assert reviews("train", str(tmp_path)) == [("Good. Very good.", 1), ("Bad.", 0),
                                               ("Who knows?", -1)]  # fmt: skip
    assert tidy("a\tb\n<i>c</i>") == "a b c"
