"""Checkpoints: complete or not there. Safetensors and JSON only, no pickles.

A checkpoint is written to a temporary folder, flushed to disk, and renamed; its manifest holds the
SHA-256 of every file, so a damaged one is found and the one before it is used.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from preftune.errors import ResourceError, RunError
from preftune.training.folder import disk_full

KEPT = 2
"""Checkpoints kept: the newest, and one to fall back on."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands. The sampler needs no more than the step."""

    step: int = 0
    """Optimiser steps done."""
    pairs_seen: int = 0
    tokens: int = 0
    """Tokens laid out so far."""
    states: tuple[dict[str, float], ...] = ()
    """What each part of the objective keeps from step to step; filled in when saving."""


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    reference: nn.Module | None = None,
) -> Path:
    """Write `step-N` atomically and remove all but the newest `KEPT`.

    Args:
        folder: Of all checkpoints.
        model: The policy.
        optimizer: Of the policy.
        progress: Where the run stands.
        reference: Only one that moves: a fixed one is the start, which the run knows.

    Raises:
        ResourceError: the disk is full (PT600); the checkpoints before it are untouched.
    """
    target = folder / f"step-{progress.step:08d}"
    temporary = folder / f".{target.name}.{os.getpid()}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(_contiguous(_weights(model)), temporary / "weights.safetensors")
        save_file(_optimizer_tensors(optimizer), temporary / "optimizer.safetensors")
        if reference is not None:
            save_file(_contiguous(_every(reference)), temporary / "reference.safetensors")
        save_file(_random_state(), temporary / "random.safetensors")
        (temporary / "progress.json").write_text(json.dumps(asdict(progress)))
        manifest = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1))
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise disk_full(
            folder, error, needed=checkpoint_bytes(model, moving=reference is not None)
        ) from error
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)
    return target


def latest_checkpoint(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest complete checkpoint, and what is wrong with newer ones.

    Damaged ones are set aside under another name: they must not count among those kept.
    """
    faults: list[str] = []
    for leftover in folder.glob(".step-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    for path in sorted(folder.glob("step-*"), reverse=True):
        fault = _fault(path)
        if fault is None:
            return path, faults
        faults.append(f"{path}: {fault}")
        aside = path.with_name(f"damaged-{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    return None, faults


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    reference: nn.Module | None = None,
) -> Progress:
    """Restore weights, optimiser and random state exactly, and a reference that moves.

    Raises:
        RunError: the checkpoint is of another model (PT501).
    """
    _restore(_weights(model), path / "weights.safetensors")
    if reference is not None:
        _restore(_every(reference), path / "reference.safetensors")
    state = optimizer.state_dict()
    state["state"] = {}
    for key, value in load_file(path / "optimizer.safetensors").items():
        index, _, name = key.partition(".")
        state["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(state)
    random = load_file(path / "random.safetensors")
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    progress = Progress(**json.loads((path / "progress.json").read_text()))
    return replace(progress, states=tuple(progress.states))


def _restore(own: dict[str, Tensor], path: Path) -> None:
    weights = load_file(path)
    if own.keys() != weights.keys():
        raise RunError(
            "PT501",
            "the checkpoint's weights are not this model's.",
            where=str(path.parent),
            why="resuming would continue another model.",
            fix="name another folder with --out.",
        )
    for name, parameter in own.items():
        parameter.copy_(weights[name])


def checkpoint_bytes(model: nn.Module, *, moving: bool = False) -> int:
    """Size of a checkpoint on disk, float32: weights, two moments, and a reference that moves.

    Of what is trained: the rest is the start, which the run knows.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return (4 if moving else 3) * 4 * trained


def check_space(
    folder: Path, model: nn.Module, *, moving: bool = False, whole: bool = True
) -> None:
    """Refuse to start where the checkpoints will not fit.

    Args:
        folder: Where they will lie.
        model: The policy.
        moving: The reference is in them.
        whole: In the end all weights are saved; else only those that are trained.

    Raises:
        ResourceError: less free than `KEPT` checkpoints, one being written and the model (PT600).
    """
    result = 4 * sum(p.numel() for p in model.parameters() if whole or p.requires_grad)
    needed = (KEPT + 1) * checkpoint_bytes(model, moving=moving) + result
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            "PT600",
            f"the run needs about {needed / 2**20:,.0f} MiB of disk, {free / 2**20:,.0f} are free.",
            where=str(folder),
            why="it would stop at a checkpoint, after hours of work.",
            fix="free some space, or name a folder on a larger disk with --out.",
        )


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """What is trained, every parameter once, tied ones under their first name."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def _every(reference: nn.Module) -> dict[str, Tensor]:
    """All parameters of a reference: none of them is trained, and all move."""
    return {name: p.detach() for name, p in reference.named_parameters()}


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value).contiguous()
        for index, entry in state.items()
        for name, value in entry.items()
    }


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _fault(path: Path) -> str | None:
    try:
        manifest: dict[str, str] = json.loads((path / "manifest.json").read_text())
        for name, digest in manifest.items():
            if _sha256(path / name) != digest:
                return f"{name} is damaged"
    except (OSError, ValueError) as error:
        return f"incomplete ({error})"
    return None if "weights.safetensors" in manifest else "incomplete (an empty manifest)"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
