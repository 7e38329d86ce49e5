import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from preftune.cli.main import app
from preftune.objectives.catalogue import CATALOGUE


def run(*arguments):
    return CliRunner().invoke(app, ["objectives", *arguments])


def test_the_list_has_a_line_for_each():
    lines = run("ls").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    for line, objective in zip(lines, CATALOGUE.values(), strict=True):
        assert objective.data in line
        assert line.endswith(objective.summary)


def test_the_list_by_data():
    lines = run("ls", "--data", "thumbs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["kto", "bco"]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_page_says_all_that_is_declared(name):
    objective = CATALOGUE[name]
    text = " ".join(run("show", name).stdout.split())
    said = [objective.formula, objective.rewards, objective.at_start, objective.when]
    said += [objective.when_not, objective.paper, *objective.pitfalls]
    for one in said:
        assert " ".join(one.split()) in text
    for key, setting in objective.settings.items():
        assert re.search(rf"{key} .*default {re.escape(f'{setting.default:g}')}", text)


def test_json_holds_the_same():
    listed = json.loads(run("ls", "--json").stdout)["objectives"]
    assert [one["name"] for one in listed] == list(CATALOGUE)
    shown = json.loads(run("show", "kto", "--json").stdout)
    assert shown["settings"]["beta"] == {
        "default": 0.1,
        "range": "(0, inf)",
        "summary": CATALOGUE["kto"].settings["beta"].summary,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "kot"], "did you mean `kto`"),
        (["ls", "--data", "thumb"], "the kinds are: demonstrations, pairs"),
    ],
)
def test_mistakes_are_one_sentence(arguments, said):
    command = [sys.executable, "-m", "preftune", "objectives", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_it_needs_no_torch():
    code = (
        "import sys\n"
        "from preftune.cli.main import main\n"
        "try:\n    main(['objectives', 'show', 'kto'])\nexcept SystemExit:\n    pass\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0
    assert b"KTO" in done.stdout
