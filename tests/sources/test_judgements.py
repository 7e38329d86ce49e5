"""What a pair's row may say beside which side is chosen."""

import pytest

from preftune.errors import ConfigError, DataError
from preftune.records import Rating, Relation
from preftune.sources import read
from tests.sources.files_written import PAIR, jsonl


@pytest.fixture
def write(tmp_path):
    return lambda *rows: jsonl(tmp_path / "d.jsonl", rows)


def relation_of(path, **options):
    (group,) = read(path, **options).groups
    return group.relations[0]


def test_strength_margin_and_weight_are_read_and_announced(write):
    reading = read(write({**PAIR, "strength": 0.7, "margin": 2, "weight": 3}))
    (group,) = reading.groups
    assert group.relations == (Relation(0, 1, strength=0.7, margin=2.0),)
    assert group.weight == 3.0
    assert reading.layout.endswith(
        "; margin in `margin`; strength in `strength`; weight in `weight`"
    )
    assert reading.notes == ("1 of 1 pairs are judged with doubt.",)
    assert group.metadata == {}


def test_a_table_holds_numbers_as_text(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("prompt,chosen,rejected,strength,score_chosen,score_rejected,weight\n"
                    "Red?,Yes.,No.,0.75,4.5,3,1e-1\nBlue?,Yes.,No.,1,,2,1\n")  # fmt: skip
    first, second = read(str(path)).groups
    assert first.relations[0] == Relation(0, 1, strength=0.75, margin=1.5)
    assert first.weight == 0.1
    assert second.relations[0] == Relation(0, 1)
    assert [response.rating for response in second.responses] == [None, None]


SPELLINGS = [
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen-rating", "rejected-rating"),
    ("chosen_rating", "rejected_rating"),
    ("chosen_avg_rating", "rejected_avg_rating"),
]


@pytest.mark.parametrize(("chosen", "rejected"), SPELLINGS)
@pytest.mark.parametrize("nested", [False, True])
def test_scores_are_found_as_published_data_spells_them(write, chosen, rejected, nested):
    scores = {chosen: 8.5, rejected: 7}
    reading = read(write({**PAIR, **({"metadata": scores} if nested else scores)}))
    (group,) = reading.groups
    assert [response.rating for response in group.responses] == [Rating(score=8.5), Rating(score=7)]
    assert group.relations[0] == Relation(0, 1, margin=1.5)
    inside = "metadata." if nested else ""
    assert f"scores in `{inside}{chosen}` and `{inside}{rejected}`: their" in reading.layout


def test_a_dotted_mapping_reaches_into_a_column(write):
    path = write({**PAIR, "judge": {"a": {"points": "9"}, "b": {"points": 7}}})
    mapping = {"score_chosen": "judge.a.points", "score_rejected": "judge.b.points"}
    assert relation_of(path, mapping=mapping).margin == 2.0
    with pytest.raises(ConfigError, match=r"no column 'judge\.a\.point'") as caught:
        read(path, mapping={**mapping, "score_chosen": "judge.a.point"})
    assert "did you mean `judge.a.points`" in caught.value.fix


def test_a_column_whose_own_name_has_a_dot_is_itself(write):
    path = write({**PAIR, "judge.points": 4, "judge": {"points": 1}})
    assert relation_of(path, mapping={"margin": "judge.points"}).margin == 4.0


def test_a_margin_column_goes_before_the_difference_of_scores(write):
    path = write({**PAIR, "score_chosen": 5, "score_rejected": 1, "margin": 0.5})
    assert relation_of(path).margin == 0.5
    path = write({**PAIR, "score_chosen": 5, "score_rejected": 1, "margin": None})
    assert relation_of(path, mapping={"margin": "margin"}).margin == 4.0


TIES = [
    {"strength": 0.5},
    {"score_chosen": 4, "score_rejected": 4},
    {"tie": True},
    {"is_tie": "True"},
    {"status": "tie"},
    {"tie": True, "score_chosen": 4, "score_rejected": 3},
    {"strength": 0.5, "score_chosen": 4, "score_rejected": 3},
    {"tie": True, "strength": 0.5},
]
NO_TIES = [
    {"strength": 0.51},
    {"tie": False, "score_chosen": 4, "score_rejected": 4},
    {"strength": 0.9, "score_chosen": 4, "score_rejected": 4},
    {"status": "swapped"},
    {"margin": 0},
    {"score_chosen": 4, "score_rejected": None},
]


@pytest.mark.parametrize("row", TIES)
def test_ties_never_become_a_pair(write, row):
    reading = read(write({**PAIR, **row}))
    (relation,) = reading.groups[0].relations
    assert relation.tie
    assert (relation.strength, relation.margin) == (1.0, 0.0 if "score_chosen" in row else None)
    assert reading.notes[0].startswith("1 of 1 judgements are ties")


@pytest.mark.parametrize("row", NO_TIES)
def test_what_is_judged_is_no_tie(write, row):
    assert not relation_of(write({**PAIR, **row})).tie


def test_scores_that_contradict_the_label_are_counted_and_the_label_kept(write):
    rows = [{**PAIR, "prompt": f"{n}?", "score_chosen": n, "score_rejected": 3} for n in range(6)]
    reading = read(write(*rows))
    margins = [group.relations[0].margin for group in reading.groups]
    assert margins == [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0]
    assert all(group.relations[0].winner == 0 for group in reading.groups)
    assert reading.notes == (
        "1 of 6 judgements are ties: only objectives made for ties learn from them.",
        "warning: in 3 of 5 pairs rejected is rated higher than chosen; the label is kept.",
    )


def test_pairs_without_a_score_are_counted(write):
    whole = {**PAIR, "score_chosen": 4, "score_rejected": 3}
    reading = read(
        write(whole, {**whole, "score_chosen": None}, {**whole, "score_rejected": "N/A"})
    )
    assert reading.notes == ("2 of 3 pairs have no margin.",)
    assert reading.intake.used == 3


BROKEN = [
    ({"strength": 0.2}, "strength below 0.5", "swap chosen and rejected and write 0.8"),
    ({"strength": -0.1}, "strength is no probability", "not in (0.5, 1]"),
    ({"strength": 3}, "strength is no probability", "--map margin=strength"),
    ({"strength": None}, "missing strength", "has none"),
    ({"strength": "sure"}, "strength is not a number", "'sure'"),
    ({"strength": True}, "strength is not a number", "true or false"),
    ({"weight": 0}, "weight is not above 0", "leave the row out"),
    ({"weight": -1}, "weight is not above 0", "it is -1"),
    ({"weight": None}, "missing weight", "has none"),
    ({"margin": [1]}, "margin is not a number", "a list"),
    ({"margin": "1e999"}, "margin is too large", "1e999"),
    ({"score_chosen": "high"}, "score_chosen is not a number", "'high'"),
    ({"tie": "maybe"}, "tie is not true or false", "'maybe'"),
    ({"tie": None}, "tie is not true or false", "nothing"),
    ({"tie": True}, "tie and strength contradict", "strength 0.9"),
    ({"tie": False, "strength": 0.5}, "tie and strength contradict", "strength 0.5"),
]
WHOLE = {
    **PAIR, "strength": 0.9, "weight": 1, "margin": 1, "tie": False, "score_chosen": 2,
    "score_rejected": 1,
}  # fmt: skip


@pytest.mark.parametrize(("change", "reason", "detail"), BROKEN)
def test_a_broken_judgement_is_a_broken_row(write, change, reason, detail):
    path = write(WHOLE, {**WHOLE, **change}, WHOLE)
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.code == "PT104"
    (exclusion,) = read(path, bad_rows="skip").intake.exclusions
    assert (exclusion.source, exclusion.reason) == (f"{path}:2", reason)
    assert detail in exclusion.detail


def test_columns_of_other_things_stay_metadata(write):
    row = {**PAIR, "strength": "high", "weight": "heavy", "margin": "left", "status": "done"}
    reading = read(write(row))
    assert "kept as metadata: 'strength', 'weight', 'margin', 'status'" in reading.layout
    assert reading.groups[0].relations == (Relation(0, 1),)


def test_one_score_alone_compares_nothing(write):
    reading = read(write({**PAIR, "score_chosen": 3}))
    assert reading.layout.endswith("kept as metadata: 'score_chosen'")
    with pytest.raises(ConfigError, match="names `score_chosen`, which is not used"):
        read(write({**PAIR, "n": 3}), mapping={"score_chosen": "n"})


def test_judgements_are_for_pairs_alone(write):
    path = write({"prompt": "q", "completion": "a", "sure": 0.7})
    with pytest.raises(ConfigError, match="`strength`, which is not used beside"):
        read(path, mapping={"strength": "sure"})


def test_a_margin_under_another_name_is_no_strength(write):
    path = write({**PAIR, "strength": 3})
    assert relation_of(path, mapping={"margin": "strength"}) == Relation(0, 1, margin=3.0)
