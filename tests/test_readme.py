"""What the README shows is what works."""

import contextlib
import re
import shutil
from pathlib import Path

import pytest
import yaml

from preftune.training.runfile import resolve

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_its_python_runs(code, tmp_path, tiny_model, tiny_pairs, capsys):
    shutil.copytree(tiny_model, tmp_path / "sft-model")
    shutil.copy(tiny_pairs, tmp_path / "pairs.jsonl")
    names = {}
    with contextlib.chdir(tmp_path):
        exec(code, names)
    if "loss" in names:
        assert names["loss"].item() == pytest.approx(0.6931, abs=1e-4)
    else:
        assert 0 <= names["result"].held_out["accuracy"] <= 1


@pytest.mark.parametrize("text", blocks("yaml"))
def test_its_run_file_is_valid(text, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    settings = resolve(file).settings
    assert settings.model == yaml.safe_load(text)["model"]


def test_it_shows_the_two_commands():
    install = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e "
    assert f"\n{install}. && .venv/bin/preftune demo\n" in README
    assert f'\n{install}".[dev,bench]" && .venv/bin/pytest\n' in README


def test_the_folders_it_names_exist():
    root = Path(__file__).parents[1]
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / link).exists(), link
    for folder in re.findall(r"^\| `((?:src|scripts)/[^`]+)`", README, re.MULTILINE):
        assert (root / folder).is_dir(), folder
