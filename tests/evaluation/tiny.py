"""Two random models over twelve letters, and a scorer that is easily understood."""

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

LETTERS = "abcdefghij"


def tiny_model(seed):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(LETTERS) + 2, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        bos_token_id=0, eos_token_id=1, initializer_range=0.4,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def tiny_tokenizer():
    words = {"<s>": 0, "</s>": 1} | {letter: i + 2 for i, letter in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


class ShareOfA:
    """How much of a text is the letter a."""

    def score(self, texts):
        return np.array([text.count("a") / max(1, len(text)) for text in texts])


def prompts(number, length=3):
    draw = np.random.default_rng(0).integers(len(LETTERS), size=(number, length))
    return ["".join(LETTERS[i] for i in row) for row in draw]
