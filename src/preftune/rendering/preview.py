"""Rows token by token: what is prompt, what is trained, what is context, what was cut.

`preview` gives plain records, `as_text` marked plain text, `show` colours on a terminal. All of
them come from the token groups that are trained on.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from preftune.records import Group, Rating, TokenGroup, TokenResponse
from preftune.rendering.renderer import Renderer
from preftune.rendering.truncation import Fitted

if TYPE_CHECKING:
    from rich.console import Console

Kind = Literal["prompt", "trained", "context", "cut"]

_STYLES: dict[Kind, str] = {
    "prompt": "cyan",
    "trained": "bold green",
    "context": "yellow",
    "cut": "dim red strike",
}
_SIGNS = {"\n": "⏎", "\t": "⇥"}


@dataclass(frozen=True, slots=True)
class TokenView:
    """One token as a person sees it."""

    text: str
    """Control characters and escapes made visible and inert."""
    id: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class SideView:
    """One response."""

    name: str
    """`chosen`, `rejected`; `good`, `bad`; else `response 1`, with its rank or score if any."""
    tokens: tuple[TokenView, ...]


@dataclass(frozen=True, slots=True)
class RowView:
    """One row in full, with what is cut from it."""

    source: str
    prompt: tuple[TokenView, ...]
    sides: tuple[SideView, ...]
    unused: str = ""
    """Why the row is not trained on; empty where it is."""
    judged: str = ""
    """What the judgement says beside who won: `strength 0.8, margin 3`; empty if nothing."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows of a data set and how they are written."""

    announcement: str
    rows: tuple[RowView, ...]


def preview(renderer: Renderer, groups: Sequence[Group], n: int = 3) -> Preview:
    """The first `n` groups as `renderer` gives them to training, and what it cuts.

    Raises:
        DataError: PT200 or PT201, as `Renderer.render`.
    """
    first = groups[:n]
    rows = tuple(_row(renderer, whole) for whole in renderer.untruncated(first))
    return Preview(renderer.announcement({group.form for group in first}), rows)


def as_text(view: Preview) -> str:
    """The preview as plain text: one line for each run of tokens of a kind, named by it."""
    return "\n".join("".join(text for text, _ in line) for line in _lines(view)) + "\n"


def show(view: Preview, console: "Console") -> None:
    """The preview on a terminal, coloured; as `as_text` where the console is none."""
    from rich.text import Text

    for line in _lines(view):
        # `Text` takes parts as they are: nothing in the data is read as markup.
        console.print(Text.assemble(*line), soft_wrap=True)


def inert(text: str) -> str:
    r"""Text that no terminal obeys: control and format characters are shown, not sent.

    Example:
        >>> inert("one\ntwo\x1b[31m")
        'one⏎two␛[31m'
    """
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if character in _SIGNS:
        return _SIGNS[character]
    if code < 0x20:
        return chr(0x2400 + code)
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return f"\\u{{{code:x}}}"
    return character


def _row(renderer: Renderer, whole: TokenGroup) -> RowView:
    fitted = renderer.fit(whole)
    kept = fitted.group or whole
    keep = renderer.kept(whole)
    lost = len(whole.prompt_ids) - len(kept.prompt_ids)
    kinds: list[Kind] = ["prompt"] * len(whole.prompt_ids)
    cut: list[Kind] = ["cut"] * lost
    kinds[keep : keep + lost] = cut
    sides = tuple(
        SideView(name, _views(renderer, full.ids.tolist(), _kinds(full, side)))
        for name, full, side in zip(_names(whole), whole.responses, kept.responses, strict=True)
    )
    prompt = _views(renderer, whole.prompt_ids.tolist(), kinds)
    return RowView(whole.source, prompt, sides, _unused(fitted), _judged(whole))


def _judged(group: TokenGroup) -> str:
    said = [f"weight {group.weight:g}"] * (group.weight != 1)
    if len(group.relations) > 1:
        return ", ".join([*said, f"{len(group.relations)} judgements"])
    for relation in group.relations:
        said += ["tie"] * relation.tie
        said += [f"strength {relation.strength:g}"] * (relation.strength != 1 and not relation.tie)
        if relation.margin is not None and not relation.tie:
            said.append(f"margin {relation.margin:g}")
    return ", ".join(said)


def _unused(fitted: Fitted) -> str:
    return "" if fitted.group else fitted.reason


def _kinds(full: TokenResponse, kept: TokenResponse) -> list[Kind]:
    trained: list[bool] = full.trained.tolist()
    return [
        "cut" if index >= len(kept.ids) else "trained" if is_trained else "context"
        for index, is_trained in enumerate(trained)
    ]


def _views(renderer: Renderer, ids: Sequence[int], kinds: Sequence[Kind]) -> tuple[TokenView, ...]:
    return tuple(
        TokenView(inert(renderer.encoder.text(token)), token, kind)
        for token, kind in zip(ids, kinds, strict=True)
    )


def _names(group: TokenGroup) -> list[str]:
    if len(group.responses) == 2 and len(group.relations) == 1 and not group.relations[0].tie:
        relation = group.relations[0]
        return ["chosen" if index == relation.winner else "rejected" for index in range(2)]
    return [_name(number, response) for number, response in enumerate(group.responses, 1)]


def _name(number: int, response: TokenResponse) -> str:
    rating = response.rating or Rating()
    if rating.good is not None:
        return "good" if rating.good else "bad"
    if rating.rank is not None:
        return f"response {number}, rank {rating.rank}"
    return f"response {number}" + (f", score {rating.score:g}" if rating.score is not None else "")


def _lines(view: Preview) -> Iterator[list[tuple[str, str]]]:
    """Lines as (text, style) parts."""
    yield [(view.announcement, "dim")]
    for row in view.rows:
        yield []
        note = f"  not used: {row.unused}" if row.unused else ""
        judged = f"  {row.judged}" if row.judged else ""
        yield [(inert(row.source), "bold"), (judged, "dim"), (note, "red")]
        yield from _runs("prompt", row.prompt)
        for side in row.sides:
            yield from _runs(side.name, side.tokens)


def _runs(name: str, tokens: Sequence[TokenView]) -> Iterator[list[tuple[str, str]]]:
    yield [(f"  {name}", "bold"), (f"  {_tally(tokens)}", "dim")]
    for kind, run in groupby(tokens, key=_kind):
        parts = [(f"    {kind:<7} ", "dim")]
        for token in run:
            parts += [("│", "dim"), (token.text, _STYLES[kind])]
        yield parts


def _kind(token: TokenView) -> Kind:
    return token.kind


def _tally(tokens: Sequence[TokenView]) -> str:
    cut = sum(token.kind == "cut" for token in tokens)
    trained = sum(token.kind == "trained" for token in tokens)
    counts = [f"{len(tokens):,} tokens"]
    counts += [f"{trained:,} trained"] * (trained > 0) + [f"{cut:,} cut"] * (cut > 0)
    return ", ".join(counts)
