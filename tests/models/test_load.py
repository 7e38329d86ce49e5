import contextlib
import json
import os
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from preftune.errors import ConfigError
from preftune.models import load_model, load_tokenizer
from preftune.models.load import remove_dropout
from preftune.models.location import locate
from tests.models.tiny import tiny_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model folder as transformers writes it."""
    folder = tmp_path_factory.mktemp("saved")
    tiny_model("gpt2", dtype=torch.float32, attn_pdrop=0.3).save_pretrained(folder)
    words = Tokenizer(WordLevel({"<unk>": 0, "a": 1, "b": 2}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def refusal(load, place):
    """The error, checked to carry the three things a person needs."""
    with pytest.raises(ConfigError) as caught:
        load(str(place))
    error = caught.value
    assert all([error.problem, error.why, error.fix, error.where])
    assert "\n" not in error.problem
    return error


def change_config(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_a_folder_loads_without_dropout_without_cache_and_without_talk(saved, capfd):
    model = load_model(str(saved))
    assert model.dtype == torch.float32
    assert not model.training
    assert model.config.use_cache is False
    model.train()
    ids = torch.arange(20)[None]
    assert torch.equal(model(ids).logits, model(ids).logits), "dropout would differ"
    assert load_tokenizer(str(saved))("a b a")["input_ids"] == [1, 2, 1]
    assert capfd.readouterr() == ("", "")


def test_the_weights_dtype_is_the_one_asked_for(saved):
    assert load_model(str(saved), dtype="bfloat16").dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_dropout_is_removed_from_modules_and_configuration(kind):
    settings = {
        "gpt2": {"attn_pdrop": 0.5, "resid_pdrop": 0.5},
        "llama": {"attention_dropout": 0.5},
    }
    model = tiny_model(kind, **settings[kind]).train()
    ids = torch.arange(20)[None]
    assert not torch.equal(model(ids).logits, model(ids).logits)
    remove_dropout(model)
    assert torch.equal(model(ids).logits, model(ids).logits)
    dropouts = {name: getattr(model.config, name) for name in settings[kind]}
    assert set(dropouts.values()) == {0.0}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no/such/folder", "there is no such folder."),
        ("./nosuch", "there is no such folder."),
        ("~/nosuch-model", "there is no such folder."),
        ("~nobody-here/x", "there is no home folder ~nobody-here."),
        ("a" * 300, "this is no name"),
        ("bad name!", "nor can it be a hub name"),
        ("", "this is no name"),
    ],
)
def test_a_path_that_is_not_there_is_said_at_once(name, problem):
    for load in (load_model, load_tokenizer):
        error = refusal(load, name)
        assert error.code == "PT400"
        assert problem in error.problem


def test_a_name_below_a_folder_that_exists_is_a_path(tmp_path):
    (tmp_path / "models").mkdir()
    with contextlib.chdir(tmp_path):
        assert refusal(load_model, "models/mine").problem == "there is no such folder."


def test_a_file_in_place_of_a_folder(saved):
    assert "a file, not a folder" in refusal(load_model, saved / "config.json").problem


def test_a_folder_that_is_no_model_points_at_the_one_inside(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "run" / "model")
    error = refusal(load_model, tmp_path / "run")
    assert error.code == "PT400"
    assert str(tmp_path / "run" / "model") in error.fix


def test_pickled_weights_are_refused_and_not_opened(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    canary = tmp_path / "canary"

    class Poison:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    torch.save({"weight": Poison()}, folder / "pytorch_model.bin")
    error = refusal(load_model, folder)
    assert error.code == "PT402"
    assert "pytorch_model.bin" in error.problem
    assert not canary.exists()


def test_a_folder_without_weights(folder):
    (folder / "model.safetensors").unlink()
    error = refusal(load_model, folder)
    assert (error.code, error.problem) == ("PT400", "there are no weights.")


@pytest.mark.parametrize("kept", [0, 5, 100, 5000])
def test_damaged_weights(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    error = refusal(load_model, folder)
    assert error.code == "PT400"
    assert "the weights are damaged" in error.problem


def test_weights_that_lack_something_are_not_filled_with_random_numbers(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights.pop("transformer.h.1.mlp.c_fc.weight")
    save_file(weights, path, {"format": "pt"})
    error = refusal(load_model, folder)
    assert error.code == "PT400"
    assert "lack transformer.h.1.mlp.c_fc.weight" in error.problem


def test_a_model_without_an_output_layer_is_not_a_language_model(tmp_path):
    tiny_model("llama", dtype=torch.float32, tie_word_embeddings=False).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    weights.pop("lm_head.weight")
    save_file(weights, path, {"format": "pt"})
    assert refusal(load_model, tmp_path).code == "PT404"


def test_weights_of_other_shapes(folder):
    change_config(folder, n_embd=64)
    error = refusal(load_model, folder)
    assert (error.code, error.problem) == (
        "PT400",
        "the weights have other shapes than config.json says.",
    )


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": "nosuch"}', ""])
def test_a_configuration_that_says_nothing(folder, content):
    (folder / "config.json").write_text(content)
    error = refusal(load_model, folder)
    assert error.code == "PT400"
    assert "config.json can't be used" in error.problem


def test_a_model_of_another_kind(folder):
    (folder / "config.json").write_text('{"model_type": "t5"}')
    assert refusal(load_model, folder).code == "PT404"


def test_code_that_comes_with_a_model_is_not_run(folder, tmp_path):
    canary = tmp_path / "canary"
    (folder / "own.py").write_text(f"import os; os.mkdir({str(canary)!r})")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    change_config(folder, model_type="own", auto_map=own)
    assert refusal(load_model, folder).code == "PT403"
    change_config(folder, model_type="gpt2")
    load_model(str(folder))  # a known architecture needs no code of its own
    change_config(folder, model_type="own")
    path = folder / "tokenizer_config.json"
    settings = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    path.write_text(json.dumps(settings))
    assert refusal(load_tokenizer, folder).code == "PT403"
    assert not canary.exists()


def test_a_model_without_a_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    error = refusal(load_tokenizer, folder)
    assert (error.code, error.problem) == ("PT401", "there are no tokenizer files.")


@pytest.mark.parametrize("content", ["{", "{}", '{"model": 3}'])
def test_a_damaged_tokenizer(folder, content):
    (folder / "tokenizer.json").write_text(content)
    assert refusal(load_tokenizer, folder).code == "PT401"


class Hub(BaseHTTPRequestHandler):
    """A hub that has no model, and says so as the real one does."""

    def do_GET(self):
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def test_a_misspelt_hub_name_and_a_hub_out_of_reach_are_told_apart(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()

    def ask(name):
        return locate(name, endpoint=endpoint, cache=tmp_path)

    try:
        error = refusal(ask, "nobody/nothing")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert error.code == "PT400"
    assert "the hub has no public model of that name" in error.problem
    error = refusal(ask, "nobody/nothing")  # nobody listens there any more
    assert error.code == "PT400"
    assert "the hub can't be reached" in error.problem


def test_a_copy_in_the_hubs_cache_serves_without_network(saved, tmp_path):
    repository = tmp_path / "models--some--one"
    shutil.copytree(saved, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    place = locate("some/one", endpoint="http://127.0.0.1:9", cache=tmp_path)
    place.require_model()
    place.require_tokenizer()
    assert Path(place.name) == repository / "snapshots" / "abc"
