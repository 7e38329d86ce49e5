"""The command line, run in this process."""

from dataclasses import dataclass

import pytest

from preftune.cli.main import main


@dataclass(frozen=True)
class Outcome:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def preftune(capfd):
    """The command line in this process: one import of torch for all of them."""

    def run(*arguments):
        capfd.readouterr()
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as leave:
            code = int(leave.code or 0)
        return Outcome(code, *capfd.readouterr())

    return run
