import os
import subprocess
import sys

import numpy as np
import pytest

from preftune.errors import ResourceError
from preftune.models.cache import ReferenceCache, entry_key
from preftune.records import TokenGroup, TokenResponse


def group(prompt, ids, trained=None):
    mask = np.ones(len(ids), bool) if trained is None else np.array(trained)
    side = TokenResponse(np.array(ids, np.int32), mask)
    return TokenGroup(np.array(prompt, np.int32), (side,))


def key(*parts):
    made = group(*parts)
    return entry_key(made, made.responses[0])


def entries(count):
    draw = np.random.default_rng(0)
    return [
        (key([1], [number]), draw.normal(size=number + 1).astype(np.float32))
        for number in range(count)
    ]


def test_entries_come_back_bit_for_bit(tmp_path):
    cache = ReferenceCache(tmp_path, weights="w" * 64, precision="float32")
    stored = entries(7)
    cache.write(stored[:4])
    cache.write(stored[4:])
    again = ReferenceCache(tmp_path, weights="w" * 64, precision="float32")
    found = again.read(name for name, _ in stored)
    assert {name: values.tobytes() for name, values in stored} == {
        name: values.tobytes() for name, values in found.items()
    }


def test_a_key_depends_on_prompt_tokens_and_mask_and_on_where_one_ends():
    keys = [
        key([1, 2], [3, 4]),
        key([1], [2, 3, 4]),
        key([1, 2, 3], [4]),
        key([1, 2], [3, 5]),
        key([1, 3], [3, 4]),
        key([1, 2], [3, 4], [True, False]),
        key([1, 2], [3, 4], [False, True]),
    ]
    assert len(set(keys)) == len(keys)
    assert key([1, 2], [3, 4]) == keys[0]


@pytest.mark.parametrize("other", [{"weights": "v" * 64}, {"precision": "bfloat16"}])
def test_other_weights_or_another_precision_know_nothing(tmp_path, other):
    settings = {"weights": "w" * 64, "precision": "float32"}
    ReferenceCache(tmp_path, **settings).write(entries(2))
    strange = ReferenceCache(tmp_path, **(settings | other))
    assert strange.read(name for name, _ in entries(2)) == {}


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_shard_is_noticed_and_not_used(tmp_path, damage):
    cache = ReferenceCache(tmp_path, weights="w" * 64, precision="float32")
    stored = entries(3)
    cache.write(stored)
    (shard,) = cache.folder.iterdir()
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes({"flip": content, "cut": content[:-5], "empty": b""}[damage])
    assert cache.read(name for name, _ in stored) == {}
    assert cache.damaged == [shard]


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "reference").write_text("a file where a folder should be")
    cache = ReferenceCache(tmp_path, weights="w" * 64, precision="float32")
    with pytest.raises(ResourceError, match="PREFTUNE_CACHE") as caught:
        cache.write(entries(1))
    assert caught.value.code == "PT600"


def test_the_cache_lies_where_the_environment_says(tmp_path):
    code = "from preftune.models.cache import default_root; print(default_root())"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PREFTUNE_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == str(tmp_path)
