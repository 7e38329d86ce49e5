import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.diversity.lengths import Lengths, quantiles
from preftune.records import Group, Severity
from tests.checks.planting import real_rows
from tests.checks.repeats.test_exact import answer, conclusion, pair


@given(st.lists(st.integers(0, 50), min_size=1), st.floats(0.01, 1))
def test_quantiles_are_those_of_the_lengths_one_by_one(lengths, share):
    counts = {length: lengths.count(length) for length in lengths}
    expected = np.quantile(lengths, share, method="inverted_cdf")
    assert quantiles(counts, (share,)) == [expected]


def test_lengths_of_real_pairs(shared):
    rows = real_rows(shared, "hh")
    found = conclusion(rows, Lengths())
    assert found.findings[0].severity is Severity.info
    for name, unit in (("lengths", "characters"), ("lengths_in_words", "words")):
        figure = found.figures[name]
        assert (figure["unit"], len(figure["bins"])) == (unit, 31)
        for part in ("prompt", "chosen", "rejected"):
            assert sum(figure[part]) == len(rows)
            assert figure["quantiles"][part] == sorted(figure["quantiles"][part])
    chosen = [row.responses[row.relations[0].winner].turns[-1].content for row in rows]
    assert found.figures["lengths"]["quantiles"]["chosen"][2] == np.quantile(
        [len(text) for text in chosen], 0.5, method="inverted_cdf"
    )


def test_bars_count_what_lies_between_two_edges():
    rows = [pair("p" * 7, "c" * length, "r") for length in range(1, 61)]
    figure = conclusion(rows, Lengths()).figures["lengths"]
    assert figure["bins"][:3] == [0, 2, 4]
    assert figure["chosen"][:2] == [1, 2]
    assert figure["chosen"][-1] == 3  # 58, 59 and all beyond
    assert figure["prompt"][3] == 60


def test_responses_that_are_not_compared_are_a_part_of_their_own():
    found = conclusion([answer("some words here"), Group((), ())], Lengths())
    assert found.figures["lengths_in_words"]["response"][3] == 1
    assert "response 3 words" in found.findings[0].sentence
    assert not conclusion([], Lengths()).findings
