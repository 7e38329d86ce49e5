"""`train`: from a configuration to a tuned model in a run folder."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from preftune.errors import ConfigError, ResourceError
from preftune.models import LogProbModel
from preftune.models.cache import ReferenceCache, default_root
from preftune.models.location import holds_model
from preftune.models.precision import MatmulPrecision, denormals_as_zero, matmuls_in
from preftune.models.reference import score_reference
from preftune.records import Silent, Watch
from preftune.training.checkpoint import (
    Progress,
    check_space,
    latest_checkpoint,
)
from preftune.training.config import RunSettings
from preftune.training.density import match_prompts
from preftune.training.effects import check_moves
from preftune.training.finish import finish
from preftune.training.folder import RunFolder, write_json
from preftune.training.interrupt import Interruption, interruptible
from preftune.training.loop import Loop
from preftune.training.lora import check_lora, result_of, sentences
from preftune.training.metrics import read_metrics
from preftune.training.one_batch import check_one_batch
from preftune.training.optimizer import make_optimizer
from preftune.training.plan.decision import decide
from preftune.training.prepare import Prepared, sampler_of
from preftune.training.reference import live_reference
from preftune.training.runfile import Resolved, bind_objective
from preftune.training.shared import Shared
from preftune.training.step import Example, Stepper


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended."""

    out: str
    steps: int
    num_steps: int
    train: dict[str, Any]
    """The last training step's figures."""
    held_out_before: dict[str, Any]
    held_out: dict[str, Any]
    """Figures on the held-out split, before and after; empty without a split."""
    interrupted: int | None = None
    """The signal that asked to stop, if one did; the same command resumes."""
    checkpointing: bool = False
    """Whether layers were computed again in the backward pass, as asked for or as decided."""

    @property
    def finished(self) -> bool:
        """Whether every step was done; else the run can go on."""
        return self.steps == self.num_steps


def train(
    resolved: Resolved,
    watch: Watch | None = None,
    *,
    trust_remote_code: bool = False,
    until: int | None = None,
    shared: Shared | None = None,
) -> TrainResult:
    """Train a policy as the configuration says; repeat the call to resume.

    Args:
        resolved: The configuration.
        watch: Told of the progress.
        trust_remote_code: Run code that comes with the model.
        until: Stop after so many optimiser steps, saved and evaluated: the learning rate and
            everything else are as in the whole run, and a later call goes on to the same end.
        shared: What other runs of this process have read already.

    Raises:
        ConfigError, DataError, ResourceError, RunError: see `preftune.errors`.
    """
    watch = watch or Silent()
    folder = RunFolder(resolved.settings.out)
    folder.check(resolved)
    finished = finished_result(folder)
    if finished is not None:
        watch.say(f"{folder.root}: this run is finished; nothing is left to do.")
        return finished
    check_lora(resolved.settings, trust_remote_code=trust_remote_code)
    try:
        with denormals_as_zero(), interruptible(watch.say) as wish:
            shared = shared or Shared(trust_remote_code=trust_remote_code)
            return _train(resolved, folder, watch, wish, shared=shared, until=until)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ResourceError(
            "PT601",
            "memory ran out.",
            where=str(folder.root),
            why="a micro-batch must fit beside weights, gradients and optimiser state.",
            fix="repeat the command with a smaller --set tokens_per_batch=…: it resumes.",
        ) from error


def _train(
    resolved: Resolved,
    folder: RunFolder,
    watch: Watch,
    wish: Interruption,
    *,
    shared: Shared,
    until: int | None,
) -> TrainResult:
    settings, objective = resolved.settings, bind_objective(resolved.settings)
    material = shared.material(settings, objective, watch)
    data = material.data
    torch.manual_seed(settings.seed)
    sampler = sampler_of(settings, data)
    check_moves(settings, sampler.num_steps)
    check_one_batch(settings, sampler, data.train)
    settings = decide(settings, objective, material.origin, data, watch)
    with folder.claimed(resolved):
        policy = shared.policy(settings)
        moving = settings.reference.every is not None
        saved = result_of(settings)
        check_space(folder.root, policy.model, moving=moving, whole=saved == "whole")
        stepper = Stepper(
            policy.model,
            objective,
            settings.tokens_per_batch,
            policy.precision,
            reference=live_reference(policy.model, objective, moving=moving),
        )
        watch.say(f"{policy.model.layout_reason} Matmuls in {policy.precision}.")
        for sentence in sentences(settings, policy.model.model, saved):
            watch.say(sentence)
        if settings.data.match_prompts:
            data = _matched(stepper, data, settings.seed, watch)
        _record(
            folder, {**data.account, "start_weights": policy.start, "matmuls": policy.precision}
        )
        examples = _with_reference(
            stepper, data, sampler.visited(), weights=policy.start, watch=watch, wish=wish
        )
        if examples is None:
            return _result(folder, settings, 0, sampler.num_steps, wish)
        loop = Loop(
            settings=settings,
            folder=folder,
            stepper=stepper,
            optimizer=make_optimizer(policy.model, settings.optimizer),
            sampler=sampler,
            train=examples[: len(data.train)],
            held_out=examples[len(data.train) :],
            watch=watch,
            stopping=wish,
            until=until,
        )
        progress = loop.run(_resume(loop))
        if progress.step == sampler.num_steps:
            finish(loop, progress, material, saved)
        return _result(folder, settings, progress.step, sampler.num_steps, wish)


def finished_result(folder: RunFolder) -> TrainResult | None:
    """The result of a run that is over; none if there is still something to do."""
    if not holds_model(folder.model):
        return None
    try:
        stored = TrainResult(**json.loads(folder.result.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return replace(stored, out=str(folder.root))


def _record(folder: RunFolder, account: dict[str, object]) -> None:
    """Write `data.json`, or, on resuming, refuse data and weights that are not the run's.

    Raises:
        ConfigError: the data, the starting weights or the precision have changed (PT305).
    """
    if not folder.data.exists():
        write_json(folder.data, account)
        return
    before = json.loads(folder.data.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(account))
    changed = [key for key in now if before.get(key) != now[key]]
    if changed:
        raise ConfigError(
            "PT305",
            f"what the run was started with has changed since: {', '.join(changed)}.",
            where=str(folder.root),
            why="resuming it would mix two runs; nothing was overwritten.",
            fix="restore the files, or name another folder with --out.",
        )


def _matched(stepper: Stepper, data: Prepared, seed: int, watch: Watch) -> Prepared:
    """The training groups, weighed so that bad responses have prompts like the good ones'."""
    with matmuls_in(stepper.precision, stepper.model.device):
        matched = match_prompts(
            stepper.model, data.train, seed=seed, tokens_per_batch=stepper.tokens_per_batch
        )
    watch.say(matched.sentence)
    account = {**data.account, "match_prompts": matched.sentence}
    return replace(data, train=matched.groups, account=account)


def _with_reference(
    stepper: Stepper,
    data: Prepared,
    visited: set[int],
    *,
    weights: str,
    watch: Watch,
    wish: Interruption,
) -> list[Example] | None:
    """Training and held-out examples with their reference; none if interrupted meanwhile.

    Training groups that no step will visit are left without: a short run on much data starts soon.
    """
    groups = data.train + data.held_out
    needed = sorted(visited) + list(range(len(data.train), len(groups)))
    if stepper.objective.reference == "none" or stepper.reference is not None:
        return [Example(group) for group in groups]
    model = stepper.model
    cache = reference_cache(model, stepper.precision, weights)
    with matmuls_in(stepper.precision, model.device):
        references = score_reference(
            model,
            [groups[index] for index in needed],
            cache,
            tokens_per_batch=stepper.tokens_per_batch,
            watch=watch,
            stopping=wish,
        )
    if references is None:
        return None
    scored = dict(zip(needed, references, strict=True))
    return [Example(group, scored.get(index)) for index, group in enumerate(groups)]


def reference_cache(
    model: LogProbModel, precision: MatmulPrecision, weights: str
) -> ReferenceCache:
    """The user's cache of what `model`, with the fingerprint `weights`, thinks of responses."""
    conditions = f"{precision}-{model.device.type}-{model.layout}"
    return ReferenceCache(default_root(), weights=weights, precision=conditions)


def _resume(loop: Loop) -> Progress:
    """Go on from the newest complete checkpoint, if there is one."""
    path, faults = latest_checkpoint(loop.folder.checkpoints)
    for fault in faults:
        loop.watch.say(f"{fault}: passed over.")
    if path is None:
        return Progress()
    loop.watch.say(f"resuming from {path}")
    return loop.resume(path)


def _result(
    folder: RunFolder, settings: RunSettings, step: int, num_steps: int, wish: Interruption
) -> TrainResult:
    """Read the figures back from the log; a finished run stores them."""
    entries = read_metrics(folder.metrics)
    train = [entry for entry in entries if entry["split"] == "train"]
    held_out = [entry for entry in entries if entry["split"] == "held_out"]
    result = TrainResult(
        out=str(folder.root),
        steps=step,
        num_steps=num_steps,
        train=train[-1] if train else {},
        held_out_before=held_out[0] if held_out else {},
        held_out=held_out[-1] if held_out else {},
        interrupted=wish.signal if step < num_steps else None,
        checkpointing=settings.checkpoint_activations is True,
    )
    if result.finished:
        write_json(folder.result, asdict(result))
    return result
