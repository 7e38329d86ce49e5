"""Every objective by name. Importing this file imports no torch."""

from collections.abc import Mapping
from typing import Final

from preftune.objectives.declaration import Objective
from preftune.objectives.declared import (
    adaptive,
    anchored,
    divergence,
    length,
    likelihood,
    logistic,
    offset,
    rankings,
    reference_free,
    regression,
    step,
    thumbs,
    ties,
    vocabulary,
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
        anchored,
        reference_free,
        step,
        adaptive,
        vocabulary,
        rankings,
        thumbs,
        likelihood,
    )
    for objective in family.OBJECTIVES
}
