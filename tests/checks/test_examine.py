from preftune.checks.examine import examine, longer_wins
from preftune.records import Group, Message, Relation, Response


def pair(prompt, chosen, rejected):
    sides = [Response((Message("assistant", text),)) for text in (chosen, rejected)]
    return Group((Message("user", prompt),), tuple(sides), (Relation(0, 1),))


def test_repeats_and_contradictions_are_counted():
    pairs = [pair("a", "x", "y"), pair("a", "x", "y"), pair("a", "y", "x"), pair("b", "y", "x")]
    findings = examine(pairs)
    assert findings[0] == "4 pairs over 2 distinct prompts."
    assert "warning: 1 pairs repeat an earlier one exactly." in findings
    assert "warning: 1 pairs say the opposite of an earlier one." in findings


def test_a_length_shortcut_is_told_in_either_direction():
    longer = [pair(str(n), "long answer", "no") for n in range(40)]
    shorter = [pair(str(n), "no", "long answer") for n in range(40)]
    assert "in 100% of the pairs the longer response is chosen." in examine(longer)[-1]
    assert "in 100% of the pairs the shorter response is chosen." in examine(shorter)[-1]
    assert not any("longer" in finding for finding in examine(longer[:20] + shorter[:20]))


def test_few_pairs_are_no_evidence_and_equal_lengths_do_not_count():
    assert len(examine([pair("a", "longer", "no")])) == 1
    assert longer_wins([pair("a", "yes", "not")]) is None


def test_demonstrations_have_nothing_to_compare():
    bare = Group((Message("user", "a"),), (Response((Message("assistant", "b"),)),))
    assert examine([bare]) == []
