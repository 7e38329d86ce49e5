"""Single responses labelled true or false, and everything that looks like it and is not."""

import pytest

from preftune.errors import ConfigError, DataError
from preftune.records import Message, Rating
from preftune.sources import read
from tests.sources.files_written import PAIR, jsonl, turn

ROW = {"prompt": "What is red?", "completion": "A colour."}
ASKED, GOOD = turn("user", "What is red?"), turn("assistant", "A colour.")


@pytest.fixture
def write(tmp_path):
    return lambda *rows: jsonl(tmp_path / "d.jsonl", rows)


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        {"prompt": [ASKED], "completion": [GOOD]},
        {"messages": [ASKED, GOOD]},
        {"conversations": [{"from": "human", "value": "What is red?"}, GOOD]},
        {"instruction": "What is red?", "output": "A colour."},
    ],
)
@pytest.mark.parametrize("label", [True, False])
def test_every_layout_of_a_response_may_have_a_thumb(write, row, label):
    reading = read(write({**row, "label": label}))
    (group,) = reading.groups
    assert group.prompt == (Message("user", "What is red?"),)
    (response,) = group.responses
    assert response.turns == (Message("assistant", "A colour."),)
    assert response.rating == Rating(good=label)
    assert (group.relations, group.metadata) == ((), {})
    assert "; thumbs in `label`, true for good" in reading.layout
    assert reading.notes == (f"thumbs: {int(label)} good, {int(not label)} bad.",)


def test_a_table_spells_thumbs_as_words_in_any_case(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("prompt,completion,label\nq,a,true\nq,b,FALSE\nq,c,True\nq,d,1\n")
    reading = read(str(path), bad_rows="skip")
    goods = [group.responses[0].rating.good for group in reading.groups]
    assert goods == [True, False, True]
    assert reading.intake.by_reason == {"label is not true or false": 1}


@pytest.mark.parametrize("label", [1, -1, 0, 1.0, "good", "1", "", None, [True], {"good": True}])
def test_anything_but_true_or_false_is_a_broken_row(write, label):
    fine = {**ROW, "label": True}
    path = write(fine, {**ROW, "label": label}, fine)
    with pytest.raises(DataError, match="label is not true or false") as caught:
        read(path)
    assert caught.value.code == "PT104"
    (exclusion,) = read(path, bad_rows="skip").intake.exclusions
    assert exclusion.source == f"{path}:2"
    assert "write true for good, false for bad" in exclusion.detail


@pytest.mark.parametrize("labels", [(1, -1), (1, 0), ("good", "bad"), ("-1", "1"), (None, None)])
def test_a_file_of_other_thumbs_is_refused_and_never_read_as_unlabelled(write, labels):
    path = write(*({**ROW, "label": label} for label in labels))
    with pytest.raises(DataError, match="2 label is not true or false"):
        read(path)
    assert read(path, mapping={"completion": "completion"}).groups[0].responses[0].rating is None


@pytest.mark.parametrize("labels", [("colours", "shapes"), (3, 4), ("good", "colours")])
def test_labels_that_are_no_thumbs_are_metadata(write, labels):
    reading = read(write(*({**ROW, "label": label} for label in labels)))
    assert [group.metadata for group in reading.groups] == [{"label": label} for label in labels]
    assert reading.groups[0].responses[0].rating is None
    with pytest.raises(DataError, match="label is not true or false"):
        read(write(*({**ROW, "label": label} for label in labels)), mapping={"label": "label"})


def test_a_mapping_names_the_thumbs_and_a_weight_counts(write):
    path = write({**ROW, "liked": True, "weight": 2.5})
    (group,) = read(path, mapping={"label": "liked"}).groups
    assert (group.responses[0].rating, group.weight) == (Rating(good=True), 2.5)
    with pytest.raises(ConfigError, match="`label`, which is not used beside"):
        read(write({**PAIR, "liked": True}), mapping={"label": "liked"})


def test_a_thumb_is_for_the_last_answer_with_its_tools(write):
    turns = [
        turn("system", "s"), ASKED, turn("assistant", "old"), turn("user", "more?"),
        turn("assistant", "call"), turn("tool", "42"), turn("assistant", "end"),
    ]  # fmt: skip
    (group,) = read(write({"messages": turns, "label": True})).groups
    assert [message.content for message in group.prompt] == ["s", "What is red?", "old", "more?"]
    assert [message.content for message in group.responses[0].turns] == ["call", "42", "end"]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([ASKED], "conversation ends with no answer"),
        ([GOOD], "no user turn before the answer"),
        ([ASKED, turn("assistant", " ")], "empty messages"),
    ],
)
def test_a_conversation_without_an_answer_is_excluded(write, turns, reason):
    path = write({"messages": [ASKED, GOOD], "label": True}, {"messages": turns, "label": True})
    assert read(path, bad_rows="skip").intake.by_reason == {reason: 1}
