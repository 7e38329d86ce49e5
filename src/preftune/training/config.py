"""What a run is: every setting, its range and its default. Light: imports no torch."""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Precision = Literal["auto", "float32", "bfloat16"]


class Settings(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class DataSettings(Settings):
    """Where the preferences come from."""

    train: str
    """File (.jsonl, .jsonl.gz, .json, .parquet, .csv), dataset folder or hub name."""
    held_out: Annotated[float, Field(ge=0, lt=1)] | str = 0.05
    """Share of the prompts kept for evaluation, or a file of its own."""
    map: dict[str, str] = {}
    """Our column names to the file's: `{chosen: good, rejected: bad}`."""
    bad_rows: Literal["error", "skip"] = "error"
    """What to do about broken rows: refuse the file, or go on without them and list them."""
    split: str | None = None
    """Split of a hub dataset."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Read at most so many rows."""

    convert: str | None = None
    """Make other judgements of those in the file: `best-versus-worst`, `thumbs` and so on."""
    minimum_gap: Annotated[float, Field(ge=0)] | None = None
    """Smallest difference of two ratings that makes a pair, where ratings are converted."""
    match_prompts: bool = False
    """Weigh bad training rows so that their prompts are distributed like the good ones' (BCO)."""


class ReferenceSettings(Settings):
    """What the policy is tied to: its own start, unless it moves (TR-DPO, arXiv:2404.09656)."""

    every: Annotated[int, Field(gt=0)] | None = None
    """Optimiser steps between two moves of the reference towards the policy; null: it stays."""
    mix: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the policy in the moved reference: 1 copies the policy (hard), less is soft."""

    @model_validator(mode="after")
    def _mix_needs_every(self) -> "ReferenceSettings":
        if self.mix is not None and self.every is None:
            raise ValueError("mix has no effect without reference.every: the reference stays")
        return self


class RenderingSettings(Settings):
    """How rows become tokens."""

    max_tokens: Annotated[int, Field(gt=1)] | None = None
    """Most tokens of prompt + response; by default 1,024 or the model's limit if smaller."""
    truncation: Literal["drop", "prompt-left", "response"] = "drop"
    """What happens to longer ones: leave out, cut the prompt's beginning, or cut responses."""
    form: Literal["auto", "chat", "text"] = "auto"
    """Whether rows are rendered as conversations or continued as plain text."""


class LoraSettings(Settings):
    """Low-rank adapters in the linear layers instead of full fine-tuning (arXiv:2106.09685)."""

    rank: Annotated[int, Field(gt=0)] = 16
    """Rows of A and columns of B in `W + alpha / rank * B A`."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """Scale of the adapters; by default twice the rank."""
    targets: Annotated[list[str], Field(min_length=1)] | Literal["all-linear"] = "all-linear"
    """Names of the layers that get adapters; by default every linear layer but the output layer."""
    dora: bool = False
    """Learn the length of each row of the weight by itself (DoRA, arXiv:2402.09353)."""
    quantize: Literal["nf4"] | None = None
    """Keep the frozen weights in 4 bits (QLoRA, arXiv:2305.14314; needs `preftune[qlora]`)."""
    save: Literal["adapter", "merged"] = "adapter"
    """What `model/` holds in the end: the adapter alone, or a whole model."""


class OptimizerSettings(Settings):
    """AdamW, its schedule and the batch."""

    name: Literal["adamw", "adamw-8bit"] = "adamw"
    """How the two moments are kept: in float32, or in 8 bits (arXiv:2110.02861)."""
    in_backward: bool = False
    """Update each weight as soon as its gradient is known, so that gradients are never all held.
    Needs steps of one micro-batch and `max_grad_norm: null`."""
    lr: Annotated[float, Field(gt=0)] | None = None
    """Peak learning rate; by default the objective's own."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Shape of the decay after the warm-up."""
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled decay of the matrices; vectors are never decayed."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: Annotated[float, Field(gt=0)] = 1e-8
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients of a larger norm are scaled down to it; null: never."""
    pairs_per_step: Annotated[int, Field(gt=0)] = 64
    """Prompts with their responses in an optimiser step: the batch size."""
    epochs: Annotated[float, Field(gt=0)] = 1.0
    max_steps: Annotated[int, Field(gt=0)] | None = None
    """Optimiser steps; overrides `epochs`."""


class RunSettings(Settings):
    """A run: the whole truth of it."""

    model: str
    """Folder or hub name of a causal language model, or a run folder of preftune."""
    data: DataSettings
    objective: dict[str, Any] | list[dict[str, Any]]
    """`name` and the settings of its loss: `{name: dpo, beta: 0.1}`. A list is minimised as a sum,
    each with a `weight`: `[{name: dpo}, {name: sft, weight: 0.2}]`."""
    reference: ReferenceSettings = ReferenceSettings()
    rendering: RenderingSettings = RenderingSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    precision: Precision = "auto"
    """Of the matmuls; log-probs, sums and optimiser state are float32 always."""
    weights: Precision = "auto"
    """Of the weights in memory. In bfloat16 they take half; the optimiser keeps the other half of
    each float32, so that no update is lost. `auto`: as the matmuls."""
    lora: LoraSettings | None = None
    """Adapters; null: every weight is trained."""
    checkpoint_activations: Literal["auto"] | bool = "auto"
    """Keep each layer's input alone and compute the layer again in the backward pass: about a third
    more work, far less memory. `auto`: where the memory plan says that it would not fit."""
    compile_layers: bool = False
    """Compile the layers with torch.compile: minutes at the start, faster steps after it."""
    tokens_per_batch: Annotated[int, Field(gt=0)] = 4096
    """Tokens of a micro-batch. Changes speed and memory; the result, only by rounding."""
    evaluate_every: Annotated[int, Field(gt=0)] | None = None
    """Optimiser steps between evaluations on the held-out split; by default a quarter of them."""
    save_every: Annotated[int, Field(gt=0)] | None = None
    """Optimiser steps between checkpoints; by default a tenth of the run."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    out: Path
    """The run folder."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        """`data: pairs.jsonl` and `objective: dpo` say enough."""
        if not isinstance(values, dict):
            return values
        whole: dict[str, Any] = dict(values)  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(whole.get("data"), str):
            whole["data"] = {"train": whole["data"]}
        if isinstance(whole.get("objective"), str):
            whole["objective"] = {"name": whole["objective"]}
        if isinstance(whole.get("objective"), list):
            parts = cast(list[Any], whole["objective"])
            whole["objective"] = [{"name": p} if isinstance(p, str) else p for p in parts]
        return whole

    @field_validator("objective", mode="before")
    @classmethod
    def _named(cls, objective: Any) -> Any:
        given = cast(list[Any], objective) if isinstance(objective, list) else [objective]
        if not all(isinstance(part, dict) and isinstance(part.get("name"), str) for part in given):
            raise ValueError("an objective needs a name, such as {name: dpo}")
        return cast(Any, objective)
