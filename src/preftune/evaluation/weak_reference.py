"""PC707: can the reference do what preferences ask of it? Its own answers, scored by a judge."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preftune.checks.cases import Case, Conclusion, cases
from preftune.checks.finding import excerpt, finding
from preftune.evaluation.responses import response_text
from preftune.generation import end_ids, generate
from preftune.judging import Scorer
from preftune.records import Example, Exclusion, Finding, Group, Severity, Silent, Watch
from preftune.records.groups import Form
from preftune.records.tokens import Ids
from preftune.rendering import Renderer
from preftune.statistics import paired_difference

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Floats = NDArray[np.float64]
PROMPTS = 128
NEW_TOKENS = 128


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Prompts with the reference's answers, and what the judge gave to every side."""

    cases: list[Case]
    answers: list[str]
    own: Floats
    chosen: Floats
    """(prompt,) the mean of its chosen responses."""
    rejected: Floats


def weak_reference(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    items: Iterable[Group | Exclusion],
    scorer: Scorer,
    *,
    sample: int = PROMPTS,
    max_new_tokens: int = NEW_TOKENS,
    seed: int = 0,
    watch: Watch | None = None,
) -> Conclusion:
    """Let the reference answer a sample of the prompts, and score its answers beside the data's.

    Prompts are the independent units: the mean score of a prompt's chosen responses, the mean of
    its rejected ones and that of the reference's one answer are compared on the same prompt.

    Args:
        model: The reference, plain as `load_model` returns it.
        tokenizer: Its tokenizer.
        items: The data; only rows with pairs are asked about.
        scorer: Judges prompt + response; greater is better.
        sample: Prompts, those with the lowest hashes.
        max_new_tokens: Where answers are cut.
        seed: Of sampling and of the intervals.
        watch: Told of the progress.

    Returns:
        PC707 and the figure "weak_reference"; where fewer than two prompts can be asked, the
        finding says that.
    """
    from preftune.models.limits import token_limit

    watch = watch or Silent()
    limit = token_limit(None, model.config)
    renderer = Renderer(tokenizer, max_tokens=limit, truncation="drop")
    drawn, prompts = _askable(_drawn(items, sample), renderer, limit - max_new_tokens)
    if len(drawn) < 2:
        few = "fewer than two prompts have pairs and leave room for an answer"
        sentence = f"the reference's own answers can't be judged here: {few}."
        return Conclusion([finding("PC707", Severity.info, sentence, 0, 0, unit="prompts")])
    try:
        end_ids(model, tokenizer)
    except ValueError as error:
        watch.say(f"the reference is not asked for answers of its own: {error}")
        return Conclusion()
    watch.begin("answers", len(drawn))
    answers = generate(model, tokenizer, prompts, max_new_tokens=max_new_tokens, seed=seed)
    texts = [
        response_text(tokenizer, prompt, responses[0].ids)
        for prompt, responses in zip(prompts, answers, strict=True)
    ]
    watch.advance(len(drawn))
    watch.end()
    whole = [_whole(case, text) for case, text in zip(drawn, texts, strict=True)]
    scored = _Scored(
        cases=drawn,
        answers=texts,
        own=scorer.score(whole).astype(np.float64),
        chosen=_scores(drawn, scorer, [{pair.winner for pair in case.pairs} for case in drawn]),
        rejected=_scores(drawn, scorer, [{pair.loser for pair in case.pairs} for case in drawn]),
    )
    sides = {"own": scored.own, "chosen": scored.chosen, "rejected": scored.rejected}
    figure = {name: [round(float(one), 4) for one in scores] for name, scores in sides.items()}
    return Conclusion([_finding(scored, seed)], {"weak_reference": figure})


def _drawn(items: Iterable[Group | Exclusion], sample: int) -> list[Case]:
    """The first row with pairs of each of the prompts with the lowest hashes, in file order."""
    heap: list[tuple[int, int, Case]] = []
    held: set[int] = set()
    for case in cases(items):
        key = -int.from_bytes(case.prompt_key, "big")
        if not case.pairs or key in held or (len(heap) == sample and key <= heap[0][0]):
            continue
        held.add(key)
        if len(heap) == sample:
            held.discard(heapq.heappushpop(heap, (key, case.index, case))[0])
        else:
            heapq.heappush(heap, (key, case.index, case))
    return sorted((case for _, _, case in heap), key=lambda case: case.index)


def _askable(drawn: Sequence[Case], renderer: Renderer, room: int) -> tuple[list[Case], list[Ids]]:
    """Those whose prompt the template writes, and that leave room for an answer."""
    found = renderer.attempts([case.group for case in drawn])
    kept = [
        (case, group.prompt_ids)
        for case, group in zip(drawn, found, strict=True)
        if not isinstance(group, Exception) and len(group.prompt_ids) <= room
    ]
    return [case for case, _ in kept], [prompt for _, prompt in kept]


def _scores(drawn: Sequence[Case], scorer: Scorer, sides: Sequence[set[int]]) -> Floats:
    """(prompt,) the mean score of some of its responses."""
    texts = [
        _whole(case, case.responses[index])
        for case, side in zip(drawn, sides, strict=True)
        for index in sorted(side)
    ]
    counts = np.array([len(side) for side in sides])
    owner = np.repeat(np.arange(len(drawn)), counts)
    return np.bincount(owner, scorer.score(texts)) / counts


def _whole(case: Case, response: str) -> str:
    between: dict[Form, str] = {"text": "", "chat": "\n\n"}
    return case.prompt + between[case.group.form] + response


def _finding(scored: _Scored, seed: int) -> Finding:
    own, chosen, rejected = scored.own, scored.chosen, scored.rejected
    gap = paired_difference(own, rejected, seed=seed)
    to_chosen = paired_difference(own, chosen, seed=seed)
    below = own < rejected
    sentence = (
        f"the reference's own answers to {len(own):,} prompts score {own.mean():.3f}, rejected "
        f"responses {rejected.mean():.3f} and chosen ones {chosen.mean():.3f}: own minus rejected "
        f"is {gap}, own minus chosen {to_chosen}."
    )
    return finding(
        "PC707",
        Severity.warning if gap.high < 0 else Severity.info,
        sentence,
        int(below.sum()),
        len(own),
        unit="prompts",
        examples=(
            _example(scored, place) for place in np.argsort(own - rejected).tolist() if below[place]
        ),
        estimate=gap,
    )


def _example(scored: _Scored, place: int) -> Example:
    case = scored.cases[place]
    pair = case.pairs[0]
    texts = {
        "prompt": case.group.prompt[-1].content if case.group.prompt else "",
        "own answer": scored.answers[place],
        "chosen": case.responses[pair.winner],
        "rejected": case.responses[pair.loser],
    }
    shown = {name: excerpt(text) for name, text in texts.items()}
    note = (
        f"own {scored.own[place]:.3f}, rejected {scored.rejected[place]:.3f}, "
        f"chosen {scored.chosen[place]:.3f}"
    )
    return Example(-1, case.group.source, shown, note)
