from pathlib import Path

import pytest

from preftune.errors import ConfigError
from preftune.rendering.templates import ChatTemplate, TemplateRefusedError, transcript
from tests.rendering.groups_built import transcripts, turns
from tests.rendering.tokenizers_built import built


def test_every_hh_transcript_is_reproduced_verbatim(shared: Path) -> None:
    rows = transcripts(shared / "data" / "hh-harmless" / "train.jsonl.gz", 10_000)
    assert len(rows) == 1600
    for row, group in rows:
        for side, response in zip(("chosen", "rejected"), group.responses, strict=True):
            assert transcript([*group.prompt, *response.turns], opening=False) == row[side]


def test_a_transcript_has_room_for_system_and_tool_turns() -> None:
    conversation = turns(("system", "Be brief."), ("user", "2+2?"), ("tool", "4"))
    assert transcript(conversation, opening=True) == (
        "Be brief.\n\nHuman: 2+2?\n\nTool: 4\n\nAssistant:"
    )


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ('{{ strftime_now("%Y-%m-%d") }}', "2024-07-26"),
        ("{{ date_string }}", "26 Jul 2024"),
    ],
)
def test_the_date_in_a_template_is_not_today(call: str, shown: str) -> None:
    template = ChatTemplate(built("byte-level", call + "{{ messages[0].content }}"))
    text = template(turns(("user", "hi")), opening=False)
    assert text == f"{shown}hi"
    assert template.dated


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for i in range(1000000000) %}{% endfor %}",
        "{{ messages.append(1) }}",
        "{{ 1 / 0 }}",
        "{% for message in messages %}",
        "{{ messages[0].content + 1 }}",
        "{{ raise_exception('no') }}",
    ],
)
def test_what_a_template_raises_is_one_kind_of_refusal(hostile: str) -> None:
    template = ChatTemplate(built("byte-level", hostile))
    with pytest.raises(TemplateRefusedError):
        template(turns(("user", "hi")), opening=False)


def test_several_templates_without_a_default_are_refused_in_words() -> None:
    tokenizer = built("byte-level", None, ("<one>",))
    tokenizer.chat_template = {"tool_use": "a", "rag": "b"}
    with pytest.raises(ConfigError, match="none of them is the default"):
        ChatTemplate(tokenizer)
