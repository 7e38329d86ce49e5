"""Model shapes with random weights, which cost what trained ones do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shape:
    """A Llama of some size."""

    name: str
    layers: int
    width: int
    heads: int
    key_heads: int
    inner: int
    vocabulary: int
    tied: bool = True
    words: int = 8192
    """Vocabulary of the tokenizer, which may be smaller than the model's."""
    on_gpu: bool = False
    """Too large for a CPU, and for two of it to be in memory at once."""

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def matrices(self) -> list[tuple[int, int]]:
        """(in, out) of each linear layer of one block."""
        keys = self.key_heads * self.head_width
        return [
            (self.width, self.width),
            (self.width, keys),
            (self.width, keys),
            (self.width, self.width),
            (self.width, self.inner),
            (self.width, self.inner),
            (self.inner, self.width),
        ]

    @property
    def layer_parameters(self) -> int:
        """Weights of all matrices in the layers: what 6 N counts."""
        return self.layers * sum(rows * columns for rows, columns in self.matrices)

    @property
    def parameters(self) -> int:
        vectors = (2 * self.layers + 1) * self.width
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        return self.layer_parameters + vectors + embeddings


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("toy", 2, 32, 4, 2, 64, 1024, words=1024),
        Shape("20M", 4, 256, 8, 8, 1024, 4096, tied=False, words=4096),
        Shape("135M", 30, 576, 9, 3, 1536, 49_152),
        Shape("vocabulary", 2, 896, 14, 2, 4864, 151_936),
        Shape("1B", 16, 2048, 32, 8, 8192, 128_256, on_gpu=True),
        Shape("8B", 32, 4096, 32, 8, 14_336, 128_256, tied=False, on_gpu=True),
    )
}


def save_model(shape: Shape, folder: Path, tokenizer: Any, seed: int = 0) -> None:
    """A folder with the shape's configuration, random weights and the tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=shape.tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype="bfloat16" if shape.on_gpu else "float32",
    )
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if shape.on_gpu else torch.float32)
    try:
        model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
