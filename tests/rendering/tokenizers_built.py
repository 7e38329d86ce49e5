"""Real tokenizers of each kind, trained in-process on a few sentences."""

from collections.abc import Sequence
from functools import lru_cache

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "The assistant answers the question of the user politely and in a few words.",
    "Once upon a time a little girl named Lily found a new friend in the park.",
    "system user assistant: what is the answer? It is four, and not five.",
    "Human: Hello there, how are you? Assistant: I am well, thank you! Are you?",
    "No. Yes. Hello! Good morning | good night # 0 1 2 3 4 5 6 7 8 9 abc xyz",
    "[INST] Say hello [/INST] hello <<SYS>> be brief <</SYS>> Äußerst schön, naïve café",
] * 4
LETTERS = [chr(code) for code in range(0x20, 0x7F)] + list("\näöüßéï…▁’")
BYTES = [f"<0x{value:02X}>" for value in range(256)]
KINDS = ("byte-level", "byte-level-spaced", "metaspace-always", "metaspace-first", "legacy")
KINDS += ("unigram",)
"""Kinds that lose no text."""


@lru_cache(maxsize=64)
def built(
    kind: str,
    template: str | None = None,
    controls: Sequence[str] = (),
    *,
    adds_bos: bool = True,
    eos: str | None = "</s>",
) -> PreTrainedTokenizerFast:
    """A tokenizer of `kind` with `<unk>`, `<s>`, `eos` and further control tokens."""
    names = ["<unk>", "<s>", *([eos] if eos else []), *controls]
    backend, trainer = _parts(kind, names)
    backend.train_from_iterator(CORPUS, trainer)
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    if adds_bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A",
            pair="<s> $A <s> $B",
            special_tokens=[("<s>", backend.token_to_id("<s>"))],
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token=eos,
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer


def _parts(kind: str, names: list[str]) -> tuple[Tokenizer, trainers.Trainer]:
    if kind.startswith("byte-level"):
        backend = Tokenizer(models.BPE())
        spaced = kind == "byte-level-spaced"
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=spaced)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        return backend, trainers.BpeTrainer(
            vocab_size=500, special_tokens=names, initial_alphabet=alphabet, show_progress=False
        )
    if kind == "wordpiece":
        backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        return backend, trainers.WordPieceTrainer(
            vocab_size=300, special_tokens=names, initial_alphabet=LETTERS, show_progress=False
        )
    if kind == "unigram":
        backend = Tokenizer(models.Unigram())
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
        return backend, trainers.UnigramTrainer(
            vocab_size=400,
            special_tokens=names,
            initial_alphabet=LETTERS,
            unk_token="<unk>",
            show_progress=False,
        )
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    strip = [decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    space = decoders.Replace("▁", " ")
    backend.decoder = decoders.Sequence([space, decoders.ByteFallback(), *strip])
    if kind == "legacy":
        backend.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        scheme = kind.removeprefix("metaspace-")
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    return backend, trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=[*names, *BYTES],
        initial_alphabet=LETTERS[:-5],
        show_progress=False,
    )
