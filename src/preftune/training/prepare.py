"""From a file to token groups: read, render, take what the objective needs, split by prompt."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from preftune.checks.examine import examine
from preftune.errors import DataError
from preftune.records import Group, Intake, TokenGroup, Watch
from preftune.rendering import Renderer
from preftune.sources import Reading, announce, read
from preftune.training.config import DataSettings, RunSettings


@dataclass(frozen=True, slots=True)
class Prepared:
    """Token groups to train and to evaluate on, and the account of the rows."""

    train: list[TokenGroup]
    held_out: list[TokenGroup]
    account: dict[str, object]
    """What goes into `data.json`."""


def prepare(
    settings: RunSettings,
    data_kind: str,
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
    for finding in examine(reading.groups):
        watch.say(finding)
    shape = settings.rendering
    renderer = Renderer(
        tokenizer, max_tokens=max_tokens, truncation=shape.truncation, form=shape.form
    )
    train, account = _to_tokens(reading, renderer, data_kind, watch)
    held_out: list[TokenGroup] = []
    fraction = settings.data.held_out
    if isinstance(fraction, str):
        other = read_settings(settings.data, fraction)
        announce(other, fraction, watch)
        held_out, account["held_out"] = _to_tokens(other, renderer, data_kind, watch)
    elif fraction > 0:
        train, held_out = split_by_prompt(train, fraction, settings.seed)
    watch.say(f"{len(train):,} to train on, {len(held_out):,} held out.")
    known = {group.prompt_ids.tobytes() for group in train}
    leaked = sum(group.prompt_ids.tobytes() in known for group in held_out)
    if leaked:  # only from a held-out file: our own split is by prompt
        watch.say(f"warning: {leaked:,} held-out rows have a prompt that is trained on, too.")
    account |= {"train_groups": len(train), "held_out_groups": len(held_out)}
    return Prepared(train, held_out, account)


def read_settings(settings: DataSettings, path: str) -> Reading:
    """Read one file of a run."""
    return read(
        path,
        mapping=settings.map or None,
        bad_rows=settings.bad_rows,
        split=settings.split,
        limit=settings.limit,
    )


def _to_tokens(
    reading: Reading, renderer: Renderer, data_kind: str, watch: Watch
) -> tuple[list[TokenGroup], dict[str, object]]:
    groups = fit(reading.groups, data_kind, watch)
    rendering = renderer.render(groups, reading.intake)
    watch.say(rendering.announcement)
    if rendering.intake.used < reading.intake.used or rendering.truncated:
        watch.say(f"after rendering: {rendering.intake.summary()}{_cut(rendering.truncated)}")
    if not rendering.groups:
        raise DataError(
            "PT106",
            f"no row is left: {rendering.intake.summary()}.",
            why="there is nothing to train on.",
            fix="raise rendering.max_tokens, or set rendering.truncation=prompt-left.",
        )
    return rendering.groups, account_of(reading, rendering.intake, rendering.truncated)


def fit(groups: Sequence[Group], data_kind: str, watch: Watch) -> list[Group]:
    """The groups as the objective takes them: pairs, or demonstrations.

    Raises:
        DataError: pairs are needed and some rows have no judgement (PT105).
    """
    if data_kind == "pairs":
        bare = next((group for group in groups if not group.relations), None)
        if bare is None:
            return list(groups)
        raise DataError(
            "PT105",
            "the row holds a response without a judgement, and the objective needs pairs.",
            where=bare.source,
            why="a preference is learned from two responses to the same prompt.",
            fix="use --objective sft for demonstrations, or a file with chosen and rejected.",
        )
    judged = sum(bool(group.relations) for group in groups)
    if judged:
        watch.say(f"{judged:,} pairs are read as demonstrations: the chosen response of each.")
    return [demonstration(group) for group in groups]


def demonstration(group: Group) -> Group:
    """The winner of a group's relations as its only response."""
    if not group.relations:
        return group
    winner = group.relations[0].winner
    return replace(group, responses=(group.responses[winner],), relations=())


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
