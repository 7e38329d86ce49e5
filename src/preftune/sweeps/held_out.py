"""What was measured of one finished run: a value for each held-out pair. Imports no torch."""

from dataclasses import dataclass, field, replace

from preftune.training.halves import decides_early


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What one model did to the held-out pairs, pair by pair. JSON holds it as it is."""

    pairs: list[str]
    """Seed, source and number of each pair: the same pair of another run has the same."""
    prompts: list[str]
    """Hash of each pair's prompt: what is resampled."""
    values: dict[str, list[float]]
    """`accuracy` and `reward_margin` of the objective's implicit reward, `margin` in nats,
    `displacement`; `accuracy_start`: of the same reward under the start."""
    kl_prompts: list[str] = field(default_factory=list[str])
    kl: list[float] = field(default_factory=list[float])
    """log p of a sampled response under the model - under the start, nats; one for each prompt."""
    kl_new_tokens: int = 0
    """Where sampled responses were cut."""

    def for_the_choice(self) -> "HeldOut":
        """Without the pairs of prompts by which halving went."""
        kept = [at for at, prompt in enumerate(self.prompts) if not decides_early(prompt)]
        return replace(
            self,
            pairs=[self.pairs[at] for at in kept],
            prompts=[self.prompts[at] for at in kept],
            values={name: [row[at] for at in kept] for name, row in self.values.items()},
        )
