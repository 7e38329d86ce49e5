"""The cheap checks that every training run starts with: is there a signal beside length?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from preftune.records import Estimate, Group, Relation
from preftune.statistics.proportions import proportion

STRONG_SHORTCUT = 0.75
"""Share of pairs decided by a trivial rule from which on a person should know of it."""


def examine(groups: Sequence[Group]) -> list[str]:
    """Sentences on what the pairs hold: duplicates, contradictions, the length shortcut.

    Only judgements that prefer one response count: no ties, thumbs or ratings.
    """
    pairs = list(_pairs(groups))
    if not pairs:
        return []
    prompts = len({group.prompt for group, _ in pairs})
    findings = [f"{len(pairs):,} pairs over {prompts:,} distinct prompts."]
    same, contrary = _repeats(pairs)
    if same:
        findings.append(f"warning: {same:,} pairs repeat an earlier one exactly.")
    if contrary:
        findings.append(f"warning: {contrary:,} pairs say the opposite of an earlier one.")
    longer = longer_wins(groups)
    if longer and (longer.low > STRONG_SHORTCUT or longer.high < 1 - STRONG_SHORTCUT):
        which = "longer" if longer.value > 0.5 else "shorter"
        share = max(longer.value, 1 - longer.value)
        findings.append(f"warning: in {share:.0%} of the pairs the {which} response is chosen.")
    return findings


def longer_wins(groups: Sequence[Group]) -> Estimate | None:
    """How often the longer response (in characters) is chosen; equal lengths do not count."""
    wins = losses = 0
    for group, relation in _pairs(groups):
        winner, loser = (_length(group, side) for side in (relation.winner, relation.loser))
        wins += winner > loser
        losses += winner < loser
    return proportion(wins, wins + losses) if wins + losses else None


def _pairs(groups: Sequence[Group]) -> Iterator[tuple[Group, Relation]]:
    """Every judgement that prefers one of two responses."""
    return ((group, one) for group in groups for one in group.relations if not one.tie)


def _repeats(pairs: Sequence[tuple[Group, Relation]]) -> tuple[int, int]:
    """Pairs that stood before in the same and in the opposite direction."""
    seen: dict[object, int] = defaultdict(int)
    same = contrary = 0
    for group, relation in pairs:
        winner = group.responses[relation.winner].turns
        loser = group.responses[relation.loser].turns
        same += seen[group.prompt, winner, loser] > 0
        contrary += seen[group.prompt, loser, winner] > 0
        seen[group.prompt, winner, loser] += 1
    return same, contrary


def _length(group: Group, index: int) -> int:
    return sum(len(turn.content) for turn in group.responses[index].turns)
