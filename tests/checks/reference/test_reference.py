import json
import shutil
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import torch

from preftune.checks.cases import cases
from preftune.checks.reference.readings import read_sample
from preftune.checks.reference.sample import Sample
from preftune.errors import ConfigError
from preftune.models import LogProbModel, load_model, load_tokenizer
from preftune.models.reference import score
from preftune.records import Group, Message, Rating, Response, Severity, Silent
from preftune.rendering import Renderer
from preftune.sources import stream
from tests.checks.with_model import examined, found, pair
from tests.models.tiny import tiny_model as tiny_architecture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stories(shared):
    return str(shared / "models" / "stories260k")


@pytest.fixture(scope="module")
def pairs(shared):
    """Pairs that the model wrote itself."""
    items = stream(str(shared / "data" / "stories-pairs" / "pairs.jsonl")).items
    return list(islice((item for item in items if isinstance(item, Group)), 100))


def texts(group):
    return [group.prompt[0].content, *(side.turns[0].content for side in group.responses)]


@pytest.fixture(scope="module")
def clean(stories, pairs):
    return examined(stories, pairs)


def test_nothing_is_wrong_with_pairs_that_the_model_wrote_itself(clean):
    assert {one.code for one in clean.findings} == {"PC700", "PC704", "PC705", "PC706", "PC708"}
    assert clean.worst is Severity.info
    likes = found(clean, "PC705").estimate
    assert likes.low < 0.5 < likes.high + 0.1
    assert likes.n == clean.prompts
    assert len(clean.figures["reference"]["chosen"]) == 100
    assert len(clean.figures["displacement"]["ln_ches"]) == 100
    json.dumps(clean.figures, allow_nan=False)


def test_figures_are_those_of_the_scored_reference(stories, pairs, clean):
    renderer = Renderer(load_tokenizer(stories), max_tokens=512, truncation="drop")
    groups = list(renderer.untruncated(pairs))
    scored = score(LogProbModel(load_model(stories)), groups)
    # The check may multiply in bfloat16, as training does.
    for side, name in enumerate(("chosen", "rejected")):
        means = [float(rows[side].mean()) for rows in scored]
        np.testing.assert_allclose(clean.figures["reference"][name], means, atol=0.1)
    sums = np.array([[float(side.sum()) for side in rows] for rows in scored])
    share = float((sums[:, 0] > sums[:, 1]).mean())
    assert found(clean, "PC705").estimate.value == pytest.approx(share, abs=0.03)


def test_readings_are_exact(stories, pairs):
    renderer = Renderer(load_tokenizer(stories), max_tokens=512, truncation="drop")
    some = pairs[:7]
    sample = Sample(7)
    for case, group in zip(cases(some), renderer.untruncated(some), strict=True):
        sample.see(case, group)
    model = load_model(stories).double()
    drawn = sample.drawn
    root = LogProbModel(model)
    read = read_sample(root, drawn, Silent(), name="m", vocabulary=512)
    assert read.chosen_of.tolist() == read.rejected_of.tolist() == list(range(7))
    for index, one in enumerate(drawn):
        prompt = torch.from_numpy(one.group.prompt_ids).long()
        ids = torch.cat([prompt, torch.from_numpy(one.group.responses[1].ids).long()])
        with torch.no_grad():
            out = model(ids[None], output_hidden_states=True)
        shares = out.logits[0, :-1].log_softmax(1)
        own = shares.gather(1, ids[1:, None])[:, 0]
        entropy = -(shares.exp() * shares).sum(1)
        first = len(prompt) - 1
        expected = {
            "sums": own[first:].sum(),
            "entropy": entropy[first:].sum(),
            "noise": ((own + entropy)[first:] ** 2).sum(),
            "lengths": len(ids) - len(prompt),
        }
        for name, value in expected.items():
            assert getattr(read.rejected, name)[index] == pytest.approx(float(value), abs=1e-4)
        states = out.hidden_states[-1][0, first:-1].mean(0)
        np.testing.assert_allclose(read.rejected.states[index], states, atol=1e-4)
        assert read.prompts.means[index] == pytest.approx(float(own[:first].mean()), abs=1e-4)


@pytest.mark.parametrize("share", [0.03, 0.2])
def test_prompts_in_another_language_or_of_random_bytes_are_found(stories, pairs, share):
    random = np.random.default_rng(0)
    planted = {}
    rows = list(pairs)
    for number, index in enumerate(random.choice(len(rows), round(share * len(rows)), False)):
        prompt, *sides = texts(rows[index])
        if number % 2:
            prompt = "".join(chr(code) for code in random.integers(33, 1000, 12))
        else:
            prompt = "Жила-была девочка по имени Маша"
        planted[f"planted:{index}"] = index
        rows[index] = pair(prompt + f" {number}", *sides, f"planted:{index}")
    one = found(examined(stories, rows), "PC706")
    assert one.count == len(planted)
    assert one.severity is (Severity.warning if share > 0.1 else Severity.info)
    assert {example.source for example in one.examples} <= set(planted)


def test_words_that_the_model_would_not_write_are_off_its_policy(stories, pairs):
    random = np.random.default_rng(0)

    def jumbled(group):
        prompt, chosen, rejected = texts(group)
        return pair(prompt, " ".join(random.permutation(chosen.split())), rejected, group.source)

    done = examined(stories, [jumbled(group) for group in pairs])
    assert found(done, "PC704").severity is Severity.warning
    assert found(done, "PC704").estimate.low > 1
    assert found(done, "PC705").severity is Severity.warning
    assert found(done, "PC705").estimate.high < 0.1


def test_pairs_of_nearly_equal_responses_are_at_risk(stories, pairs):
    def alike(group):
        prompt, chosen, _ = texts(group)
        return pair(prompt, chosen, chosen + "!", group.source)

    rows = [alike(group) if n % 4 == 0 else group for n, group in enumerate(pairs)]
    done = examined(stories, rows)
    one = found(done, "PC708")
    assert (one.count, one.total, one.severity) == (25, 100, Severity.warning)
    planted = {group.source for group in pairs[::4]}
    assert {example.source for example in one.examples} <= planted
    figure = done.figures["displacement"]
    inside = np.arange(100) % 4 == 0
    apart, scores = np.array(figure["apart"]), np.array(figure["ln_ches"])
    assert apart[inside].max() < 0.1 < apart[~inside].min()
    # Equal responses would have an LN-CHES of 0.
    assert np.abs(scores[inside]).max() < np.median(np.abs(scores[~inside]))
    few = [alike(group) if n % 50 == 0 else group for n, group in enumerate(pairs)]
    assert found(examined(stories, few), "PC708").severity is Severity.info


def test_a_model_that_knows_nothing_guesses_at_every_prompt(tiny_model, pairs):
    one = found(examined(tiny_model, pairs[:20]), "PC706")
    assert (one.count, one.severity) == (20, Severity.warning)


def test_thumbs_and_single_rows_are_read(stories, pairs):
    def thumb(group, good):
        prompt, text, _ = texts(group)
        side = Response((Message("assistant", text),), Rating(good=good))
        return Group((Message("user", prompt),), (side,), form="text")

    thumbs = [thumb(group, n % 3 > 0) for n, group in enumerate(pairs[:30])]
    done = examined(stories, thumbs)
    assert {one.code for one in done.findings} == {"PC700", "PC704", "PC706"}
    assert len(done.figures["reference"]["chosen"]) == 20
    assert len(done.figures["reference"]["rejected"]) == 10
    bad = examined(stories, [thumb(group, False) for group in pairs[:3]])
    assert {one.code for one in bad.findings} == {"PC700", "PC706"}
    single = examined(stories, pairs[:1])
    assert found(single, "PC704").estimate is None
    assert found(single, "PC708").count == 0
    bare = examined(stories, [pair("", "a b", "c d")])  # its prompt is BOS alone
    assert "PC706" not in {one.code for one in bare.findings}


def test_pairs_of_one_prompt_count_as_one(stories, pairs):
    prompt = texts(pairs[0])[0]
    rows = [pair(prompt, *texts(group)[1:], group.source) for group in pairs[:12]]
    done = examined(stories, [*rows, *pairs[20:25]])
    assert found(done, "PC705").total == 17
    assert found(done, "PC705").estimate.n == found(done, "PC704").estimate.n == 6
    assert found(done, "PC706").total == 6
    alone = found(examined(stories, rows), "PC708")  # no other prompts to compare with
    assert (alone.count, alone.severity) == (0, Severity.info)


def test_without_rows_that_fit_no_weights_are_loaded(stories, pairs, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(stories, folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    done = examined(folder, pairs, max_tokens=20)
    assert found(done, "PC701").count == 100
    assert "reference" not in done.figures
    with pytest.raises(ConfigError, match="damaged"):
        examined(folder, pairs)


def test_a_model_whose_log_probs_are_not_finite_is_refused(stories, tiny_model, pairs, tmp_path):
    broken = load_model(stories)
    late = tiny_architecture("gpt2", dtype=torch.float32, vocab_size=258, n_positions=256)
    with torch.no_grad():
        broken.model.layers[3].mlp.up_proj.weight[5, 5] = torch.nan
        late.transformer.wpe.weight[100] = torch.nan  # shows in long rows only
    for model, tokenizer in ((broken, stories), (late, tiny_model)):
        folder = tmp_path / type(model).__name__
        model.save_pretrained(folder)
        load_tokenizer(str(tokenizer)).save_pretrained(folder)
        with pytest.raises(ConfigError, match="not finite") as caught:
            examined(folder, pairs[:5])
        assert caught.value.code == "PT400"
    assert found(examined(folder, [pair("a", "b", "c")]), "PC705").count in {0, 1}


def test_the_checks_start_without_torch():
    code = "import preftune.checks.reference.with_model, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
