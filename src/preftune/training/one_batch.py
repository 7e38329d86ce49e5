"""Updates in the backward pass: what must hold for them, checked before a model is loaded."""

from collections.abc import Sequence

from preftune.batching import Sampler, fill_windows
from preftune.batching.sampler import WINDOW
from preftune.errors import ConfigError
from preftune.records import TokenGroup
from preftune.training import processes
from preftune.training.config import RunSettings


def check_one_batch(settings: RunSettings, sampler: Sampler, groups: Sequence[TokenGroup]) -> None:
    """Refuse updates in the backward pass where any step is more than one micro-batch.

    Args:
        settings: Of the run.
        sampler: Says which groups each step holds.
        groups: All training groups.

    Raises:
        ConfigError: PT311, naming the settings that would do.
    """
    if not settings.optimizer.in_backward:
        return
    if processes.count() > 1:
        raise _refused(
            f"{processes.count()} processes add up their gradients before the update.",
            "leave optimizer.in_backward out, or use one process.",
        )
    budget, pairs = settings.tokens_per_batch, sampler.groups_per_step
    tokens = [group.length for group in groups]
    steps = ([tokens[index] for index in sampler.step(n)] for n in range(sampler.num_steps))
    largest = max(
        (step for step in steps if len(fill_windows(step, budget)) > 1), key=sum, default=None
    )
    if largest is None:
        return
    fixes = [f"tokens_per_batch={sum(largest)}"] if pairs <= WINDOW else []
    if (fitting := min(budget // max(tokens), WINDOW)) > 0:
        fixes.append(f"optimizer.pairs_per_step={fitting} (smaller steps, so another result)")
    raise _refused(
        f"a step of this data holds up to {sum(largest):,} tokens of {len(largest):,} prompts, a "
        f"micro-batch at most {budget:,} tokens of {WINDOW} prompts.",
        f"set {' or '.join(fixes)}, or leave optimizer.in_backward out.",
    )


def _refused(problem: str, fix: str) -> ConfigError:
    return ConfigError(
        "PT311",
        problem,
        where="optimizer.in_backward",
        why="a weight moves as soon as its gradient is there, so a step must be one backward pass.",
        fix=fix,
    )
