"""What a run will go through: steps, micro-batches, tokens; and what other layouts would take."""

from collections.abc import Sequence
from dataclasses import dataclass

from preftune.batching import fill_windows
from preftune.records import TokenGroup
from preftune.training.config import RunSettings
from preftune.training.prepare import Prepared, sampler_of

ROWS_TOGETHER = 8
"""Groups that are padded to a common length where there is no packing: a customary batch."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Of the whole run."""

    steps: int
    micro_batches: int
    tokens: int
    """Laid out: each prompt once."""
    unshared_tokens: int
    """With the prompt repeated for every response, without padding."""
    padded_tokens: int
    """The same in rows padded to the longest of 8 prompts with their responses."""
    reference_tokens: int
    """Of the groups whose reference is scored once: those that are visited and the held-out."""
    held_out_tokens: int
    response_tokens: int
    """Of the groups in `reference_tokens`: what the reference's cache holds."""
    fullest: Sequence[TokenGroup]
    """The micro-batch with most tokens."""
    fullest_step: int
    """The step that it is in, from 0."""
    num_batches: int
    """Micro-batches of the step that it is in; the largest number where several are as full."""

    @property
    def saved_by_sharing(self) -> float:
        """Share of the unpadded tokens that need not be computed."""
        return 1 - self.tokens / self.unshared_tokens

    @property
    def padding(self) -> float:
        """Share of the padded layout's places that would be padding."""
        return 1 - self.unshared_tokens / self.padded_tokens


def workload(settings: RunSettings, data: Prepared) -> Workload:
    """Walk through the run's steps without a model."""
    sampler = sampler_of(settings, data)
    rows = [_rows(group) for group in data.train]
    lengths = [group.length for group in data.train]
    tokens = unshared = padded = micro_batches = 0
    fullest: tuple[int, int] = (0, 0)
    chosen: list[int] = []
    fullest_step = 0
    for number in range(sampler.num_steps):
        step = sampler.step(number)
        batches = fill_windows([lengths[index] for index in step], settings.tokens_per_batch)
        micro_batches += len(batches)
        tokens += sum(lengths[index] for index in step)
        unshared += sum(sum(rows[index]) for index in step)
        for start in range(0, len(step), ROWS_TOGETHER):
            together = [row for index in step[start : start + ROWS_TOGETHER] for row in rows[index]]
            padded += max(together) * len(together)
        for batch in batches:
            size = sum(lengths[step[place]] for place in batch)
            if (size, len(batches)) > fullest:
                fullest = size, len(batches)
                chosen, fullest_step = [step[place] for place in batch], number
    held_out = sum(group.length for group in data.held_out)
    scored = [data.train[index] for index in sampler.visited()] + data.held_out
    return Workload(
        steps=sampler.num_steps,
        micro_batches=micro_batches,
        tokens=tokens,
        unshared_tokens=unshared,
        padded_tokens=padded,
        reference_tokens=sum(group.length for group in scored),
        held_out_tokens=held_out,
        response_tokens=sum(len(r.ids) for group in scored for r in group.responses),
        fullest=[data.train[index] for index in chosen],
        fullest_step=fullest_step,
        num_batches=fullest[1],
    )


def _rows(group: TokenGroup) -> list[int]:
    """Lengths of prompt + response, one for each response."""
    prompt = len(group.prompt_ids)
    return [prompt + len(response.ids) for response in group.responses]
