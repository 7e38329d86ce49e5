import pytest

from preftune.checks.rows.endings import Ending, ending

STORY = "There was a king who lived in a castle on a hill. He had "


@pytest.mark.parametrize(
    "text",
    [
        "That is all.",
        "Is it?",
        "She said: “No!”",
        "それは本当です。",
        "See the list:\n1. One.\n2. Two.",
        "```\nprint(1)\n```",
        "**Done**",
        "It costs 5 %",
        "Great 😊",
        "(or so it seems)",
        "यह सच है।",
    ],
)
def test_proper_ends_are_closed(text):
    assert ending(text) is Ending.closed


@pytest.mark.parametrize(
    "text",
    [
        STORY + "a",
        STORY + "three sons, and the",
        STORY + "three sons,",
        STORY + "three sons (",
        STORY + "a well-",
        "Here is how:\n```python\nfor x in y:\n    print(x)",
        "1. First this.\n2. Then that.\n3.",
        "The answers are the following:",
        'Then Tom said, "',
    ],
)
def test_what_wants_more_is_cut(text):
    assert ending(text) is Ending.cut
    assert ending(text + "\n  ") is Ending.cut


@pytest.mark.parametrize(
    "text", [STORY + "three so", "We went there by car because it was raining all day long"]
)
def test_prose_without_an_end_mark_is_open(text):
    assert ending(text) is Ending.open


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "Paris",
        "yes i do",
        "1. Carrot\n2. Broccoli\n3. Spinach",
        "- a long item about something that goes on\n- another long item which has no mark at all",
        "Animals: Lion\nPlants: Oak tree\nMinerals: Diamond ring of the lost and forgotten queen",
        "Dollar Nears Seven Month Low Against Yen Amid Current Account Deficit Concerns",
        "pip install one two three four five --upgrade && echo $HOME",
        "More here: https://example.org/some/long/page-of-mine and so on we go",
    ],
)
def test_what_needs_no_mark_is_not_judged(text):
    assert ending(text) in (Ending.unjudged, Ending.closed)


def test_a_megabyte_is_judged_by_its_end():
    assert ending("word " * 200_000 + "and the") is Ending.cut
    assert ending("a." * 500_000) is Ending.closed
