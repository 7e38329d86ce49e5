"""Find out how the rows of a file are laid out, from the columns of the first rows."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from preftune.errors import ConfigError
from preftune.sources import lists, trees
from preftune.sources.columns import PAIR, Columns, inner_columns
from preftune.sources.judgements import with_judgements, with_weight
from preftune.sources.list_groups import group_of
from preftune.sources.misfits import listed, no_layout
from preftune.sources.pair_layouts import (
    PROMPTS,
    Found,
    find_compared,
    find_pairs,
    find_responses,
    preferred,
)
from preftune.sources.pairs import Convert
from preftune.sources.rows import Item, Row, quote
from preftune.sources.verdicts import SIDES, with_verdicts
from preftune.sources.words import LISTS, resolve

_SINGLE = frozenset(("completion", "output", "label"))
"""Words that, when the user gives them, ask for single responses and not for lists of them."""
_COMPARED = frozenset((*SIDES, "verdict"))
_ELSEWHERE = frozenset((*PAIR, *_SINGLE, *LISTS, "messages"))
"""Words that, when the user gives them, ask for anything but two responses side by side."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows become groups."""

    sentence: str
    """What is announced."""
    convert: Convert
    unfold: Callable[[Row], Iterable[Item]] | None = None
    """What makes several rows of one, before they are converted; none where a row is one."""
    counts: Counter[str] = field(default_factory=Counter[str])
    """What is left out inside rows that are used, by what it is."""


def find_layout(sample: Sequence[Row], mapping: Mapping[str, str] | None, where: str) -> Layout:
    """The layout of rows like those of the sample.

    Args:
        sample: The first rows; the union of their columns counts, not those of one row.
        mapping: The user's words for columns.
        where: The data, for messages.

    Raises:
        ConfigError: PT300, PT301, PT302, the mapping does not fit.
        DataError: PT103, no known layout fits.
    """
    found = list(dict.fromkeys(column for row in sample for column in row.columns))
    names = resolve(mapping, found, inner_columns(sample) if mapping else (), where)
    matched = _match(names, set(mapping or ()), sample, where)
    if matched is None:
        raise no_layout(found, names, set(mapping or ()), sample, where)
    used, layout = matched
    idle = [word for word in mapping or () if word not in used.names]
    if idle:
        raise ConfigError(
            "PT301",
            f"--map names `{idle[0]}`, which is not used beside {listed(used.names)}",
            why="a mapped column that does nothing is a mistake.",
            fix=f"leave `{idle[0]}` out, or map the columns of one layout only.",
            where="--map",
        )
    kept = [column for column in found if column not in used.names.values()]
    extra = f"; kept as metadata: {', '.join(map(quote, kept))}" if kept else ""
    return replace(layout, sentence=layout.sentence + extra)


def _match(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row], where: str
) -> tuple[Columns, Layout] | None:
    if "prompt" in names and trees.has_trees(names["prompt"], sample):
        return _trees(names["prompt"], sample)
    paired = set(names).issuperset(PAIR) and "responses" not in mapped
    if not (paired or mapped & _ELSEWHERE) or mapped & _COMPARED:
        compared = with_verdicts(names, mapped, sample)
        found = (
            find_compared(with_weight(compared, sample), mapped, sample, where)
            if compared
            else None
        )
        if found or mapped & _COMPARED:
            return _plain(found)
    if paired:
        names = with_judgements(with_weight(names, sample), sample)
        return _plain(find_pairs(names, mapped, sample))
    listed = None if mapped & _SINGLE else _lists(with_weight(names, sample), mapped, sample)
    return listed or _plain(find_responses(names, mapped, sample))


def _plain(found: Found | None) -> tuple[Columns, Layout] | None:
    if found is None:
        return None
    columns, sentence, convert = found
    return columns, Layout(sentence, convert)


def _lists(
    names: Mapping[str, str], mapped: set[str], sample: Sequence[Row]
) -> tuple[Columns, Layout] | None:
    prompt = preferred(PROMPTS, names, mapped)
    found = lists.find_lists(names, prompt, mapped, sample) if prompt else None
    if found is None:
        return None
    counts: Counter[str] = Counter()
    convert = partial(group_of, found, counts=counts)
    return found.columns, Layout(lists.sentence(found), convert, counts=counts)


def _trees(column: str, sample: Sequence[Row]) -> tuple[Columns, Layout] | None:
    counts: Counter[str] = Counter()
    places = [item for row in sample for item in trees.unfold(row, column, Counter())]
    rows = [item for item in places if isinstance(item, Row)]
    inside = {"prompt": column, "responses": trees.REPLIES}
    found = lists.find_lists(inside, "prompt", set(), rows)
    if found is None:
        return None
    sentence = (
        f"trees in `{column}`: every place with two or more replies in `{trees.REPLIES}` is a "
        f"ranking, its prompt the way to it; ranks in `{found.judged}`, the lowest is the best"
    )
    convert = partial(group_of, found, counts=counts)
    unfold = partial(trees.unfold, column=column, counts=counts)
    return Columns({"prompt": column}, {}), Layout(sentence, convert, unfold, counts)
