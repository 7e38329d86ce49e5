import pytest

from preftune.checks.cases import Account
from preftune.checks.examine import gather, run_checks
from preftune.checks.rows.language import NAMES, language_of
from preftune.checks.rows.languages import Languages
from preftune.records import Group, Message, Relation, Response, Severity, Silent
from tests.checks.planting import balanced, real_rows

SAID = {
    "de": "Das Wetter war gestern sehr schön, deshalb sind wir am Fluss spazieren gegangen.",
    "fr": "Il faisait très beau hier, alors nous avons décidé de nous promener au bord de la mer.",
    "es": "Ayer hizo muy buen tiempo, así que decidimos pasear por el río y comer fuera.",
    "pt": "Ontem o tempo estava muito bom, por isso decidimos passear junto ao rio e almoçar fora.",
    "it": "Ieri il tempo era bellissimo, così abbiamo deciso di passeggiare lungo il fiume.",
    "nl": "Het weer was gisteren erg mooi, dus besloten we langs de rivier te gaan wandelen.",
    "pl": "Wczoraj była piękna pogoda, więc postanowiliśmy pospacerować wzdłuż rzeki.",
    "tr": "Dün hava çok güzeldi, bu yüzden nehir boyunca yürümeye karar verdik.",
    "ru": "Вчера была прекрасная погода, поэтому мы решили прогуляться вдоль реки.",
    "zh": "昨天天气很好，所以我们决定沿着河边散步，然后在外面吃午饭。",
    "ja": "昨日はとても天気が良かったので、川沿いを散歩して外で昼食をとることにしました。",
    "ko": "어제는 날씨가 아주 좋아서 우리는 강을 따라 산책하고 밖에서 점심을 먹기로 했습니다.",
    "en": "The weather was lovely yesterday, so we went for a walk along the river and had lunch.",
}


def pair(prompt, chosen, rejected):
    sides = [Response((Message("assistant", text),)) for text in (chosen, rejected)]
    return Group((Message("user", prompt),), tuple(sides), (Relation(0, 1),))


def examined(rows, check=None):
    return gather(lambda: rows, run_checks(lambda: rows, [check or Languages()], Silent()))


@pytest.mark.parametrize("code", SAID)
def test_a_sentence_is_enough(code):
    assert language_of(SAID[code]) == code
    assert code in NAMES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "12345 67890 " * 20,
        "```python\nfor value in the_list:\n    print(value)\n```",
        "https://example.org/de/das/ist/eine/seite/und/noch/eine",
        "Coca-Cola, Pepsi, Fanta, Sprite",
        "Translate: 昨天天气很好，所以我们决定沿着河边散步 and then some more",
        "\x00" * 100,
    ],
)
def test_short_text_code_names_and_mixtures_are_in_no_language(text):
    assert language_of(text) == ""


@pytest.mark.parametrize("name", ["hh", "chat", "polite", "ultrafeedback", "oasst", "thumbs"])
def test_english_data_is_english(shared, name):
    done = examined(balanced(real_rows(shared, name)))
    assert done.worst is Severity.info
    assert not [one for one in done.findings if one.code == "PC112"]
    shares = done.figures["languages"]
    assert shares["English"] > 0.95 * (sum(shares.values()) - shares["unknown"])


def test_a_mixture_is_told_with_its_shares():
    rows = [
        pair(
            f"{n}: {SAID['de' if n % 4 == 0 else 'en']}", *[SAID["de" if n % 4 == 0 else "en"]] * 2
        )
        for n in range(80)
    ]
    found = examined(rows).findings
    assert [one.code for one in found] == ["PC112"]
    assert found[0].severity is Severity.info
    assert "75 % English, 25 % German" in found[0].sentence


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_answers_in_another_language_are_found(rate):
    def row(n):
        answer = SAID["fr"] if n < 200 * rate else SAID["en"]
        return pair(f"{n}: {SAID['en']}", SAID["en"], f"{answer} {n}")

    done = examined([row(n) for n in range(200)])
    found = next(one for one in done.findings if one.code == "PC113")
    assert found.count == 200 * rate
    assert found.severity is (Severity.warning if rate > 0.1 else Severity.info)
    assert found.examples[0].note == "English, then French"
    assert found.examples[0].excerpts["rejected"].startswith("Il faisait")


def test_who_asks_for_a_translation_gets_one():
    prompt = f"Translate this into French, please: {SAID['en']}"
    assert examined([pair(prompt, SAID["fr"], SAID["fr"])] * 20).findings == ()


def test_long_data_is_sampled_and_the_sentence_says_so():
    rows = [
        pair(f"{n}: {SAID['en']}", SAID["en"], SAID["fr"] if n % 2 else SAID["en"])
        for n in range(300)
    ]
    check = Languages(sample=50)
    done = examined(rows, check)
    found = next(one for one in done.findings if one.code == "PC113")
    assert found.total == 50
    assert 10 <= found.count <= 40
    assert "of a sample of 50 rows" in found.sentence
    assert Languages().conclude(Account()).findings == []
