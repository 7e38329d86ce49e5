"""Loading models, and running them from batches to log-probs."""

from preftune.models.head import TokenStatistics, token_log_probs, token_statistics
from preftune.models.load import load_config, load_model, load_tokenizer
from preftune.models.root import LogProbModel, logps
from preftune.models.vocabulary import LazyLogits

__all__ = [
    "LazyLogits",
    "LogProbModel",
    "TokenStatistics",
    "load_config",
    "load_model",
    "load_tokenizer",
    "logps",
    "token_log_probs",
    "token_statistics",
]
