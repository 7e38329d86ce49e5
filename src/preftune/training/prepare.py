"""From a file to token groups: read, render, take what the objective needs, split by prompt."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from preftune.batching import Sampler
from preftune.batching.mismatch import with_mismatched
from preftune.checks.run import check_groups
from preftune.errors import DataError, PreftuneError
from preftune.objectives.bound import BoundObjective
from preftune.records import Group, Intake, Severity, TokenGroup, Watch
from preftune.rendering import Renderer
from preftune.sources import Reading, announce, convert, read
from preftune.training.config import DataSettings, RunSettings
from preftune.training.fitting import fit


@dataclass(frozen=True, slots=True)
class Prepared:
    """Token groups to train and to evaluate on, and the account of the rows."""

    train: list[TokenGroup]
    held_out: list[TokenGroup]
    account: dict[str, object]
    """What goes into `data.json`."""


def sampler_of(settings: RunSettings, data: Prepared) -> Sampler:
    """Which groups each optimiser step of the run sees."""
    chosen = settings.optimizer
    return Sampler(
        len(data.train), chosen.pairs_per_step, chosen.epochs, settings.seed, chosen.max_steps
    )


def prepare(
    settings: RunSettings,
    objective: BoundObjective,
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    watch: Watch,
) -> Prepared:
    """Read, check, render and split the run's data.

    Raises:
        DataError: broken rows, data that does not fit the objective, nothing left.
    """
    reading = read_settings(settings.data, settings.data.train)
    announce(reading, settings.data.train, watch)
    shape = settings.rendering
    renderer = Renderer(
        tokenizer, max_tokens=max_tokens, truncation=shape.truncation, form=shape.form
    )
    road = _Road(settings, objective, renderer, watch)
    groups, intake = road.converted(reading)
    watch.say(f"{settings.data.train}: {_verdict(groups, reading.intake, settings.data)}")
    train, account = road.to_tokens(reading, groups, intake)
    held_out: list[TokenGroup] = []
    fraction = settings.data.held_out
    if isinstance(fraction, str):
        held_out, account["held_out"] = _held_out_file(road, fraction)
    elif fraction > 0:
        train, held_out = split_by_prompt(train, fraction, settings.seed)
    watch.say(f"{len(train):,} to train on, {len(held_out):,} held out.")
    known = {group.prompt_ids.tobytes() for group in train}
    leaked = sum(group.prompt_ids.tobytes() in known for group in held_out)
    if leaked:  # only from a held-out file: our own split is by prompt
        watch.say(f"warning: {leaked:,} held-out rows have a prompt that is trained on, too.")
    if objective.mismatched:
        # A few held-out prompts may be alike: they may borrow from the training rows, too.
        everything = [*held_out, *train]
        borrowed = with_mismatched(everything, seed=settings.seed, limit=max_tokens)
        train = with_mismatched(train, seed=settings.seed, limit=max_tokens)
        held_out = borrowed[: len(held_out)]
    account |= {"train_groups": len(train), "held_out_groups": len(held_out)}
    return Prepared(train, held_out, account)


def _verdict(groups: Sequence[Group], intake: Intake, data: DataSettings) -> str:
    """What the quick checks say of what will be trained on, and the command that says more.

    Args:
        groups: Converted, where the run converts.
        intake: Of the file: what a conversion leaves out is its user's wish and no fault.
        data: For the command.
    """
    examination = check_groups(groups, intake.exclusions)
    if examination.worst is Severity.info:
        return examination.verdict
    columns = ",".join(f"{word}={column}" for word, column in data.map.items())
    words = ["preftune", "check", data.train, *(["--map", columns] if columns else [])]
    return f"{examination.verdict} More: {shlex.join(words)}"


def _held_out_file(road: "_Road", path: str) -> tuple[list[TokenGroup], dict[str, object]]:
    other = read_settings(road.settings.data, path)
    announce(other, path, road.watch)
    try:
        return road.to_tokens(other, *road.converted(other))
    except PreftuneError as error:
        if error.code not in {"PT105", "PT301"}:
            raise
        raise DataError(
            "PT105",
            f"the held-out file is of another shape than the training file: {error.problem}",
            where=error.where or path,
            why="what is held out is measured with the run's objective and conversion.",
            fix="give a held-out file like the training file, or a share: data.held_out=0.05.",
        ) from None


def read_settings(settings: DataSettings, path: str) -> Reading:
    """Read one file of a run."""
    return read(
        path,
        mapping=settings.map or None,
        bad_rows=settings.bad_rows,
        split=settings.split,
        limit=settings.limit,
    )


@dataclass(frozen=True, slots=True)
class _Road:
    """What every file of a run goes through: converted, fitted to the objective, rendered."""

    settings: RunSettings
    objective: BoundObjective
    renderer: Renderer
    watch: Watch

    def to_tokens(
        self, reading: Reading, groups: Sequence[Group], intake: Intake
    ) -> tuple[list[TokenGroup], dict[str, object]]:
        """Token groups of a file's converted groups, and the account of its rows.

        Raises:
            DataError: the rows do not fit the objective (PT105), or none is left (PT106).
        """
        fitted = fit(groups, self.objective)
        intake = intake.then(fitted.exclusions)
        for sentence in fitted.said:
            self.watch.say(sentence)
        rendering = self.renderer.render(fitted.groups, intake)
        self.watch.say(rendering.announcement)
        if rendering.intake.used < reading.intake.used or rendering.truncated:
            cuts = _cut(rendering.truncated)
            self.watch.say(f"trained on: {rendering.intake.summary()}{cuts}")
        if not rendering.groups:
            raise DataError(
                "PT106",
                f"no row is left: {rendering.intake.summary()}.",
                why="there is nothing to train on.",
                fix="raise rendering.max_tokens, set rendering.truncation=prompt-left, or choose "
                "an objective or a conversion that keeps more rows.",
            )
        return rendering.groups, account_of(reading, rendering.intake, rendering.truncated)

    def converted(self, reading: Reading) -> tuple[Sequence[Group], Intake]:
        """The groups as the run's conversion makes them, and their account."""
        data = self.settings.data
        if data.convert is None:
            return reading.groups, reading.intake
        converted = convert(
            reading.groups,
            reading.intake,
            data.convert,
            minimum_gap=data.minimum_gap or 0.0,
            seed=self.settings.seed,
        )
        self.watch.say(converted.sentence)
        return converted.groups, converted.intake


def account_of(reading: Reading, intake: Intake, truncated: dict[str, int]) -> dict[str, object]:
    """The account of rows as JSON: rows = used + excluded by reason, each exclusion listed."""
    return {
        "layout": reading.layout,
        "fingerprint": reading.fingerprint,
        "rows": intake.rows,
        "used": intake.used,
        "excluded": intake.by_reason,
        "truncated": truncated,
        "exclusions": [
            {"source": row.source, "reason": row.reason, "detail": row.detail}
            for row in intake.exclusions
        ],
    }


def split_by_prompt(
    groups: Sequence[TokenGroup], fraction: float, seed: int
) -> tuple[list[TokenGroup], list[TokenGroup]]:
    """Train and held-out groups with no prompt in both.

    The prompts with the lowest hashes are held out, whatever the order of the rows.

    Args:
        groups: All groups.
        fraction: Share of the prompts to hold out, in (0, 1); at least one is.
        seed: Salt of the hashes.

    Raises:
        DataError: there is only one prompt (PT106).
    """
    keys = [_hash(group.prompt_ids.tobytes(), seed) for group in groups]
    prompts = sorted(set(keys))
    if len(prompts) < 2:
        raise DataError(
            "PT106",
            f"all {len(groups):,} rows have the same prompt, so none can be held out.",
            why="evaluating on a prompt that was trained on would say nothing.",
            fix="give more prompts, a file of its own as data.held_out, or --set data.held_out=0.",
        )
    number = min(len(prompts) - 1, max(1, round(fraction * len(prompts))))
    chosen = set(prompts[:number])
    train = [group for group, key in zip(groups, keys, strict=True) if key not in chosen]
    held_out = [group for group, key in zip(groups, keys, strict=True) if key in chosen]
    return train, held_out


def _hash(prompt: bytes, seed: int) -> bytes:
    return hashlib.blake2b(prompt, digest_size=16, salt=seed.to_bytes(8, "little")).digest()


def _cut(truncated: dict[str, int]) -> str:
    return "".join(f"; {count:,} {what}" for what, count in truncated.items())
