"""`check`: read a file and say what a model will learn from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from preftune.checks.annotators.annotators import Annotators
from preftune.checks.cases import Check
from preftune.checks.contradictions.contradictions import Contradictions
from preftune.checks.contradictions.scores import Scores
from preftune.checks.contradictions.ties import Ties
from preftune.checks.diversity.lengths import Lengths
from preftune.checks.diversity.prompts import Diversity
from preftune.checks.diversity.templates import Templates
from preftune.checks.examine import gather, run_checks
from preftune.checks.noise.predictability import Words
from preftune.checks.repeats.benchmarks import benchmark
from preftune.checks.repeats.exact import Repeats
from preftune.checks.repeats.leaks import Leaks, SplitLeaks
from preftune.checks.repeats.near import NearRepeats
from preftune.checks.rows.faults import RowFaults
from preftune.checks.rows.languages import Languages
from preftune.checks.rows.sides import Sides
from preftune.checks.shortcuts.formatting import Formatting
from preftune.checks.shortcuts.shortcuts import Shortcuts
from preftune.records import Examination, Exclusion, Group, Silent, Watch
from preftune.sources import Stream, stream

if TYPE_CHECKING:
    from preftune.checks.reference.with_model import ModelCheck

Depth = Literal["quick", "full"]
"""`quick`: what every training run starts with. `full`: also near repeats, words, label noise."""


@dataclass(slots=True)
class File:
    """A file that can be streamed again and again."""

    name: str
    mapping: Mapping[str, str] | None = None
    split: str | None = None
    limit: int | None = None
    opened: Stream | None = field(default=None, init=False)
    """The first pass's stream: its layout, and its fingerprint once it is over."""

    def __call__(self) -> Iterator[Group | Exclusion]:
        """The rows from the first one on."""
        stream_ = stream(self.name, mapping=self.mapping, split=self.split, limit=self.limit)
        self.opened = self.opened or stream_
        return stream_.items


def check(
    data: str,
    *,
    model: "str | ModelCheck | None" = None,
    held_out: str | None = None,
    benchmarks: Sequence[str] = (),
    depth: Depth = "full",
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    limit: int | None = None,
    watch: Watch | None = None,
) -> Examination:
    """Say what a model will learn from a file besides what was meant, and how to mend it.

    Args:
        data: As `preftune.sources.read` takes it; broken rows become findings.
        model: Folder or hub name of the reference: counts tokens, and asks it about a sample. A
            `ModelCheck` where it should not be done as `train` does by default.
        held_out: A file whose prompts must not be trained on; the columns as in `data`.
        benchmarks: Files of questions that must not be in the data, in any layout.
        depth: `quick` asks what every training run asks.
        mapping, split, limit: As in `read`.
        watch: Told of the progress.

    Returns:
        Findings, the most severe first, the verdict, and what the plots show.

    Raises:
        DataError: PT100 to PT107: nothing can be read.
        ConfigError: the mapping, the split, the limit or the model does not fit.

    Example:
        examination = preftune.check("pairs.jsonl")
        print(examination.verdict)
    """
    from preftune.checks.reference.with_model import ModelCheck

    watch = watch or Silent()
    file = File(data, mapping, split, limit)
    checks = checks_of(depth, None if held_out is None else File(held_out, mapping))
    checks += [benchmark(path) for path in benchmarks]
    if model is not None:
        with_model = model if isinstance(model, ModelCheck) else ModelCheck(model, watch=watch)
        checks.append(with_model)
    passed = run_checks(file, checks, watch)
    assert file.opened is not None
    return gather(
        file,
        passed,
        data=data,
        layout=file.opened.sentence,
        fingerprint=file.opened.fingerprint(),
    )


def check_groups(groups: Sequence[Group], exclusions: Sequence[Exclusion] = ()) -> Examination:
    """The quick checks on data that was read already."""

    def items() -> Iterator[Group | Exclusion]:
        yield from exclusions
        yield from groups

    return gather(items, run_checks(items, checks_of("quick"), Silent()))


def checks_of(depth: Depth, held_out: File | None = None) -> list[Check]:
    """Fresh checks, in the order in which they conclude."""
    repeats = Repeats()
    near = NearRepeats(repeats) if depth == "full" else None
    return [
        RowFaults(),
        Sides(),
        Languages(),
        repeats,
        *([near] if near else ()),
        *([Leaks(held_out, held_out.name, near)] if held_out else ()),
        SplitLeaks(),
        Diversity(near),
        Contradictions(),
        Ties(),
        Scores(),
        Shortcuts(classify=depth == "full"),
        Formatting(),
        Templates(),
        Lengths(),
        Annotators(),
        *([Words()] if depth == "full" else ()),
    ]
