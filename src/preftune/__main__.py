"""`python -m preftune`: the same as `preftune`."""

from preftune.cli.main import main

main()
