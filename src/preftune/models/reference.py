"""The reference: the policy's own start, scored once before training."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from transformers import PreTrainedModel

from preftune.batching import fill_windows, pack
from preftune.models.cache import LogProbArray, ReferenceCache, entry_key
from preftune.models.root import LogProbModel
from preftune.records import Silent, TokenGroup, Watch

BATCHES_PER_SHARD = 64
"""Batches scored between two writes: what an interruption can lose."""


def fingerprint(model: PreTrainedModel) -> str:
    """sha256 of the weights as they are in memory and of the configuration they run under.

    By content and never by path: a checkpoint overwritten in place is another reference.
    """
    digest = hashlib.sha256()
    config = model.config.to_dict()
    for volatile in ("_name_or_path", "transformers_version", "dtype", "use_cache"):
        config.pop(volatile, None)
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()


def score_reference(
    model: LogProbModel,
    groups: Sequence[TokenGroup],
    cache: ReferenceCache,
    *,
    tokens_per_batch: int,
    watch: Watch | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> list[LogProbArray] | None:
    """Per-token log-probs of every group's responses under `model`, from the cache where at hand.

    Returns:
        For each group one fp32 array over the tokens of its responses, back to back; none when
        `stopping` asked to stop (what was scored is kept).
    """
    watch = watch or Silent()
    keys = [[entry_key(group, response) for response in group.responses] for group in groups]
    known = cache.read(key for group in keys for key in group)
    missing = [i for i, group in enumerate(keys) if any(key not in known for key in group)]
    for path in cache.damaged:
        watch.say(f"{path}: damaged reference shard ignored; its entries are scored again.")
    watch.begin("reference", len(groups), done=len(groups) - len(missing))
    fresh: list[tuple[bytes, LogProbArray]] = []
    done, batches = len(groups) - len(missing), 0
    try:
        for part in fill_windows([groups[i].length for i in missing], tokens_per_batch):
            if stopping():
                break
            chosen = [missing[place] for place in part]
            scored = score(model, [groups[i] for i in chosen])
            for index, arrays in zip(chosen, scored, strict=True):
                fresh += zip(keys[index], arrays, strict=True)
            done, batches = done + len(part), batches + 1
            if batches % BATCHES_PER_SHARD == 0:
                known |= _keep(cache, fresh)
                fresh = []
            watch.advance(done)
        if fresh:
            known |= _keep(cache, fresh)
    finally:
        watch.end()
    if done < len(groups):
        return None
    return [np.concatenate([known[key] for key in group]) for group in keys]


def score(model: LogProbModel, groups: Sequence[TokenGroup]) -> list[list[LogProbArray]]:
    """Log-probs without gradient: for each group and response an fp32 array over its tokens."""
    with torch.no_grad():
        logps = model(pack(groups).to(model.device))
    tokens = logps.tokens.float().cpu().numpy()
    sizes = [len(response.ids) for group in groups for response in group.responses]
    arrays = iter(cast(list[LogProbArray], np.split(tokens, np.cumsum(sizes)[:-1])))
    return [[next(arrays) for _ in group.responses] for group in groups]


def _keep(
    cache: ReferenceCache, fresh: list[tuple[bytes, LogProbArray]]
) -> dict[bytes, LogProbArray]:
    unique = dict(fresh)
    cache.write(list(unique.items()))
    return unique
