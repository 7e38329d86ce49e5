"""The loop: evaluate, step, log, save, until the last step or until somebody asks to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from preftune.batching import Sampler
from preftune.models.root import LogProbModel
from preftune.records import Watch
from preftune.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from preftune.training.config import RunSettings
from preftune.training.folder import RunFolder
from preftune.training.halves import decides_early, prompt_hash
from preftune.training.metrics import MetricLog, Speed
from preftune.training.optimizer import learning_rate
from preftune.training.reference import move
from preftune.training.step import Example, Outcome, Stepper
from preftune.training.update import update


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Everything a run needs while it runs."""

    settings: RunSettings
    folder: RunFolder
    stepper: Stepper
    optimizer: torch.optim.Optimizer
    sampler: Sampler
    train: Sequence[Example]
    held_out: Sequence[Example]
    watch: Watch
    stopping: Callable[[], bool]
    until: int | None = None
    """Step after which to stop, saved and evaluated; the run goes on from there another time."""

    @property
    def model(self) -> LogProbModel:
        """The policy."""
        return self.stepper.model

    def run(self, progress: Progress) -> Progress:
        """Train from `progress` to the end, or to the step at which a stop was asked for."""
        total = self.sampler.num_steps
        evaluate_every = self.settings.evaluate_every or max(1, -(-total // 4))
        save_every = self.settings.save_every or max(1, total // 10)
        log, speed = MetricLog(self.folder.metrics, progress.step), Speed()
        self.watch.begin("training", total, done=progress.step)
        try:
            progress = self._steps(log, speed, progress, evaluate_every, save_every)
        finally:
            self.watch.end()
        return progress

    def _steps(
        self, log: MetricLog, speed: Speed, progress: Progress, evaluate_every: int, save_every: int
    ) -> Progress:
        last, saved = self.sampler.num_steps, progress.step
        if self.until is not None:
            last = min(last, self.until)
        while progress.step < last and not self.stopping():
            if progress.step % evaluate_every == 0:
                self.evaluate(log, progress)
                speed.take()
            progress = self._step(log, speed, progress)
            if progress.step % save_every == 0:
                self._save(progress)
                saved = progress.step
                speed.take()
        if progress.step > saved:
            self._save(progress)
        if last <= progress.step < self.sampler.num_steps:
            # Both are dropped from the log when the run goes on.
            self._evaluate_early(log, progress)
            self.evaluate(log, progress)
        return progress

    def evaluate(self, log: MetricLog, progress: Progress) -> None:
        """Log the figures on the held-out split, where there is one."""
        if self.held_out:
            outcome = self.stepper.evaluate(self.held_out)
            log.write(self._entry("held_out", progress, outcome))

    def _evaluate_early(self, log: MetricLog, progress: Progress) -> None:
        """Log the figures on that half of the held-out prompts by which runs are stopped."""
        early = [one for one in self.held_out if decides_early(prompt_hash(one.group.prompt_ids))]
        if early:
            log.write(self._entry("held_out_early", progress, self.stepper.evaluate(early)))

    def _step(self, log: MetricLog, speed: Speed, progress: Progress) -> Progress:
        examples = [self.train[index] for index in self.sampler.step(progress.step)]
        settings = self.settings.optimizer
        assert settings.lr is not None, "filled in when the run file was resolved"
        lr = learning_rate(progress.step, self.sampler.num_steps, settings.lr, settings)
        outcome, grad_norm = update(
            self.stepper,
            self.optimizer,
            examples,
            lr=lr,
            max_grad_norm=settings.max_grad_norm,
        )
        speed.add(outcome.tokens)
        entry = self._entry("train", progress, outcome)
        entry |= {"grad_norm": grad_norm, "lr": lr, "tokens_per_second": speed.take()}
        log.write(entry)
        self._move_reference(progress.step + 1)
        self.watch.advance(progress.step + 1, _note(outcome))
        return Progress(
            progress.step + 1, progress.pairs_seen + len(examples), progress.tokens + outcome.tokens
        )

    def _move_reference(self, steps_done: int) -> None:
        moves, reference = self.settings.reference, self.stepper.reference
        if moves.every is not None and reference is not None and steps_done % moves.every == 0:
            assert moves.mix is not None, "filled in when the run file was resolved"
            move(reference, self.model, moves.mix)

    @property
    def moving_reference(self) -> LogProbModel | None:
        """The reference, if it moves: then it belongs to the checkpoint."""
        return None if self.settings.reference.every is None else self.stepper.reference

    def resume(self, path: Path) -> Progress:
        """Restore everything from a checkpoint."""
        progress = load_checkpoint(path, self.model, self.optimizer, self.moving_reference)
        self.stepper.restore(progress.states)
        return progress

    def _save(self, progress: Progress) -> None:
        progress = replace(progress, states=self.stepper.kept())
        folder = self.folder.checkpoints
        save_checkpoint(folder, self.model, self.optimizer, progress, self.moving_reference)

    def _entry(self, split: str, progress: Progress, outcome: Outcome) -> dict[str, object]:
        """A metrics line: `step` updates were done before these figures were measured."""
        return {
            "step": progress.step,
            "split": split,
            "pairs_seen": progress.pairs_seen,
            "tokens": progress.tokens,
            "loss": outcome.loss,
            **outcome.means,
        }


def _note(outcome: Outcome) -> str:
    shown = f"loss {outcome.loss:.4f}"
    if "accuracy" in outcome.means:
        shown += f"  accuracy {outcome.means['accuracy']:.2f}"
    if "margin" in outcome.means:  # in nats, of log-ratios: without a reference there is none
        shown += f"  margin {outcome.means['margin']:+.2f}"
    return shown
