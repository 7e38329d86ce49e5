import unicodedata
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.repeats.shingles import MOST_CHARACTERS, neighbours_of, runs_of, words_of

texts = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.text(alphabet="abc AB .,+-你好ไทย_'é\n", max_size=40),
    ),
    max_size=6,
)


def split(text):
    """Words, one character at a time: what `words_of` does to all at once."""
    words, word = [], ""
    for character in text:
        code = ord(character)
        spoken = character.isalnum() or unicodedata.category(character)[0] == "M"
        spoken |= character == "_"
        alone = code >= 0x3000 or character in "+-*/=<>^%"
        alone |= spoken and (0xE00 <= code < 0x10A0 or 0x1780 <= code < 0x1800)
        if spoken and not alone:
            word += character.lower()[0]
            continue
        words += [word] if word else []
        words += [character] if alone else []
        word = ""
    return words + ([word] if word else [])


def parts(shingles):
    """The numbers of each text."""
    return [part.tolist() for part in np.split(shingles.numbers, np.cumsum(shingles.counts)[:-1])]


@given(texts)
def test_words_are_told_apart_as_one_would_by_hand(given_texts):
    found = words_of(given_texts)
    assert len(found.counts) == len(given_texts)
    expected = [word for text in given_texts for word in split(text)]
    assert found.counts.tolist() == [len(split(text)) for text in given_texts]
    assert len(set(zip(expected, found.numbers.tolist(), strict=True))) == len(set(expected))
    assert len(set(found.numbers.tolist())) == len(set(expected))


@given(texts)
def test_a_text_is_the_same_alone_and_among_others(given_texts):
    together = parts(words_of([*given_texts, "end"]))
    assert together[:-1] == [words_of([text]).numbers.tolist() for text in given_texts]
    runs = parts(runs_of(words_of([*given_texts, "end"]), 2))
    assert runs[:-1] == [runs_of(words_of([text]), 2).numbers.tolist() for text in given_texts]


@given(texts)
def test_neighbours_and_runs_are_those_of_one_text(given_texts):
    words = words_of([*given_texts, "one"])
    for number, text in enumerate([*given_texts, "one"]):
        said = split(text)
        around = list(pairwise([None, *said, None])) if said else []
        assert neighbours_of(words).counts[number] == len(around)
        assert len(set(parts(neighbours_of(words))[number])) == len(set(around))
        for length in (1, 3):
            expected = {tuple(said[at : at + length]) for at in range(len(said) - length + 1)}
            assert len(set(parts(runs_of(words, length))[number])) == len(expected)


def test_signs_of_arithmetic_count_and_punctuation_does_not():
    one, other, third = parts(words_of(["What is 12 + 7?", "what is 12 - 7", "What is 12 + 7 ..."]))
    assert one == third != other


def test_texts_without_words_and_no_texts_at_all():
    assert words_of([]).counts.tolist() == []
    assert neighbours_of(words_of(["", " .?"])).counts.tolist() == [0, 0]
    assert runs_of(words_of(["a b"]), 3).counts.tolist() == [0]


def test_of_a_very_long_text_beginning_and_end_are_seen():
    middle = "word " * MOST_CHARACTERS
    one, other = words_of([f"first {middle} last"]), words_of([f"first {middle} other"])
    assert one.counts[0] < MOST_CHARACTERS
    assert one.numbers[0] == other.numbers[0]
    assert one.numbers[-1] != other.numbers[-1]
