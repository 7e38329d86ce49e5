import random
from itertools import pairwise

import numpy as np
import pytest

from preftune.checks.repeats.clusters import clusters
from preftune.checks.repeats.minhash import MOST_SHINGLES, similarity, sketch
from preftune.checks.repeats.shingles import neighbours_of, words_of
from preftune.checks.repeats.sketches import NEAR, PromptSketches
from preftune.records import Message


def jaccard(one, other):
    sets = [set(neighbours_of(words_of([text])).numbers.tolist()) for text in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def changed_pairs(length, seed=0):
    """Texts and copies of them with 0 to 40 % of their words changed."""
    draw = random.Random(seed)
    for share in np.linspace(0, 0.4, 60):
        words = [f"w{draw.randrange(3000)}" for _ in range(length)]
        copy = [f"x{draw.randrange(3000)}" if draw.random() < share else word for word in words]
        yield " ".join(words), " ".join(copy)


def sketches(texts, hashes):
    return sketch(neighbours_of(words_of(texts)), hashes)


@pytest.mark.parametrize(("length", "hashes"), [(8, 96), (60, 48), (60, 96), (1500, 96)])
def test_the_estimate_is_the_jaccard_similarity_within_its_error(length, hashes):
    pairs = list(changed_pairs(length))
    exact = np.array([jaccard(*pair) for pair in pairs])
    ones, others = (sketches([pair[side] for pair in pairs], hashes) for side in (0, 1))
    error = similarity(ones, others) - exact
    spread = np.sqrt(np.mean(exact * (1 - exact)) / hashes)
    assert abs(error.mean()) < 4 * spread / np.sqrt(len(pairs))
    assert np.sqrt(np.mean(error**2)) < 1.4 * spread
    assert np.abs(error).max() < 5 * spread


def test_of_long_texts_the_same_part_is_drawn():
    pairs = list(changed_pairs(4 * MOST_SHINGLES))[::6]
    exact = np.array([jaccard(*pair) for pair in pairs])
    ones, others = (sketches([pair[side] for pair in pairs], 96) for side in (0, 1))
    assert np.abs(similarity(ones, others) - exact).max() < 0.2


def test_texts_without_words_are_equal_and_like_nothing_else():
    found = sketches(["", "?!", "some words"], 48)
    assert similarity(found[:2], found[1:]).tolist() == [1.0, 0.0]


def test_sketches_do_not_depend_on_the_other_texts_of_the_batch():
    texts = [pair[0] for pair in changed_pairs(700)]
    together = sketches(texts, 64)
    alone = np.concatenate([sketches([text], 64) for text in texts])
    assert (together == alone).all()


def test_datasketch_finds_no_more_near_repeats_than_we_do():
    datasketch = pytest.importorskip("datasketch")
    draw = random.Random(0)
    originals = [" ".join(f"w{draw.randrange(3000)}" for _ in range(60)) for _ in range(150)]
    copies = []
    for text in originals:
        words = text.split()
        for place in draw.sample(range(len(words)), draw.randint(1, 3)):
            words[place] = "other"
        copies.append(" ".join(words))

    def hashed(text):
        minhash = datasketch.MinHash(num_perm=128)
        minhash.update_batch(f"{a} {b}".encode() for a, b in pairwise(text.split()))
        return minhash

    index = datasketch.MinHashLSH(threshold=NEAR, num_perm=128)
    for number, text in enumerate(originals):
        index.insert(number, hashed(text))
    theirs = sum(number in index.query(hashed(copy)) for number, copy in enumerate(copies))

    prompts = PromptSketches()
    for text in (*originals, *copies):
        prompts.add([Message("user", text)])
    prompts.flush()
    roots = clusters(prompts.bands(), prompts.near(prompts))
    ours = (roots[150:] == np.arange(150)).sum()
    assert ours >= 0.99 * theirs
    assert ours >= 0.95 * 150
    assert (roots[:150] == np.arange(150)).all()  # and nothing but these
