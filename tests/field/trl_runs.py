"""TRL's own trainers, run for twenty steps: what they report, and the tokens they saw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preftune.records import Rating, Relation, TokenGroup, TokenResponse
from tests.field.rows import BATCH, PASSES, STEPS

Batch = Mapping[str, Any]
Groups = Sequence[TokenGroup]
Step = Sequence[Groups]
"""An optimiser step: its micro-batches."""


@dataclass(frozen=True)
class Adapters:
    """Low-rank ones in all linear layers but the output layer."""

    rank: int = 4
    alpha: float = 8.0
    seed: int = 42
    """TRL's own default: both draw the same A."""

    def settings(self) -> Any:
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )


ADAPTERS = Adapters()


@dataclass(frozen=True)
class Curve:
    """Loss and gradient norm of every optimiser step, before its update."""

    losses: tuple[float, ...]
    norms: tuple[float, ...]

    def first(self, steps: int) -> "Curve":
        return Curve(self.losses[:steps], self.norms[:steps])

    @property
    def moved(self) -> float:
        """How far the loss went from where it began, relative to that."""
        start = self.losses[0]
        return max(abs(loss - start) for loss in self.losses) / abs(start)


@dataclass(frozen=True)
class TrlRun:
    """What TRL reported, and what it was given."""

    curve: Curve
    steps: tuple[Step, ...]
    """Of one pass over the data; it was given them `PASSES` times."""


def run_trl(
    trainer: str,
    folder: Path,
    out: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    lr: float,
    accumulate: int = 1,
    adapters: Adapters | None = None,
    **settings: Any,
) -> TrlRun:
    """Twenty steps of plain SGD in float32, without dropout, clipping, warm-up or shuffling.

    Args:
        trainer: `DPO`, `KTO`, `CPO` or `ORPO`.
        folder: The model.
        out: Where the trainer may write.
        rows: One pass over the data.
        lr: Constant learning rate.
        accumulate: Micro-batches of an optimiser step; together they hold `BATCH` rows.
        adapters: What is trained instead of all weights.
        settings: The rest of the trainer's configuration.
    """
    from datasets import Dataset

    make_trainer, make_config, read = _trainer(trainer)
    config = make_config(
        output_dir=str(out),
        learning_rate=lr,
        optim="sgd",
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=0,  # not clipped, but logged
        per_device_train_batch_size=BATCH // accumulate,
        gradient_accumulation_steps=accumulate,
        num_train_epochs=PASSES,
        train_sampling_strategy="sequential",
        remove_unused_columns=trainer in {"DPO", "KTO"},
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        **settings,
    )
    running = make_trainer(
        str(folder),
        args=config,
        train_dataset=Dataset.from_list(list(rows)),
        peft_config=None if adapters is None else adapters.settings(),
    )
    running.train()
    logged = [entry for entry in running.state.log_history if "loss" in entry]
    assert len(logged) == STEPS
    batches = [read(batch) for batch in running.get_train_dataloader()]
    micro = [tuple(batches[at : at + accumulate]) for at in range(0, len(batches), accumulate)]
    curve = Curve(
        tuple(entry["loss"] for entry in logged), tuple(entry["grad_norm"] for entry in logged)
    )
    return TrlRun(curve, tuple(micro))


def _trainer(name: str) -> tuple[Any, Any, Callable[[Batch], Groups]]:
    if name == "DPO":
        from trl import DPOConfig, DPOTrainer

        return DPOTrainer, DPOConfig, _stacked_pairs
    if name == "KTO":
        from trl import KTOConfig, KTOTrainer

        return KTOTrainer, KTOConfig, _thumbs
    if name == "CPO":
        from trl.experimental.cpo import CPOConfig, CPOTrainer

        return CPOTrainer, CPOConfig, _labelled_pairs
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    return ORPOTrainer, ORPOConfig, _labelled_pairs


def _stacked_pairs(batch: Batch) -> Groups:
    """All chosen responses first, then all rejected ones; the prompt before each."""
    rows = _split(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    return _pairs(rows[: len(rows) // 2], rows[len(rows) // 2 :])


def _labelled_pairs(batch: Batch) -> Groups:
    """Chosen and rejected apart; labels of -100 where nothing is trained."""
    sides = [
        _split(batch[f"{side}_input_ids"], batch[f"{side}_attention_mask"], labels != -100)
        for side in ("chosen", "rejected")
        for labels in [batch[f"{side}_labels"]]
    ]
    return _pairs(*sides)


def _thumbs(batch: Batch) -> Groups:
    """Single responses, and to each prompt the response of another row of the micro-batch."""
    own = _split(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    if "KL_input_ids" not in batch:
        return [
            TokenGroup(prompt, (_response(ids, Rating(good=bool(good))),))
            for (prompt, ids), good in zip(own, batch["label"], strict=True)
        ]
    lent = _split(batch["KL_input_ids"], batch["KL_attention_mask"], batch["KL_completion_mask"])
    groups: list[TokenGroup] = []
    for (prompt, ids), (again, other), good in zip(own, lent, batch["label"], strict=True):
        assert np.array_equal(prompt, again)
        responses = (
            _response(ids, Rating(good=bool(good))),
            TokenResponse(other, np.ones(len(other), bool), mismatched=True),
        )
        groups.append(TokenGroup(prompt, responses))
    return groups


def _pairs(chosen: Sequence[Any], rejected: Sequence[Any]) -> Groups:
    groups: list[TokenGroup] = []
    for (prompt, yes), (again, no) in zip(chosen, rejected, strict=True):
        assert np.array_equal(prompt, again)
        # A pair is also two thumbs: objectives of pairs don't look at them.
        responses = (_response(yes, Rating(good=True)), _response(no, Rating(good=False)))
        groups.append(TokenGroup(prompt, responses, (Relation(0, 1),)))
    return groups


def _response(ids: Any, rating: Rating) -> TokenResponse:
    return TokenResponse(ids, np.ones(len(ids), bool), rating)


def _split(ids: Any, present: Any, trained: Any) -> list[tuple[Any, Any]]:
    """Prompt and response of every row, without padding."""
    rows: list[tuple[Any, Any]] = []
    columns = (ids.numpy(), present.bool().numpy(), trained.bool().numpy())
    for row, here, learnt in zip(*columns, strict=True):
        rows.append((row[here & ~learnt].astype(np.int32), row[learnt].astype(np.int32)))
    return rows
