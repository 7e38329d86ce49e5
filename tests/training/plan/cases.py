"""Small runs to be planned."""

import torch
from transformers import AutoConfig

from preftune.training.plan.memory import Case
from preftune.training.runfile import bind_objective, resolve
from tests.models.tiny import CONFIGS, UNPACKABLE, random_groups

RUN = {"model": "m", "data": "d", "objective": "dpo", "out": "o", "checkpoint_activations": False}


def settings_of(**changes):
    return resolve(None, {**RUN, **changes}).settings


def case_of(kind, *, num_batches=1, layers=None, groups=(2, 2, 3), **changes):
    """A case of a tiny architecture; `changes` are dotted keys of the run file."""
    shape = (CONFIGS | UNPACKABLE)[kind] | ({"num_hidden_layers": layers} if layers else {})
    settings = settings_of(**changes)
    return Case(
        config=AutoConfig.for_model(kind, **shape),
        settings=settings,
        objective=bind_objective(settings),
        precision="float32" if settings.precision == "auto" else settings.precision,
        groups=random_groups(groups),
        num_batches=num_batches,
        device=torch.device("cpu"),
        process=0,
    )
