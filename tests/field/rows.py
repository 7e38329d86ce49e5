"""What both sides train on: short pairs that have something to teach, and thumbs from them."""

import json
from pathlib import Path

Row = dict[str, str]

BATCH = 4
STEPS = 20
PASSES = 4
"""How often the same batches come round, so that the loss has time to move."""

FACTS = [
    ("Capital of Sweden?", "Stockholm"),
    ("7 times 8?", "56"),
    ("Synonym of 'fast'?", "quick"),
    ("Where is the Louvre?", "in Paris"),
    ("Who wrote 'Emma'?", "Jane Austen"),
    ("A spider's legs?", "eight"),
    ("'Library' in Italian?", "biblioteca"),
    ("Past tense of 'draw'?", "drew"),
    ("A botanist studies?", "plants"),
    ("3 km in metres?", "3,000 m"),
    ("Opposite of 'early'?", "late"),
    ("We breathe out?", "carbon dioxide"),
    ("Largest planet?", "Jupiter"),
    ("Spell 40.", "forty"),
    ("Colour of a ruby?", "red"),
    ("Square root of 81?", "9"),
    ("Language of Brazil?", "Portuguese"),
    ("Bees make?", "honey"),
    ("Days of a leap year?", "366"),
    ("'Yes' in Greek?", "ναι"),
]
POLITE = [" It is {}, I believe.", " {}. Glad to help!", " I would say {}, if I may."]
RUDE = [" {}, obviously.", " Look it up: {}.", " {}", " Who does not know that? {}!"]


def pairs() -> list[Row]:
    """Five batches of pairs, of unequal lengths, with a prompt of its own each."""
    return [
        {
            "prompt": question,
            "chosen": POLITE[number % len(POLITE)].format(answer),
            "rejected": RUDE[number % len(RUDE)].format(answer),
        }
        for number, (question, answer) in enumerate(FACTS)
    ]


def real(folder: Path) -> list[Row]:
    """Twenty of the polite and impolite answers, short enough for the tiny model."""
    found: dict[str, Row] = {}
    for row in json.loads((folder / "instruction-data-with-preference.json").read_text()):
        prompt, chosen, rejected = row["instruction"], " " + row["chosen"], " " + row["rejected"]
        together = prompt + chosen + rejected
        if not row["input"] and together.isascii() and len(together) < 130 and chosen != rejected:
            found[prompt] = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    return list(found.values())[: len(FACTS)]


def thumbs(rows: list[Row]) -> list[dict[str, str | bool]]:
    """One response of each pair, three of five good, so that batches differ in their shares."""
    judged: list[dict[str, str | bool]] = []
    for number, row in enumerate(rows):
        good = number % 5 in {0, 2, 3}
        response = row["chosen"] if good else row["rejected"]
        judged.append({"prompt": row["prompt"], "completion": response, "label": good})
    return judged


def level(rows: list[Row], letters: int = 24) -> list[Row]:
    """All responses of one length and no prompts: where means over tokens, over responses and
    over the whole text are the same, and where the order of log-probs changes easily."""

    def cut(text: str) -> str:
        return text.encode()[:letters].ljust(letters, b"!").decode()

    return [
        {"prompt": "", "chosen": cut(row["chosen"]), "rejected": cut(row["rejected"])}
        for row in rows
    ]
