import gzip
import json
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preftune.errors import DataError
from preftune.records import Group, Message, Rating, Relation, Response
from preftune.sources import read
from preftune.sources.writing import as_row, written
from preftune.sources.written import needs_of
from tests.sources.files_written import jsonl

TEXT = st.text(max_size=12)
SAID = TEXT.filter(str.strip)
NUMBER = st.floats(-1e6, 1e6) | st.integers(-9, 9).map(float)
NAME = st.sampled_from(["id", "output", "input", "metadata", "note", "topic", "original_id"])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXT, inside, max_size=2),
    max_leaves=4,
)
METADATA = st.dictionaries(NAME, VALUE, max_size=3)


def message(role, content):
    return st.builds(Message, st.just(role), content)


CONTEXT = st.lists(message("user", TEXT) | message("assistant", SAID), max_size=3)
PROMPT = st.tuples(
    st.lists(message("system", TEXT), max_size=1), CONTEXT, message("user", SAID)
).map(lambda parts: (*parts[0], *parts[1], parts[2]))
LATER = st.tuples(message("user", TEXT) | message("tool", TEXT), message("assistant", SAID))
TURNS = st.tuples(message("assistant", SAID), st.just(()) | LATER).map(
    lambda parts: (parts[0], *parts[1])
)
PLAIN_PROMPT = message("user", SAID).map(lambda turn: (turn,))
PLAIN = message("assistant", SAID).map(lambda turn: (turn,))
WEIGHT = st.just(1.0) | st.floats(0.1, 9.0)


@st.composite
def pairs(draw, form):
    prompt, turns = (PROMPT, TURNS) if form == "chat" else (PLAIN_PROMPT, PLAIN)
    sides = draw(st.lists(turns, min_size=2, max_size=2, unique=True))
    scores = draw(st.none() | st.tuples(NUMBER, NUMBER))
    difference = None if scores is None else scores[0] - scores[1]
    margin = draw(st.just(difference) | NUMBER)
    tie = draw(st.booleans())
    relation = Relation(
        0, 1,
        strength=1.0 if tie else draw(st.just(1.0) | st.floats(0.5, 1.0, exclude_min=True)),
        margin=margin if not tie or margin is None else 0.0,
        tie=tie,
        annotator=draw(st.sampled_from(["", "w1", "w2"])),
    )  # fmt: skip
    ratings = (None, None) if scores is None else tuple(Rating(score=score) for score in scores)
    return Group(
        draw(prompt), tuple(map(Response, sides, ratings)), (relation,),
        form=form, weight=draw(WEIGHT), metadata=draw(METADATA),
    )  # fmt: skip


@st.composite
def singles(draw, form, labelled):
    prompt, turns = (PROMPT, TURNS) if form == "chat" else (PLAIN_PROMPT, PLAIN)
    rating = Rating(good=draw(st.booleans())) if labelled else None
    return Group(
        draw(prompt), (Response(draw(turns), rating),),
        form=form, weight=draw(WEIGHT) if labelled else 1.0, metadata=draw(METADATA),
    )  # fmt: skip


@st.composite
def comparisons(draw, form, several):
    prompt, turns = (PROMPT, TURNS) if form == "chat" else (PLAIN_PROMPT, PLAIN)
    sides = draw(st.lists(turns, min_size=2, max_size=2, unique=True))
    names = ["rater1", "rater2", "rater10"] if several else ["", "w1", "rater1"]
    who = st.lists(st.sampled_from(names), min_size=1, max_size=3 if several else 1, unique=True)
    judges = sorted(draw(who), key=lambda name: (len(name), name))
    verdict = st.sampled_from([Relation(0, 1), Relation(1, 0), Relation(0, 1, tie=True)])
    return Group(
        draw(prompt), tuple(map(Response, sides)),
        tuple(replace(draw(verdict), annotator=name) for name in judges),
        form=form, weight=draw(WEIGHT), metadata=draw(METADATA), shown=True,
    )  # fmt: skip


@st.composite
def lists(draw, form, said):
    prompt, turns = (PROMPT, TURNS) if form == "chat" else (PLAIN_PROMPT, PLAIN)
    sides = draw(st.lists(turns, min_size=2, max_size=5, unique=True))
    scores, ranks = ([None] * len(sides),) * 2
    if said != "ranks":
        scores = draw(st.lists(NUMBER, min_size=len(sides), max_size=len(sides)))
    if said != "scores":
        values = draw(st.lists(st.integers(0, 9), min_size=len(sides), max_size=len(sides)))
        ranks = [sorted(set(values)).index(value) for value in values]
    ratings = [Rating(score=score, rank=rank) for score, rank in zip(scores, ranks, strict=True)]
    return Group(
        draw(prompt), tuple(map(Response, sides, ratings)),
        form=form, weight=draw(WEIGHT), metadata=draw(METADATA),
    )  # fmt: skip


FORMS = ("chat", "text")
FILES = st.one_of(
    st.lists(kind, min_size=1, max_size=4)
    for kind in (
        *(pairs(form) for form in FORMS),
        *(singles(form, labelled) for form in FORMS for labelled in (True, False)),
        *(comparisons(form, several) for form in FORMS for several in (True, False)),
        *(lists(form, said) for form in FORMS for said in ("scores", "ranks", "both")),
    )
)


def there_and_back(groups, folder):
    path = folder / "written.jsonl"
    path.write_text("".join(line + "\n" for _, line in written(groups, needs_of(groups))))
    return [as_compared(group) for group in read(str(path)).groups]


def as_compared(group):
    """Without its place; whether the order of a list was shown follows from the other rows."""
    return replace(group, source="", shown=group.shown and bool(group.relations))


@given(FILES)
def test_what_is_written_is_read_again(tmp_path_factory, groups):
    folder = tmp_path_factory.getbasetemp()
    assert there_and_back(groups, folder) == groups


def pair(prompt="Red?", chosen="Yes.", rejected="No.", form="chat", **more):
    sides = tuple(Response((Message("assistant", text),)) for text in (chosen, rejected))
    return Group((Message("user", prompt),), sides, (Relation(0, 1),), form=form, **more)


REAL = [
    "chat-pairs/dpo_en_demo.json",
    "chat-pairs/kto_en_demo.json",
    "hh-harmless/test.jsonl.gz",
    "oasst/trees.jsonl.gz",
    "pandalm/testset-v1.json",
    "polite-pairs/instruction-data-with-preference.json",
    "stories-pairs/pairs.jsonl",
    "ultrafeedback/scored.jsonl.gz",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_files_come_back_as_they_were(shared, tmp_path, name):
    groups = read(str(shared / "data" / name), bad_rows="skip").groups
    assert there_and_back(groups, tmp_path) == [as_compared(group) for group in groups]


@pytest.mark.parametrize(
    "name",
    ["prompt", "chosen", "rejected", "system", "strength", "tie", "status", "weight", "margin",
     "score_chosen", "rejected_score"],
)  # fmt: skip
def test_metadata_named_like_a_column_of_ours_stay_metadata(tmp_path, name):
    metadata = {name: 0.7, "chosen-rating": 7, "rejected-rating": 8, f"original_{name}": "first"}
    (back,) = there_and_back([pair(metadata=metadata)], tmp_path)
    assert replace(back, metadata={}) == pair()
    assert back.metadata[f"original_original_{name}"] == 0.7
    assert back.metadata[f"original_{name}"] == "first"


@pytest.mark.parametrize("column", ["label", "messages", "chosen", "responses", "completions"])
def test_metadata_of_single_responses_are_not_taken_for_responses(tmp_path, column):
    metadata = {column: [{"text": "a", "score": 1}, {"text": "b", "score": 2}], "rejected": "c"}
    single = Group((Message("user", "a"),), (Response((Message("assistant", "b"),)),))
    (back,) = there_and_back([replace(single, metadata=metadata)], tmp_path)
    assert replace(back, metadata={}) == single
    assert back.metadata[f"original_{column}"] == metadata[column]


@pytest.mark.parametrize("name", ["label", "worker", "chosen", "rater7", "response_b"])
def test_metadata_of_comparisons_are_not_taken_for_verdicts(tmp_path, name):
    group = Group(
        (Message("user", "a"),), pair().responses, shown=True,
        relations=tuple(Relation(0, 1, annotator=f"rater{number}") for number in (1, 2)),
        metadata={name: "b", "rejected": "c"},
    )  # fmt: skip
    (back,) = there_and_back([group], tmp_path)
    assert back == replace(group, metadata={f"original_{name}": "b", "original_rejected": "c"})


def test_what_json_lacks_is_null_in_metadata(tmp_path):
    (back,) = there_and_back(
        [pair(metadata={"gap": [float("nan"), {"x": float("inf")}]})], tmp_path
    )
    assert back.metadata == {"gap": [None, {"x": None}]}


def test_texts_that_all_begin_with_their_prompt_keep_the_second_beginning(tmp_path):
    groups = [pair("ab", "ab c", "abc", form="text"), pair("x", "xx", "xxx", form="text")]
    assert there_and_back(groups, tmp_path) == groups
    groups.append(pair("ab", "c", "d", form="text"))
    assert there_and_back(groups, tmp_path) == groups


def test_judgements_of_a_crowd_come_back(shared, tmp_path):
    folder = shared / "data/argument-crowd"
    with gzip.open(folder / "arguments.jsonl.gz") as file:
        texts = {row["id"]: row["text"] for row in map(json.loads, file)}
    with gzip.open(folder / "judgments.jsonl.gz") as file:
        judged = [json.loads(line) for line in islice(file, 2_000)]
    for row in judged:
        row["a1"], row["a2"] = (texts[name] for name in row["pair"].split("_"))
    path = jsonl(tmp_path / "crowd.jsonl", judged)
    groups = read(path, mapping={"prompt": "topic"}, bad_rows="skip").groups
    assert len({group.relations[0].annotator for group in groups}) > 10
    assert there_and_back(groups, tmp_path) == [as_compared(group) for group in groups]


def test_a_file_with_a_system_text_in_some_rows_comes_back(tmp_path):
    rows = [
        {"prompt": "a", "chosen": "ab", "rejected": "ac", "system": None},
        {"prompt": "a", "chosen": "ab", "rejected": "ac", "system": "Be brief."},
    ]
    groups = read(jsonl(tmp_path / "d.jsonl", rows)).groups
    assert [group.form for group in groups] == ["text", "chat"]
    assert there_and_back(groups, tmp_path) == [replace(group, source="") for group in groups]


def test_columns_that_only_a_late_row_needs_are_in_all_rows(tmp_path):
    late = replace(pair(), relations=(Relation(0, 1, strength=0.7),), weight=3.0)
    groups = [pair(f"{number}?") for number in range(150)]
    assert there_and_back([*groups, late], tmp_path) == [*groups, late]


def test_a_pair_comes_back_with_the_chosen_one_first(tmp_path):
    turned = replace(pair(chosen="No.", rejected="Yes."), relations=(Relation(1, 0),))
    assert as_row(turned) == as_row(pair())
    assert there_and_back([turned], tmp_path) == [pair()]


JUDGED = (Relation(0, 1, annotator="Ann"), Relation(1, 0, annotator="Bob"))


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ([replace(pair(), relations=(Relation(0, 1), Relation(1, 0)))], "2 judgements"),
        ([replace(pair(), relations=(Relation(0, 1, weight=2.0),))], "weight"),
        ([replace(pair(), relations=JUDGED, shown=True)], "fit no columns"),
        ([replace(pair(), responses=pair().responses * 2)], "among several"),
        ([replace(pair(), relations=())], "fits no layout"),
        ([pair(), replace(pair(), responses=pair().responses[:1], relations=())], "those before"),
        ([pair(form="text"), pair()], "among texts"),
        ([pair(chosen=" ")], "empty chosen"),
        ([replace(pair(), relations=(Relation(0, 1, tie=True, strength=0.9),))], "another"),
    ],
)
def test_what_no_layout_holds_is_a_clear_error(groups, problem):
    with pytest.raises(DataError, match=problem) as caught:
        list(written(groups, needs_of(groups)))
    assert caught.value.code == "PT108"


def test_nothing_is_written_of_nothing():
    assert list(written([], needs_of([]))) == []
