import pytest

from preftune.checks.rows.marks import closing_mark, speaker_at, token_at, without_marks

TOKENS = [
    "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|assistant|>", "<|end|>",
    "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<bos>",
    "<eos>", "<s>", "</s>", "<｜end▁of▁sentence｜>",
]  # fmt: skip


@pytest.mark.parametrize("token", TOKENS)
def test_tokens_of_templates_are_found_where_they_stand_but_not_in_code(token):
    assert token_at(f"some text {token} more") == 10
    assert token_at(f"the token `{token}` ends a turn") == -1
    assert token_at(f"see:\n```\n{token}\n```\n") == -1


@pytest.mark.parametrize(
    "text",
    [
        "a <s>struck</s> word",
        "<p><s>old</s> new</p>",
        "if a < b and c > d: print('|')",
        "x = f <| y |> z",
        "[INSTALL] the thing",
        "<b>bold</b> <div>x</div>",
        "list[int], dict[str, int]",
    ],
)
def test_html_and_code_hold_no_tokens(text):
    assert token_at(text) == speaker_at(text) == -1
    assert without_marks(text) == text


def test_a_response_that_speaks_for_the_user_is_found_unless_a_dialogue_was_asked_for():
    assert speaker_at("Yes.\n\nHuman: And then?") == 4
    assert speaker_at("Yes.\n### Instruction:\nSay no") == 4
    assert speaker_at("Human: hello", prompt="Write a dialogue with Human: and AI:") == -1
    assert speaker_at("The word Human: is here") == -1
    assert speaker_at("## Response times\nfast") == -1


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("Fine.</s>", "</s>"),
        ("Fine.<|im_end|>\n", "<|im_end|>"),
        ("Fine.", ""),
        ("a <s>b</s>", ""),
        ("<|im_end|> is a token", ""),
        ("", ""),
    ],
)
def test_the_mark_that_ends_a_turn(text, mark):
    assert closing_mark(text) == mark


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("Fine.</s>", "Fine."),
        ("<s>Fine.</s>", "Fine."),
        ("<s>[INST] Hi [/INST]", "Hi"),
        ("<|im_start|>assistant\nFine.<|im_end|>\n", "Fine."),
        ("### Response:\nFine.\n<|eot_id|> </s>", "Fine."),
        ("  Fine.  ", "  Fine.  "),
        ("<|im_end|>", ""),
        ("one<|im_end|>two", "one<|im_end|>two"),
    ],
)
def test_marks_are_cut_off_the_ends_only(text, mended):
    assert without_marks(text) == mended
    assert without_marks(mended) == mended


def test_a_megabyte_of_marks_or_spaces_is_no_trap():
    assert without_marks("x" + "</s> " * 50_000) == "x"
    assert token_at(" " * 10**6 + "<") == -1
    assert speaker_at("\n" * 10**6 + "Human") == -1
