import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.records import Message
from preftune.sources.rows import RowError
from preftune.sources.transcripts import is_transcript, parse_transcript
from preftune.sources.turns import checked_answer, checked_prompt, split_shared, turns_of


def says(*turns: str):
    """`u:hi` is a user's turn; s, u, a, t are the roles."""
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return tuple(Message(roles[text[0]], text[2:]) for text in turns)


def test_answers_that_begin_alike_are_whole():
    shared, chosen, rejected = split_shared(
        says("u:Sky?", "a:It is blue"), says("u:Sky?", "a:It is black")
    )
    assert shared == says("u:Sky?")
    assert (chosen, rejected) == (says("a:It is blue"), says("a:It is black"))


def test_conversations_that_go_on_differently_keep_their_later_turns():
    one = says("u:1", "a:2", "u:3", "a:good", "u:5", "a:6")
    other = says("u:1", "a:2", "u:3", "a:bad")
    shared, chosen, rejected = split_shared(one, other)
    assert shared == says("u:1", "a:2", "u:3")
    assert (chosen, rejected) == (one[3:], other[3:])


def test_one_conversation_at_the_start_of_the_other_gives_back_its_last_answer():
    long = says("u:1", "a:2", "u:3", "a:4")
    assert split_shared(long, long[:2]) == (long[:1], long[1:], long[1:2])


def test_a_tools_other_output_belongs_to_the_response():
    one, other = (says("u:1", "a:call", f"t:{out}", "a:end") for out in "xy")
    assert split_shared(one, other)[0] == says("u:1")


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (says("u:1", "a:2"), says("u:1", "a:2"), "identical responses"),
        (says("u:1", "a:2"), says("u:x", "a:2"), "prompts differ"),
        (says("s:1", "u:2", "a:3"), says("u:2", "a:3"), "prompts differ"),
        (says("u:1", "a:2", "u:3", "a:4"), says("u:1", "a:2", "u:x", "a:4"), "prompts differ"),
    ],
)
def test_conversations_that_make_no_pair(one, other, reason):
    with pytest.raises(RowError) as caught:
        split_shared(one, other)
    assert caught.value.reason == reason


turns = st.lists(
    st.builds(Message, st.sampled_from(["user", "assistant"]), st.sampled_from("ab")),
    min_size=1,
    max_size=6,
).map(tuple)


@given(turns, turns)
def test_what_is_split_joins_to_what_it_was(one, other):
    try:
        shared, first, second = split_shared(one, other)
    except RowError:
        return
    assert shared + first == one
    assert shared + second == other


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", "messages is not messages"),
        (7, "messages is not messages"),
        ([], "empty messages"),
        (["hi"], "messages is not messages"),
        ([{"role": "user"}], "messages is not messages"),
        ([{"role": "narrator", "content": "x"}], "unknown role"),
        ([{"role": None, "content": "x"}], "unknown role"),
        ([{"role": "user", "content": None}], "message is not text"),
        ([{"role": "user", "content": [{"type": "text"}]}], "message is not text"),
        ([{"role": "assistant", "content": "", "tool_calls": [{}]}], "tool calls outside the text"),
    ],
)
def test_what_is_no_conversation(value, reason):
    with pytest.raises(RowError) as caught:
        turns_of(value, "messages")
    assert caught.value.reason == reason


def test_all_spellings_of_roles_and_shapes():
    shapes = [
        [{"from": "human", "value": "1"}, {"from": "gpt", "value": "2"}],
        [{"role": "user", "content": "1", "name": "x"}, {"role": "Assistant", "content": "2"}],
        {"role": ["user", "assistant"], "content": ["1", "2"]},
    ]
    assert {turns_of(shape, "messages") for shape in shapes} == {says("u:1", "a:2")}
    assert turns_of({"from": "observation", "value": "3"}, "x") == says("t:3")


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (says("s:1"), "no user turn before the answer"),
        ((), "no user turn before the answer"),
        (says("u:1", "a:2"), "prompt ends with an assistant turn"),
        (says("u:1", "s:2", "u:3"), "system turn after the first"),
        (says("t:1", "u:2"), "tool turn without a call"),
        (says("u: \n"), "empty prompt"),
    ],
)
def test_what_is_no_prompt(prompt, reason):
    with pytest.raises(RowError) as caught:
        checked_prompt(prompt)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((), "empty chosen"),
        (says("a: "), "empty chosen"),
        (says("a:1", "u:2", "a:"), "empty chosen"),
        (says("a:1", "u:2"), "chosen ends with no assistant turn"),
        (says("u:1", "a:2"), "chosen starts with no assistant turn"),
        (says("a:1", "s:2", "a:3"), "system turn after the first"),
    ],
)
def test_what_is_no_answer(answer, reason):
    with pytest.raises(RowError) as caught:
        checked_answer(answer, "chosen")
    assert caught.value.reason == reason


def test_a_transcript_keeps_every_byte_but_the_space_after_the_speaker():
    text = (
        "\n\nHuman:  two spaces \n\nAssistant: Human: no turn\n\nhere\n\n\nHuman:x\n\nAssistant: "
    )
    assert parse_transcript(text, "chosen") == says(
        "u: two spaces ", "a:Human: no turn\n\nhere\n", "u:x", "a:"
    )
    assert parse_transcript("Human: a\n\nAssistant: b", "chosen") == says("u:a", "a:b")


def test_what_is_no_transcript():
    assert not is_transcript("Humans: hello")
    assert not is_transcript("\n\nAssistant: hello")
    with pytest.raises(RowError) as caught:
        parse_transcript("Title\n\nHuman: a\n\nAssistant: b", "chosen")
    assert caught.value.reason == "chosen is no transcript"
