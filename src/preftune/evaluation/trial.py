"""`trial`: train for a minute, forget it, and say what the whole run will take and first shows."""

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from preftune.errors import ResourceError
from preftune.evaluation.responses import response_text
from preftune.generation import generate
from preftune.models.architecture import unwrap
from preftune.models.precision import matmuls_in
from preftune.models.reference import score_reference
from preftune.records import Silent, TokenGroup, Watch
from preftune.records.tokens import Ids
from preftune.training.config import RunSettings
from preftune.training.effects import check_moves
from preftune.training.one_batch import check_one_batch
from preftune.training.optimizer import make_optimizer
from preftune.training.plan.cost import evaluations
from preftune.training.plan.decision import decide
from preftune.training.plan.workload import Workload, workload
from preftune.training.policy import Policy
from preftune.training.prepare import sampler_of
from preftune.training.reference import live_reference
from preftune.training.run import reference_cache
from preftune.training.runfile import Resolved, bind_objective
from preftune.training.shared import Material, Shared
from preftune.training.step import Example, Outcome, Stepper
from preftune.training.update import update

REFERENCE_SHARE = 0.25
"""Of the time, for scoring the reference of what is trained on: a step takes three times that."""
MOST_HELD_OUT = 32
"""Groups that are evaluated before and after."""
MOST_STEPS = 1000
"""Held in memory with their reference; a longer trial begins with them again."""
WARMUP_STEPS = 3
NEW_TOKENS = 48
"""Of the sampled responses."""


@dataclass(frozen=True, slots=True)
class Answers:
    """One held-out prompt, and what the model said to it before and after: its likeliest tokens."""

    prompt: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a short training showed."""

    steps: int
    num_steps: int
    """Of the whole run."""
    train: tuple[Outcome, Outcome]
    """Of the first step, before any update, and of the last."""
    held_out: tuple[Outcome, Outcome] | None
    """On up to `MOST_HELD_OUT` held-out groups, before and after; none without a split."""
    answers: Answers | None
    forecast: float
    """Seconds of the whole run's steps, reference and evaluations, from those of the trial."""
    tokens_per_second: float
    """In the training steps after the first."""
    peak: int
    """Bytes held at most: on a CPU by the whole process. The run's fullest micro-batch was among
    those trained on."""


def trial(
    resolved: Resolved,
    seconds: float,
    watch: Watch | None = None,
    *,
    trust_remote_code: bool = False,
) -> Trial:
    """Train for a while on the run's first steps and keep nothing but the figures.

    The steps are the run's own, first the one with the fullest micro-batch, at the run's peak
    learning rate after three steps of warm-up. Nothing is written but the reference's log-probs,
    into the cache, where the run will find them.

    Args:
        resolved: The run.
        seconds: For scoring the reference and for the steps; reading and loading come before,
            the evaluations and the samples between.
        watch: Told of the progress.
        trust_remote_code: Run code that comes with the model.

    Raises:
        ConfigError, DataError, ResourceError, RunError: as `train`.
    """
    watch = watch or Silent()
    settings, objective = resolved.settings, bind_objective(resolved.settings)
    shared = Shared(trust_remote_code=trust_remote_code)
    material = shared.material(settings, objective, watch)
    sampler = sampler_of(settings, material.data)
    check_moves(settings, sampler.num_steps)
    check_one_batch(settings, sampler, material.data.train)
    settings = decide(settings, objective, material.origin, material.data, watch)
    try:
        policy = shared.policy(settings)
        moving = settings.reference.every is not None
        stepper = Stepper(
            policy.model,
            objective,
            settings.tokens_per_batch,
            policy.precision,
            reference=live_reference(policy.model, objective, moving=moving),
        )
        return _Trial(settings, material, policy, stepper, watch).run(seconds)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ResourceError(
            "PT601",
            "memory ran out.",
            why="a micro-batch must fit beside weights, gradients and optimiser state.",
            fix="look at `--plan`: it names what would make it fit.",
        ) from error


@dataclass(slots=True)
class _Pace:
    """Tokens and the seconds that they took."""

    tokens: int = 0
    seconds: float = 0.0

    def add(self, tokens: int, since: float) -> None:
        """Count tokens that were begun at `since`."""
        self.tokens += tokens
        self.seconds += time.perf_counter() - since

    def time_for(self, tokens: int) -> float:
        """Seconds that so many tokens would take; 0 where nothing was measured."""
        return self.seconds / self.tokens * tokens if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """The pieces of the run, put together without its folder."""

    settings: RunSettings
    material: Material
    policy: Policy
    stepper: Stepper
    watch: Watch

    def run(self, seconds: float) -> Trial:
        data, work = self.material.data, workload(self.settings, self.material.data)
        cached = self.stepper.objective.reference != "none" and self.stepper.reference is None
        groups = data.held_out[:MOST_HELD_OUT]
        scoring, evaluating, training = _Pace(), _Pace(), _Pace()
        held_out = self._examples(groups, scoring) if cached else [Example(one) for one in groups]
        begun = time.perf_counter()
        before = self.stepper.evaluate(held_out) if held_out else None
        evaluating.add(sum(group.length for group in groups), begun)
        prompt = self._prompt()
        first = None if prompt is None else self._answer(prompt)
        steps = self._steps(work, seconds, scoring, cached=cached)
        outcomes = self._train(steps, seconds - scoring.seconds, training)
        after = self.stepper.evaluate(held_out) if held_out else None
        answers = None
        if prompt is not None and first is not None:
            told = response_text(self.material.tokenizer, prompt[:0], prompt)
            answers = Answers(told, first, self._answer(prompt))
        scored = scoring.time_for(work.reference_tokens) if cached else 0.0
        evaluated = evaluating.time_for(work.held_out_tokens) * evaluations(self.settings, work)
        return Trial(
            steps=len(outcomes),
            num_steps=work.steps,
            train=(outcomes[0], outcomes[-1]),
            held_out=None if before is None or after is None else (before, after),
            answers=answers,
            forecast=training.time_for(work.tokens) + scored + evaluated,
            tokens_per_second=training.tokens / training.seconds,
            peak=_peak(self.stepper),
        )

    def _examples(self, groups: Sequence[TokenGroup], pace: _Pace) -> list[Example]:
        """Groups with their reference from the cache, which is scored where it lacks them."""
        model, precision = self.stepper.model, self.stepper.precision
        begun = time.perf_counter()
        with matmuls_in(precision, model.device):
            found = score_reference(
                model,
                groups,
                reference_cache(model, precision, self.policy.start),
                tokens_per_batch=self.stepper.tokens_per_batch,
            )
        assert found is not None, "nobody asked to stop"
        pace.add(sum(group.length for group in groups), begun)
        return [Example(group, one) for group, one in zip(groups, found, strict=True)]

    def _steps(
        self, work: Workload, seconds: float, pace: _Pace, *, cached: bool
    ) -> list[list[Example]]:
        """The steps to train on: that with the fullest micro-batch, then the run's first ones.

        The reference is the start, so it is scored before anything moves.
        """
        data = self.material.data
        sampler = sampler_of(self.settings, data)
        others = (number for number in range(work.steps) if number != work.fullest_step)
        steps: list[list[Example]] = []
        for number in (work.fullest_step, *others):
            if len(steps) >= MOST_STEPS or pace.seconds > REFERENCE_SHARE * seconds:
                break
            groups = [data.train[index] for index in sampler.step(number)]
            known = self._examples(groups, pace) if cached else [Example(one) for one in groups]
            steps.append(known)
        return steps

    def _train(self, steps: list[list[Example]], seconds: float, pace: _Pace) -> list[Outcome]:
        """Steps until the time is up, at least two; the same ones again where there are few."""
        chosen = self.settings.optimizer
        assert chosen.lr is not None, "filled in when the run file was resolved"
        optimizer = make_optimizer(self.stepper.model, chosen)
        outcomes: list[Outcome] = []
        start = time.perf_counter()
        whole = max(1, round(seconds))
        self.watch.begin("trial", whole)
        try:
            while len(outcomes) < 2 or time.perf_counter() - start < seconds:
                begun = time.perf_counter()
                step = steps[len(outcomes) % len(steps)]
                lr = chosen.lr * min(1.0, (len(outcomes) + 1) / WARMUP_STEPS)
                outcome, _ = update(
                    self.stepper, optimizer, step, lr=lr, max_grad_norm=chosen.max_grad_norm
                )
                if outcomes:  # the first one also loads kernels and makes the optimiser's state
                    pace.add(outcome.tokens, begun)
                outcomes.append(outcome)
                self.watch.advance(min(whole, round(time.perf_counter() - start)))
        finally:
            self.watch.end()
        return outcomes

    def _prompt(self) -> Ids | None:
        """The first held-out prompt that leaves room for an answer."""
        config: Any = self.material.origin.get_text_config()
        positions = getattr(config, "max_position_embeddings", None) or NEW_TOKENS * 1000
        for group in self.material.data.held_out:
            if len(group.prompt_ids) + NEW_TOKENS <= positions:
                return group.prompt_ids
        return None

    def _answer(self, prompt: Ids) -> str:
        """The likeliest tokens after the prompt."""
        model, tokenizer = unwrap(self.stepper.model.model), self.material.tokenizer
        ((response,),) = generate(
            model, tokenizer, [prompt], temperature=0, max_new_tokens=NEW_TOKENS, seed=0
        )
        return response_text(tokenizer, prompt, response.ids)


def _peak(stepper: Stepper) -> int:
    """Bytes held at most so far: on the GPU, or by the process."""
    if stepper.model.device.type == "cuda":
        return torch.cuda.max_memory_reserved(stepper.model.device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
