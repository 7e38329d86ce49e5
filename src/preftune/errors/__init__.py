"""The exception tree. Every user error says where, what, why it matters and how to fix it.

PreftuneError
├── ConfigError     exit 2: options, run files, names
├── ResourceError   exit 3: disk, memory
├── DataError       exit 4: files and rows
└── RunError        exit 5: what fails while running
"""

from preftune.errors.codes import EXPLANATIONS
from preftune.errors.tree import ConfigError, DataError, PreftuneError, ResourceError, RunError

__all__ = [
    "EXPLANATIONS",
    "ConfigError",
    "DataError",
    "PreftuneError",
    "ResourceError",
    "RunError",
]
