"""Train the sentiment scorer that ships with preftune: about three minutes on one core.

    python scripts/demo/train_scorer.py --imdb stanfordnlp/imdb

Writes `sentiment.safetensors` and `sentiment.json` (held-out accuracy) into the judging package.
The same command gives the same files: nothing is drawn at random.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags

from imdb import HUB_ID, reviews, snippets
from preftune.judging.sentiment import SHIPPED, SentimentScorer, ngrams

LEAST_REVIEWS = 8  # an n-gram must stand in, to be considered
KEPT_NGRAMS = 62_000  # the weightiest: what fits one megabyte
L2 = 3e-6
SNIPPET_WORDS = 40  # about the 48 tokens of a response
SNIPPETS_PER_REVIEW = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--imdb", default=HUB_ID, help="hub id or a folder of *.jsonl.gz")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()

    rows = reviews("train", options.imdb)
    labelled = rows + cut(rows)
    labels = np.array([label for _, label in labelled])
    vocabulary = frequent(rows)
    print(f"{len(labelled):,} texts, {len(vocabulary):,} n-grams", flush=True)
    features = presence([text for text, _ in labelled], vocabulary)
    solution = fit(scaled(features), labels)
    heaviest = weightiest(features, solution[:-1])
    features = features[:, heaviest]
    solution = fit(scaled(features), labels)

    names = list(vocabulary)
    weights = {
        names[column]: float(weight) for column, weight in zip(heaviest, solution[:-1], strict=True)
    }
    SentimentScorer(weights, float(solution[-1])).save(options.out)
    report = held_out(SentimentScorer.load(options.out), reviews("test", options.imdb))
    report["ngrams"] = len(weights)
    report["command"] = f"python scripts/demo/train_scorer.py --imdb {options.imdb}"
    options.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def cut(rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Snippets with the label of their review: noisy, but of the length that is to be judged."""
    result = []
    for index, (text, label) in enumerate(rows):
        pieces = snippets(text, lambda sentence: len(sentence.split()), SNIPPET_WORDS, seed=index)
        result += [(piece, label) for piece in list(pieces)[:SNIPPETS_PER_REVIEW]]
    return result


def frequent(rows: list[tuple[str, int]]) -> dict[str, int]:
    """A column for each n-gram that stands in enough reviews, in alphabetical order."""
    counts: Counter[str] = Counter()
    for text, _ in rows:
        counts.update(set(ngrams(text)))
    kept = sorted(ngram for ngram, count in counts.items() if count >= LEAST_REVIEWS)
    return {ngram: column for column, ngram in enumerate(kept)}


def presence(texts: list[str], vocabulary: dict[str, int]) -> csr_matrix:
    """1 where an n-gram stands in a text, shape (text, n-gram)."""
    columns: list[int] = []
    ends = [0]
    for text in texts:
        columns += sorted({vocabulary[ngram] for ngram in ngrams(text) if ngram in vocabulary})
        ends.append(len(columns))
    ones = np.ones(len(columns), np.float32)
    shape = (len(texts), len(vocabulary))
    return csr_matrix((ones, np.array(columns, np.int32), np.array(ends)), shape=shape)


def scaled(features: csr_matrix) -> csr_matrix:
    """Each row divided by the root of its number of n-grams, as `SentimentScorer` does."""
    counts = np.maximum(1, np.diff(features.indptr))
    return (diags((counts**-0.5).astype(np.float32)) @ features).tocsr()


def fit(features: csr_matrix, labels: np.ndarray) -> np.ndarray:
    """Weights and bias of the logistic regression, shape (n-gram + 1,)."""
    signs = (2 * labels - 1).astype(np.float32)
    transposed = features.T.tocsr()

    def loss(solution: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = solution[:-1], solution[-1]
        margins = signs * (features @ weights.astype(np.float32) + bias)
        slope = -(signs / (1 + np.exp(margins))).astype(np.float32) / len(labels)
        gradient = np.append(transposed @ slope + L2 * weights, slope.sum())
        return float(np.logaddexp(0, -margins).mean() + L2 / 2 * weights @ weights), gradient

    start = np.zeros(features.shape[1] + 1)
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60}).x


def weightiest(features: csr_matrix, weights: np.ndarray) -> np.ndarray:
    """Columns that move the scores most: by weight times the root of how often they occur."""
    often = np.asarray(features.sum(0)).ravel()
    return np.sort(np.argsort(-np.abs(weights) * np.sqrt(often), kind="stable")[:KEPT_NGRAMS])


def held_out(scorer: SentimentScorer, rows: list[tuple[str, int]]) -> dict[str, object]:
    """Accuracy on reviews and snippets that the scorer never saw."""
    pieces = cut(rows)
    return {
        "test_reviews": len(rows),
        "review_accuracy": round(accuracy(scorer, rows), 4),
        "test_snippets": len(pieces),
        "snippet_accuracy": round(accuracy(scorer, pieces), 4),
    }


def accuracy(scorer: SentimentScorer, rows: list[tuple[str, int]]) -> float:
    scores = scorer.score([text for text, _ in rows])
    return float(np.mean((scores > 0.5) == [label == 1 for _, label in rows]))


if __name__ == "__main__":
    main()
