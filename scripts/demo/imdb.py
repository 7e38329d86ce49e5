"""IMDb reviews and their snippets: the text that the demo's model and scorer learn from.

Reads a local folder of `train|unsup|test.jsonl.gz` (rows `text`, `label`) or the hub dataset
`stanfordnlp/imdb`. IMDb is for research use; cite Maas et al. 2011.
"""

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

HUB_ID = "stanfordnlp/imdb"
SPLITS = {"train": "train", "unsup": "unsupervised", "test": "test"}
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def reviews(split: str, source: str) -> list[tuple[str, int]]:
    """`(text, label)` of one split; label is 1 positive, 0 negative, -1 unknown."""
    folder = Path(source)
    if folder.is_dir():
        with gzip.open(folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
    else:
        import datasets

        rows = datasets.load_dataset(source, split=SPLITS[split])
    return [(tidy(row["text"]), label_of(row.get("label"))) for row in rows]


def label_of(label: object) -> int:
    """The two sources spell labels differently: `pos`/`neg` or 1/0; anything else is unknown."""
    return {"pos": 1, "neg": 0, 1: 1, 0: 0}.get(label, -1)


def tidy(text: str) -> str:
    """One line of text: the reviews carry HTML line breaks."""
    return " ".join(re.sub(r"<[^>]{1,20}>", " ", text).split())


def snippets(text: str, count_tokens, most: int, seed: int) -> Iterator[str]:
    """Runs of whole sentences of at most `most` tokens, so that a short text has a natural end.

    The limit is drawn anew for each snippet: were it fixed, every snippet would have one length.
    """
    draw = random.Random(seed)
    current: list[str] = []
    used, limit = 0, draw.randint(most // 4, most)
    for sentence in SENTENCE_END.split(text):
        cost = count_tokens(sentence)
        if current and used + cost > limit:
            yield " ".join(current)
            current, used, limit = [], 0, draw.randint(most // 4, most)
        if cost <= most:
            current.append(sentence)
            used += cost
    if current:
        yield " ".join(current)
