"""A tokenizer trained by others, beside those built here."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase


@pytest.fixture(scope="session")
def stories(shared: Path) -> PreTrainedTokenizerBase:
    """A sentencepiece tokenizer of Llama's kind: a space before everything, no template."""
    return AutoTokenizer.from_pretrained(shared / "models" / "stories260k")
