"""Loading models, and running them from batches to log-probs."""

from preftune.models.head import token_log_probs
from preftune.models.load import load_config, load_model, load_tokenizer
from preftune.models.root import LogProbModel, logps

__all__ = [
    "LogProbModel",
    "load_config",
    "load_model",
    "load_tokenizer",
    "logps",
    "token_log_probs",
]
