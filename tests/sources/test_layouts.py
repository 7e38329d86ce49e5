import pytest

from preftune.errors import ConfigError, DataError
from preftune.records import Message, Relation
from preftune.sources import read
from tests.sources.files_written import PAIR, jsonl, turn

ASKED = turn("user", "What is red?")
GOOD, BAD = turn("assistant", "A colour."), turn("assistant", "No.")


@pytest.fixture
def write(tmp_path):
    return lambda *rows: jsonl(tmp_path / "d.jsonl", rows)


PLAIN = [
    (PAIR, "text", "explicit prompt: text in `prompt`; text in"),
    ({"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]}, "chat", "messages in `prompt`"),
    ({"prompt": [ASKED], "chosen": "A colour.", "rejected": "No."}, "chat", "messages in `prompt`"),
    (
        {"prompt": [ASKED], "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
        "chat",
        "without the turns that repeat the prompt",
    ),
    (
        {**PAIR, "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
        "chat",
        "without the turns that repeat the prompt",
    ),
    ({**PAIR, "chosen": [GOOD], "rejected": [BAD]}, "chat", "text in `prompt`; messages in"),
    (
        {**PAIR, "chosen": "What is red?A colour.", "rejected": "What is red?No."},
        "text",
        "repeat it",
    ),
    ({"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, "chat", "implicit prompt: messages"),
    (
        {
            "chosen": "\n\nHuman: What is red?\n\nAssistant: A colour.",
            "rejected": "\n\nHuman: What is red?\n\nAssistant: No.",
        },
        "chat",
        "implicit prompt: transcripts in `chosen` and `rejected`, split by turns",
    ),
    (
        {
            "conversations": [{"from": "human", "value": "What is red?"}],
            "chosen": {"from": "gpt", "value": "A colour."},
            "rejected": [{"from": "gpt", "value": "No."}],
        },
        "chat",
        "ShareGPT: messages in `conversations`",
    ),
    (
        {"instruction": "What is red?", "input": "", "chosen": "A colour.", "rejected": "No."},
        "chat",
        "instructions: prompt in `instruction` and `input`",
    ),
]


@pytest.mark.parametrize(("row", "form", "sentence"), PLAIN)
def test_every_layout_of_a_pair_gives_the_same_group(write, row, form, sentence):
    reading = read(write(row))
    (group,) = reading.groups
    assert group.prompt == (Message("user", "What is red?"),)
    assert [response.turns for response in group.responses] == [
        (Message("assistant", "A colour."),),
        (Message("assistant", "No."),),
    ]
    assert group.relations == (Relation(0, 1),)
    assert group.form == form
    assert sentence in reading.layout


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"prompt": "What is red?", "completion": "A colour."}, "text"),
        ({"prompt": [ASKED], "completion": [GOOD]}, "chat"),
        ({"messages": [ASKED, GOOD]}, "chat"),
        ({"conversations": [{"from": "human", "value": "What is red?"}, GOOD]}, "chat"),
        ({"instruction": "What is red?", "input": "", "output": "A colour."}, "chat"),
        ({"instruction": "What is red?", "output": "A colour."}, "chat"),
        ({"prompt": "unused", "messages": [ASKED, GOOD]}, "chat"),
    ],
)
def test_every_layout_of_a_response_gives_the_same_group(write, row, form):
    (group,) = read(write(row)).groups
    assert group.prompt == (Message("user", "What is red?"),)
    assert [response.turns for response in group.responses] == [
        (Message("assistant", "A colour."),)
    ]
    assert group.relations == ()
    assert group.form == form


def test_every_assistant_turn_of_a_conversation_is_the_response(write):
    turns = [turn("system", "s"), ASKED, GOOD, turn("user", "more"), turn("assistant", "end")]
    (group,) = read(write({"messages": turns})).groups
    assert [message.role for message in group.prompt] == ["system", "user"]
    assert [message.content for message in group.responses[0].turns] == ["A colour.", "more", "end"]


def test_instruction_and_input_are_joined_and_the_system_comes_first(write):
    row = {"instruction": "Mend.", "input": "teh", "output": "the", "system": "Be brief."}
    (group,) = read(write(row)).groups
    assert group.prompt == (Message("system", "Be brief."), Message("user", "Mend.\n\nteh"))


def test_a_system_column_makes_a_chat_of_plain_text(write):
    groups = read(write({**PAIR, "system": "Be brief."}, {**PAIR, "system": None})).groups
    assert [group.form for group in groups] == ["chat", "chat"]
    assert [len(group.prompt) for group in groups] == [2, 1]


def test_other_columns_are_kept_and_announced(write):
    reading = read(write({**PAIR, "score": 1.5}, {**PAIR, "tags": ["x"]}))
    assert reading.layout.endswith("; kept as metadata: 'score', 'tags'")
    assert [dict(group.metadata) for group in reading.groups] == [{"score": 1.5}, {"tags": ["x"]}]


def test_the_layout_is_that_of_most_rows_and_not_of_the_first(write):
    rows = [{"note": "no pair here"}, {**PAIR, "chosen": [GOOD]}, PAIR, PAIR]
    reading = read(write(*rows), bad_rows="skip")
    assert "text in `chosen`" in reading.layout
    assert reading.intake.by_reason == {"missing prompt": 1, "chosen is not text": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": ""}, "empty chosen"),
        ({"rejected": " \n\t"}, "empty rejected"),
        ({"prompt": " "}, "empty prompt"),
        ({"chosen": 7}, "chosen is not text"),
        ({"chosen": True}, "chosen is not text"),
        ({"prompt": {"a": "b"}}, "prompt is not text"),
        ({"rejected": None}, "missing rejected"),
        ({"rejected": "A colour."}, "identical responses"),
    ],
)
def test_a_broken_row_is_refused_or_left_out_and_counted(write, change, reason):
    path = write(PAIR, {**PAIR, **change}, PAIR)
    with pytest.raises(DataError, match="--bad-rows skip") as caught:
        read(path)
    assert caught.value.code == "PT104"
    assert f"d.jsonl:2: {reason}" in caught.value.problem
    assert f"3 rows: 2 used, 1 excluded (1 {reason})" in caught.value.problem
    intake = read(path, bad_rows="skip").intake
    assert intake.by_reason == {reason: 1}
    assert intake.exclusions[0].source.endswith("d.jsonl:2")


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (
            [turn("user", "Other?"), GOOD],
            [turn("user", "Other?"), BAD],
            "prompt differs from the messages",
        ),
        ([ASKED, GOOD], [turn("user", "Other?"), BAD], "prompts differ"),
        ([ASKED, GOOD], [ASKED, GOOD], "identical responses"),
        ([ASKED], [ASKED, BAD], "chosen ends with no assistant turn"),
        ([ASKED, GOOD, ASKED], [ASKED, BAD], "chosen ends with no assistant turn"),
        ([ASKED, GOOD], [BAD], "prompts differ"),
    ],
)
def test_messages_that_make_no_pair_with_the_prompt(write, chosen, rejected, reason):
    fine = {**PAIR, "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}
    path = write(fine, {**PAIR, "chosen": chosen, "rejected": rejected}, fine)
    (exclusion,) = read(path, bad_rows="skip").intake.exclusions
    assert exclusion.source.endswith(":2")
    assert exclusion.reason == reason


def test_a_mapping_names_the_columns(write):
    path = write({"question": "What is red?", "good": "A colour.", "bad": "No.", "id": 1})
    mapping = {"prompt": "question", "chosen": "good", "rejected": "bad"}
    (group,) = read(path, mapping=mapping).groups
    assert group.prompt[0].content == "What is red?"
    assert group.responses[1].turns[0].content == "No."
    assert group.metadata == {"id": 1}


def test_a_mapping_completes_columns_that_already_have_their_names(write):
    path = write({"prompt": "What is red?", "chosen": "A colour.", "other": "No.", "rejected": 0})
    assert read(path, mapping={"rejected": "other"}).groups[0].metadata == {"rejected": 0}


def test_a_mapping_picks_one_of_two_layouts(write):
    path = write({"messages": [ASKED, GOOD], "instruction": "Add.", "output": "2"})
    assert read(path).groups[0].prompt[0].content == "What is red?"
    chosen = read(path, mapping={"instruction": "instruction"}).groups[0]
    assert chosen.prompt[0].content == "Add."


@pytest.mark.parametrize(
    ("mapping", "code", "said"),
    [
        ({"choosen": "good"}, "PT300", "did you mean `chosen`"),
        ({"chosen": "goood"}, "PT301", "did you mean `good`"),
        ({"chosen": "good", "rejected": "good"}, "PT301", "a column of its own"),
        ({"chosen": "good"}, "PT302", "add what is missing"),
        (
            {"chosen": "good", "rejected": "bad", "prompt": "question", "output": "id"},
            "PT301",
            "leave `output` out",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_says_how_it_would(write, mapping, code, said):
    path = write({"question": "q", "good": "g", "bad": "b", "id": "x"})
    with pytest.raises(ConfigError) as caught:
        read(path, mapping=mapping)
    assert caught.value.code == code
    assert said in caught.value.fix


PAIR_COLUMNS = [
    (("question", "good", "bad"), "chosen=good,rejected=bad,prompt=question"),
    (("query", "winner", "loser"), "chosen=winner,rejected=loser,prompt=query"),
    (("context", "better", "worse"), "chosen=better,rejected=worse,prompt=context"),
    (("question", "preferred", "dispreferred"),
     "chosen=preferred,rejected=dispreferred,prompt=question"),
    (("user", "accepted", "declined"), "chosen=accepted,rejected=declined,prompt=user"),
    (("id", "prompt", "response_chosen", "response_rejected"),
     "chosen=response_chosen,rejected=response_rejected,prompt=prompt"),
    (("prompt", "chosenResponse", "rejectedResponse"),
     "chosen=chosenResponse,rejected=rejectedResponse,prompt=prompt"),
    (("promt", "choosen", "rejeted"), "chosen=choosen,rejected=rejeted,prompt=promt"),
    (("Prompt", "Chosen", "Rejected"), "chosen=Chosen,rejected=Rejected,prompt=Prompt"),
    (("x", "y_w", "y_l"), "chosen=y_w,rejected=y_l,prompt=x"),
    (("best answer", "worst answer"), "chosen=best answer,rejected=worst answer,prompt=COLUMN"),
    (("question", "response"), "prompt=question,completion=response"),
    (("dialogue", "id"), "messages=dialogue"),
    (("id", "stuff"), "chosen=COLUMN,rejected=COLUMN,prompt=COLUMN"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "ready"), PAIR_COLUMNS)
def test_unknown_columns_get_a_mapping_ready_to_paste(write, columns, ready):
    path = write({column: f"text of {column}" for column in columns})
    with pytest.raises(DataError) as caught:
        read(path)
    error = caught.value
    assert error.code == "PT103"
    assert all(f"'{column}'" in error.problem for column in columns)
    assert "prompt, chosen and rejected" in error.why
    assert error.fix.endswith(f"--map {ready}")
    if "COLUMN" not in ready and "messages" not in ready:
        mapping = dict(pair.split("=") for pair in ready.split(","))
        assert read(path, mapping=mapping).intake.used == 1


def test_plain_answers_without_a_prompt_are_no_transcripts(write):
    with pytest.raises(DataError, match="plain text, not transcripts") as caught:
        read(write({"chosen": "blue", "rejected": "black"}))
    assert caught.value.code == "PT103"
