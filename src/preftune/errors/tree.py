"""Exceptions that carry what a person needs to go on."""

from typing import ClassVar

from preftune.errors.codes import EXPLANATIONS


class PreftuneError(Exception):
    """A failure that the user can act on: printed without a traceback.

    Args:
        code: Key of `EXPLANATIONS`, such as `PT104`; `preftune explain CODE` says more.
        problem: What is wrong, as a sentence.
        why: Why it matters.
        fix: What to do next.
        where: Place of the fault: `file:line`, a key of the run file, a folder.
    """

    exit_code: ClassVar[int] = 5

    def __init__(
        self, code: str, problem: str, *, why: str, fix: str, where: str | None = None
    ) -> None:
        assert code in EXPLANATIONS, f"error code {code} has no explanation"
        self.code = code
        self.problem = problem
        self.why = why
        self.fix = fix
        self.where = where
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.problem}\n  why: {self.why}\n  fix: {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields: these errors cross process borders (Parquet is read in a child)."""
        return _rebuild, (type(self), self.code, self.problem, self.why, self.fix, self.where)


def _rebuild(  # noqa: PLR0917  (pickle hands over positions)
    kind: type[PreftuneError], code: str, problem: str, why: str, fix: str, where: str | None
) -> PreftuneError:
    return kind(code, problem, why=why, fix=fix, where=where)


class ConfigError(PreftuneError):
    """Options, run files and names: found before anything is loaded."""

    exit_code = 2


class ResourceError(PreftuneError):
    """Disk or memory does not suffice."""

    exit_code = 3


class DataError(PreftuneError):
    """A file or a row can't be used."""

    exit_code = 4


class RunError(PreftuneError):
    """Something failed while running."""

    exit_code = 5
