import pytest
import yaml

from preftune.errors import ConfigError
from preftune.training.runfile import resolve, write_run_file
from preftune.training.yaml_file import flatten

BASE = {"model": "m", "data": "pairs.jsonl", "objective": "dpo"}


def write(path, text):
    path.write_text(text)
    return path


def test_a_run_file_is_read_with_the_line_of_each_value(tmp_path):
    file = write(
        tmp_path / "run.yaml",
        "model: m\ndata: pairs.jsonl\nobjective:\n  name: dpo\n  beta: 0.3\n"
        "optimizer: {lr: 5e-7}\n",
    )
    resolved = resolve(
        file, {"seed": 7, "precision": "float32"}, ["optimizer.epochs=2"], flags={"seed": "--seed"}
    )
    assert resolved.settings.objective == {"name": "dpo", "beta": 0.3, "label_smoothing": 0.0}
    assert resolved.settings.optimizer.lr == 5e-7
    assert resolved.settings.data.train == "pairs.jsonl"
    assert resolved.origins["objective.beta"] == f"{file}:5"
    assert resolved.origins["data.train"] == f"{file}:2"
    assert resolved.origins["seed"] == "--seed"
    assert resolved.origins["precision"] == "argument"
    assert resolved.origins["optimizer.epochs"] == "--set optimizer.epochs=2"
    assert resolved.origins["objective.label_smoothing"] == "default"


def test_the_resolved_file_says_the_same_run_again(tmp_path):
    resolved = resolve(None, BASE, ["data.map={chosen: good}", "optimizer.lr=1e-5"])
    again = resolve(write(tmp_path / "run.yaml", write_run_file(resolved)))
    assert again.settings == resolved.settings
    assert "lr: 1.0e-05  # --set optimizer.lr=1e-5" in write_run_file(resolved)


def test_the_objective_decides_its_learning_rate():
    assert resolve(None, BASE).settings.optimizer.lr == 1e-6
    assert resolve(None, BASE | {"objective": "sft"}).settings.optimizer.lr == 2e-5


@pytest.mark.parametrize(
    ("changes", "sets", "code", "said"),
    [
        ({"modle": "x"}, [], "PT300", "did you mean `model`"),
        ({}, ["optimizer.lrr=1"], "PT300", "did you mean `optimizer.lr`"),
        ({}, ["optimizer.schedule=linaer"], "PT301", "'linear', 'cosine' or 'constant'"),
        ({}, ["seed=-1"], "PT301", "`seed`"),
        ({}, ["data.held_out=1.5"], "PT301", "data.held_out"),
        ({"objective": "dop"}, [], "PT303", "or `dpo`?"),
        ({}, ["objective.betta=0.1"], "PT303", "did you mean `beta`"),
        ({}, ["objective.beta=-1"], "PT301", "(0, inf)"),
        ({"objective": "sft"}, ["objective.beta=1"], "PT303", "does not use the setting `beta`"),
        ({}, ["nonsense"], "PT301", "key=value"),
        ({"model": None}, [], "PT301", "model"),
    ],
)
def test_a_mistake_is_named_before_anything_is_loaded(changes, sets, code, said):
    with pytest.raises(ConfigError) as caught:
        resolve(None, BASE | changes, sets)
    assert caught.value.code == code
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        resolve(None, {"data": "x", "objective": "dpo", "sed": 1}, ["optimizer.epochs=0"])
    for said in ("`model` is missing: name one with --model", "did you mean `seed`", "epochs"):
        assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["a: [1,\n", "a: 1\na: 2\n", "- 1\n", "a: &x 1\nb: *x\n", "model: !!python/name:os.system x\n"],
)
def test_hostile_or_broken_yaml_is_refused_with_its_place(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        resolve(write(tmp_path / "run.yaml", text), BASE)
    assert caught.value.code == "PT304"
    assert "run.yaml" in str(caught.value)


def test_yaml_numbers_in_scientific_notation_are_numbers(tmp_path):
    file = write(
        tmp_path / "run.yaml", "optimizer: {lr: 5e-7, eps: 1E-6, beta1: .5, beta2: 0.95}\n"
    )
    optimizer = resolve(file, BASE).settings.optimizer
    assert (optimizer.lr, optimizer.eps, optimizer.beta1, optimizer.beta2) == (
        5e-7,
        1e-6,
        0.5,
        0.95,
    )


def test_written_yaml_is_plain_yaml():
    text = write_run_file(resolve(None, BASE))
    assert flatten(yaml.safe_load(text))["optimizer.pairs_per_step"] == 64
