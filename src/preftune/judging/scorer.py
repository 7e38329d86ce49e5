"""What every scorer can do."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Scorer(Protocol):
    """Judges each text alone; a greater score is better."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """One score per text."""
        ...
