import os
import subprocess
import sys

import datasets
import pytest

from preftune.errors import ConfigError
from preftune.sources import read
from tests.sources.files_written import PAIR, turn

ROWS = [{**PAIR, "chosen": f"A colour {number}.", "score": number} for number in range(5)]


@pytest.fixture
def saved(tmp_path):
    """A folder as `save_to_disk` writes it, with two splits."""
    splits = {"train": datasets.Dataset.from_list(ROWS)}
    splits["held_out"] = datasets.Dataset.from_list(ROWS[:2])
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    return str(tmp_path / "saved")


def test_a_saved_folder_is_read_from_train_or_from_the_split_named(saved):
    reading = read(saved)
    assert [group.responses[0].turns[0].content for group in reading.groups] == [
        row["chosen"] for row in ROWS
    ]
    assert reading.groups[4].source == f"{saved}/train:5"
    assert reading.groups[4].metadata == {"score": 4}
    assert "split `train`" in reading.layout
    assert read(saved, split="held_out").intake.used == 2


def test_the_fingerprint_is_of_the_rows(saved, tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "again")
    datasets.Dataset.from_list(ROWS[::-1]).save_to_disk(tmp_path / "reversed")
    prints = [
        read(str(path)).fingerprint for path in (saved, tmp_path / "again", tmp_path / "reversed")
    ]
    assert prints[0] == prints[1] != prints[2]


def test_an_unknown_split_is_named_with_the_closest(saved):
    with pytest.raises(ConfigError, match="--split held_out") as caught:
        read(saved, split="heldout")
    assert caught.value.code == "PT301"


def test_several_splits_without_train_have_to_be_chosen_from(tmp_path):
    one = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"a": one, "b": one}).save_to_disk(tmp_path / "saved")
    with pytest.raises(ConfigError, match="several splits: a, b") as caught:
        read(str(tmp_path / "saved"))
    assert caught.value.code == "PT302"


def test_messages_of_a_data_set_are_read_as_messages(tmp_path):
    sides = {
        word: [turn("user", PAIR["prompt"]), turn("assistant", PAIR[word])]
        for word in ("chosen", "rejected")
    }
    datasets.Dataset.from_list([sides]).save_to_disk(tmp_path / "saved")
    assert read(str(tmp_path / "saved")).groups[0].prompt[0].content == PAIR["prompt"]


def test_a_folder_of_parquet_shards_as_the_hub_has_them(tmp_path):
    (tmp_path / "data").mkdir()
    for split, rows in (("train", ROWS), ("test", ROWS[:1])):
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        datasets.Dataset.from_list(rows).to_parquet(path)
    assert read(str(tmp_path)).intake.used == 5
    assert read(str(tmp_path), split="test").intake.used == 1


ASK = """
from preftune.errors import DataError
from preftune.sources import read
try:
    read("no-such-owner/no-such-pairs")
except DataError as error:
    print(error.code, error.where, error.fix)
"""


def test_a_hub_name_that_can_not_be_loaded_is_one_error():
    """Offline by the hub library's own switch, which is read when it is imported."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    told = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("PT100 no-such-owner/no-such-pairs check the path or the name")
