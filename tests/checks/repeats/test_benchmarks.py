import json
import random

import pytest

from preftune.checks.repeats.benchmarks import benchmark
from preftune.errors import DataError
from tests.checks.planting import real_rows
from tests.checks.repeating import RATES
from tests.checks.repeats.test_exact import conclusion, pair


def words(count, seed):
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(10_000)}" for _ in range(count))


@pytest.fixture
def questions(tmp_path):
    """A file of 40 questions of 20 words, with their answers deep inside."""
    path = tmp_path / "questions.jsonl"
    rows = [
        {"question": words(20, seed), "choices": {"text": [words(9, seed + 100)]}, "key": seed}
        for seed in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def found_in(rows, path):
    found = conclusion(rows, benchmark(str(path)))
    return (found.findings[0] if found.findings else None), found.drops


@pytest.mark.parametrize("rate", RATES)
def test_planted_questions_are_found_and_nothing_else(shared, questions, rate):
    rows = list(real_rows(shared, "hh"))
    draw = random.Random(0)
    bad = draw.sample(range(len(rows)), max(1, round(rate * len(rows))))
    for number in bad:
        text = draw.choice([words(20, number % 40), words(9, number % 40 + 100)]).upper()
        texts = ["Well?", "Good.", "No!"]
        texts[draw.randrange(3)] += f" {text}, is it not?"
        rows[number] = pair(*texts)
    found, drops = found_in(rows, questions)
    assert drops == dict.fromkeys(bad, "PC205")
    assert found.count == len(bad)
    assert found.examples[0].note.startswith(f"overlaps with {questions}:")


def test_twelve_words_of_a_long_question_are_no_overlap(questions):
    text = words(20, 0).split()
    assert found_in([pair(" ".join(text[:12]), "a", "b")], questions)[0] is None
    assert found_in([pair(" ".join(text[:13]), "a", "b")], questions)[0].count == 1


def test_short_questions_only_where_they_are_all_that_is_asked(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text("Who wrote the Iliad?\n\nAll of the above\nYes\n", encoding="utf-8")
    asked, told = pair("who wrote the iliad", "Homer", "Bob"), pair("Who wrote it?", "a", "b")
    inside = pair("I wonder who wrote the Iliad, and why.", "All of the above", "Yes")
    found, drops = found_in([told, inside, asked], path)
    assert set(drops) == {2}
    assert found.examples[0].note == f"overlaps with {path}:1"


def test_what_many_questions_share_is_how_they_are_put(tmp_path):
    path = tmp_path / "questions.txt"
    way = "Answer with one of the letters and give a short reason for your choice at the end"
    path.write_text("".join(f"{words(20, seed)} {way}\n" for seed in range(11)))
    rows = [pair(f"{way}: {number}", "a", "b") for number in range(3)]
    assert found_in(rows, path)[0] is None
    assert found_in([*rows, pair(words(20, 3), "a", "b")], path)[1] == {3: "PC205"}


def test_a_benchmark_in_a_layout_of_ours(shared):
    path = shared / "data/polite-pairs/instruction-data-with-preference.json"
    found = found_in(real_rows(shared, "polite"), path)[0]
    assert found.share > 0.5
    assert found_in(real_rows(shared, "hh"), path)[0] is None


def test_what_cannot_be_read_is_said(tmp_path):
    for name, content, code in (("a.txt", "\n", "PT102"), ("a.jsonl", '{"a": 1}', "PT102")):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError) as caught:
            benchmark(str(tmp_path / name))
        assert caught.value.code == code
    with pytest.raises(DataError, match="can't be opened"):
        benchmark(str(tmp_path / "missing.txt"))
