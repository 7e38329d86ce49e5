import pytest

from preftune.checks.rows.turns import disorder
from preftune.records import Group, Message, Response

ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def group(prompt, *responses, form="chat"):
    def turns(letters):
        return tuple(Message(ROLES[letter], letter) for letter in letters)

    return Group(turns(prompt), tuple(Response(turns(one)) for one in responses), form=form)


@pytest.mark.parametrize("prompt", ["u", "su", "uau", "suauau", "uatau", "uat", "uattau"])
@pytest.mark.parametrize("response", ["a", "aua", "ata"])
def test_templates_take_these(prompt, response):
    assert disorder(group(prompt, response)) == ""


@pytest.mark.parametrize(
    ("prompt", "response", "fault"),
    [
        ("uu", "a", "turn 2 is the user’s, after the user’s"),
        ("au", "a", "turn 1 is the assistant’s, the first"),
        ("uaau", "a", "turn 3 is the assistant’s, after the assistant’s"),
        ("usu", "a", "turn 2 is the system’s, after the user’s"),
        ("ua", "a", "the prompt ends with the assistant’s turn"),
        ("s", "a", "the prompt ends with the system’s turn"),
        ("u", "aa", "turn 3 is the assistant’s, after the assistant’s"),
        ("u", "auu", "turn 4 is the user’s, after the user’s"),
        ("u", "ua", "turn 2 is the user’s, after the user’s"),
    ],
)
def test_these_are_out_of_order(prompt, response, fault):
    assert disorder(group(prompt, "a", response)) == fault
    assert disorder(group(prompt, response, form="text")) == ""


def test_nothing_is_in_order():
    assert disorder(Group((), ())) == ""
