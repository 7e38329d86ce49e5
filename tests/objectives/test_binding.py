import math
from dataclasses import replace

import pytest
import torch

from preftune.errors import ConfigError
from preftune.objectives import CATALOGUE
from preftune.objectives.binding import bind, bind_mixture
from preftune.objectives.losses.logistic import dpo
from preftune.objectives.names import OTHER_NAMES
from tests.objectives.pairs import FIXTURES, record


def test_bound_settings_reach_the_loss() -> None:
    logps = record(FIXTURES["good"])
    bound = bind("dpo", {"label_smoothing": 0.1})
    (part,) = bound.parts
    assert part.settings == {"beta": 0.1, "label_smoothing": 0.1}
    assert (part.weight, bound.name, part.settings["beta"]) == (1.0, "dpo", 0.1)
    assert part(logps).item() == pytest.approx(0.47318605, abs=1e-7)
    torch.testing.assert_close(bind("dpo", {"beta": 1}).parts[0](logps), dpo(logps, beta=1.0))
    assert part.reward(logps).tolist() == pytest.approx([0.2, -0.5])
    assert "beta" not in bind("sft", {}).parts[0].settings


def test_what_a_run_must_know_of_an_objective() -> None:
    plain = bind("dpo")
    assert (plain.data, plain.reference, plain.vocabulary) == (("pairs",), "logps", frozenset())
    assert not plain.whole_step
    assert not plain.mismatched
    assert plain.learning_rate == CATALOGUE["dpo"].learning_rate
    assert bind("sft").reference == "none"
    assert bind("tdpo2").reference == "distribution"
    assert bind("tdpo2").vocabulary == {"kl"}
    assert bind("kto").mismatched
    assert bind("kto").data == ("thumbs",)
    assert bind("aot").whole_step
    assert "beta" not in bind("ipo_sum").parts[0].settings


@pytest.mark.parametrize(
    ("name", "settings", "code", "expected"),
    [
        ("dop", {}, "PT303", "objective: there is no objective `dop`.*did you mean .*`dpo`"),
        ("DPO", {}, "PT303", "did you mean `dpo`.*`preftune objectives ls` lists all 45"),
        ("ppo9", {"x": 1}, "PT303", "`preftune objectives ls` lists"),
        ("ipo", {}, "PT303", "here it is ipo_sum .* or ipo_mean"),
        ("R-DPO", {}, "PT303", "robust_dpo .* or len_dpo"),
        ("dpo", {"beta": 1e39}, "PT301", "beyond what float32 can reckon with"),
        ("dpo", {"beta": 1e-39}, "PT301", "beyond what float32 can reckon with"),
        ("dpo", {"bta": 1}, "PT303", "objective.bta: `dpo` does not use.*did you mean `beta`\\? "),
        ("dpo", {"gamma": 1}, "PT303", "fix: its settings are: beta, label_smoothing."),
        ("hinge", {"label_smoothing": 0.1}, "PT303", "It belongs to: dpo.*settings are: beta."),
        ("ipo_sum", {"beta": 1}, "PT303", "It belongs to: dpo, .*fix: its settings are: tau."),
        ("sft", {"beta": 1}, "PT303", "It belongs to: dpo, .*fix: it has no settings."),
        ("dpo", {"beta": 0}, "PT301", "objective.beta: 0 is outside \\(0, inf\\).*default is 0.1"),
        ("dpo", {"beta": math.nan}, "PT301", "nan is outside"),
        ("dpo", {"beta": math.inf}, "PT301", "inf is outside"),
        ("dpo", {"beta": "high"}, "PT301", "`high` is not a number"),
        ("dpo", {"beta": True}, "PT301", "`True` is not a number"),
        ("dpo", {"beta": None}, "PT301", "`None` is not a number"),
        ("dpo", {"label_smoothing": 0.5}, "PT301", "0.5 is outside \\[0, 0.5\\)"),
        ("exo", {"epsilon": 0}, "PT301", "0 is outside \\(0, 0.5\\).*default is 0.001"),
        ("rao_kupper", {"nu": 1}, "PT301", "1 is outside \\(1, inf\\).*default is 3"),
        ("modpo", {"share": 0}, "PT301", "0 is outside \\(0, 1\\].*it is the weight w of"),
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
    with pytest.raises(ConfigError, match=r"^objective\[1\].beta: -1 is outside"):
        bind_mixture([{"name": "sft"}, {"name": "dpo", "beta": -1}])


# Mixtures


def test_a_mixture_keeps_weights_and_settings_of_its_parts() -> None:
    bound = bind_mixture(
        [{"name": "dpo", "weight": 0.8, "beta": 0.5}, {"name": "sft", "weight": 2}]
    )
    assert bound.name == "dpo+sft"
    assert [part.weight for part in bound.parts] == [0.8, 2.0]
    assert [dict(part.settings) for part in bound.parts] == [
        {"beta": 0.5, "label_smoothing": 0.0},
        {},
    ]
    assert bound.data == ("pairs", "demonstrations")
    assert (bound.reference, bound.main.settings["beta"]) == ("logps", 0.5)
    assert bound.learning_rate == CATALOGUE["dpo"].learning_rate
    # The weight is the trainer's to apply: a part returns its own loss.
    logps = record(FIXTURES["good"])
    torch.testing.assert_close(bound.parts[0](logps), dpo(logps, beta=0.5))


def test_one_objective_in_a_list_is_that_objective() -> None:
    one = bind_mixture([{"name": "hinge", "beta": 0.3}])
    assert one == bind("hinge", {"beta": 0.3})
    assert bind_mixture([{"name": "hinge", "beta": 0.3, "weight": 1}]) == one


@pytest.mark.parametrize(
    ("parts", "code", "expected"),
    [
        ([], "PT307", "objective: the list of objectives is empty.*fix: name at least one."),
        ([{"beta": 1}], "PT307", r"objective\[0\]: a part has no name.*\{name: dpo\}"),
        ([{"name": 3}], "PT307", "a part has no name"),
        ([{"name": "dpo"}, {"name": "dpo", "beta": 1}], "PT307", "`dpo` is in it twice"),
        ([{"name": "dpo", "weight": 2}], "PT307", "a single objective has a weight.*learning rate"),
        (
            [{"name": "dpo"}, {"name": "davidson"}],
            "PT307",
            "its parts take different data: `dpo` pairs, `davidson` ties.*same kind of data",
        ),
        ([{"name": "plackett_luce"}, {"name": "kto"}], "PT307", "take different data"),
        ([{"name": "sft"}, {"name": "davidson"}, {"name": "kto"}], "PT307", "different data"),
        (
            [{"name": "sft"}, {"name": "dop"}],
            "PT303",
            r"objective\[1\]: there is no objective `dop`",
        ),
        ([{"name": "sft"}, {"name": "dpo", "weight": 0}], "PT301", r"0 is outside \(0, inf\)"),
        ([{"name": "sft"}, {"name": "dpo", "weight": "much"}], "PT301", "`much` is not a number"),
        ([{"name": "sft"}, {"name": "dpo", "wieght": 1}], "PT303", "does not use the setting"),
    ],
)
def test_what_a_mixture_refuses(parts: list[dict[str, object]], code: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){expected}") as caught:
        bind_mixture(parts)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "names",
    [
        ("dpo", "ipo_mean", "sft"),
        ("dpo", "kto", "sft"),
        ("davidson", "rao_kupper", "sft"),
        ("plackett_luce", "sft"),
    ],
)
def test_what_can_be_added_up(names: tuple[str, ...]) -> None:
    bound = bind_mixture([{"name": name} for name in names])
    assert bound.name == "+".join(names)


def test_weights_of_the_data_multiply_the_loss() -> None:
    logps = record(FIXTURES["good"], FIXTURES["wrong"])
    weights = torch.tensor([2.0, 0.5], dtype=torch.float64)
    (part,) = bind("dpo").parts
    torch.testing.assert_close(part(replace(logps, weight=weights)), weights * dpo(logps))
    # Relations carry their group's weight already.
    torch.testing.assert_close(part(replace(logps, group_weight=weights)), dpo(logps))
    (part,) = bind("sft").parts
    counts = torch.tensor([2.0, 2.0, 0.5, 0.5], dtype=torch.float64)
    expected = counts * part(logps)
    torch.testing.assert_close(part(replace(logps, group_weight=weights)), expected)


def test_other_names_lead_to_objectives_that_exist() -> None:
    for name, said in OTHER_NAMES.items():
        assert name not in CATALOGUE
        assert any(word.strip(",;") in CATALOGUE for word in said.split()), said
