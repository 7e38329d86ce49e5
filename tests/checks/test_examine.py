from dataclasses import replace

from preftune.checks.examine import examine, longer_wins
from preftune.records import Group, Message, Rating, Relation, Response


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


def test_ties_thumbs_and_ratings_are_no_pairs():
    tie = replace(pair("a", "longer", "no"), relations=(Relation(0, 1, tie=True),))
    rated = tuple(Response(one.turns, Rating(score=1.0)) for one in tie.responses)
    unrelated = replace(tie, relations=(), responses=rated)
    assert examine([tie, unrelated]) == []
    assert longer_wins([tie, unrelated]) is None
    assert examine([tie, pair("a", "no", "longer")]) == ["1 pairs over 1 distinct prompts."]


def test_every_judgement_of_a_prompt_is_a_pair():
    three = tuple(Response((Message("assistant", text),)) for text in ("a", "bb", "ccc"))
    whole = Group((Message("user", "q"),), three, (Relation(2, 1), Relation(2, 0), Relation(1, 0)))
    assert examine([whole]) == ["3 pairs over 1 distinct prompts."]
    assert longer_wins([whole]).value == 1.0
    contrary = replace(whole, relations=(Relation(0, 2),))
    assert "warning: 1 pairs say the opposite of an earlier one." in examine([whole, contrary])
