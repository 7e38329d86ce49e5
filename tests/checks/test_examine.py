from preftune.checks.cases import Account, CaseMaker, Conclusion, pairs_of
from preftune.checks.examine import excerpts_of, gather, run_checks
from preftune.checks.finding import excerpt, finding
from preftune.records import (
    Example,
    Exclusion,
    Group,
    Message,
    Rating,
    Relation,
    Response,
    Severity,
    Silent,
)


def pair(prompt, chosen, rejected, source="f:1"):
    sides = [Response((Message("assistant", text),)) for text in (chosen, rejected)]
    return Group((Message("user", prompt),), tuple(sides), (Relation(0, 1),), source)


class Longest:
    """A check of three lines: which row has the longest chosen response?"""

    def __init__(self):
        self.best = (0, -1)

    def see(self, case):
        self.best = max(self.best, (len(case.responses[case.pairs[0].winner]), case.index))

    def conclude(self, account: Account):
        length, row = self.best
        sentence = f"the longest has {length} letters."
        found = finding("PC503", Severity.info, sentence, 1, 2, examples=[Example(row)])
        return Conclusion([found], {"longest": length}, {row: "PC503"})


def test_every_row_is_seen_once_and_examples_are_filled_in_from_the_data():
    rows = [
        pair("a", "short", "no", "f:1"),
        Exclusion("f:2", "not JSON"),
        pair("b", "much longer", "no", "f:3"),
    ]
    passed = run_checks(lambda: rows, [Longest()], Silent())
    done = gather(lambda: rows, passed, data="f")
    assert (done.rows, done.used, done.pairs, done.prompts) == (3, 2, 2, 2)
    assert done.excluded == {"not JSON": 1}
    assert [one.code for one in done.findings] == ["PC100", "PC503"]  # the worst first
    example = done.findings[1].examples[0]
    assert example.source == "f:3"
    assert example.excerpts == {"prompt": "b", "chosen": "much longer", "rejected": "no"}
    assert done.figures == {"longest": 11}
    assert done.drops == {1: "PC503"}
    assert done.worst is Severity.error
    assert done.verdict.startswith("mend it first: 1 error, first: 1 row (33 %)")


def severities(*reasons, used):
    rows = [pair(str(n), "yes", "no") for n in range(used)]
    rows += [Exclusion("f", reason, broken=False) for reason in reasons]
    found = gather(lambda: rows, run_checks(lambda: rows, [], Silent())).findings
    return {one.code: one.severity.name for one in found}


def test_rows_without_signal_matter_as_much_as_train_thinks():
    assert severities("empty chosen", used=199) == {"PC101": "info"}
    assert severities("empty chosen", used=39) == {"PC101": "warning"}
    assert severities("empty chosen", used=19) == {"PC101": "warning"}  # 5 %, and `train` goes on
    assert severities("empty chosen", used=18) == {"PC101": "error"}
    both = severities("empty chosen", "identical responses", used=30)  # 6 % together
    assert both == {"PC101": "error", "PC102": "error"}


def test_equal_turns_have_equal_keys_and_prompts_are_numbered_by_first_sight():
    maker = CaseMaker()
    found = [maker.case(pair(prompt, "x", "y")) for prompt in ("a", "b", "a")]
    assert [case.prompt_number for case in found] == [0, 1, 0]
    assert found[0].prompt_key == found[2].prompt_key != found[1].prompt_key
    assert found[0].response_keys == found[1].response_keys
    roles = [Message("user", "a"), Message("system", "a")]
    keys = {maker.case(Group((role,), ())).prompt_key for role in roles}
    assert len(keys) == 2


def test_ratings_imply_pairs_only_where_nothing_was_judged():
    rated = [Response((Message("assistant", str(n)),), Rating(score=n)) for n in (2.0, 7.0, 2.0)]
    group = Group((Message("user", "a"),), tuple(rated))
    assert CaseMaker().case(group).pairs == (Relation(1, 0), Relation(1, 2))
    tie = Group(group.prompt, group.responses, (Relation(0, 1, tie=True),))
    assert CaseMaker().case(tie).pairs == ()
    assert excerpts_of(group, 1) == {"prompt": "a", "chosen": "7.0", "rejected": "2.0"}


def test_an_excerpt_shows_the_place():
    text = "word " * 100 + "HERE " + "word " * 100
    assert "HERE" in excerpt(text, at=500, width=40)
    assert excerpt(text, at=500, width=40).startswith("…")
    assert excerpt("short") == "short"


def test_of_a_very_long_list_the_same_responses_are_compared_in_whatever_order():
    scores = [float(n % 500) for n in range(3000)]
    rated = [
        Response((Message("assistant", str(n)),), Rating(score=score))
        for n, score in enumerate(scores)
    ]

    def compared(responses):
        group = Group((Message("user", "a"),), tuple(responses))
        pairs = pairs_of(group)
        assert 300 < len(pairs) <= 32 * 31 / 2
        for one in pairs:
            winner, loser = (group.responses[side].rating for side in (one.winner, one.loser))
            assert winner.score > loser.score
        return {(group.responses[one.winner], group.responses[one.loser]) for one in pairs}

    assert compared(rated) == compared(rated[::-1])
