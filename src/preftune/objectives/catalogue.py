"""Every objective by name. Importing this file imports no torch."""

from collections.abc import Mapping
from typing import Final

from preftune.objectives.declaration import Objective
from preftune.objectives.declared import (
    divergence,
    length,
    likelihood,
    logistic,
    offset,
    regression,
    ties,
)

CATALOGUE: Final[Mapping[str, Objective]] = {
    objective.name: objective
    for family in (
        logistic,
        regression,
        length,
        divergence,
        offset,
        ties,
        likelihood,
    )
    for objective in family.OBJECTIVES
}
