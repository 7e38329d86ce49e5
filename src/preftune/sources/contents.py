"""What the judgements of a file hold, in a sentence or two: what decides which objective fits."""

from collections import Counter
from collections.abc import Iterator, Sequence

from preftune.records import Group


def contents(groups: Sequence[Group]) -> list[str]:
    """Sentences on pairs, ties, thumbs and ratings; none for responses without a judgement."""
    return [*_of_relations(groups), *_of_thumbs(groups), *_of_ratings(groups)]


def _of_relations(groups: Sequence[Group]) -> Iterator[str]:
    count: Counter[str] = Counter()
    for group in groups:
        for relation in group.relations:
            if relation.tie:
                count["ties"] += 1
                continue
            count["pairs"] += 1
            count["doubted"] += relation.strength < 1
            count["measured"] += relation.margin is not None
            count["contrary"] += relation.margin is not None and relation.margin < 0
    if count["ties"]:
        yield (
            f"{count['ties']:,} of {count['ties'] + count['pairs']:,} judgements are ties: only "
            "objectives made for ties learn from them."
        )
    if count["doubted"]:
        yield f"{count['doubted']:,} of {count['pairs']:,} pairs are judged with doubt."
    if 0 < count["measured"] < count["pairs"]:
        yield f"{count['pairs'] - count['measured']:,} of {count['pairs']:,} pairs have no margin."
    if count["contrary"]:
        yield (
            f"warning: in {count['contrary']:,} of {count['pairs']:,} pairs rejected is rated "
            "higher than chosen; the label is kept."
        )


def _of_thumbs(groups: Sequence[Group]) -> Iterator[str]:
    thumbs = Counter(
        response.rating.good for group in groups for response in group.responses if response.rating
    )
    if thumbs[True] or thumbs[False]:
        yield f"thumbs: {thumbs[True]:,} good, {thumbs[False]:,} bad."


def _of_ratings(groups: Sequence[Group]) -> Iterator[str]:
    """On rankings and ratings alone; the scores of pairs are in their margins."""
    lists = [group for group in groups if not group.relations and len(group.responses) > 1]
    sizes = Counter(len(group.responses) for group in lists)
    if not sizes:
        return
    number = sum(size * times for size, times in sizes.items())
    least, most = min(sizes), max(sizes)
    each = f"{least}" if least == most else f"{least} to {most}"
    ranked = all(one.rating is None or one.rating.score is None for one in lists[0].responses)
    tied = sum(_has_equals(group) for group in lists)
    yield (
        f"{len(lists):,} prompts with {each} {'ranked' if ranked else 'rated'} responses, "
        f"{number:,} in all; in {tied:,} some are equal."
    )


def _has_equals(group: Group) -> bool:
    known = [one.rating for one in group.responses if one.rating is not None]
    return len(set(known)) < len(known)
