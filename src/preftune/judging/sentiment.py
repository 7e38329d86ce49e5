"""How positive a text is: logistic regression on the words, pairs and triples of words in it.

Small enough to ship and fast enough to judge thousands of texts per second. It counts words: it
knows neither irony nor what a text is about, so use it for experiments about tuning, not to judge
people's writing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preftune.errors import DataError

SHIPPED = Path(__file__).with_name("sentiment.safetensors")
LONGEST_NGRAM = 3
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[!?]")


def ngrams(text: str) -> Iterator[str]:
    """Runs of one to three words, lower case; `!` and `?` count as words.

    >>> sorted(set(ngrams("Not good!")))
    ['!', 'good', 'good !', 'not', 'not good', 'not good !']
    """
    words = _WORD.findall(text.lower())
    yield from words
    for length in range(2, LONGEST_NGRAM + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


@dataclass(frozen=True, slots=True, eq=False)
class SentimentScorer:
    """P(positive) of a text = sigmoid(bias + sum of weights of its n-grams / sqrt(their number)).

    Each known n-gram counts once however often it stands in the text. The division keeps a whole
    review and a single sentence on one scale.
    """

    weights: dict[str, float]
    bias: float

    @classmethod
    def load(cls, path: str | Path | None = None) -> "SentimentScorer":
        """Read a scorer; without a path, the one that preftune ships, trained on IMDb.

        Raises:
            DataError: the file is missing or is not a scorer.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        file = SHIPPED if path is None else Path(path)
        try:
            tensors = load(file.read_bytes())
            names = bytes(tensors["ngrams"]).decode("utf-8").split("\n")
            values = tensors["weights"].astype(np.float64).tolist()
            weights = dict(zip(names, values, strict=True))
            return cls(weights, float(tensors["bias"][0]))
        except OSError as error:
            raise DataError(
                "PT100",
                f"the scorer can't be opened: {error.strerror or error}.",
                why="responses are judged by it.",
                fix="give the path of a scorer made by scripts/demo/train_scorer.py.",
                where=str(file),
            ) from error
        except (SafetensorError, KeyError, ValueError, IndexError) as error:
            raise DataError(
                "PT101",
                "the file is not a sentiment scorer.",
                why=f"reading it failed with: {error}.",
                fix="give the path of a scorer made by scripts/demo/train_scorer.py.",
                where=str(file),
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the scorer as safetensors: the n-grams as text, their weights in half precision."""
        from safetensors.numpy import save

        text = "\n".join(self.weights).encode("utf-8")
        tensors = {
            "ngrams": np.frombuffer(text, np.uint8),
            "weights": np.array(list(self.weights.values()), np.float16),
            "bias": np.array([self.bias], np.float32),
        }
        Path(path).write_bytes(save(tensors))

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """P(positive) of each text, in (0, 1). A text without known words gets the bias alone."""
        logits = np.array([self._logit(text) for text in texts], np.float64)
        return 1 / (1 + np.exp(-logits))

    def _logit(self, text: str) -> float:
        weights = self.weights
        found = [weights[ngram] for ngram in set(ngrams(text)) if ngram in weights]
        # Sorted: a set of strings is walked in another order in each process, and rounding with it.
        return self.bias + sum(sorted(found)) / max(1, len(found)) ** 0.5
