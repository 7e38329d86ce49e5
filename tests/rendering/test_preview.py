import io
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from preftune.records import Group, Rating, Relation
from preftune.rendering import Renderer, preview
from preftune.rendering.preview import Preview, as_text, inert, show
from preftune.rendering.truncation import POLICIES, Policy
from tests.rendering import chat_templates
from tests.rendering.groups_built import branch, intake, pair, text_pair
from tests.rendering.tokenizers_built import built

ROWS = [
    pair("good morning " * 6, "Hello there, how are you?", "No", source="p:1"),
    pair("hi", "Hello\nthere", "No", source="p:2"),
    branch([("user", "hi")], [("assistant", "a"), ("user", "b"), ("assistant", "c")], source="p:3"),
    pair("hi", "x" * 200, "y" * 200, source="p:4"),
    pair("hi", "Hello", "Hello", source="p:5"),
]


def renderer(policy: Policy = "drop", limit: int = 60) -> Renderer:
    tokenizer = built("byte-level", chat_templates.CHATML, chat_templates.CHATML_CONTROLS)
    return Renderer(tokenizer, max_tokens=limit, truncation=policy)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("limit", [30, 60, 1000])
def test_what_is_shown_and_not_cut_is_what_is_trained_on(policy: Policy, limit: int) -> None:
    used = {g.source: g for g in renderer(policy, limit).render(ROWS, intake(ROWS)).groups}
    for row in preview(renderer(policy, limit), ROWS, len(ROWS)).rows:
        assert bool(row.unused) == (row.source not in used)
        if row.unused:
            continue
        group = used[row.source]
        assert [t.id for t in row.prompt if t.kind == "prompt"] == group.prompt_ids.tolist()
        for side, response in zip(row.sides, group.responses, strict=True):
            kept = [token for token in side.tokens if token.kind != "cut"]
            assert [token.id for token in kept] == response.ids.tolist()
            assert [token.kind == "trained" for token in kept] == response.trained.tolist()


@pytest.mark.parametrize("policy", POLICIES)
def test_with_what_is_cut_the_whole_row_is_shown(policy: Policy) -> None:
    whole = list(renderer(policy, 30).untruncated(ROWS))
    for row, group in zip(preview(renderer(policy, 30), ROWS, 9).rows, whole, strict=True):
        assert [token.id for token in row.prompt] == group.prompt_ids.tolist()
        for side, response in zip(row.sides, group.responses, strict=True):
            assert [token.id for token in side.tokens] == response.ids.tolist()


def test_bos_is_shown_as_kept_when_the_prompt_is_cut() -> None:
    [row] = preview(renderer("prompt-left", 30), ROWS, 1).rows
    kinds = [token.kind for token in row.prompt]
    first, last = kinds.index("cut"), len(kinds) - 1 - kinds[::-1].index("cut")
    assert (row.prompt[0].text, first) == ("<s>", 1)
    assert set(kinds[last + 1 :]) == {"prompt"}


def test_the_plain_text_names_every_run_of_tokens() -> None:
    plain = Renderer(built("byte-level"), max_tokens=1000, truncation="drop")
    row = branch([("user", "a")], [("assistant", "b"), ("user", "c"), ("assistant", "d")])
    assert as_text(preview(plain, [row, pair("a", "b", "d\te")])) == (
        "Messages are written as a plain transcript, `Human: … Assistant: …` (the tokenizer has "
        "no chat template). One <s> first, </s> added to the end of each response.\n"
        "\n"
        "chat.jsonl:1\n"
        "  prompt  11 tokens\n"
        "    prompt  │<s>│⏎│⏎│Human│:│ a│⏎│⏎│A│ssistant│:\n"
        "  response 1  15 tokens, 4 trained\n"
        "    trained │ b\n"
        "    context │⏎│⏎│Human│:│ │c│⏎│⏎│A│ssistant│:\n"
        "    trained │ │d│</s>\n"
        "\n"
        "pairs.jsonl:1\n"
        "  prompt  11 tokens\n"
        "    prompt  │<s>│⏎│⏎│Human│:│ a│⏎│⏎│A│ssistant│:\n"
        "  chosen  2 tokens, 2 trained\n"
        "    trained │ b│</s>\n"
        "  rejected  5 tokens, 5 trained\n"
        "    trained │ │d│⇥│e│</s>\n"
    )


def test_a_row_that_is_not_used_says_why() -> None:
    rows = preview(renderer("drop", 60), ROWS, 5).rows
    assert [row.unused for row in rows[3:]] == ["over 60 tokens", "identical after rendering"]
    assert "p:5  not used: identical after rendering" in as_text(preview(renderer(), ROWS, 5))


def test_only_the_first_rows_are_shown_and_chosen_is_the_winner() -> None:
    view = preview(renderer(limit=1000), ROWS)
    assert [row.source for row in view.rows] == ["p:1", "p:2", "p:3"]
    assert [side.name for side in view.rows[0].sides] == ["chosen", "rejected"]
    assert [side.name for side in view.rows[2].sides] == ["response 1"]


NAMED = [
    ((Rating(score=9.0), Rating(score=8.5)), (Relation(1, 0),), ["rejected", "chosen"]),
    ((None, None), (Relation(0, 1, tie=True),), ["response 1", "response 2"]),
    ((Rating(good=True), Rating(good=False, score=1.0)), (), ["good", "bad"]),
    (
        (Rating(score=9.0), Rating(score=8.5)),
        (),
        ["response 1, score 9", "response 2, score 8.5"],
    ),
    (
        (Rating(score=9.0, rank=0), Rating(rank=1)),
        (),
        ["response 1, rank 0", "response 2, rank 1"],
    ),
]


@pytest.mark.parametrize(("ratings", "relations", "names"), NAMED)
def test_each_response_is_named_by_what_was_said_of_it(
    ratings: tuple[Rating | None, ...], relations: tuple[Relation, ...], names: list[str]
) -> None:
    plain = pair("hi", "Hello", "No")
    sides = zip(plain.responses, ratings, strict=True)
    responses = tuple(replace(side, rating=rating) for side, rating in sides)
    row = replace(plain, responses=responses, relations=relations)
    (view,) = preview(renderer(), [row]).rows
    assert [side.name for side in view.sides] == names
    assert not view.unused


def hostile() -> Preview:
    words = "\x1b[31mred\x1b]0;title\x07 [bold]x[/bold] \u202eabc\r\x00\u2028\x9b2J"
    group: Group = text_pair(words, words, "b", source="evil\x1b[2J.jsonl:1")
    return preview(Renderer(built("byte-level"), max_tokens=500, truncation="drop"), [group])


COMMANDS = set("\x1b\x07\r\x00\u202e\u2028\x9b")


def test_nothing_in_the_data_reaches_the_terminal_as_a_command() -> None:
    ours, colours = io.StringIO(), re.compile(r"\x1b\[[0-9;]*m")
    show(hostile(), Console(file=ours, force_terminal=True, color_system="standard", width=80))
    assert colours.search(ours.getvalue())
    shown = colours.sub("", ours.getvalue())
    assert shown == as_text(hostile())
    assert not set(shown) & COMMANDS
    joined = shown.replace("│", "")
    assert "␛[31mred␛]0;title␇ [bold]x[/bold] " in joined
    assert "abc␍␀" in joined
    assert "evil␛[2J.jsonl:1" in joined


def test_without_a_terminal_the_text_is_plain() -> None:
    ours = io.StringIO()
    show(hostile(), Console(file=ours, width=80))
    assert ours.getvalue() == as_text(hostile())


@given(st.text())
def test_inert_text_has_no_control_characters(text: str) -> None:
    shown = inert(text)
    assert inert(shown) == shown
    assert all(unicodedata.category(character)[0] != "C" for character in shown)
    assert not set(shown) & {"\n", "\u2028", "\u2029"}


JUDGED = [
    ((Relation(0, 1),), 1.0, ""),
    ((Relation(0, 1, strength=0.8, margin=3.0),), 2.0, "weight 2, strength 0.8, margin 3"),
    ((Relation(0, 1, margin=0.0, tie=True),), 1.0, "tie"),
    ((Relation(0, 1), Relation(1, 0)), 1.0, "2 judgements"),
]


@pytest.mark.parametrize(("relations", "weight", "said"), JUDGED)
def test_what_a_judgement_says_beside_who_won_is_shown(
    relations: tuple[Relation, ...], weight: float, said: str
) -> None:
    row = replace(pair("a", "b", "c"), relations=relations, weight=weight)
    view = preview(renderer(limit=1000), [row])
    assert view.rows[0].judged == said
    assert f"{row.source}{'  ' if said else ''}{said}\n" in as_text(view)
