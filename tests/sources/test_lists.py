"""Several responses to one prompt, with a score or a rank each."""

import pytest

from preftune.errors import ConfigError, DataError
from preftune.records import Message, Rating
from preftune.sources import read
from tests.sources.files_written import PAIR, jsonl, turn

TEXTS = ["A colour.", "No.", "Warm.", "Blood."]


@pytest.fixture
def write(tmp_path):
    return lambda *rows: jsonl(tmp_path / "d.jsonl", rows)


def ultrafeedback(scores, fine=None):
    """A row as openbmb/UltraFeedback has it."""
    fine = fine or [4.0, 2.5, 3.0, 1.0]
    return {
        "source": "evol",
        "instruction": "What is red?",
        "models": ["a", "b", "c", "d"],
        "completions": [
            {
                "model": "a",
                "response": text,
                "overall_score": score,
                "fine-grained_score": mean,
                "annotations": {
                    "honesty": {"Rating": f"{int(mean)}", "Rationale": "x"},
                    "truthfulness": {"Rating": "N/A"},
                },
            }
            for text, score, mean in zip(TEXTS, scores, fine, strict=True)
        ],
    }


def without(row, *keys):
    completions = [{k: v for k, v in one.items() if k not in keys} for one in row["completions"]]
    return {**row, "completions": completions}


def judged(group):
    """Text to score, or to rank."""
    return {
        response.turns[0].content: response.rating.score
        if response.rating.rank is None
        else response.rating.rank
        for response in group.responses
    }


ROW = ultrafeedback([7, 8.5, None, 7.0])
SCORED = [
    (ROW, "its score in `overall_score`, the highest", [7.0, 8.5, None, 7.0]),
    (without(ROW, "overall_score"), "its score in `fine-grained_score`", [4.0, 2.5, 3.0, 1.0]),
    (
        without(ROW, "overall_score", "fine-grained_score"),
        "its score the mean of the ratings in `annotations`",
        [4.0, 2.0, 3.0, 1.0],
    ),
    (
        {"instruction": "What is red?", "generations": TEXTS, "ratings": [1, None, 5, 5]},
        "rated responses: prompt in `instruction`; responses in `generations`, their scores in "
        "`ratings`, the highest is the best",
        [1, None, 5, 5],
    ),
    (
        {"prompt": "What is red?", "responses": TEXTS, "scores": ["0.1", "nan", "0.3", "-2"]},
        "their scores in `scores`",
        [0.1, None, 0.3, -2],
    ),
    (
        {"prompt": "What is red?", "completions": {"text": TEXTS, "rating": [4, 3, 2, 1]}},
        "each with its text in `text`, its score in `rating`",
        [4, 3, 2, 1],
    ),
]
RANKED = [
    (
        {"prompt": "What is red?", "responses": TEXTS, "ranks": [0, 1, 2, 3]},
        "ranked responses: prompt in `prompt`; responses in `responses`, their ranks in `ranks`, "
        "the lowest is the best",
        [0, 1, 2, 3],
    ),
    (
        {"prompt": "What is red?", "completions": TEXTS, "ranking": [4, 1, 1, None]},
        "their ranks in `ranking`",
        [1, 0, 0, None],
    ),
    (
        {
            "prompt": "What is red?",
            "answers": [
                {"answer": text, "model": "m", "rank": rank}
                for text, rank in zip(TEXTS, [3.0, 1.0, 4.0, 2.0], strict=True)
            ],
        },
        "each with its text in `answer`, its rank in `rank`",
        [2, 0, 3, 1],
    ),
    (
        {
            "messages": [turn("user", "What is red?")],
            "responses": [
                {"role": "assistant", "content": text, "rank": rank}
                for text, rank in zip(TEXTS, "2213", strict=True)
            ],
        },
        "ranked responses: prompt in `messages`",
        [1, 1, 0, 2],
    ),
]


@pytest.mark.parametrize(("row", "sentence", "values"), [*SCORED, *RANKED])
def test_every_layout_of_a_list_gives_its_group(write, row, sentence, values):
    reading = read(write(row))
    (group,) = reading.groups
    assert sentence in reading.layout
    assert group.prompt == (Message("user", "What is red?"),)
    assert group.relations == ()
    assert judged(group) == {
        text: value for text, value in zip(TEXTS, values, strict=True) if value is not None
    }
    unrated = values.count(None)
    assert (f"responses without a rating left out: {unrated}." in reading.notes) == bool(unrated)
    plain = "prompt" in row and "answers" not in row
    assert group.form == ("text" if plain or "answers" in row else "chat")


def test_what_is_not_used_is_said(write):
    reading = read(write(ROW))
    assert "; not used: 'fine-grained_score', 'annotations'" in reading.layout
    assert reading.layout.endswith("kept as metadata: 'source', 'models'")
    assert reading.notes == (
        "1 prompts with 3 rated responses, 3 in all; in 1 some are equal.",
        "responses without a rating left out: 1.",
    )


BOTH = [
    ({"scores": [4, 3, 1, 2], "ranks": [0, 1, 3, 2]}, {}, ", and ranks in `ranks`"),
    ({"scores": [4, 3, 1, 2], "ranks": [1, 2, 9, 5]}, {}, ", and ranks in `ranks`"),
    (
        {"scores": [4, 3, 1, 2], "ranks": [0, 1, 3, 2]},
        {"scores": "scores", "ranks": "ranks"},
        "their scores in `scores`, the highest is the best, and ranks in `ranks`",
    ),
]


@pytest.mark.parametrize(("judged", "mapping", "sentence"), BOTH)
def test_ranks_beside_scores_are_both_read(write, judged, mapping, sentence):
    reading = read(write({"prompt": "q", "responses": TEXTS, **judged}), mapping=mapping)
    assert sentence in reading.layout
    ratings = [response.rating for response in reading.groups[0].responses]
    assert [(one.score, one.rank) for one in ratings] == [(4, 0), (3, 1), (1, 3), (2, 2)]


def test_ranks_beside_scores_may_stand_with_the_text_and_may_be_odd(write):
    items = [
        {"text": "a", "score": 2, "rank": 1},
        {"text": "b", "score": 1, "rank": "last"},
        {"text": "c", "score": 0, "rank": 7},
    ]
    reading = read(write({"prompt": "q", "responses": items}))
    assert "its score in `score`, the highest is the best, and ranks in `rank`" in reading.layout
    ratings = [response.rating for response in reading.groups[0].responses]
    assert [(one.score, one.rank) for one in ratings] == [(2, 0), (1, None), (0, 1)]
    short = {"prompt": "q", "responses": ["a", "b"], "scores": [1, 2], "ranks": [0]}
    assert [one.rating.rank for one in read(write(short)).groups[0].responses] == [None, None]


def test_one_mapped_kind_of_judgement_is_the_only_one(write):
    path = write({"prompt": "q", "responses": TEXTS, "scores": [1, 2, 3, 4], "ranks": [0, 1, 2, 3]})
    (group,) = read(path, mapping={"scores": "scores"}).groups
    assert all(one.rating.rank is None for one in group.responses)
    (group,) = read(path, mapping={"ranks": "ranks"}).groups
    assert all(one.rating.score is None for one in group.responses)


ORDERS = [
    ([[4, 3, 2, 1], [9, 9, 1, 0]], False),
    ([[1, 2, 3, 4], [0, 0, 5, None]], False),
    ([[4, 3, 2, 1], [1, 2, 3, 4]], True),
    ([[4, 1, 2, 3]], True),
]


@pytest.mark.parametrize(("scores", "shown"), ORDERS)
def test_an_order_that_is_the_ranking_itself_was_not_shown(write, scores, shown):
    rows = [{"prompt": "q", "responses": TEXTS, "scores": row} for row in scores]
    assert {group.shown for group in read(write(*rows)).groups} == {shown}
    inside = [
        {"prompt": "q", "responses": [{"text": text, "rank": place} for text, place in
                                      zip(TEXTS, row, strict=True)]}
        for row in scores
    ]  # fmt: skip
    assert {group.shown for group in read(write(*inside)).groups} == {shown}


def test_a_dotted_mapping_picks_another_score(write):
    path = write(ROW)
    mapping = {"scores": "completions.fine-grained_score"}
    assert list(judged(read(path, mapping=mapping).groups[0]).values()) == [4.0, 2.5, 3.0, 1.0]
    mapping = {"scores": "completions.annotations.honesty.Rating"}
    assert list(judged(read(path, mapping=mapping).groups[0]).values()) == [4.0, 2.0, 3.0, 1.0]
    mapping["responses"] = "completions.response"
    assert len(read(path, mapping=mapping).groups[0].responses) == 4


def test_a_mapping_chooses_between_scores_ranks_pairs_and_responses(write):
    row = {
        **PAIR, "output": "x", "instruction": "y", "all": ["a", "b"], "points": [2, 1],
        "places": [0, 0],
    }  # fmt: skip
    path = write(row)
    assert read(path).groups[0].relations
    group = read(path, mapping={"responses": "all", "scores": "points"}).groups[0]
    assert judged(group) == {"a": 2.0, "b": 1.0}
    group = read(path, mapping={"responses": "all", "ranks": "places"}).groups[0]
    assert judged(group) == {"a": 0, "b": 0}
    mapping = {"responses": "all", "scores": "points", "ranks": "places"}
    (group,) = read(path, mapping=mapping).groups
    assert [one.rating for one in group.responses] == [Rating(None, 2.0, 0), Rating(None, 1.0, 0)]
    path = write({"prompt": "q", "completion": "a", "responses": ["a", "b"], "scores": [1, 2]})
    assert len(read(path).groups[0].responses) == 2
    assert len(read(path, mapping={"completion": "completion"}).groups[0].responses) == 1


def test_system_text_instruction_input_and_weight_belong_to_the_prompt(write):
    row = {
        "instruction": "Mend.", "input": "teh", "system": "Be brief.", "weight": 2,
        "generations": ["the", "teh"], "ratings": [5, 1],
    }  # fmt: skip
    reading = read(write(row))
    (group,) = reading.groups
    assert group.prompt == (Message("system", "Be brief."), Message("user", "Mend.\n\nteh"))
    assert group.weight == 2.0
    assert "prompt in `instruction` and `input`, joined by an empty line" in reading.layout
    assert "; system text in `system`; weight in `weight`" in reading.layout


def test_responses_may_be_messages_that_repeat_the_prompt(write):
    asked = [turn("system", "s"), turn("user", "q")]
    answers = [[turn("assistant", "a")], [*asked, turn("assistant", "b")]]
    row = {"prompt": asked, "responses": answers, "scores": [1, 2]}
    (group,) = read(write(row)).groups
    assert group.form == "chat"
    assert [response.turns for response in group.responses] == [
        (Message("assistant", "a"),),
        (Message("assistant", "b"),),
    ]


def test_copies_and_empty_responses_are_left_out_and_counted(write):
    blank = turn("assistant", "")
    rows = [
        {"prompt": "q", "responses": ["a", "b", "a", " ", "b"], "scores": [1, 2, 1, 9, None]},
        {"prompt": "q", "responses": ["a", "a", "b"], "scores": [None, 4, 2]},
        {"prompt": "q", "responses": [[], [blank], "b", "c"], "scores": [4, 3, 2, 1]},
    ]
    reading = read(write(*rows))
    assert [judged(group) for group in reading.groups] == [
        {"a": 1.0, "b": 2.0},
        {"a": 4.0, "b": 2.0},
        {"b": 2.0, "c": 1.0},
    ]
    assert reading.notes[1:] == (
        "copies of a response left out: 3.",
        "empty responses left out: 3.",
    )


FINE = {"prompt": "q", "responses": ["a", "b"], "scores": [1, 2]}
EXCLUDED = [
    ({"scores": [1, None]}, "fewer than two rated responses", False),
    ({"scores": None}, "fewer than two rated responses", False),
    ({"responses": ["a"], "scores": [1]}, "fewer than two rated responses", False),
    ({"responses": ["a", ""]}, "fewer than two rated responses", False),
    ({"responses": ["a", "a"], "scores": [1, 1]}, "fewer than two rated responses", False),
    ({"responses": ["a", "a"]}, "identical responses rated differently", False),
    ({"scores": [1, 2, 3]}, "responses and scores differ in number", True),
    ({"scores": [1, "good"]}, "score is not a number", True),
    ({"scores": [1, True]}, "score is not a number", True),
    ({"scores": {"a": 1}}, "scores is not a list", True),
    ({"responses": "a"}, "responses is not a list", True),
    ({"responses": None}, "missing responses", True),
    ({"responses": ["a", 7]}, "a response is not text", True),
    ({"responses": ["a", None]}, "a response is not text", True),
    ({"responses": ["a", [turn("user", "b"), turn("assistant", "c")]]},
     "a response starts with no assistant turn", True),
    ({"prompt": " "}, "empty prompt", True),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason", "broken"), EXCLUDED)
def test_a_row_that_compares_nothing_is_excluded(write, change, reason, broken):
    path = write(*[FINE] * 10, {**FINE, **change}, *[FINE] * 10)
    (exclusion,) = read(path, bad_rows="skip").intake.exclusions
    assert (exclusion.source, exclusion.reason, exclusion.broken) == (f"{path}:11", reason, broken)
    if broken:
        with pytest.raises(DataError, match=reason):
            read(path)
    else:
        assert read(path).intake.used == 20


def test_a_rank_below_zero_is_no_rank(write):
    path = write({"prompt": "q", "responses": ["a", "b"], "ranks": [0, -1]})
    with pytest.raises(DataError, match="rank below 0"):
        read(path)


def test_lists_without_judgements_are_no_layout(write):
    with pytest.raises(DataError, match="'generations' holds lists") as caught:
        read(write({"question": "q", "generations": ["a", "b"]}))
    assert caught.value.code == "PT103"
    assert caught.value.fix.endswith("--map prompt=question,responses=generations,scores=COLUMN")
    with pytest.raises(ConfigError, match="leaves no whole layout"):
        read(write({"prompt": "q", "all": ["a", "b"]}), mapping={"responses": "all"})


@pytest.mark.parametrize("answers", [["a"], [{"sql": "a", "score": 1}, {"sql": "b", "score": 2}]])
def test_objects_without_text_are_no_responses(write, answers):
    with pytest.raises(DataError) as caught:
        read(write({"prompt": "q", "answers": answers}))
    assert caught.value.code == "PT103"
