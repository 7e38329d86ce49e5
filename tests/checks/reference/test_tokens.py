import numpy as np
import pytest

from preftune.models import load_tokenizer
from preftune.records import Group, Message, Relation, Response, Severity
from preftune.rendering import Renderer
from tests.checks.with_model import examined, found, pair, with_template
from tests.rendering.chat_templates import CHATML, CHATML_CONTROLS, LLAMA_2, LLAMA_3


def codes(examination):
    return {one.code for one in examination.findings}


@pytest.fixture
def mixed():
    """Short rows, and two whose prompt or response is long for a model that reads bytes."""
    rows = [pair(f"Question {n}?", " Yes." * (1 + n % 4), " No!", f"f:{n}") for n in range(20)]
    rows[3] = pair("x" * 100, " a", " b", "f:3")
    rows[7] = pair("short", " a" * 60, " b" * 70, "f:7")
    return rows


def test_tokens_are_counted_as_the_renderer_writes_them(tiny_model, mixed):
    renderer = Renderer(load_tokenizer(str(tiny_model)), max_tokens=256, truncation="drop")
    whole = list(renderer.untruncated(mixed))
    done = examined(tiny_model, mixed, sample=0)
    assert codes(done) == {"PC700"}
    figure = done.figures["tokens"]
    sizes = {
        "prompt": [len(group.prompt_ids) for group in whole],
        "chosen": [len(group.responses[0].ids) for group in whole],
        "rejected": [len(group.responses[1].ids) for group in whole],
    }
    for side, lengths in sizes.items():
        # The last bar also holds what lies beyond.
        inside = np.minimum(lengths, figure["edges"][-1])
        assert figure[side] == np.histogram(inside, figure["edges"])[0].tolist()
    middle = sorted(sizes["prompt"])[9]
    assert f"prompt {middle}" in found(done, "PC700").sentence
    assert f"longest {max(sizes['chosen'])}" in found(done, "PC700").sentence
    packed = sum(group.length for group in whole)
    assert done.figures["economics"]["packed"] == packed
    assert done.figures["economics"]["saved"] > 0.2


@pytest.mark.parametrize("truncation", ["drop", "prompt-left", "response"])
def test_rows_over_the_limit_are_counted_and_said_to_be_left_out_or_cut(
    tiny_model, mixed, truncation
):
    done = examined(tiny_model, mixed, sample=0, max_tokens=64, truncation=truncation)
    one = found(done, "PC701")
    assert (one.count, one.total) == (2, 20)
    assert [example.source for example in one.examples] == ["f:3", "f:7"]
    assert "101 tokens" in one.examples[0].note
    said = {"drop": "left out", "prompt-left": "prompt", "response": "ends of their responses"}
    assert said[truncation] in one.sentence
    assert one.severity is Severity.info
    assert not done.drops  # another limit may save them
    short = examined(tiny_model, mixed, sample=0, max_tokens=4, truncation=truncation)
    assert found(short, "PC701").severity is Severity.error  # no cut makes room in 4 tokens
    assert "left out" in found(short, "PC701").sentence


def test_responses_that_the_template_makes_equal_are_found(tiny_model, tmp_path):
    folder = with_template(tiny_model, tmp_path / "model", LLAMA_3)
    rows = [pair(f"q {n}", "yes", "no", f"f:{n}", "chat") for n in range(30)]
    rows[4] = pair("q", "yes", "yes  \n", "f:4", "chat")
    rows[9] = pair("q", "  ", "yes", "f:9", "chat")
    done = examined(folder, rows, sample=0)
    one = found(done, "PC702")
    assert (one.count, one.severity) == (2, Severity.error)
    assert {example.source: example.note for example in one.examples} == {
        "f:4": "identical after rendering",
        "f:9": "nothing to train",
    }
    assert done.drops == {4: "PC702", 9: "PC702"}
    fewer = [*rows[:9], *rows[10:]]
    assert found(examined(folder, fewer, sample=0), "PC702").severity is Severity.warning


def test_responses_that_only_differ_beyond_the_limit_may_be_saved_by_another_one(tiny_model):
    rows = [pair(f"q {n}", "yes", "no", f"f:{n}") for n in range(30)]
    rows[5] = pair("q", "y" * 50 + "!", "y" * 50 + "?", "f:5")
    done = examined(tiny_model, rows, sample=0, max_tokens=30, truncation="response")
    assert found(done, "PC702").examples[0].note == "identical after truncation"
    assert not done.drops


def test_rows_that_the_template_refuses_are_counted_and_the_others_are_read(tiny_model, tmp_path):
    folder = with_template(tiny_model, tmp_path / "model", LLAMA_2)
    rows = [pair(f"q {n}", "yes", "no", f"f:{n}", "chat") for n in range(10)]
    twice = (Message("user", "one"), Message("user", "two"))
    rows[2] = pair(twice, "yes", "no", "f:2", "chat")
    done = examined(folder, rows, sample=0)
    one = found(done, "PC709")
    assert (one.count, one.total, one.severity) == (1, 10, Severity.error)
    assert one.examples[0].source == "f:2"
    assert "alternate" in one.examples[0].note
    assert done.drops == {2: "PC709"}
    assert sum(done.figures["tokens"]["prompt"]) == 9


def test_what_ends_an_answer_is_told_where_it_is_no_token_of_the_template(tiny_model, tmp_path):
    chat = [pair(f"q {n}", "yes", "no", form="chat") for n in range(5)]
    text = [pair(f"q {n}", "yes", "no") for n in range(5)]
    closed = with_template(tiny_model, tmp_path / "closed", CHATML, CHATML_CONTROLS)
    assert "PC703" not in codes(examined(closed, chat, sample=0))
    assert "PC703" not in codes(examined(tiny_model, text, sample=0))  # EOS ends each
    open_ = with_template(tiny_model, tmp_path / "open", CHATML)  # its marks are plain text
    one = found(examined(open_, chat, sample=0), "PC703")
    assert one.severity is Severity.info
    assert "</s>" in one.sentence
    endless = with_template(tiny_model, tmp_path / "endless", CHATML, eos_token=None)
    assert found(examined(endless, chat, sample=0), "PC703").severity is Severity.warning


def test_any_shape_of_row_is_counted(tiny_model):
    user, empty = (Message("user", "q"),), ()
    sides = tuple(Response((Message("assistant", f"answer {n}"),)) for n in range(4))
    rows = [
        Group(user, sides, (Relation(0, 1), Relation(2, 3), Relation(0, 3))),
        Group(user, sides[:1]),
        Group(empty, sides[:2], (Relation(1, 0),), form="text"),
        Group(user, sides[:2], (Relation(0, 1, tie=True),)),
        Group(user, (Response((Message("user", "no answer"),)),)),
        Group(user, ()),
    ]
    done = examined(tiny_model, rows, sample=0)
    figure = done.figures["tokens"]
    assert sum(figure["prompt"]) == 6
    assert sum(figure["chosen"]) == sum(figure["rejected"]) == 4
    assert sum(figure["response"]) == 4
    assert found(done, "PC702").count == 1


def test_no_rows_are_no_findings(tiny_model):
    done = examined(tiny_model, [])
    assert not done.findings
    assert not done.figures
