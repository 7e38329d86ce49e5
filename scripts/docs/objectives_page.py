"""Write `docs/objectives.md` and its plots from the catalogue.

    python scripts/docs/objectives_page.py

Nothing in the page is typed by hand: formulas and advice are the catalogue's, losses and gradients
at the start are computed, the curves are the functions themselves.
"""

import sys
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import matplotlib as mpl
import matplotlib.pyplot as plt
from PIL import Image
from probe import Plot, at_start, plot_of

from preftune.objectives.catalogue import CATALOGUE
from preftune.objectives.declaration import Objective

DOCS = Path(__file__).parents[2] / "docs"
HEAD = """# Objectives

Made by `python scripts/docs/objectives_page.py` from the catalogue; `preftune objectives show NAME`
prints the same. How they compare on real pairs: [comparison.md](comparison.md).

Symbols: ℓ(y) = log π(y | x) in nats, ℓ̄ = ℓ / |y|; Δ = ℓ − ℓ of the reference, Δ̄ = Δ / |y|; w the
chosen and l the rejected response; h = Δ_w − Δ_l the margin; σ the logistic function; sg[·] without
gradient; softplus(t) = log(1 + eᵗ).

Loss and gradient at the start: policy = reference, responses of 20 tokens (without a reference:
of −1 nat a token), defaults, ∂L/∂ℓ of the better and of the worse response. A negative slope means
that gradient descent makes the response likelier. Of thumbs: one good and one bad response, added.

| objective | learns from | reference | loss at start | ∂L/∂ℓ better | ∂L/∂ℓ worse |
|---|---|---|---|---|---|
"""


def main() -> None:
    """Write page and plots."""
    folder = DOCS / "objectives"
    folder.mkdir(exist_ok=True)
    (DOCS / "objectives.md").write_text(page(), encoding="utf-8")
    mpl.use("Agg")
    for objective in CATALOGUE.values():
        draw(plot_of(objective), folder / f"{objective.name}.png")
    for stale in set(folder.glob("*.png")) - {folder / f"{name}.png" for name in CATALOGUE}:
        stale.unlink()


def page() -> str:
    """The page as text."""
    rows = [_row(objective) for objective in CATALOGUE.values()]
    sections = [_section(objective) for objective in CATALOGUE.values()]
    return HEAD + "\n".join(rows) + "\n\n" + "\n\n".join(sections) + "\n"


def _row(objective: Objective) -> str:
    loss, better, worse = at_start(objective)
    link = f"[{objective.name}](#{objective.name})"
    numbers = f"{loss:.5g} | {better:+.4g} | {worse:+.4g}"
    return f"| {link} | {objective.data} | {objective.reference} | {numbers} |"


def _section(objective: Objective) -> str:
    low, high = objective.learning_rate_range
    lines = [
        f"## {objective.name}",
        "",
        f"{objective.summary[0].upper()}{objective.summary[1:]}.",
        "",
        f"![loss and slope of {objective.name}](objectives/{objective.name}.png)",
        "",
        f"- **Loss** {objective.formula}",
        f"- **Implicit reward** {objective.rewards}",
        f"- **At the start** {objective.at_start}",
        f"- **Learns from** {objective.data}; one value for each {objective.unit}, the sum divided"
        f" by the number of {objective.denominator} of the optimiser step",
        f"- **Needs** {_needs(objective)}",
        f"- **Learning rate** {objective.learning_rate:g}; {low:g} to {high:g} (full fine-tuning)",
    ]
    for key, setting in objective.settings.items():
        lines.append(f"- **`{key}`** {setting.default:g}, in {setting.interval}: {setting.summary}")
    lines += [f"- **When** {objective.when}", f"- **When not** {objective.when_not}"]
    lines += [f"- **Pitfall** {pitfall}" for pitfall in objective.pitfalls]
    lines.append(f"- **Paper** {objective.paper}")
    return "\n".join(lines)


def _needs(objective: Objective) -> str:
    needs = {
        "none": ["no reference"],
        "logps": ["the reference's log-probs (cached)"],
        "distribution": ["the reference's whole distribution (kept live)"],
    }[objective.reference]
    if objective.scope == "step":
        needs.append("statistics over the whole optimiser step")
    if objective.mismatched:
        needs.append("each prompt also with the response of another one")
    if objective.margins != "no":
        needs.append("how much better the chosen response was judged")
    needs += [f"the whole-vocabulary statistic `{name}`" for name in objective.vocabulary]
    return "; ".join(needs)


def draw(plot: Plot, path: Path) -> None:
    """Loss on the left, slope on the right."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.4), layout="constrained")
    for curve in plot.curves:
        axes[0].plot(curve.x, curve.loss, label=curve.label)
        axes[1].plot(curve.x, curve.slope, label=curve.label)
    for axis, title in zip(axes, ("loss", "slope dL/dx"), strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(plot.axis, fontsize=8)
        axis.tick_params(labelsize=8)
        axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    if len(plot.curves) > 1 or plot.curves[0].label:
        axes[0].legend(fontsize=8, frameon=False)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=80)
    plt.close(figure)
    # Few colours: a third of the bytes.
    Image.open(drawn).convert("RGB").quantize(32).save(path, optimize=True)


if __name__ == "__main__":
    main()
