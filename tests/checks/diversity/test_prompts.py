import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.cases import CaseMaker
from preftune.checks.diversity.prompts import Diversity, effective_number
from preftune.checks.repeats.exact import Repeats
from preftune.checks.repeats.near import NearRepeats
from preftune.records import Group, Severity
from tests.checks.planting import real_rows
from tests.checks.repeats.test_exact import answer, conclusion, pair
from tests.checks.repeats.test_near import words


def found_in(rows):
    found = conclusion(rows, Diversity())
    return {one.code: one for one in found.findings}, found.figures


@given(st.lists(st.integers(0, 20), min_size=1).filter(any))
def test_the_effective_number_is_that_of_equally_frequent_things(counts):
    number = effective_number(np.array(counts, float))
    kinds = sum(count > 0 for count in counts)
    assert 1 - 1e-9 <= number <= kinds + 1e-9
    doubled = effective_number(np.array(counts * 2, float))  # twice as many kinds
    assert math.isclose(doubled, 2 * number)
    assert math.isclose(effective_number(np.ones(7)), 7)


def test_real_data_is_diverse_and_its_pairs_are_counted(shared):
    for name in ("hh", "ultrafeedback", "chat", "thumbs", "polite"):
        rows = real_rows(shared, name)
        found, figures = found_in(rows)
        prompts = Counter(row.prompt for row in rows)
        assert all(one.severity is Severity.info for one in found.values())
        assert figures["prompts"]["distinct"] == found["PC500"].count == len(prompts)
        bars = dict(zip(*figures["pairs_per_prompt"].values(), strict=True))
        assert bars["1"] == sum(count == 1 for count in prompts.values())
        assert sum(bars.values()) == len(prompts)


def test_few_prompts_are_a_warning():
    def severity(prompts, each):
        rows = [pair(f"{n % prompts}", f"{n}", "b") for n in range(prompts * each)]
        return found_in(rows)[0]["PC500"].severity

    assert severity(200, 2) is Severity.info
    assert severity(200, 21) is Severity.warning
    assert severity(10, 10) is Severity.warning
    assert severity(10, 2) is Severity.info  # a small file


def test_near_repeats_count_as_one_prompt_where_they_are_known():
    repeats, maker = Repeats(), CaseMaker()
    near = NearRepeats(repeats)
    diversity = Diversity(near)
    for number in range(60):
        case = maker.case(pair(words(30, number % 20) + "!" * (number // 20), "a", "b"))
        for check in (repeats, near, diversity):
            check.see(case)
    figure = diversity.conclude(maker.account).figures["prompts"]
    assert figure == {"rows": 60, "pairs": 60, "distinct": 60, "clusters": 20, "effective": 20.0}


def test_a_few_prompts_with_most_pairs_are_a_warning():
    rows = [pair(f"{n}", "a", "b") for n in range(200)]
    more = [pair("7", f"{n}", "b") for n in range(100)]
    assert "PC502" not in found_in(rows)[0]
    found = found_in([*rows, *more])[0]["PC502"]
    assert found.severity is Severity.warning
    assert (found.count, found.total) == (102, 300)  # the top 1 %: two prompts
    assert (found.examples[0].row, found.examples[0].note) == (7, "101 pairs")


def test_rows_count_where_nothing_is_compared_and_nothing_is_no_finding():
    found = found_in([answer("a"), answer("b"), Group((), ())])[0]
    assert "2 distinct prompts for 3 rows" in found["PC500"].sentence
    assert found_in([])[0] == {}
