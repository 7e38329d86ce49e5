"""Two responses side by side, and what people said of them."""

import pytest

from preftune.errors import ConfigError, DataError
from preftune.records import Message, Relation
from preftune.sources import read
from tests.sources.files_written import PAIR, jsonl, turn

ASKED = turn("user", "What is red?")
GOOD, BAD = turn("assistant", "A colour."), turn("assistant", "No.")
ROW = {"prompt": "What is red?", "response_a": "A colour.", "response_b": "No.", "verdict": "a"}


@pytest.fixture
def write(tmp_path):
    return lambda *rows: jsonl(tmp_path / "d.jsonl", rows)


def renamed(**names):
    return {names.get(word, word): value for word, value in ROW.items()}


LAYOUTS = [
    (ROW, "text", "explicit prompt: text in `prompt`; text in `response_a` and `response_b`"),
    ({**ROW, "prompt": [ASKED]}, "chat", "explicit prompt: messages in `prompt`"),
    ({**ROW, "response_a": [GOOD], "response_b": [BAD]}, "chat", "messages in `response_a` and"),
    (
        {**ROW, "response_a": "What is red?A colour.", "response_b": "What is red?No."},
        "text",
        "repeat it",
    ),
    (
        {"conversation_a": [ASKED, GOOD], "conversation_b": [ASKED, BAD], "winner": "model_a"},
        "chat",
        "implicit prompt: messages in `conversation_a` and `conversation_b`",
    ),
    (
        {
            "output_1": "\n\nHuman: What is red?\n\nAssistant: A colour.",
            "output_2": "\n\nHuman: What is red?\n\nAssistant: No.",
            "preference": "output_1",
        },
        "chat",
        "implicit prompt: transcripts in `output_1` and `output_2`",
    ),
    (
        {"instruction": "What is red?", "input": "", "response1": "A colour.", "response2": "No.",
         "winner": "response1"},
        "chat",
        "instructions: prompt in `instruction` and `input`",
    ),
    (renamed(response_a="answerA", response_b="answerB", verdict="choice"), "text", "`choice`"),
    (renamed(response_a="a1", response_b="a2", verdict="label"), "text", "verdicts in `label`"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "form", "sentence"), LAYOUTS)
def test_every_layout_of_a_comparison_gives_the_same_group(write, row, form, sentence):
    reading = read(write(row))
    (group,) = reading.groups
    assert group.prompt == (Message("user", "What is red?"),)
    assert [one.turns[0].content for one in group.responses] == ["A colour.", "No."]
    assert group.relations == (Relation(0, 1),)
    assert group.shown
    assert group.form == form
    assert group.metadata == {}
    assert reading.layout.startswith("two responses side by side: ")
    assert sentence in reading.layout


VALUES = {
    "first": ["a", " A ", "a1", "left", "First", "model_a", "response_a", "response_1"],
    "second": ["b", "B", "a2", "right", "second", "model_b", "response_b", "response_2"],
    "tie": ["tie", "Equal", "same", "draw", "tie (bothbad)", "both_bad"],
}


@pytest.mark.parametrize(("meant", "values"), VALUES.items())
def test_verdicts_are_read_as_published_data_spells_them(write, meant, values):
    for value in values:
        (group,) = read(write({**ROW, "verdict": value})).groups
        (relation,) = group.relations
        assert relation.tie == (meant == "tie")
        if meant != "tie":
            assert relation.winner == ["first", "second"].index(meant)
            assert relation.loser == 1 - relation.winner
        assert [one.turns[0].content for one in group.responses] == ["A colour.", "No."]


@pytest.mark.parametrize("values", [[1, 2, 0], ["1", "2", "0"], [1.0, 2.0, 0.0]])
def test_numbers_begin_with_one_where_a_two_occurs(write, values):
    reading = read(write(*({**ROW, "verdict": value} for value in values)))
    relations = [group.relations[0] for group in reading.groups]
    assert relations == [Relation(0, 1), Relation(1, 0), Relation(0, 1, tie=True)]
    assert "verdicts in `verdict` (1 the first, 2 the second, 0 a tie)" in reading.layout


@pytest.mark.parametrize("values", [[0, 1], ["1", "1"], [0, 0]])
def test_zero_and_one_alone_are_refused_and_the_way_out_is_said(write, values):
    path = write(*({**ROW, "verdict": value} for value in values))
    with pytest.raises(DataError, match="may mean either response") as caught:
        read(path)
    assert caught.value.code == "PT103"
    assert "write `a` for the first response, `b` for the second" in caught.value.fix
    with pytest.raises(DataError, match="may mean either response"):
        read(path, mapping={"verdict": "verdict"})


def test_responses_numbered_from_zero_are_called_by_their_numbers(write):
    rows = [{"prompt": "q", "response_0": "x", "response_1": "y", "better": n} for n in (0, 1)]
    reading = read(write(*rows), mapping={"verdict": "better"})
    assert [group.relations[0].winner for group in reading.groups] == [0, 1]
    assert "verdicts in `better` (0 or 1)" in reading.layout


def test_several_columns_of_verdicts_are_several_annotators(write):
    row = renamed(response_a="response1", response_b="response2", verdict="annotator1")
    rows = [
        {**row, "annotator1": 1, "annotator2": 2, "annotator3": 0},
        {**row, "annotator1": 2, "annotator2": None, "annotator3": 2},
    ]
    reading = read(write(*rows))
    first, second = reading.groups
    assert first.relations == (
        Relation(0, 1, annotator="annotator1"),
        Relation(1, 0, annotator="annotator2"),
        Relation(0, 1, tie=True, annotator="annotator3"),
    )
    assert [one.annotator for one in second.relations] == ["annotator1", "annotator3"]
    assert "verdicts in `annotator1`, `annotator2` and `annotator3` (1 the first" in reading.layout
    intake = read(write(*rows), mapping={"verdict": "annotator2"}, bad_rows="skip").intake
    assert intake.by_reason == {"missing verdict": 1}


@pytest.mark.parametrize("column", ["annotator", "annotator_id", "worker", "worker_id", "rater"])
@pytest.mark.parametrize("row", [ROW, PAIR])
def test_annotators_are_read_beside_verdicts_and_beside_pairs(write, row, column):
    reading = read(write({**row, column: "w7"}, {**row, column: 12}, {**row, column: None}))
    assert [group.relations[0].annotator for group in reading.groups] == ["w7", "12", ""]
    assert f"annotator in `{column}`" in reading.layout
    assert all(group.metadata == {} for group in reading.groups)


def test_a_row_of_a_chatbot_arena(write):
    row = {
        "question_id": "1", "model_a": "m", "model_b": "n", "winner": "tie (bothbad)",
        "judge": "arena_user_973", "conversation_a": [ASKED, GOOD], "conversation_b": [ASKED, BAD],
        "turn": 1, "anony": True, "language": "English", "tstamp": 1.5,
    }  # fmt: skip
    reading = read(write(row, {**row, "winner": "model_b"}))
    relations = [group.relations[0] for group in reading.groups]
    assert relations == [
        Relation(0, 1, tie=True, annotator="arena_user_973"),
        Relation(1, 0, annotator="arena_user_973"),
    ]
    assert "annotator in `judge`; verdicts in `winner`; kept as metadata: 'question_id'" in (
        reading.layout
    )


def test_an_annotator_may_be_mapped_and_stands_beside_other_judgements(write):
    row = {**PAIR, "who": "w7", "strength": 0.7}
    (group,) = read(write(row), mapping={"annotator": "who"}).groups
    assert group.relations == (Relation(0, 1, strength=0.7, annotator="w7"),)
    assert not group.shown


BROKEN = [
    ({"verdict": "c"}, "unknown verdict", "'c'"),
    ({"verdict": 3}, "unknown verdict", "a number: 3"),
    ({"verdict": 1}, "unknown verdict", "a number: 1"),
    ({"verdict": True}, "unknown verdict", "true or false"),
    ({"verdict": ["a"]}, "unknown verdict", "a list"),
    ({"verdict": 1.5}, "unknown verdict", "1.5"),
    ({"verdict": "x" * 5_000}, "unknown verdict", "xxx"),
    ({"verdict": None}, "missing verdict", "'verdict'"),
    ({"verdict": " "}, "missing verdict", "'verdict'"),
    ({"annotator": ["w"]}, "annotator is no name", "a list"),
    ({"response_a": True}, "response_a is not text", "true or false"),
    ({"response_b": None}, "missing response_b", "null"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason", "detail"), BROKEN)
def test_a_broken_comparison_is_a_broken_row(write, change, reason, detail):
    row = {**ROW, "annotator": "w"}
    path = write(row, {**row, **change}, row)
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.code == "PT104"
    (exclusion,) = read(path, bad_rows="skip").intake.exclusions
    assert (exclusion.source, exclusion.reason) == (f"{path}:2", reason)
    assert detail in exclusion.detail


def test_equal_and_empty_responses_have_nothing_to_teach(write):
    path = write(*[ROW] * 40, {**ROW, "response_b": "A colour."}, {**ROW, "response_a": " "})
    intake = read(path).intake
    assert intake.by_reason == {"identical responses": 1, "empty response_a": 1}
    talks = {"conversation_a": [ASKED, GOOD], "conversation_b": [ASKED, BAD], "winner": "tie"}
    path = write(*[talks] * 40, {**talks, "conversation_b": [ASKED, GOOD]})
    (exclusion,) = read(path).intake.exclusions
    assert exclusion.detail == "response_a and response_b are the same conversation"


def test_what_is_missing_is_named_with_a_mapping_ready_to_paste(write):
    bare = {"topic": "Red", "a1": "A colour.", "a2": "No.", "label": "a1", "annotator": "w"}
    path = write(bare)
    with pytest.raises(DataError, match="with a verdict, and a prompt is missing") as caught:
        read(path)
    assert caught.value.fix.endswith("--map prompt=topic")
    (group,) = read(path, mapping={"prompt": "topic"}).groups
    assert group.relations == (Relation(0, 1, annotator="w"),)

    path = write({**ROW, "winner": "b"})
    with pytest.raises(DataError, match="may be any of `verdict`, `winner`") as caught:
        read(path)
    ready = "response_a=response_a,response_b=response_b,verdict=verdict"
    assert caught.value.fix.endswith(f"--map {ready}")
    (group,) = read(path, mapping={"verdict": "winner"}).groups
    assert group.relations == (Relation(1, 0),)

    path = write({"prompt": "q", "output_1": "x", "output_2": "y", "better": "A"})
    with pytest.raises(DataError, match="side by side, and a verdict is missing") as caught:
        read(path)
    assert caught.value.fix.endswith("--map response_a=output_1,response_b=output_2,verdict=COLUMN")
    assert read(path, mapping={"verdict": "better"}).groups[0].relations == (Relation(0, 1),)
    with pytest.raises(ConfigError, match="leaves no whole layout"):
        read(path, mapping={"response_a": "output_1"})


def test_pairs_go_before_comparisons_unless_these_are_mapped(write):
    row = {**PAIR, "output_1": "x", "output_2": "y", "winner": "b"}
    path = write(row)
    assert not read(path).groups[0].shown
    (group,) = read(path, mapping={"verdict": "winner"}).groups
    assert group.shown
    assert group.relations == (Relation(1, 0),)


def test_crowd_judgements_of_instructions(shared):
    reading = read(str(shared / "data/pandalm/testset-v1.json"), bad_rows="skip")
    assert reading.intake.by_reason["response_a is not text"] > 0
    assert all(len(group.relations) == 3 for group in reading.groups)
    assert "verdicts in `annotator1`, `annotator2` and `annotator3`" in reading.layout
    assert reading.notes[0].endswith(
        "judgements are ties: only objectives made for ties learn from them."
    )
