"""An examination as one HTML file."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from preftune.records import Examination
from preftune.report.inert import inert, prose
from preftune.report.view import view_of


def write_examination(examination: Examination, path: Path) -> None:
    """Write the page of an examination.

    Raises:
        OSError: It can't be written there.
    """
    path.write_text(examination_page(examination), encoding="utf-8", newline="\n")


def examination_page(examination: Examination) -> str:
    """The page of an examination: one file, no script, nothing loaded; the same bytes each time.

    What the data holds is shown and never obeyed: HTML is escaped, and what can't be seen is
    marked.

    Example:
        >>> from preftune.records import Examination
        >>> nothing = Examination(data="x.jsonl", layout="", fingerprint="", rows=0, used=0,
        ...                       excluded={}, pairs=0, prompts=0, findings=())
        >>> "Unusable" in examination_page(nothing)
        True
    """
    pages = Environment(
        loader=PackageLoader("preftune.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters.update(inert=inert, prose=prose, begin=begin)
    style = pages.loader.get_source(pages, "page.css")[0] if pages.loader else ""
    return pages.get_template("page.html").render(view=view_of(examination), css=Markup(style))


def begin(sentence: str) -> str:
    """The sentence with a capital letter, as it stands by itself here."""
    return sentence[:1].upper() + sentence[1:]
