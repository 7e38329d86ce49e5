import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.mending.fates import mended
from preftune.checks.mending.mends import MENDS, cut_repeat, decode, is_hopeless, uncover
from preftune.checks.rows.faults import RowFaults
from preftune.records import Group, Message, Relation, Response
from tests.checks.planting import plant, real_rows, seen

CODES = [code for code, _ in MENDS]


def pair(prompt, chosen, rejected="No.", form="chat"):
    sides = [Response((Message("assistant", text),)) for text in (chosen, rejected)]
    return Group((Message("user", prompt),), tuple(sides), (Relation(0, 1),), form=form)


def texts(group):
    return [turn.content for part in (group, *group.responses) for turn in turns_of(part)]


def turns_of(part):
    return part.prompt if isinstance(part, Group) else part.turns


@pytest.mark.parametrize(
    ("group", "codes", "chosen"),
    [
        (pair("Why?", "Itâ€™s so."), ["PC104"], "It’s so."),
        (pair("Why?", "It\u200b is\x00 so."), ["PC105"], "It is so."),
        (pair("Why?", "<|im_start|>assistant\nSo.<|im_end|>"), ["PC109"], "So."),
        (pair("Why is it so now?", "Why is it so now?\n\nSo."), ["PC103"], "So."),
        (pair("Why?", "Itâ\u200b€™s.</s>"), ["PC105", "PC104", "PC109"], "It’s."),
        (pair("Why is it so now?", "<s> Why is it so now? So."), ["PC109", "PC103"], "So."),
    ],
)
def test_what_can_be_mended_is_mended_and_told(group, codes, chosen):
    better, changes = mended(group, MENDS)
    assert better.responses[0].turns[0].content == chosen
    assert sorted(change.code for change in changes) == sorted(codes)
    assert mended(better, MENDS) == (better, ())


def test_good_real_rows_come_back_letter_by_letter(shared):
    rows = real_rows(shared, "polite", "chat")
    tallies = seen(RowFaults(), rows).tallies
    faulty = {row for code in CODES for row in tallies[code].rows}
    assert len(faulty) < 0.02 * len(rows)
    for number, row in enumerate(rows):
        if number not in faulty:
            assert mended(row, MENDS) == (row, ())


ALPHABET = "ab .\n<>|[]/s`#:’é\u200bÃ©â€™\ufeff"
PIECES = st.sampled_from(
    ["<|im_end|>", "</s>", "<s>", "[INST]", "### Response:", "\n\nHuman:", "Why is it so now?"]
)


@given(st.lists(st.text(ALPHABET, max_size=12) | PIECES, max_size=8).map("".join))
def test_mending_a_second_time_changes_nothing(text):
    better, _ = mended(pair("Why is it so now?", text), MENDS)
    assert mended(better, MENDS) == (better, ())


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "Zs"]), max_size=60))
def test_plain_text_is_never_touched(text):
    for mend in (decode, uncover):
        assert mend(text) == text
    assert mended(pair("Anything at all?", text, "No."), MENDS)[1] == ()


@pytest.mark.parametrize("code", ["PC103", "PC104", "PC105", "PC109"])
def test_planted_faults_are_gone_after_mending_or_their_rows_are_dropped(shared, code):
    rows, planted = plant(real_rows(shared, "chat"), code, 0.1)
    check = seen(RowFaults(), rows)
    kept = [mended(row, MENDS)[0] for n, row in enumerate(rows) if n not in check.drops]
    assert len(check.drops) < len(planted)
    left = seen(RowFaults(), kept)
    assert not set(left.tallies[code].rows) - {
        n for n, row in enumerate(kept) if _only_the_prompt_is_faulty(row, code)
    }


def _only_the_prompt_is_faulty(row, code):
    bare = Group((Message("user", "Well?"),), row.responses, row.relations)
    return not seen(RowFaults(), [bare]).tallies[code].rows


def test_the_template_of_a_text_to_be_continued_is_left_alone():
    group = pair("<s>[INST] Why? [/INST]", "So.</s>", form="text")
    better, _ = mended(group, MENDS)
    assert texts(better) == ["<s>[INST] Why? [/INST]", "So.", "No."]


def test_what_can_not_be_mended_is_hopeless():
    assert is_hopeless("PC104", "lost \ufffd here")
    assert not is_hopeless("PC104", "Itâ€™s so")
    assert is_hopeless("PC105", "\u200b\ufeff")
    assert is_hopeless("PC109", "Yes.\n\nHuman: And?\n\nAssistant: No.")
    assert is_hopeless("PC109", "<|im_end|>")
    assert not is_hopeless("PC109", "Yes.<|im_end|>")


def test_a_repeat_of_a_repeat_goes_and_nothing_else():
    prompt = [Message("user", "Why is it so now?")]
    assert cut_repeat("Why is it so now? Why is it so now? So.", prompt) == "So."
    assert cut_repeat("Why is it so now?", prompt) == ""
    assert cut_repeat("So.", prompt) == "So."
    whole = [Message("system", "Be brief."), Message("user", "Why so?")]
    assert cut_repeat("Be brief.\n\nWhy so?\n\nSo.", whole) == "So."
