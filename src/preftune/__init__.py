"""preftune: from "this answer is better than that one" to a better language model.

    import preftune

    result = preftune.train(model="./sft-model", data="pairs.jsonl", objective="dpo")

Or the parts alone, in a loop of your own: `read`, `render`, `logps` and the losses of
`preftune.objectives`. Everything heavy is imported when it is first called.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from preftune.models import LogProbModel
    from preftune.objectives import LogProbs
    from preftune.records import Examination, Group, TokenGroup, Watch
    from preftune.training.run import TrainResult

__all__ = ["check", "logps", "read", "render", "train"]


def train(
    run_file: str | Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    watch: "Watch | None" = None,
    trust_remote_code: bool = False,
    **keys: Any,
) -> "TrainResult":
    """Tune a model: the same as `preftune train`; the same call resumes.

    Args:
        run_file: Run file in YAML.
        settings: Dotted keys of the run file: `{"optimizer.lr": 5e-7}`. They win over the file.
        watch: Listener to messages and progress; silent by default.
        trust_remote_code: Run code that comes with the model.
        keys: Top-level keys of the run file: `model`, `data`, `objective`, `out`, `seed`, ….

    Raises:
        preftune.errors.PreftuneError: with a code, the reason and the fix.

    Example:
        preftune.train(model="./sft", data="pairs.jsonl", objective="dpo", out="runs/first")
    """
    from preftune.training.run import train as run
    from preftune.training.runfile import resolve

    merged = {**keys, **(settings or {})}
    resolved = resolve(Path(run_file) if run_file else None, merged)
    return run(resolved, watch, trust_remote_code=trust_remote_code)


def check(data: str, **options: Any) -> "Examination":
    """What a model will learn from a file besides what was meant: the same as `preftune check`.

    Options and errors as `preftune.checks.run`: `model`, `held_out`, `benchmarks`, `depth`, ….

    Example:
        examination = preftune.check("pairs.jsonl")
        print(examination.verdict)
        for finding in examination.findings:
            print(finding.severity.name, finding.code, finding.sentence)
    """
    from preftune.checks import check as examine

    return examine(data, **options)


def read(path: str, **options: Any) -> "list[Group]":
    """The groups of a preference file. Options and errors as `preftune.sources.read`."""
    from preftune.sources import read as read_file

    return read_file(path, **options).groups


def render(
    groups: "Sequence[Group]",
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_tokens: int = 1024,
    truncation: str = "drop",
) -> "list[TokenGroup]":
    """Groups as tokens: the prompt once, each response after it, and which tokens are trained.

    Rows over `max_tokens` are left out or cut as `truncation` says; `preftune.rendering.Renderer`
    gives the account of them.
    """
    from preftune.records import Intake
    from preftune.rendering import Renderer

    renderer = Renderer(tokenizer, max_tokens=max_tokens, truncation=truncation)  # pyright: ignore[reportArgumentType]
    return renderer.render(groups, Intake(len(groups), len(groups))).groups


def logps(model: "PreTrainedModel | LogProbModel", groups: "Sequence[TokenGroup]") -> "LogProbs":
    """Log-probs of the groups' responses: differentiable, packed, without padding.

    Example:
        policy = preftune.logps(model, groups)
        with torch.no_grad():
            reference = preftune.logps(frozen, groups)
        loss = dpo(policy.with_reference(reference), beta=0.1).mean()
    """
    from preftune.models import logps as score

    return score(model, groups)
