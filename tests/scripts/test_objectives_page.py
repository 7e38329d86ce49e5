"""The page on objectives is what the catalogue says now."""

import sys
from pathlib import Path

import numpy as np
import pytest

from preftune.objectives.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scripts():
    sys.path.insert(0, str(ROOT / "scripts/docs"))
    try:
        import objectives_page
        import probe

        yield objectives_page, probe
    finally:
        sys.path.remove(str(ROOT / "scripts/docs"))


def test_the_page_is_up_to_date(scripts):
    page, _ = scripts
    assert (ROOT / "docs/objectives.md").read_text(encoding="utf-8") == page.page()


def test_every_objective_has_its_plot():
    plots = {path.stem for path in (ROOT / "docs/objectives").glob("*.png")}
    assert plots == set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_curve_s_slope_is_the_slope_of_its_loss(scripts, name):
    _, probe = scripts
    for curve in probe.plot_of(CATALOGUE[name]).curves:
        steps = np.diff(curve.x)
        middle = (curve.slope[1:] + curve.slope[:-1]) / 2
        rise = np.diff(curve.loss) / steps
        bend = np.abs(np.diff(curve.slope))
        assert (np.abs(rise - middle) <= bend + 1e-6 * (1 + np.abs(middle))).all()
        assert np.ptp(curve.loss) > 0


def test_the_comparison_has_a_row_for_every_objective():
    text = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")
    for name in CATALOGUE:
        assert f"| [{name}](objectives.md#{name}) |" in text or f"`{name}` is left out" in text
