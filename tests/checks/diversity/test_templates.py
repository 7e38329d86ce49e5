import random

from preftune.checks.diversity.templates import Templates
from preftune.records import Group, Severity
from tests.checks.planting import real_rows
from tests.checks.repeating import without_repeats
from tests.checks.repeats.test_exact import conclusion, pair
from tests.checks.repeats.test_near import words


def found_in(rows):
    found = conclusion(rows, Templates())
    return (found.findings[0] if found.findings else None), found.figures["templates"]


def prompts(texts):
    return [pair(text, "a", "b") for text in texts]


def test_a_planted_template_is_said_in_words(shared):
    rows = without_repeats(real_rows(shared, "hh"))
    draw = random.Random(0)
    for share in (0.05, 0.2, 0.5):
        count = round(share / (1 - share) * len(rows))
        planted = prompts(f"Write a poem about {words(3, n)}, in rhyme." for n in range(count))
        mixed = [*rows, *planted]
        draw.shuffle(mixed)
        found, figure = found_in(mixed)
        assert "«write a poem about … in rhyme»" in found.sentence
        assert found.count == count
        assert figure[0]["template"] == "write a poem about … in rhyme"
        assert found.estimate.low <= share <= found.estimate.high
        assert (found.severity is Severity.warning) == (share == 0.5)
        assert all(rows_of(mixed, one).startswith("Write a poem") for one in found.examples)


def rows_of(rows, example):
    return rows[example.row].prompt[-1].content


def test_a_shared_end_is_a_template_too():
    texts = [f"{words(6, n)}. Answer with yes or no." for n in range(50)]
    found, _ = found_in(prompts([*texts, *(words(9, n) for n in range(100, 200))]))
    assert found.count == 50
    assert "«… answer with yes or no»" in found.sentence


def test_several_templates_are_listed_by_size_and_each_prompt_is_of_one():
    kinds = {"Tell me about": 40, "What do you think of": 30, "How can I learn": 20}
    texts = [f"{kind} {words(4, n)}" for kind, count in kinds.items() for n in range(count)]
    _, figure = found_in(prompts([*texts, *(words(9, n) for n in range(100, 110))]))
    listed = [(one["template"], one["prompts"], one["share"]) for one in figure]
    assert listed == [(f"{kind.lower()} …", count, count / 100) for kind, count in kinds.items()]


def test_scripts_without_spaces():
    found, _ = found_in(
        prompts(f"请写一首关于{chr(0x4E00 + 7 * n)}{chr(0x5E00 + n)}的诗" for n in range(30))
    )
    assert found.count == 30
    assert "«请 写 一 首 关 于 … 的 诗»" in found.sentence


def test_real_data_has_no_template_that_matters(shared):
    for name in ("hh", "ultrafeedback", "chat", "thumbs", "polite"):
        assert found_in(real_rows(shared, name))[0].severity is Severity.info


def test_of_many_prompts_a_sample_is_judged():
    rows = prompts(
        f"{'Tell me about' if n % 4 else words(3, n)} {words(3, n)}" for n in range(9_000)
    )
    found, _ = found_in(rows)
    assert found.total == 4_000
    assert found.estimate.low <= 0.75 <= found.estimate.high
    assert "judged by 4,000 of them" in found.sentence


def test_few_or_odd_prompts_have_no_template():
    odd = [Group((), ()), pair("", "a", "b"), pair("?!", "a", "b"), pair("a " * 200_000, "a", "b")]
    assert found_in([])[0] is None
    assert found_in([*odd, *prompts(["what is the x"] * 9)])[0] is None
