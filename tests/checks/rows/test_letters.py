import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.checks.rows.letters import decoded, invisible_at, made_visible, mojibake_at, visible

GOOD = [
    "It’s “très bien” — naïve café, 20 °C, £5, ½, © 2024…",
    "Привет, как дела? Всё хорошо.",
    "Größe, Übung, straße, ÄÖÜ",
    "今日はとても良い天気です。散歩に行きましょう。",
    "안녕하세요, 오늘 날씨가 좋네요.",
    "السلام عليكم ورحمة الله\u200f!",
    "می\u200cخواهم بروم",
    "क्\u200dष and क्\u200cष",
    "family 👨‍👩‍👧, flag 🏴󠁧󠁢󠁳󠁣󠁴󠁿, heart ❤️, rainbow 🏳️‍🌈",
    "ภาษา\u200bไทย",
    "Tiếng Việt có nhiều dấu: ă â đ ê ô ơ ư",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "a\tb\r\nc",
    "ÇA VA? ÀÉÎ and √2 ≈ 1.41, ±5",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_text_of_any_script_is_left_alone(text):
    assert mojibake_at(text) == invisible_at(text) == -1
    assert visible(text) == made_visible(text) == text


@pytest.mark.parametrize("charset", ["cp1252", "latin-1", "cp1251", "cp1250", "mac_roman"])
def test_utf8_read_as_something_else_is_found_and_read_again(charset):
    # A single é in Windows-1251 might be Russian: ftfy leaves it alone.
    for sign in "’“—" if charset == "cp1251" else "’é“—":
        meant = f"So it{sign}s said, isn{sign}t it?"
        text = meant.encode().decode(charset, errors="replace")
        if "\ufffd" in text:
            continue
        at = mojibake_at(text)
        assert 4 <= at <= 7, (text, at)
        assert decoded(text) == meant


def test_lost_characters_are_found_and_can_not_be_read():
    assert mojibake_at("one \ufffd two") == 4
    assert decoded("one \ufffd two") == "one \ufffd two"


@pytest.mark.parametrize(
    "sign", "\x00\x08\x0b\x0c\x1b\x7f\x85\x9f\xad\u200b\u200c\u200d\u200e\u202e\u2066\ufeff\ue000"
)
def test_invisible_characters_are_found_spelled_out_and_removed(sign):
    text = f"some{sign}thing"
    assert invisible_at(text) == 4
    assert visible(text) == "something"
    assert made_visible(text) == f"some<U+{ord(sign):04X}>thing"


def test_colours_of_a_terminal_go_with_their_letters():
    assert visible("\x1b[31mred\x1b[0m") == "red"


@given(st.text(max_size=80))
def test_removing_once_is_enough_and_what_was_not_found_is_not_changed(text):
    once = visible(text)
    assert visible(once) == once
    assert invisible_at(once) == -1
    assert (invisible_at(text) == -1) == (once == text)


def test_a_megabyte_is_looked_through_in_one_pass():
    for text in ("É" * 300_000, "a " * 10**6, "\u200d😀" * 50_000, "“é” – " * 50_000):
        assert mojibake_at(text) == -1
        assert invisible_at(text) in (-1, 0)
