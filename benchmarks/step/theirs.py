"""TRL's own `DPOTrainer.train()`, which waits for its turn between steps."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

from benchmarks.step.contestant import LEARNING_RATE, RANK, Conditions, Contestant
from benchmarks.step.data import Pair
from benchmarks.step.memory import Peak
from benchmarks.step.turns import Turns

MANY = 10**6
"""Steps: the parent says when to stop."""


def run(
    contestant: Contestant,
    conditions: Conditions,
    batches: Sequence[Sequence[Pair]],
    turns: Turns,
) -> None:
    """Train until there are no more turns."""
    os.environ["CI"] = "1"  # else it reports each trainer that is made to its authors
    warnings.simplefilter("ignore")  # of names that TRL still uses
    from datasets import Dataset, disable_progress_bars
    from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    disable_progress_bars()

    class OnTokens(DPOTrainer):
        """Given token ids instead of texts; says what each step's loss was."""

        loss: Any = None

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            self.loss = super().training_step(*args, **kwargs)
            return self.loss

    class TakingTurns(TrainerCallback):
        """The clock runs from turn to turn: fetching, collating, step and update."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.stop = not turns.ready()

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if self.stop:
                raise _NoTurn

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if not turns.took(trainer.loss.item, peak.bytes):
                control.should_training_stop = True

    peak = Peak(conditions.device)
    with tempfile.TemporaryDirectory() as out:
        trainer = OnTokens(
            conditions.model,
            args=DPOConfig(**_settings(contestant, conditions, len(batches[0]), out)),
            train_dataset=Dataset.from_list([p.columns() for batch in batches for p in batch]),
            processing_class=AutoTokenizer.from_pretrained(conditions.model),
            callbacks=[TakingTurns()],
            peft_config=_adapters() if conditions.lora else None,
        )
        trainer.remove_callback(PrinterCallback)
        try:
            trainer.train()
        except _NoTurn:
            return


class _NoTurn(Exception):  # noqa: N818
    """There is nothing to do."""


def _settings(
    contestant: Contestant, conditions: Conditions, pairs: int, out: str
) -> dict[str, Any]:
    """Only what the comparison needs, and nothing logged or saved; the rest is TRL's default."""
    wide = {"model_init_kwargs": {"dtype": "float32"}}
    return {
        **wide,
        "output_dir": out,
        "per_device_train_batch_size": pairs,
        "train_sampling_strategy": "sequential",  # the schedule is made for both beforehand
        "max_steps": MANY,
        "max_length": None,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": conditions.device == "cpu",
        "dataloader_pin_memory": conditions.device == "cuda",
        "bf16": conditions.dtype == "bfloat16",
        **contestant.settings,
    }


def _adapters() -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
