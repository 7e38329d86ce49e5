"""When a rule that predicts labels is worth a warning, and the sentence that tells of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from preftune.checks.finding import finding, percent
from preftune.checks.shortcuts.rules import Measured
from preftune.records import Estimate, Finding, Severity


@dataclass(frozen=True, slots=True)
class Limit:
    """A rule matters when both near ends of its intervals are past these."""

    accuracy: float
    """Of the pairs that it decides: below, it holds too seldom to be relied on."""
    explained: float
    """Of all labels: below, it decides too few pairs to be what is learned."""


# Practice calls 75 % "longer wins" a length bias. We ask the interval's near end for 70 %, which
# is 75 % seen on a few hundred pairs; honest human preferences for longer answers stand at 55 to
# 65 %. A rule must also explain 60 % of all labels: a model that learned nothing else would then
# win three pairs for two that it loses. That is right in all of 20 % of the pairs, or in three
# quarters of 40 %.
_LIMITS = {
    "PC400": Limit(0.70, 0.60),
    "PC401": Limit(0.70, 0.60),
    # Refusing concerns few pairs, and they are the ones where it is learned when to refuse: right
    # in 80 % of 10 % explains 53 %.
    "PC402": Limit(0.75, 0.53),
    # A place says nothing of a response, so that any leaning is bias; but where two writers keep
    # their places, as in many comparisons, the better one's place wins for good reasons.
    "PC403": Limit(0.60, 0.60),
    "PC404": Limit(0.75, 0.60),
}
_TAIL = {"PC404": " (Found on one half of the prompts, measured on the other.)"}
_ALWAYS = ("PC400", "PC403")
"""People want to know of length and position, also that they decide nothing."""
_SHOWN = 3
"""Rules of one code that are told of when several are past the limit."""


def severity_of(code: str, rule: Measured) -> Severity:
    """A warning where the rule surely matters."""
    limit = _LIMITS[code]
    if rule.accuracy.low >= limit.accuracy and rule.explained.low >= limit.explained:
        return Severity.warning
    return Severity.info


def told(code: str, rules: Sequence[Measured], unit: str) -> Iterator[Finding]:
    """The strongest rule, and up to two others that matter, too.

    Args:
        code: PC400 to PC404.
        rules: The best first.
        unit: `pairs`, or `responses` where thumbs were compared.
    """
    if code not in _ALWAYS:
        rules = [rule for rule in rules if rule.accuracy.low > 0.5]  # else it may be chance
    warned = [rule for rule in rules if severity_of(code, rule) is Severity.warning]
    if code == "PC400":
        warned = warned[:1]  # letters and words count the same thing
    for rule in (warned or list(rules[:1]))[:_SHOWN]:
        yield finding(
            code,
            severity_of(code, rule),
            sentence_of(rule, unit) + _TAIL.get(code, ""),
            rule.right,
            rule.pairs,
            unit="pairs",
            estimate=rule.accuracy,
        )


def sentence_of(rule: Measured, unit: str) -> str:
    """`in 94 % of the pairs the longer response is chosen [93, 95]`."""
    near = interval(rule.accuracy)
    if unit == "responses":
        return (
            f"{_subject(rule.rule)} in {percent(rule.accuracy.value)} of all comparisons of a "
            f"good and a bad response {near}."
        )
    share = rule.decides / rule.pairs
    where = "in" if share > 0.995 else f"where they differ ({percent(share)} of the pairs), in"
    whole = "the pairs" if share > 0.995 else "them"
    explained = f"; {percent(rule.explained.value)} of all labels follow from it"
    sentence = f"{where} {percent(rule.accuracy.value)} of {whole} {_chosen(rule.rule)} {near}"
    return sentence + ("." if share > 0.995 else f"{explained}.")


def interval(estimate: Estimate) -> str:
    """`[93, 95]`, in percent."""
    digits = 0 if estimate.high - estimate.low >= 0.02 else 1
    return f"[{100 * estimate.low:.{digits}f}, {100 * estimate.high:.{digits}f}]"


def _chosen(rule: str) -> str:
    if rule in ("longer", "shorter"):
        return f"the {rule} response is chosen"
    if rule.startswith(("more ", "fewer ")):
        return f"the response with {rule} is chosen"
    if rule.startswith("shown"):
        return f"the response {rule} is chosen"
    return f"the one that {rule} is chosen"


def _subject(rule: str) -> str:
    if rule in ("longer", "shorter"):
        return f"the good response is the {rule} one"
    if rule.startswith(("more ", "fewer ")):
        return f"the good response has {rule}"
    return f"the good response is the one that {rule}"
