"""Packages that only some settings need."""

from importlib.util import find_spec

from preftune.errors.tree import ConfigError


def require_extra(package: str, extra: str, setting: str) -> None:
    """Refuse a setting whose package is not installed.

    Args:
        package: What is imported.
        extra: The extra of preftune that installs it.
        setting: The key of the run file.

    Raises:
        ConfigError: PT310.
    """
    if find_spec(package) is None:
        raise ConfigError(
            "PT310",
            f"it needs {package}, which is not installed.",
            where=setting,
            why="the setting would have no effect without it.",
            fix=f"pip install 'preftune[{extra}]', or leave it out.",
        )
