import re

import pytest

from preftune.errors import DataError
from preftune.records import Group, Response
from preftune.rendering.boundary import Continuation, Conversation, Split
from preftune.rendering.templates import ChatTemplate, transcript
from tests.rendering import chat_templates
from tests.rendering.groups_built import branch, pair, text_pair, turns
from tests.rendering.tokenizers_built import built

THINK = "<think>\nFour, surely.\n</think>\n\n"


def conversation(template: str, controls: tuple[str, ...] = ()) -> Conversation:
    tokenizer = built("byte-level", template, controls)
    return Conversation(ChatTemplate(tokenizer), ("<s>", "</s>", *controls))


def chatml(template: str = chat_templates.CHATML) -> Conversation:
    return conversation(template, chat_templates.CHATML_CONTROLS)


def trained(split: Split) -> list[list[str]]:
    return [[piece.text for piece in part if piece.trained] for part in split.responses]


def text(split: Split, side: int = 0) -> str:
    return split.prompt + "".join(piece.text for piece in split.responses[side])


@pytest.mark.parametrize(
    ("template", "controls", "prompt", "ending"),
    [
        (
            "CHATML",
            chat_templates.CHATML_CONTROLS,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
            "<|im_end|>",
        ),
        (
            "CHATML_WITHOUT_OPENING",
            chat_templates.CHATML_CONTROLS,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
            "<|im_end|>",
        ),
        (
            "LLAMA_3",
            chat_templates.LLAMA_3_CONTROLS,
            "<s><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            "<|eot_id|>",
        ),
        (
            "GEMMA",
            chat_templates.GEMMA_CONTROLS,
            "<s><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n",
            "<end_of_turn>",
        ),
        ("ZEPHYR", (), "<|user|>\nhi</s>\n<|assistant|>\n", "</s>"),
        (
            "MARKED",
            chat_templates.CHATML_CONTROLS,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
            "<|im_end|>",
        ),
        ("PLAIN", (), "### user:\nhi\n\n### assistant:\n", ""),
        (
            "THOUGHT_CLOSED",
            chat_templates.CHATML_CONTROLS,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
            "<|im_end|>",
        ),
        (
            "THOUGHT_OPENED",
            chat_templates.THOUGHT_OPENED_CONTROLS,
            "<s><|User|>hi<|Assistant|>",
            "</s>",
        ),
    ],
)
def test_the_answer_and_its_end_of_turn_are_trained_and_nothing_else(
    template: str, controls: tuple[str, ...], prompt: str, ending: str
) -> None:
    splitter = conversation(getattr(chat_templates, template), controls)
    split = splitter.split(pair("hi", "Good morning", "No"))
    assert split.prompt == prompt
    assert trained(split) == [["Good morning" + ending], ["No" + ending]]
    assert all(len(part) == 1 for part in split.responses)
    assert splitter.closed == bool(ending)


def test_llama_2_answers_keep_the_space_that_belongs_to_them() -> None:
    system = [("system", "be brief"), ("user", "hi")]
    split = conversation(chat_templates.LLAMA_2).split(pair(system, "Good morning", "No"))
    assert split.prompt == "<s>[INST] <<SYS>>\nbe brief\n<</SYS>>\n\nhi [/INST]"
    assert trained(split) == [[" Good morning </s>"], [" No </s>"]]


def test_the_space_after_a_header_that_answers_lend_belongs_to_the_answer() -> None:
    spaced = chat_templates.THOUGHT_OPENED.replace("'<|Assistant|>' +", "'<|Assistant|> ' +")
    splitter = conversation(spaced, chat_templates.THOUGHT_OPENED_CONTROLS)
    split = splitter.split(pair("hi", "Hello", "No"))
    assert split.prompt == "<s><|User|>hi<|Assistant|>"
    assert trained(split) == [[" Hello</s>"], [" No</s>"]]


def test_qwen_3_writes_a_thought_before_the_last_answer_and_it_is_trained() -> None:
    split = chatml(chat_templates.QWEN_3).split(pair("2+2?", THINK + "Four.", "Five."))
    assert split.prompt.endswith("<|im_start|>assistant\n")
    assert trained(split) == [
        [THINK + "Four.<|im_end|>"],
        ["<think>\n\n</think>\n\nFive.<|im_end|>"],
    ]


def test_qwen_3_drops_earlier_thoughts_and_the_row_is_still_used() -> None:
    row = branch(
        [("user", "2+2?"), ("assistant", THINK + "Four."), ("user", "3+3?")],
        [("assistant", THINK + "Six."), ("user", "Sure?"), ("assistant", THINK + "Yes.")],
    )
    split = chatml(chat_templates.QWEN_3).split(row)
    assert split.prompt.count("<think>") == 0
    assert trained(split) == [["Six.<|im_end|>", THINK + "Yes.<|im_end|>"]]
    [context] = [piece.text for piece in split.responses[0] if not piece.trained]
    assert context == "\n<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n"


def test_qwen_3_keeps_thoughts_between_tool_turns() -> None:
    row = branch(
        [("user", "2+2?")],
        [("assistant", THINK + "call"), ("tool", "4"), ("assistant", "Four.")],
    )
    split = chatml(chat_templates.QWEN_3).split(row)
    answers = [THINK + "call<|im_end|>", "<think>\n\n</think>\n\nFour.<|im_end|>"]
    assert trained(split) == [answers]


def test_a_thought_left_open_by_the_prompt_is_kept_where_every_answer_goes_on_with_it() -> None:
    keeps = chat_templates.THOUGHT_OPENED.replace(".split('</think>')[-1]", "")
    splitter = conversation(keeps, chat_templates.THOUGHT_OPENED_CONTROLS)
    split = splitter.split(pair("2+2?", THINK + "Four.", THINK + "Five."))
    assert split.prompt.endswith("<|Assistant|><think>\n")
    assert trained(split)[0] == ["Four, surely.\n</think>\n\nFour.</s>"]
    mixed = splitter.split(pair("2+2?", THINK + "Four.", "Five."))
    assert mixed.prompt.endswith("<|Assistant|>")
    assert trained(mixed) == [[THINK + "Four.</s>"], ["Five.</s>"]]


@pytest.mark.parametrize("template", ["CHATML", "CHATML_WITHOUT_OPENING", "MARKED", "QWEN_3"])
def test_later_user_and_tool_turns_are_context(template: str) -> None:
    row = branch(
        [("user", "hi")],
        [
            ("assistant", "Hello"),
            ("tool", "4"),
            ("user", "and"),
            ("assistant", "Bye"),
            ("user", "never answered"),
        ],
    )
    split = chatml(getattr(chat_templates, template)).split(row)
    first, last = trained(split)[0]
    assert first == "Hello<|im_end|>"
    assert last.removeprefix("<think>\n\n</think>\n\n") == "Bye<|im_end|>"
    assert "never answered" not in text(split)
    assert "user\nand<|im_end|>" in "".join(p.text for p in split.responses[0] if not p.trained)


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("PHI", ["Hello<|end|>", "Bye<|end|>"]),
        ("GLM", ["Hello", "Bye"]),
        (
            "HARMONY",
            ["<|channel|>final<|message|>Hello<|end|>", "<|channel|>final<|message|>Bye<|return|>"],
        ),
    ],
)
def test_each_answer_has_the_end_of_turn_that_belongs_to_its_place(
    name: str, answers: list[str]
) -> None:
    controls = getattr(chat_templates, f"{name}_CONTROLS")
    splitter = conversation(getattr(chat_templates, name), controls)
    row = branch([("user", "hi")], [("assistant", "Hello"), ("user", "a"), ("assistant", "Bye")])
    assert trained(splitter.split(row)) == [answers]
    assert trained(splitter.split(pair("hi", "Hello", "Bye"))) == [
        [answers[0].replace("<|end|>", splitter.ending)],
        [answers[1]],
    ]


def test_a_header_that_every_role_shares_does_not_end_an_answer() -> None:
    same = chat_templates.CHATML.replace("+ '<|im_end|>' + '\n' ", "")
    row = branch([("user", "hi")], [("assistant", "Hello"), ("user", "a"), ("assistant", "Bye")])
    assert trained(chatml(same).split(row)) == [["Hello", "Bye"]]


def test_a_prompt_that_the_template_closes_is_opened_again_for_context() -> None:
    splitter = conversation(chat_templates.PHI, chat_templates.PHI_CONTROLS)
    row = branch([("user", "2+2?"), ("assistant", "call")], [("tool", "4"), ("assistant", "Four")])
    split = splitter.split(row)
    assert split.prompt == "<|user|>2+2?<|end|><|assistant|>call<|end|>"
    assert trained(split) == [["Four<|end|>"]]


def test_trained_text_is_what_the_template_itself_marks_as_generated() -> None:
    template = chat_templates.MARKED
    row = branch(
        [("user", "hi")], [("assistant", "a"), ("user", "assistant a"), ("assistant", "Bye a")]
    )
    split = chatml(template).split(row)
    tokenizer = built("byte-level", template, chat_templates.CHATML_CONTROLS)
    messages = [
        {"role": turn.role, "content": turn.content}
        for turn in (*row.prompt, *row.responses[0].turns)
    ]
    marked = tokenizer.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    kept = [
        token if keep else -1
        for token, keep in zip(marked["input_ids"], marked["assistant_masks"], strict=True)
    ]
    runs = re.findall(r"[^-]+", " ".join(map(str, kept)).replace("-1", "-"))
    texts = [tokenizer.decode([int(t) for t in run.split()]) for run in runs if run.strip()]
    assert trained(split) == [texts]


@pytest.mark.parametrize("template", ["CHATML", "LLAMA_3", "LLAMA_2", "GEMMA", "ZEPHYR", "MARKED"])
def test_prompt_and_pieces_are_the_whole_rendering(template: str) -> None:
    splitter = chatml(getattr(chat_templates, template))
    asked = [("user", "hi"), ("assistant", "Hello"), ("user", "2+2?")]
    row = branch(asked, [("assistant", " Four "), ("user", "Sure?"), ("assistant", "Yes")])
    split = splitter.split(row)
    whole = splitter.write([*row.prompt, *row.responses[0].turns], opening=False)
    assert whole.startswith(text(split))
    assert whole[len(text(split)) :].strip() in {"", "<|im_end|>", "<|eot_id|>", "<end_of_turn>"}


def test_the_end_of_an_answer_that_looks_like_a_header_is_found() -> None:
    """Answers are placed by rendering with a marker, not by searching their text."""
    row = branch(
        [("user", "assistant")],
        [("assistant", "user"), ("user", "user"), ("assistant", "assistant")],
    )
    assert trained(chatml().split(row)) == [["user<|im_end|>", "assistant<|im_end|>"]]


def test_text_without_a_token_of_its_own_at_the_end_is_trained_up_to_its_last_sign() -> None:
    fenced = chat_templates.PLAIN.replace("'\n\n'", "' ###END\n'")
    splitter = conversation(fenced)
    assert trained(splitter.split(pair("hi", "Hello", "No"))) == [["Hello ###END"], ["No ###END"]]
    assert not splitter.closed


def test_transcripts_are_split_before_the_space_of_the_answer() -> None:
    split = Conversation(transcript, ()).split(pair("hi", "Hello", "No"))
    assert split.prompt == "\n\nHuman: hi\n\nAssistant:"
    assert trained(split) == [[" Hello"], [" No"]]


def test_plain_text_goes_on_where_the_prompt_stops() -> None:
    split = Continuation().split(text_pair("a ne", "w friend", " "))
    assert (split.prompt, trained(split)) == ("a ne", [["w friend"], []])


def test_a_row_without_prompt_starts_with_the_header_of_the_answer() -> None:
    row = branch([], [("assistant", "Hello"), ("user", "hi"), ("assistant", "Bye")])
    split = chatml().split(row)
    assert split.prompt == "<|im_start|>assistant\n"
    assert trained(split) == [["Hello<|im_end|>", "Bye<|im_end|>"]]


def test_a_response_that_does_not_start_with_an_answer_starts_with_context() -> None:
    row = branch([("user", "2+2?"), ("assistant", "call")], [("tool", "4"), ("assistant", "Four")])
    split = chatml().split(row)
    assert [piece.trained for piece in split.responses[0]] == [False, True]
    assert trained(split) == [["Four<|im_end|>"]]


def test_a_prompt_without_responses_is_ready_for_generation() -> None:
    split = chatml().split(Group(turns(("user", "hi")), (), source="p:1"))
    assert split.prompt.endswith("<|im_start|>assistant\n")
    assert split.responses == ()


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_answer_has_nothing_to_train(blank: str) -> None:
    split = chatml().split(pair("hi", "Hello", blank))
    assert split.responses[1] == ()
    assert chatml().split(Group(turns(("user", "hi")), (Response(()),))).responses == ((),)


@pytest.mark.parametrize(
    ("template", "asked", "said"),
    [
        ("LLAMA_2", [("user", "hi"), ("user", "hi again")], "roles must alternate"),
        ("GEMMA", [("system", "be brief"), ("user", "hi")], "System role not supported"),
    ],
)
def test_a_template_that_refuses_a_row_is_quoted_with_the_row(
    template: str, asked: list[tuple[str, str]], said: str
) -> None:
    splitter = conversation(getattr(chat_templates, template))
    with pytest.raises(DataError, match=said) as caught:
        splitter.split(pair(asked, "Hello", "No", source="chat.jsonl:7"))
    assert (caught.value.code, caught.value.where) == ("PT201", "chat.jsonl:7")


def test_a_template_that_refuses_everything_is_refused_before_any_row() -> None:
    with pytest.raises(DataError, match="a question with its answer: never") as caught:
        conversation("{{ raise_exception('never') }}")
    assert caught.value.code == "PT201"


def test_a_template_that_hides_answers_is_refused() -> None:
    with pytest.raises(DataError, match="does not write the text of an answer") as caught:
        conversation("{{ messages[0]['content'] }}")
    assert caught.value.code == "PT200"


def test_a_boundary_that_depends_on_the_answer_is_an_error_with_the_row() -> None:
    counted = (
        "{{ messages | map(attribute='content') | join | length }} tokens: "
        "{% for message in messages %}{{ message['content'] + ';' }}{% endfor %}"
    )
    with pytest.raises(DataError, match="changes with the answer") as caught:
        conversation(counted).split(pair("hi", "Hello", "No", source="chat.jsonl:9"))
    assert (caught.value.code, caught.value.where) == ("PT200", "chat.jsonl:9")
