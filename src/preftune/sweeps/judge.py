"""A finished run's model on what it held out: a value for each pair, and its KL by sampling."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from preftune.batching import fill_windows
from preftune.evaluation.logps import summed_logps
from preftune.generation import generate
from preftune.models import LogProbModel
from preftune.models.architecture import unwrap
from preftune.models.precision import matmuls_in
from preftune.models.reference import score_reference
from preftune.objectives import LogProbs
from preftune.objectives.bound import BoundObjective
from preftune.objectives.metrics import pair_values
from preftune.records import Silent, TokenGroup
from preftune.sweeps.held_out import HeldOut
from preftune.sweeps.runs import Run
from preftune.sweeps.tuned import Results
from preftune.training.config import RunSettings
from preftune.training.halves import prompt_hash
from preftune.training.policy import Policy
from preftune.training.run import reference_cache
from preftune.training.runfile import bind_objective
from preftune.training.shared import Material, Shared
from preftune.training.step import Example, Stepper

MOST_NEW_TOKENS = 256
"""Of a sampled response; fewer where no held-out response is so long."""

Floats32 = NDArray[np.float32]


class Judge:
    """Measures models of one sweep, and keeps the start that they share.

    Args:
        shared: What the runs have read.
        kl_samples: Held-out prompts that are sampled from; 0: the KL is not measured.
        trust_remote_code: Run code that comes with the model.
    """

    def __init__(self, shared: Shared, kl_samples: int, *, trust_remote_code: bool = False) -> None:
        self._shared, self.kl_samples = shared, kl_samples
        self._results = Results(shared, trust_remote_code=trust_remote_code)

    def measure(self, run: Run) -> HeldOut:
        """The saved model of a finished run against its start."""
        settings, objective = run.settings, bind_objective(run.settings)
        material = self._shared.material(settings, objective, Silent())
        tuned, start = self._results.load(settings, material)
        found = self._pairs(tuned, start, settings, objective, material.data.held_out)
        if self.kl_samples:
            found = replace(found, **self._kl(tuned, start, settings, material))
        return found

    @torch.no_grad()
    def _pairs(
        self,
        tuned: LogProbModel,
        start: Policy,
        settings: RunSettings,
        objective: BoundObjective,
        groups: Sequence[TokenGroup],
    ) -> HeldOut:
        live = start.model if objective.reference == "distribution" else None
        stepper = Stepper(
            tuned, objective, settings.tokens_per_batch, start.precision, reference=live
        )
        references = _references(start, groups, settings.tokens_per_batch)
        judged: list[dict[str, list[float]]] = [{} for _ in groups]
        for part in fill_windows([group.length for group in groups], settings.tokens_per_batch):
            examples = [Example(groups[index], references[index]) for index in part]
            values = _values(stepper.forward(examples), objective)
            ends = np.cumsum([_pairs_in(groups[index]) for index in part])
            for index, end in zip(part, ends, strict=True):
                first = end - _pairs_in(groups[index])
                judged[index] = {name: row[first:end] for name, row in values.items()}
        return _joined(groups, judged, settings.seed)

    def _kl(
        self, tuned: LogProbModel, start: Policy, settings: RunSettings, material: Material
    ) -> dict[str, Any]:
        longest = max(len(one.ids) for group in material.data.held_out for one in group.responses)
        config = material.origin.get_text_config()
        positions: int = getattr(config, "max_position_embeddings", None) or 2**31
        new_tokens = min(MOST_NEW_TOKENS, longest, positions // 2)
        prompts = {
            prompt_hash(group.prompt_ids): group.prompt_ids for group in material.data.held_out
        }
        fitting = sorted(key for key in prompts if len(prompts[key]) + new_tokens <= positions)
        chosen = fitting[: self.kl_samples]
        if not chosen:
            return {}
        ids = [prompts[key] for key in chosen]
        drawn = generate(
            unwrap(tuned.model), material.tokenizer, ids, max_new_tokens=new_tokens, seed=0
        )
        rows = [TokenGroup(prompt, (one[0],)) for prompt, one in zip(ids, drawn, strict=True)]
        budget = settings.tokens_per_batch
        with matmuls_in(start.precision, tuned.device):
            after, before = (summed_logps(one, rows, budget) for one in (tuned, start.model))
        ratios = after - before
        return {"kl_prompts": chosen, "kl": ratios[:, 0].tolist(), "kl_new_tokens": new_tokens}


def _references(
    start: Policy, groups: Sequence[TokenGroup], tokens_per_batch: int
) -> list[Floats32]:
    """Log-probs of the start: from the cache that the runs filled."""
    cache = reference_cache(start.model, start.precision, start.start)
    with matmuls_in(start.precision, start.model.device):
        found = score_reference(start.model, groups, cache, tokens_per_batch=tokens_per_batch)
    assert found is not None, "nobody asked to stop"
    return found


def _values(logps: LogProbs, objective: BoundObjective) -> dict[str, list[float]]:
    """Name → one value for each pair of the batch."""
    main = objective.main
    if not len(logps.winner):
        return {}
    found = pair_values(logps, main.reward)
    assert logps.reference is not None, "every example has its reference's log-probs"
    kl = None if logps.kl is None else torch.zeros_like(logps.kl)
    before = pair_values(replace(logps, tokens=logps.reference, kl=kl), main.reward)
    margin = found["margin"]
    rewards = found.get("rewards_chosen", margin) - found.get("rewards_rejected", 0.0)
    kept = {
        "accuracy": found["accuracy"],
        "accuracy_start": before["accuracy"],
        "reward_margin": rewards,
        "margin": margin,
        "displacement": found["displacement"],
    }
    return {name: one.double().tolist() for name, one in kept.items()}


def _pairs_in(group: TokenGroup) -> int:
    return sum(not relation.tie for relation in group.relations)


def _joined(
    groups: Sequence[TokenGroup], judged: Sequence[dict[str, list[float]]], seed: int
) -> HeldOut:
    pairs: list[str] = []
    prompts: list[str] = []
    values: dict[str, list[float]] = {}
    seen: Counter[str] = Counter()
    for group, rows in zip(groups, judged, strict=True):
        for _ in range(_pairs_in(group)):
            pairs.append(f"{seed} {group.source} {seen[group.source]}")
            prompts.append(prompt_hash(group.prompt_ids))
            seen[group.source] += 1
        for name, row in rows.items():
            values.setdefault(name, []).extend(row)
    return HeldOut(pairs=pairs, prompts=prompts, values=values)
