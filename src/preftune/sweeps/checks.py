"""What is refused before a sweep trains anything."""

from collections.abc import Sequence

from preftune.errors import ConfigError
from preftune.records import TokenGroup
from preftune.sweeps.choice import FEWEST_PROMPTS
from preftune.sweeps.halving import FEWEST
from preftune.sweeps.runs import Run
from preftune.training.halves import decides_early, prompt_hash


def check_halving(runs: Sequence[Run]) -> None:
    """Refuse halving where everybody would go on.

    Raises:
        ConfigError: PT303.
    """
    settings = {run.setting for run in runs}
    if len(settings) <= FEWEST:
        told = "1 setting" if len(settings) == 1 else f"{len(settings)} settings"
        raise ConfigError(
            "PT303",
            f"the grid has {told}, and halving lets {FEWEST} go on to the end.",
            where="--halving",
            why="an option without effect is an error.",
            fix="leave --halving out, or try more settings; seeds are not settings.",
        )


def check_held_out(run: Run, held_out: Sequence[TokenGroup], *, halving: bool) -> None:
    """Refuse a run that holds out too little for an interval.

    Raises:
        ConfigError: PT301; rows without pairs under halving (PT303).
    """
    if halving and not any(group.relations for group in held_out):
        raise ConfigError(
            "PT303",
            f"the rows of {run.name} hold no pairs, and halving goes by accuracy on pairs.",
            where="--halving",
            why="losses of different settings can't be compared.",
            fix="leave --halving out.",
        )
    prompts = {prompt_hash(group.prompt_ids) for group in held_out}
    early = sum(decides_early(prompt) for prompt in prompts)
    if (min(early, len(prompts) - early) if halving else len(prompts)) >= 2:
        return
    needed = "at least two are needed"
    if halving:
        needed += " to halve by, and two others to choose by"
    number = "1 prompt" if len(prompts) == 1 else f"{len(prompts)} prompts"
    raise ConfigError(
        "PT301",
        f"{run.name} holds out {number}; {needed}.",
        where="data.held_out",
        why="an interval measures how results differ between prompts.",
        fix="hold out more: --set data.held_out=0.1; a few hundred make the intervals narrow.",
    )


def too_few_to_choose(run: Run, held_out: Sequence[TokenGroup], *, halving: bool) -> str | None:
    """A sentence, where so few prompts are held out that nothing will be recommended."""
    prompts = {prompt_hash(group.prompt_ids) for group in held_out if group.relations}
    left = sum(not (halving and decides_early(prompt)) for prompt in prompts)
    if not prompts or left >= FEWEST_PROMPTS:
        return None
    return (
        f"{run.name} leaves {left} held-out prompts to choose by: below {FEWEST_PROMPTS} nothing "
        "will be recommended."
    )
