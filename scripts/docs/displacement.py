"""Do LN-CHES, CHES and the distance of the states tell which pairs are displaced?

    python scripts/docs/displacement.py --model ../shared/models/stories260k \
        --data ../shared/data/polite-pairs/instruction-data-with-preference.json

Draws pairs, sorts them by each measure, trains DPO from the same start on the lowest, the middle
and the highest ones, and prints what became of the chosen responses' log-probs.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from preftune.batching import pack
from preftune.checks.cases import cases
from preftune.checks.reference.displacement import apart_of
from preftune.checks.reference.readings import Readings, read_sample
from preftune.checks.reference.sample import Sample
from preftune.models import LogProbModel, load_config, load_model, load_tokenizer
from preftune.models.limits import token_limit
from preftune.models.states import ches
from preftune.records import Silent, TokenGroup
from preftune.rendering import Renderer
from preftune.sources import stream

PAIRS = 32
BETA = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--lr", type=float, default=1e-3)
    asked = parser.parse_args()
    readings = read(asked.model, asked.data, asked.pairs)
    groups = [one.group for one in readings.sample]
    for name, risk in measures(readings).items():
        order = np.argsort(risk)
        middle = (len(order) - PAIRS) // 2
        thirds = {
            "low": order[:PAIRS],
            "middle": order[middle : middle + PAIRS],
            "high": order[-PAIRS:],
        }
        for place, some in thirds.items():
            changes = trained(asked.model, [groups[i] for i in some], asked.steps, asked.lr)
            falling = (changes[:, 0] < 0).mean()
            print(
                f"{name:8} {place:6} chosen {changes[:, 0].mean():+7.1f} nats, falls in "
                f"{falling:4.0%}; margin {(changes[:, 0] - changes[:, 1]).mean():+7.1f}"
            )


def read(model: str, data: str, pairs: int) -> Readings:
    """The reference's readings of pairs drawn by the hash of their prompts."""
    limit = token_limit(None, load_config(model))
    renderer = Renderer(load_tokenizer(model), max_tokens=limit, truncation="drop")
    sample = Sample(pairs)
    known = list(cases(stream(data).items))
    written = renderer.attempts([case.group for case in known])
    for case, whole in zip(known, written, strict=True):
        fitted = renderer.fit(whole).group if isinstance(whole, TokenGroup) else None
        if fitted is not None and case.pairs:
            sample.see(case, fitted)
    root = LogProbModel(load_model(model, dtype="float32"))
    return read_sample(root, sample.drawn, Silent(), name=model, vocabulary=1)


def measures(readings: Readings) -> dict[str, np.ndarray]:
    """Of each pair, greater where displacement is more likely."""
    of, chosen, rejected = readings.pairs
    high, low = (torch.from_numpy(side.states).double() for side in (chosen, rejected))
    sums = (torch.from_numpy(side.lengths)[:, None] for side in (chosen, rejected))
    whole = [states * lengths for states, lengths in zip((high, low), sums, strict=True)]
    apart = apart_of(high.numpy(), low.numpy(), readings.prompt_numbers(of))
    return {
        "LN-CHES": ches(high, low).numpy(),
        "CHES": ches(*whole).numpy(),
        "-apart": -apart,
        "length": rejected.lengths - chosen.lengths,
    }


def trained(model: str, groups: Sequence[TokenGroup], steps: int, lr: float) -> np.ndarray:
    """(pair, 2) what DPO changed of the log-probs of chosen and rejected, nats."""
    root = LogProbModel(load_model(model, dtype="float32"))
    batch = pack(groups)
    with torch.no_grad():
        before = root(batch)
    optimizer = torch.optim.Adam(root.parameters(), lr=lr)
    for _ in range(steps):
        loss = -logsigmoid(BETA * root(batch).with_reference(before).margins).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        change = root(batch).sums - before.sums
    return torch.stack([change[before.winner], change[before.loser]], 1).numpy()


if __name__ == "__main__":
    main()
