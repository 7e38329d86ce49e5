"""The crowd that judged argument pairs, as votes and as a file; and honest crowds made of it."""

import gzip
import json
from dataclasses import replace
from functools import cache

import numpy as np

from preftune.checks.annotators.votes import Votes


@cache
def judged(folder):
    """Its judgements: topic, both texts, label, annotator."""
    with gzip.open(folder / "data/argument-crowd/arguments.jsonl.gz", "rt") as file:
        texts = {row["id"]: row["text"] for row in map(json.loads, file)}
    with gzip.open(folder / "data/argument-crowd/judgments.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    found = []
    for row in rows:
        sides = dict(zip(("a1", "a2"), map(texts.get, row["pair"].split("_")), strict=True))
        kept = {key: row[key] for key in ("topic", "label", "annotator")}
        found.append({**kept, **sides})
    return found


@cache
def votes(folder):
    """Its judgements as the check has them, the first response shown first."""
    rows = judged(folder)
    pairs = [f"{row['topic']}\n{row['a1']}\n{row['a2']}" for row in rows]
    names, annotators = np.unique([row["annotator"] for row in rows], return_inverse=True)
    lengths = np.array([[len(row["a1"]), len(row["a2"])] for row in rows])
    longer = (lengths[:, 1] > lengths[:, 0]).astype(np.int64)
    return Votes(
        names=["", *names.tolist()],
        units=np.unique(pairs, return_inverse=True)[1],
        labels=np.array([("a1", "a2", "equal").index(row["label"]) for row in rows]),
        firsts=np.zeros(len(rows), np.int64),
        longers=np.where(lengths[:, 0] == lengths[:, 1], -1, longer),
        annotators=annotators + 1,
        rows=np.arange(len(rows)),
        prompts=np.unique([row["topic"] for row in rows], return_inverse=True)[1],
    )


def honest(crowd, random):
    """The same labels on each pair, given to its annotators by lot: nobody is unlike the others."""
    labels = np.empty_like(crowd.labels)
    drawn = np.lexsort((random.random(len(labels)), crowd.units))
    labels[np.argsort(crowd.units, kind="stable")] = crowd.labels[drawn]
    return replace(crowd, labels=labels)
