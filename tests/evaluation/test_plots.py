import json
import struct
import sys

import pytest

from preftune.evaluation import compare
from preftune.evaluation.plots import plot_comparison
from tests.evaluation.tiny import ShareOfA, prompts, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def comparison():
    return compare(
        tiny_model(0), tiny_model(1), tiny_tokenizer(), prompts(30), ShareOfA(),
        seed=0, max_new_tokens=6,
    )  # fmt: skip


def row(step, split):
    names = ("loss", "accuracy", "margin", "rewards_chosen", "rewards_rejected")
    return {"step": step, "split": split, "logps_chosen": -40.0, "logps_rejected": -50.0} | {
        name: step / 10 for name in names
    }


def size_of(png):
    content = png.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", content[16:24])


def test_one_picture_is_written_without_a_display(tmp_path, comparison):
    lines = [row(step, split) for step in range(4) for split in ("train", "held_out")]
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = plot_comparison(
        comparison, metrics, tmp_path / "plot.png", score_name="share of the letter a"
    )
    assert size_of(out) == (1440, 840)
    assert "matplotlib.pyplot" not in sys.modules
    empty = plot_comparison(comparison, tmp_path / "none.jsonl", tmp_path / "empty.png")
    assert size_of(empty) == (1440, 840)
    assert empty.read_bytes() != out.read_bytes()


def test_what_sft_does_not_measure_is_left_out(tmp_path, comparison):
    metrics = tmp_path / "metrics.jsonl"
    lines = [{"step": step, "split": "train", "loss": 3.0, "accuracy": None} for step in (1, 2)]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert size_of(plot_comparison(comparison, metrics, tmp_path / "plot.png")) == (1440, 840)
