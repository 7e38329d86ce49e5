import gzip
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preftune.errors import ConfigError, DataError
from preftune.sources import read
from tests.sources.files_written import PAIR, jsonl

HH_EMPTY = ["87", "517", "926", "1104"]
"""Lines of hh-harmless/train whose chosen answer is empty."""


def roles(group):
    return [turn.role for turn in group.prompt]


def test_hh_transcripts_are_split_by_turns(shared):
    path = shared / "data/hh-harmless/train.jsonl.gz"
    reading = read(str(path), bad_rows="skip")
    assert reading.layout.startswith("implicit prompt: transcripts in `chosen` and `rejected`")
    assert (reading.intake.rows, reading.intake.used) == (1_600, 1_596)
    assert [item.source.rsplit(":")[-1] for item in reading.intake.exclusions] == HH_EMPTY
    assert reading.intake.by_reason == {"empty chosen": 4}
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for group in reading.groups:
        row = rows[int(group.source.rsplit(":")[-1]) - 1]
        assert group.form == "chat"
        assert roles(group)[-1] == "user"
        for word, response in zip(("chosen", "rejected"), group.responses, strict=True):
            names = {"user": "Human", "assistant": "Assistant"}
            whole = "".join(
                f"\n\n{names[turn.role]}: {turn.content}" for turn in group.prompt + response.turns
            )
            assert whole == row[word]


def test_the_few_empty_answers_of_hh_are_left_out_and_listed(shared):
    intake = read(str(shared / "data/hh-harmless/train.jsonl.gz")).intake
    assert intake.by_reason == {"empty chosen": len(HH_EMPTY)}
    places = [int(exclusion.source.rsplit(":")[-1]) for exclusion in intake.exclusions]
    assert places == [int(line) for line in HH_EMPTY]


@pytest.mark.parametrize(("rows", "empty", "refused"), [(200, 10, False), (200, 11, True)])
def test_more_than_a_few_rows_without_a_signal_are_an_error(tmp_path, rows, empty, refused):
    lines = [
        {"prompt": f"q{n}", "chosen": "" if n < empty else "yes", "rejected": "no"}
        for n in range(rows)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if not refused:
        assert read(str(path)).intake.used == rows - empty
        return
    with pytest.raises(DataError) as caught:
        read(str(path))
    assert caught.value.code == "PT104"
    assert f"{path}:1: empty chosen" in caught.value.problem


def test_hh_conversations_that_part_early_keep_their_later_turns(shared):
    groups = read(str(shared / "data/hh-harmless/train.jsonl.gz"), bad_rows="skip").groups
    (odd,) = [group for group in groups if len(group.responses[0].turns) > 1]
    assert odd.source.endswith(":1255")
    assert [len(response.turns) for response in odd.responses] == [2, 1]
    held_out = read(str(shared / "data/hh-harmless/test.jsonl.gz"))
    assert held_out.intake.summary() == "200 rows: 200 used, 0 excluded"


def test_sharegpt_pairs(shared):
    reading = read(str(shared / "data/chat-pairs/dpo_en_demo.json"))
    assert reading.layout.startswith("ShareGPT")
    assert reading.intake.summary() == "299 rows: 299 used, 0 excluded"
    assert sum(roles(group)[0] == "system" for group in reading.groups) == 80
    assert {len(group.prompt) for group in reading.groups} == {1, 2, 3, 5, 7, 9, 13}


def test_thumbs_are_for_what_was_answered_last(shared):
    reading = read(str(shared / "data/chat-pairs/kto_en_demo.json"))
    assert reading.layout == (
        "conversations in `messages`: what was answered last is the response; "
        "thumbs in `label`, true for good"
    )
    assert reading.intake.summary() == "300 rows: 300 used, 0 excluded"
    assert reading.notes == ("thumbs: 150 good, 150 bad.",)
    assert {len(group.responses[0].turns) for group in reading.groups} == {1}
    assert {roles(group)[-1] for group in reading.groups} == {"user"}
    assert max(len(group.prompt) for group in reading.groups) == 11
    assert all(group.relations == () for group in reading.groups)


def test_trees_give_a_ranking_for_every_place_with_ranked_replies(shared):
    path = shared / "data/oasst/trees.jsonl.gz"
    reading = read(str(path))
    assert reading.layout.startswith("trees in `prompt`: every place with two or more replies")
    assert reading.layout.endswith("152 places from 60 rows of the file")
    assert reading.intake.summary() == (
        "152 rows: 122 used, 30 excluded (30 fewer than two ranked replies)"
    )
    assert not any(exclusion.broken for exclusion in reading.intake.exclusions)
    assert reading.notes == (
        "122 prompts with 2 to 9 ranked responses, 371 in all; in 0 some are equal.",
        "responses without a rating left out: 1.",
    )
    trees = [json.loads(line)["prompt"] for line in gzip.decompress(path.read_bytes()).splitlines()]
    for group in reading.groups:
        line, _, way = group.source.rsplit(":")[-1].partition("#")
        node, texts = trees[int(line) - 1], []
        for step in way.split(".") if way else []:
            texts.append(node["text"])
            node = node["replies"][int(step) - 1]
        assert [turn.content for turn in group.prompt] == [*texts, node["text"]]
        assert roles(group) == ["user", *["assistant", "user"] * (len(texts) // 2)]
        ranked = {r["text"]: r["rank"] for r in node["replies"] if r.get("rank") is not None}
        assert {one.turns[0].content: one.rating.rank for one in group.responses} == ranked
    assert len({group.source for group in reading.groups}) == 122


def test_ultrafeedback_keeps_its_scores_as_margins_and_names_its_ties(shared):
    reading = read(str(shared / "data/ultrafeedback/scored.jsonl.gz"), bad_rows="skip")
    assert [item.source.rsplit(":")[-1] for item in reading.intake.exclusions] == ["307"]
    assert reading.intake.by_reason == {"identical responses": 1}
    assert (
        "scores in `metadata.score_chosen` and `metadata.score_rejected`: their difference is the "
        "margin, equal ones tie; kept as metadata: 'source_index', 'metadata'"
    ) in reading.layout
    assert reading.notes == (
        "42 of 399 judgements are ties: only objectives made for ties learn from them.",
    )
    for group in reading.groups:
        own = group.metadata["metadata"]
        scores = [response.rating.score for response in group.responses]
        assert scores == [own["score_chosen"], own["score_rejected"]]
        assert group.relations[0].margin == scores[0] - scores[1]
        assert group.relations[0].tie == (scores[0] == scores[1])
    assert set(reading.groups[0].metadata) == {"source_index", "metadata"}


def test_ultrafeedback_as_messages_does_not_train_the_prompt(shared, tmp_path):
    """The hub's own form of these rows: each side repeats the prompt as its first turn."""
    data = gzip.decompress((shared / "data/ultrafeedback/scored.jsonl.gz").read_bytes())
    rows = [json.loads(line) for line in data.splitlines()]
    for row in rows:
        for word in ("chosen", "rejected"):
            row[word] = [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row[word]},
            ]
    reading = read(jsonl(tmp_path / "d.jsonl", rows), bad_rows="skip")
    assert reading.intake.used == 399
    for group in reading.groups:
        assert roles(group) == ["user"]
        assert [len(response.turns) for response in group.responses] == [1, 1]


def test_instructions_with_two_answers(shared):
    path = shared / "data/polite-pairs/instruction-data-with-preference.json"
    reading = read(str(path), bad_rows="skip")
    assert reading.layout.startswith("instructions: prompt in `instruction` and `input`")
    assert (reading.intake.rows, reading.intake.by_reason) == (1_100, {"identical responses": 6})
    assert reading.groups[0].prompt[0].content.endswith("\n\nfreind --> friend")
    assert "output" in reading.groups[0].metadata


def test_stories_are_text_that_is_only_continued(shared):
    reading = read(str(shared / "data/stories-pairs/pairs.jsonl"))
    assert reading.intake.summary() == "783 rows: 783 used, 0 excluded"
    assert {group.form for group in reading.groups} == {"text"}
    assert reading.groups[0].prompt[0].content.endswith("Lily found a ne")
    assert "scores in `chosen_score` and `rejected_score`" in reading.layout
    assert all(group.relations[0].margin > 0 for group in reading.groups)


def test_reviews_with_labels_say_what_is_missing(shared):
    with pytest.raises(DataError, match="'rating'") as caught:
        read(str(shared / "data/imdb/test.jsonl.gz"), limit=10)
    assert caught.value.code == "PT103"


# ---------------------------------------------------------------- the account of rows

texts = st.sampled_from(["", " ", "yes", "no", "\u2028", "é😀"])
values = texts | st.none() | st.integers() | st.lists(st.just({"role": "user", "content": "x"}))
mutated = st.one_of(
    st.builds(lambda row: json.dumps(row).encode(), st.dictionaries(
        st.sampled_from(["prompt", "chosen", "rejected", "score"]), values)),
    st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from([b"null", b"[]", b'{"a": NaN}', b'{"chosen": 1, "chosen": 2}', b"\xff", b"  "]),
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(mutated, max_size=12), st.integers(0, 12))
def test_rows_in_are_rows_used_plus_rows_excluded(tmp_path_factory, lines, at):
    """Whatever stands in the file: each line is used or excluded once, in order."""
    good = json.dumps(PAIR).encode()
    lines = [good, *lines[:at], *[good] * 15, *lines[at:], good]
    path = tmp_path_factory.getbasetemp() / "mutated.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    reading = read(str(path), bad_rows="skip")
    assert reading.intake.rows == len(lines)
    assert reading.intake.used == len(reading.groups) >= 17
    places = [group.source for group in reading.groups]
    places += [exclusion.source for exclusion in reading.intake.exclusions]
    assert sorted(places) == sorted(f"{path}:{number}" for number in range(1, len(lines) + 1))
    assert all(exclusion.reason for exclusion in reading.intake.exclusions)
    if reading.intake.exclusions:
        with pytest.raises(DataError) as caught:
            read(str(path))
        assert caught.value.code == "PT104"


REPLY = {"text": "yes", "role": "assistant", "rank": 0, "replies": []}
NODE = {"text": "Red?", "role": "prompter", "replies": [REPLY, {**REPLY, "text": "no", "rank": 1}]}
SHAPES = {
    "pairs": {
        **PAIR, "strength": 0.7, "weight": 2, "margin": 1.5, "score_chosen": 2, "score_rejected": 1,
        "tie": False,
    },
    "thumbs": {"prompt": "Red?", "completion": "Yes.", "label": True},
    "scores": {"prompt": "Red?", "responses": ["Yes.", "No.", "Hm."], "scores": [3, 2, 2]},
    "ranks": {
        "instruction": "Red?", "answers": [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}],
    },
    "trees": {"prompt": NODE},
}  # fmt: skip
said = st.fixed_dictionaries(
    {"text": texts},
    optional={
        "role": st.sampled_from(["assistant", "prompter"]),
        "rank": st.none() | st.integers(-1, 2),
        "deleted": st.booleans(),
        "replies": st.none() | st.lists(st.just(REPLY) | st.just(NODE), max_size=3),
    },
)
anything = (
    texts | st.none() | st.booleans() | st.integers(-1, 2) | st.floats(0, 1) | said
    | st.just([{"role": "user", "content": "x"}]) | st.lists(said | texts, max_size=4)
    | st.lists(st.integers(-1, 3) | st.none() | texts, max_size=4)
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=60)
@given(data=st.data())
def test_whatever_a_row_holds_it_is_used_or_excluded_with_a_reason(tmp_path_factory, shape, data):
    good = SHAPES[shape]
    change = st.dictionaries(st.sampled_from([*good, "extra"]), anything, min_size=1, max_size=2)
    changed = data.draw(st.lists(change, max_size=8))
    rows = [*[good] * 9, *({**good, **one} for one in changed), good]
    path = jsonl(tmp_path_factory.getbasetemp() / "shape.jsonl", rows)
    reading = read(path, bad_rows="skip")
    places = [group.source for group in reading.groups]
    places += [exclusion.source for exclusion in reading.intake.exclusions]
    assert len(places) == reading.intake.rows == len(set(places))
    assert {place.partition("#")[0] for place in places} == {
        f"{path}:{number}" for number in range(1, len(rows) + 1)
    }
    assert shape == "trees" or len(places) == len(rows)
    for group in reading.groups:
        assert all(0.5 < relation.strength <= 1 for relation in group.relations)
        assert group.weight > 0
        texts = [response.turns for response in group.responses]
        assert len(set(texts)) == len(texts)
        assert all(turn.content.strip() for turns in texts for turn in turns)
    unexpected = [item for item in reading.intake.exclusions if not item.expected]
    broken = any(item.broken for item in unexpected)
    if broken or len(unexpected) > 0.05 * (reading.intake.used + len(unexpected)):
        with pytest.raises(DataError) as caught:
            read(path)
        assert caught.value.code == "PT104"
    else:
        assert read(path).intake == reading.intake


def test_at_most_ten_rows_are_listed_and_all_are_counted(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [PAIR, *[{**PAIR, "chosen": ""}] * 30])
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.problem.count("empty chosen (") == 10
    assert "30 empty chosen" in caught.value.problem
    assert "and 20 more" in caught.value.problem


def test_nothing_left_is_an_error_even_when_broken_rows_are_skipped(tmp_path):
    for rows in ([{**PAIR, "chosen": ""}], [7, None, []]):
        with pytest.raises(DataError) as caught:
            read(jsonl(tmp_path / "d.jsonl", rows), bad_rows="skip")
        assert caught.value.code == "PT106"


def test_a_message_can_not_drive_the_terminal(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{**PAIR, "chosen": ["\x1b[2J\u202e"]}, PAIR, PAIR])
    with pytest.raises(DataError) as caught:
        read(path)
    assert "\x1b" not in caught.value.problem
    assert "\u202e" not in caught.value.problem


def test_a_limit_reads_the_first_rows(tmp_path):
    rows = [{**PAIR, "chosen": f"{number}"} for number in range(300)]
    path = jsonl(tmp_path / "d.jsonl", rows)
    for limit in (1, 99, 101, 250):
        groups = read(path, limit=limit).groups
        assert [group.responses[0].turns[0].content for group in groups] == [
            f"{number}" for number in range(limit)
        ]
    with pytest.raises(ConfigError):
        read(path, limit=0)


def test_the_fingerprint_is_of_all_bytes_whatever_the_limit(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [PAIR, PAIR])
    whole = read(path).fingerprint
    assert read(path, limit=1).fingerprint == whole
    (tmp_path / "d.jsonl").write_bytes((tmp_path / "d.jsonl").read_bytes() + b"\n")
    assert read(path).fingerprint != whole


# ---------------------------------------------------------------- memory

MEASURE = """
import resource, sys
from preftune.sources import read
read(sys.argv[1], limit=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
intake = read(sys.argv[2], bad_rows="skip").intake
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(intake.used, [(e.source.rsplit(":")[-1], e.reason) for e in intake.exclusions], grown >> 10)
"""


@pytest.mark.slow
def test_a_line_of_a_gigabyte_is_passed_over_in_bounded_memory(tmp_path):
    small = jsonl(tmp_path / "small.jsonl", [PAIR])
    line = json.dumps(PAIR).encode() + b"\n"
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(line + b'{"prompt": "')
        for _ in range(1024):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n' + line)
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, small, str(path)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    used, rest = told.split(" ", 1)
    listed, grown = rest.rsplit(" ", 1)
    assert (used, listed) == ("2", "[('2', 'line too long')]")
    assert int(grown) <= 256, f"{grown.strip()} MiB"


def test_a_line_of_fifty_megabytes_is_read(tmp_path):
    path = jsonl(tmp_path / "d.jsonl", [{**PAIR, "chosen": "x" * (50 << 20)}])
    assert len(read(path).groups[0].responses[0].turns[0].content) == 50 << 20
