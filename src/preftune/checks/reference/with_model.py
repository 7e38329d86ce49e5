"""`check --model`: what the data is to one model. torch is imported where it is first needed."""

from typing import Literal

from preftune.checks.cases import Account, Case, Conclusion
from preftune.checks.reference.readings import read_sample
from preftune.checks.reference.reference import judge_readings
from preftune.checks.reference.sample import Sample
from preftune.checks.reference.tokens import Tokens
from preftune.errors import DataError
from preftune.records import Silent, Watch
from preftune.rendering import Policy, Renderer

SAMPLE = 256
"""Pairs that the model reads: intervals of a few per cent, minutes on a CPU."""
_ROWS = 1024
_LETTERS = 4_000_000
"""Rows wait until there are so many, or so long ones: tokenizers are fast on many at once."""


class ModelCheck:
    """PC700 to PC709 but PC707: rows as tokens, and a sample as the reference reads it.

    Tokenizer and configuration are read at once, the weights only when every row was seen.

    Args:
        model: Folder or hub name of the reference.
        max_tokens: As `rendering.max_tokens` of a run; none: 1,024, or the model's positions.
        truncation: As `rendering.truncation`: what happens to longer rows.
        form: As `rendering.form`.
        sample: Pairs that the model reads; 0: none, and no weights are loaded.
        trust_remote_code: Run code that comes with the model. Only ever set by the user.
        watch: Told of the progress.

    Raises:
        ConfigError: PT301, PT400 to PT404: the model or the limit can't be used.
    """

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int | None = None,
        truncation: Policy = "drop",
        form: Literal["auto", "chat", "text"] = "auto",
        sample: int = SAMPLE,
        trust_remote_code: bool = False,
        watch: Watch | None = None,
    ) -> None:
        from preftune.models import load_config, load_tokenizer
        from preftune.models.limits import token_limit

        config = load_config(model, trust_remote_code=trust_remote_code)
        tokenizer = load_tokenizer(model, trust_remote_code=trust_remote_code)
        limit = token_limit(max_tokens, config)
        self._model = model
        self._trusted = trust_remote_code
        self._watch = watch or Silent()
        self._renderer = Renderer(tokenizer, max_tokens=limit, truncation=truncation, form=form)
        self._tokens = Tokens(self._renderer)
        self._sample = Sample(sample)
        self._waiting: list[Case] = []
        self._letters = 0

    def see(self, case: Case) -> None:
        """Look at one row, together with those before it."""
        self._waiting.append(case)
        self._letters += len(case.prompt) + sum(map(len, case.responses))
        if len(self._waiting) >= _ROWS or self._letters >= _LETTERS:
            self._render()

    def conclude(self, account: Account) -> Conclusion:
        """Say what was found; now the model reads its sample.

        Raises:
            ConfigError: PT400 to PT404: its weights can't be used.
        """
        self._render()
        counted = self._tokens.conclude()
        drawn = self._sample.drawn
        if not drawn:
            return counted
        from preftune.models import LogProbModel, load_model
        from preftune.models.precision import choose_device, choose_precision, matmuls_in

        device = choose_device()
        stored = None if device.type == "cuda" else "float32"
        loaded = load_model(self._model, dtype=stored, trust_remote_code=self._trusted)
        vocabulary = int(loaded.config.get_text_config().vocab_size)  # pyright: ignore
        root = LogProbModel(loaded).to(device)
        with matmuls_in(choose_precision("auto"), device):
            readings = read_sample(
                root, drawn, self._watch, name=self._model, vocabulary=vocabulary
            )
        read = judge_readings(readings)
        findings = sorted([*counted.findings, *read.findings], key=lambda one: one.code)
        return Conclusion(findings, {**counted.figures, **read.figures}, counted.drops)

    def _render(self) -> None:
        waiting, self._waiting, self._letters = self._waiting, [], 0
        found = self._renderer.attempts([case.group for case in waiting])
        for case, whole in zip(waiting, found, strict=True):
            if isinstance(whole, DataError):
                self._tokens.refuse(case, whole)
                continue
            fitted = self._renderer.fit(whole)
            self._tokens.see(case, whole, fitted)
            if fitted.group is not None:
                self._sample.see(case, fitted.group)
