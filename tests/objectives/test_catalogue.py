import inspect
import math
import subprocess
import sys
from pkgutil import resolve_name

import pytest
import torch

from preftune.errors import ConfigError
from preftune.objectives.binding import bind
from preftune.objectives.losses.logistic import dpo
from tests.objectives.pairs import Pair, record


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_says_what_its_function_takes(name: str) -> None:
    objective = CATALOGUE[name]
    loss = resolve_name(objective.loss)
    logps, *settings = inspect.signature(loss).parameters.values()
    assert (objective.name, loss.__name__, logps.name) == (name, name, "logps")
    assert all(setting.kind is setting.KEYWORD_ONLY for setting in settings)
    assert {setting.name: setting.default for setting in settings} == {
        key: setting.default for key, setting in objective.settings.items()
    }
    assert all(setting.default in setting.interval for setting in objective.settings.values())
    low, high = objective.learning_rate_range
    assert low <= objective.learning_rate <= high
    assert objective.summary
    assert objective.formula
    assert "arXiv:" in objective.paper


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_range_in_the_catalogue_is_the_range_of_the_function(name: str) -> None:
    objective = CATALOGUE[name]
    loss = resolve_name(objective.loss)
    for key, setting in objective.settings.items():
        ends = {setting.interval.low, setting.interval.high, math.nan}
        for value in sorted(ends, key=str):
            if value not in setting.interval:
                with pytest.raises(ValueError, match=key):
                    loss(record(Pair(-1, -2, -1, -2)), **{key: value})


def test_bound_settings_reach_the_loss() -> None:
    logps = record(Pair(-40, -55, -42, -50, 20, 25))
    bound = bind("dpo", {"label_smoothing": 0.1})
    assert bound.settings == {"beta": 0.1, "label_smoothing": 0.1}
    assert bound.beta == 0.1
    assert bound(logps).item() == pytest.approx(0.47318605, abs=1e-7)
    torch.testing.assert_close(bind("dpo", {"beta": 1})(logps), dpo(logps, beta=1.0))
    assert bind("sft", {}).beta is None


@pytest.mark.parametrize(
    ("name", "settings", "code", "expected"),
    [
        ("dop", {}, "PT303", "objective: there is no objective `dop`.*did you mean `dpo`\\? "),
        ("DPO", {}, "PT303", "did you mean `dpo`\\? the objectives are: dpo, sft"),
        ("ppo9", {"x": 1}, "PT303", "the objectives are: dpo, sft"),
        ("dpo", {"bta": 1}, "PT303", "objective.bta: `dpo` does not use.*did you mean `beta`\\? "),
        ("dpo", {"gamma": 1}, "PT303", "fix: its settings are: beta, label_smoothing."),
        ("sft", {"beta": 1}, "PT303", "It belongs to: dpo.*fix: it has no settings."),
        ("dpo", {"beta": 0}, "PT301", "objective.beta: 0 is outside \\(0, inf\\).*default is 0.1"),
        ("dpo", {"beta": math.nan}, "PT301", "nan is outside"),
        ("dpo", {"beta": math.inf}, "PT301", "inf is outside"),
        ("dpo", {"beta": "high"}, "PT301", "`high` is not a number"),
        ("dpo", {"beta": True}, "PT301", "`True` is not a number"),
        ("dpo", {"beta": None}, "PT301", "`None` is not a number"),
        ("dpo", {"label_smoothing": 0.5}, "PT301", "0.5 is outside \\[0, 0.5\\)"),
    ],
)
def test_what_bind_refuses(
    name: str, settings: dict[str, object], code: str, expected: str
) -> None:
    with pytest.raises(ConfigError, match=f"(?s){expected}") as caught:
        bind(name, settings)
    assert caught.value.code == code


def test_messages_name_the_place_in_the_run_file() -> None:
    with pytest.raises(ConfigError, match=r"^run.yaml:7.beta: -1 is outside"):
        bind("dpo", {"beta": -1}, where="run.yaml:7")


def test_checking_an_objective_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from preftune.objectives.binding import bind\n"
        "bind('dpo', {'beta': 0.2})\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
