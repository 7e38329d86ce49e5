"""A drawing for a page: matplotlib's SVG, made to fit in with the text around it.

Colours and letters are the page's own, so that a drawing is light or dark as the page is, and
prints in black. The same numbers give the same bytes.
"""

import re
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, LINE, FIRST, SECOND, PALE, BAR = (
    "#010101", "#020202", "#030303", "#040404", "#050505", "#060606", "#070707",
)  # fmt: skip
"""Stand-ins that no drawing needs; each becomes one of the page's colours."""
_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    PALE: "var(--pale)",
    BAR: "var(--bar)",
}
_ASIDE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>|<metadata.*?</metadata>", re.DOTALL)
_SETTINGS: dict[str, object] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.prop_cycle": f"cycler('color', ['{FIRST}', '{SECOND}', '{MUTED}'])",
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.fontsize": 9.5,
    "legend.handlelength": 1.2,
    "hatch.linewidth": 0.6,
}


def drawing(name: str, said: str, draw: Callable[["Axes"], None], height: float = 2.3) -> Markup:
    """Inline SVG of what `draw` puts on a pair of axes.

    Args:
        name: One word that no other drawing of the page has.
        said: What there is to see, for those who can't.
        draw: Draws, in the colours above.
        height: Inches, at a width of 4.6.
    """
    import matplotlib
    from matplotlib.figure import Figure

    buffer = StringIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style is for the user's own figures
        matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": name})  # pyright: ignore
        figure = Figure(figsize=(4.6, height), layout="constrained")
        draw(figure.subplots())
        figure.patch.set_visible(False)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return _inline(buffer.getvalue(), name, said)


def _inline(svg: str, name: str, said: str) -> Markup:
    """The drawing without its prologue, its style sheet, and names that other drawings have."""
    body = svg[svg.index("<svg") :]
    body = _ASIDE.sub("", body)
    used = set(re.findall(r"""(?:url\(|href=")#([\w.]+)""", body))
    size = re.search(r'viewBox="[^"]*"', body)
    assert size, "matplotlib writes a viewBox"
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], name, used), body)
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    title = Markup('<title id="{0}-said">{1}</title>').format(name, said)
    return Markup('<svg class="drawing" role="img" aria-labelledby="{}-said" {}>{}\n{}\n').format(
        name, Markup(size[0]), title, Markup(body)
    )


def _tag(tag: str, name: str, used: set[str]) -> str:
    """A tag in the page's colours, with fewer digits, with an id only where it is referred to."""
    tag = re.sub(r' id="([\w.]+)"', lambda at: at[0] if at[1] in used else "", tag)
    tag = re.sub(r'(url\(#|href="#| id=")', rf"\g<1>{name}-", tag.replace("xlink:href", "href"))
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)
    return re.sub(r"#0[0-9]0[0-9]0[0-9]", lambda colour: _COLOURS[colour[0]], tag)
