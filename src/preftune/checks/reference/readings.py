"""A model reads a sample of pairs: what it makes of their prompts and responses, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preftune.checks.reference.sample import Sampled
from preftune.errors import ConfigError
from preftune.records import TokenGroup, TokenResponse, Watch
from preftune.records.tokens import Ids

if TYPE_CHECKING:
    from preftune.models import LogProbModel

Floats = NDArray[np.float64]
TOKENS_PER_BATCH = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """What a model makes of some texts: one value for each, nats."""

    sums: Floats
    """(text,) log p of the whole text."""
    entropy: Floats
    """(text,) entropies of the model's own distribution, summed over the text's places."""
    noise: Floats
    """(text,) sum of the squares of -log p - entropy, the surprise of each token."""
    lengths: Floats
    """(text,) trained tokens, at least one."""
    states: NDArray[np.float32]
    """(text, hidden) mean of the final hidden states that predict them."""

    @property
    def means(self) -> Floats:
        """(text,) log p per token."""
        return self.sums / self.lengths

    @property
    def surprise(self) -> Floats:
        """(text,) nats per token beyond what the model expects: 0 for its own text, on average."""
        return -(self.sums + self.entropy) / self.lengths

    @property
    def error(self) -> Floats:
        """(text,) standard error of the surprise; infinite for a single token."""
        spread = np.maximum(self.noise / self.lengths - self.surprise**2, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.sqrt(spread / (self.lengths - 1))
        return np.where(self.lengths > 1, found, np.inf)

    def __getitem__(self, which: NDArray[np.int64]) -> "Texts":
        return Texts(
            self.sums[which],
            self.entropy[which],
            self.noise[which],
            self.lengths[which],
            self.states[which],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """A sample as the reference sees it."""

    sample: Sequence[Sampled]
    chosen: Texts
    chosen_of: NDArray[np.int64]
    """Which of the sample each of them belongs to."""
    rejected: Texts
    rejected_of: NDArray[np.int64]
    prompts: Texts
    prompts_of: NDArray[np.int64]
    """The first of the sample with each prompt; prompts of a single token are not read."""
    vocabulary: int

    @property
    def pairs(self) -> tuple[NDArray[np.int64], Texts, Texts]:
        """Those of the sample that are pairs, with both sides."""
        both, left, right = np.intersect1d(
            self.chosen_of, self.rejected_of, assume_unique=True, return_indices=True
        )
        return both, self.chosen[left], self.rejected[right]

    def prompt_numbers(self, of: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which prompt each belongs to."""
        return np.array([self.sample[index].prompt for index in of], np.int64)


def read_sample(
    root: "LogProbModel", sample: Sequence[Sampled], watch: Watch, *, name: str, vocabulary: int
) -> Readings:
    """Run a frozen model over prompts and responses.

    Args:
        root: The reference.
        sample: At least one.
        watch: Told of the progress.
        name: Of the model, for messages.
        vocabulary: Number of its tokens.

    Raises:
        ConfigError: its log-probs are not finite (PT400).
    """
    firsts = {one.prompt: index for index, one in reversed(list(enumerate(sample)))}
    asked = sorted(index for index in firsts.values() if len(sample[index].group.prompt_ids) > 1)
    groups = [one.group for one in sample]
    prompts = [_as_response(sample[index].group.prompt_ids) for index in asked]
    watch.begin("reference", len(groups) + len(prompts))
    try:
        texts = _read(root, [*groups, *prompts], watch)
    finally:
        watch.end()
    if not (np.isfinite(texts.sums) & np.isfinite(texts.states).all(1)).all():
        raise ConfigError(
            "PT400",
            "the model gives log-probs that are not finite.",
            where=name,
            why="nothing can be compared with them, and nothing can be trained from here.",
            fix="look whether its weights are damaged, or load it in float32.",
        )
    sides = [side for one in sample for side in one.sides]
    owner = np.repeat(np.arange(len(sample)), [len(one.sides) for one in sample])
    is_chosen = np.array([side == "chosen" for side in sides])
    chosen, rejected = np.flatnonzero(is_chosen), np.flatnonzero(~is_chosen)
    return Readings(
        sample=sample,
        chosen=texts[chosen],
        chosen_of=owner[chosen],
        rejected=texts[rejected],
        rejected_of=owner[rejected],
        prompts=texts[np.arange(len(sides), len(sides) + len(prompts))],
        prompts_of=np.array(asked, np.int64),
        vocabulary=vocabulary,
    )


def _as_response(prompt: Ids) -> TokenGroup:
    """The prompt's tokens after its first one, to be scored."""
    rest = TokenResponse(prompt[1:], np.ones(len(prompt) - 1, np.bool_))
    return TokenGroup(prompt[:1], (rest,))


def _read(root: "LogProbModel", groups: Sequence[TokenGroup], watch: Watch) -> Texts:
    """Every response of the groups, in order."""
    import torch

    from preftune.batching import fill_windows, pack

    first = np.cumsum([0, *(len(group.responses) for group in groups)])
    order: list[int] = []
    columns: list[Floats] = []
    states: list[NDArray[np.float32]] = []
    done = 0
    for part in fill_windows([group.length for group in groups], TOKENS_PER_BATCH):
        batch = pack([groups[index] for index in part]).to(root.device)
        found = root.diagnose(batch)
        surprise = -(found.log_probs + found.entropy)
        values = torch.stack([found.log_probs, found.entropy, surprise**2], 1).double()
        sums = values.new_zeros(len(batch.group), 3).index_add(0, batch.response, values)
        lengths = found.states.lengths[:, None]
        columns.append(torch.cat([sums, lengths.double()], 1).cpu().numpy())
        states.append((found.states.sums / lengths).float().cpu().numpy())
        order += [place for index in part for place in range(first[index], first[index + 1])]
        done += len(part)
        watch.advance(done)
    back = np.argsort(order)
    table = np.concatenate(columns)[back]
    return Texts(table[:, 0], table[:, 1], table[:, 2], table[:, 3], np.concatenate(states)[back])
