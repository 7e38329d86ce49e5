"""The pairs: read and rendered by preftune once, and handed to both sides as token ids."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from preftune.records import Relation, TokenGroup, TokenResponse

SHARED = Path(__file__).parents[3] / "shared/data"
FILES = {
    "hh": SHARED / "hh-harmless/train.jsonl.gz",
    "ultrafeedback": SHARED / "ultrafeedback/scored.jsonl.gz",
}
MAX_TOKENS = {"hh": 512, "ultrafeedback": 1024}
"""Of prompt and response together; longer pairs are left out for both."""
BATCH = 8
DRAWS = 2000


@dataclass(frozen=True)
class Pair:
    """One preference as token ids."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def unique(self) -> int:
        """Tokens with the prompt once."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected)

    @property
    def apart(self) -> int:
        """Tokens with the prompt before each response."""
        return self.unique + len(self.prompt)

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def responses(self) -> int:
        return len(self.chosen) + len(self.rejected)

    @property
    def visible(self) -> float:
        """(query, key) pairs of the two causal attentions, the prompt's own once."""
        first = len(self.prompt) + len(self.chosen)
        last = len(self.rejected)
        return first * (first + 1) / 2 + last * len(self.prompt) + last * (last + 1) / 2

    def group(self) -> TokenGroup:
        sides = [np.array(side, np.int32) for side in (self.chosen, self.rejected)]
        responses = tuple(TokenResponse(ids, np.ones(len(ids), bool)) for ids in sides)
        return TokenGroup(np.array(self.prompt, np.int32), responses, (Relation(0, 1),))

    def columns(self) -> dict[str, list[int]]:
        """As TRL names them."""
        return {"prompt_ids": self.prompt, "chosen_ids": self.chosen, "rejected_ids": self.rejected}


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a pair, by how it is laid out."""

    unique: float
    apart: float
    padded: float
    padded_sorted: float
    """Where batches are made of pairs of like length."""
    responses: float


def make_tokenizer(files: Sequence[Path], words: int) -> Any:
    """A byte-level BPE of `words` tokens, learned from the texts: the same every time."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator((text for file in files for text in _texts(file)), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


def _texts(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            for value in json.loads(line).values():
                if isinstance(value, str):
                    yield value
                elif isinstance(value, list):
                    yield from (turn["content"] for turn in value if "content" in turn)


def read_pairs(file: Path, tokenizer: Any, max_tokens: int) -> list[Pair]:
    """A file's pairs whose responses are single turns, by preftune's own reader and renderer."""
    from preftune.objectives.binding import bind
    from preftune.records import Silent
    from preftune.training.prepare import prepare
    from preftune.training.runfile import resolve

    given = {"model": "none", "data.train": str(file), "objective": "dpo", "out": "none"}
    settings = resolve(None, given, ["data.held_out=0", "data.bad_rows=skip"]).settings
    prepared = prepare(settings, bind("dpo"), tokenizer, max_tokens, Silent())
    pairs: list[Pair] = []
    for group in prepared.train:
        (relation,) = group.relations
        if not all(response.trained.all() for response in group.responses):
            continue  # later turns of the user, which TRL would train, too
        sides = [group.responses[index].ids.tolist() for index in (relation.winner, relation.loser)]
        pairs.append(Pair(group.prompt_ids.tolist(), *sides))
    return pairs


def lengths_of(batches: Sequence[Sequence[Pair]]) -> Lengths:
    """What a schedule's pairs and paddings measure."""
    pairs = [pair for batch in batches for pair in batch]
    ordered = sorted(pairs, key=lambda pair: pair.longest)
    count = len(pairs)
    return Lengths(
        unique=sum(pair.unique for pair in pairs) / count,
        apart=sum(pair.apart for pair in pairs) / count,
        padded=_padded(batches) / count,
        padded_sorted=_padded(cut(ordered)) / count,
        responses=sum(pair.responses for pair in pairs) / count,
    )


def _padded(batches: Sequence[Sequence[Pair]]) -> int:
    return sum(2 * len(batch) * max(pair.longest for pair in batch) for batch in batches)


def cut(pairs: Sequence[Pair], size: int = BATCH) -> list[list[Pair]]:
    """Batches in the order given, without what is left over."""
    whole = len(pairs) // size * size
    return [list(pairs[start : start + size]) for start in range(0, whole, size)]


def whole_file(pairs: Sequence[Pair], seed: int = 0) -> Lengths:
    """The lengths of all pairs of a file, in random batches and in batches of like length."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    return lengths_of(cut([pairs[index] for index in order]))


def typical(pairs: Sequence[Pair], batches: int, seed: int = 0) -> list[list[Pair]]:
    """A few batches that stand for the whole file.

    Of many draws the one whose lengths, in every layout, are nearest to the file's. Each draw takes
    runs of eight pairs of like length, one from each stretch of the file sorted by length, and
    shuffles them: so its batches sorted by length are padded as the whole file's would be.
    """
    random = np.random.default_rng(seed)
    wanted = np.array(list(vars(whole_file(pairs)).values()))
    runs = cut(sorted(pairs, key=lambda pair: pair.longest))
    edges = np.linspace(0, len(runs), batches + 1).astype(int)
    best: list[list[Pair]] = []
    nearest = np.inf
    for _ in range(DRAWS):
        drawn = [
            pair
            for low, high in pairwise(edges)
            for pair in runs[random.integers(low, max(high, low + 1)) % len(runs)]
        ]
        schedule = cut([drawn[index] for index in random.permutation(len(drawn))])
        found = np.array(list(vars(lengths_of(schedule)).values()))
        distance = float(np.abs(found / wanted - 1).max())
        if distance < nearest:
            best, nearest = schedule, distance
    return best


def by_length(batches: Sequence[Sequence[Pair]]) -> list[list[Pair]]:
    """The same pairs in batches of like length, the longest in the middle of the order."""
    pairs = sorted((pair for batch in batches for pair in batch), key=lambda pair: pair.longest)
    ordered = cut(pairs, len(batches[0]))
    return ordered[::2] + ordered[1::2][::-1]
