"""Train the demo's language model of movie reviews from scratch: about an hour on two cores.

    python scripts/demo/train_model.py --imdb stanfordnlp/imdb --out build/reviews

Resumable: the same command continues from the last checkpoint in `--out`. The result is
`--out/model` (bf16 safetensors and tokenizer) and `--out/perplexity.json`, measured on snippets
of test reviews that the model never saw.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from imdb import HUB_ID, reviews, snippets

VOCABULARY = 4096
MOST_TOKENS = 54  # of a snippet, without BOS and EOS: an opening of up to 8 and a response of 48
SNIPPETS_PER_REVIEW = 5  # openings say most about the verdict; later snippets retell the plot
TOKENS_PER_STEP = 4096
PEAK_LR, WARMUP_STEPS = 3e-3, 100
SHAPE = LlamaConfig(
    vocab_size=VOCABULARY, hidden_size=192, intermediate_size=512, num_hidden_layers=7,
    num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=128,
    tie_word_embeddings=True, bos_token_id=0, eos_token_id=1, pad_token_id=1,
)  # fmt: skip


def train_tokenizer(texts: list[str], folder: Path) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be written, nothing is unknown."""
    if not (folder / "tokenizer.json").exists():
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet
        )
        bpe.train_from_iterator(texts, trainer)
        bpe.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
        fast = PreTrainedTokenizerFast(
            tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="</s>",
            model_max_length=SHAPE.max_position_embeddings,
        )  # fmt: skip
        fast.save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def tokenise(texts: list[str], tokenizer, per_review: int) -> list[list[int]]:
    bpe = tokenizer.backend_tokenizer
    count = lambda text: len(bpe.encode(" " + text, add_special_tokens=False).ids)  # noqa: E731
    kept = []
    for index, text in enumerate(texts):
        kept += list(snippets(text, count, MOST_TOKENS, seed=index))[:per_review]
    ids = [encoding.ids for encoding in bpe.encode_batch(kept)]
    return [[*row, tokenizer.eos_token_id] for row in ids if len(row) <= MOST_TOKENS + 8]


def batches(rows: list[list[int]], seed: int) -> list[list[list[int]]]:
    """Rows of like length together, batches in random order: hardly any padding."""
    draw = random.Random(seed)
    rows = sorted(rows, key=lambda row: (len(row), draw.random()))
    result, start = [], 0
    while start < len(rows):
        size = max(1, TOKENS_PER_STEP // len(rows[min(start + 64, len(rows) - 1)]))
        result.append(rows[start : start + size])
        start += size
    draw.shuffle(result)
    return result


def mean_loss(model, rows: list[list[int]]) -> tuple[torch.Tensor, int]:
    """Summed next-token loss in nats and the number of predicted tokens."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [1] * (width - len(row)) for row in rows])
    real = torch.tensor([[i < len(row) for i in range(1, width)] for row in rows])
    logits = model(input_ids=ids[:, :-1]).logits.float()
    target = ids[:, 1:].masked_fill(~real, -100)
    return cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum"), int(real.sum())


def rate(step: int, steps: int) -> float:
    if step < WARMUP_STEPS:
        return PEAK_LR * (step + 1) / WARMUP_STEPS
    done = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    return PEAK_LR * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def save(folder: Path, model, optimizer, step: int) -> None:
    state = {f"m.{name}": value for name, value in model.state_dict().items()}
    for index, entry in optimizer.state_dict()["state"].items():
        state |= {f"o.{index}.{name}": value for name, value in entry.items()}
    del state["m.lm_head.weight"]  # tied to the embedding
    save_file(state, folder / "checkpoint.tmp", metadata={"step": str(step)})
    (folder / "checkpoint.tmp").rename(folder / "checkpoint.safetensors")
    (folder / "step.json").write_text(json.dumps(step))


def restore(folder: Path, model, optimizer) -> int:
    if not (folder / "checkpoint.safetensors").exists():
        return 0
    state = load_file(folder / "checkpoint.safetensors")
    model.load_state_dict({k[2:]: v for k, v in state.items() if k.startswith("m.")}, strict=False)
    optimizer_state = optimizer.state_dict()
    optimizer_state["state"] = {}
    for key, value in state.items():
        if key.startswith("o."):
            _, index, name = key.split(".")
            optimizer_state["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(optimizer_state)
    return json.loads((folder / "step.json").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--imdb", default=HUB_ID, help="hub id or a folder of *.jsonl.gz")
    parser.add_argument("--out", type=Path, default=Path("build/reviews"))
    parser.add_argument("--tokens", type=float, default=8e6, help="how many tokens to train on")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    texts = [text for split in ("train", "unsup") for text, _ in reviews(split, options.imdb)]
    tokenizer = train_tokenizer(texts, options.out / "model")
    rows = tokenise(texts, tokenizer, SNIPPETS_PER_REVIEW)
    print(f"{len(rows):,} snippets, {sum(map(len, rows)):,} tokens", flush=True)
    plan: list[list[list[int]]] = []
    epoch, planned = 0, 0
    while planned < options.tokens:
        for batch in batches(rows, seed=epoch):
            plan.append(batch)
            planned += sum(map(len, batch))
            if planned >= options.tokens:
                break
        epoch += 1

    model = LlamaForCausalLM(SHAPE)
    print(f"{model.num_parameters():,} parameters, {len(plan):,} steps", flush=True)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_LR, betas=(0.9, 0.95), fused=True)
    first = restore(options.out, model, optimizer)
    start, seen = time.monotonic(), 0
    for step in range(first, len(plan)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, len(plan))
        total, count = mean_loss(model, plan[step])
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += count
        if step % 20 == 0:
            speed = seen / (time.monotonic() - start)
            left = (len(plan) - step) / max(1, step + 1 - first) * (time.monotonic() - start)
            print(f"{step}/{len(plan)} loss {total.item() / count:.3f} "
                  f"{speed:,.0f} tokens/s, {left / 60:.0f} min left", flush=True)  # fmt: skip
        if step % 200 == 199:
            save(options.out, model, optimizer, step + 1)
    save(options.out, model, optimizer, len(plan))

    model.to(torch.bfloat16).save_pretrained(options.out / "model")
    model.eval()
    held_out = tokenise([text for text, _ in reviews("test", options.imdb)], tokenizer, 5)[:5000]
    with torch.no_grad():
        parts = [mean_loss(model, batch) for batch in batches(held_out, seed=0)]
    nats, count = sum(float(total) for total, _ in parts), sum(number for _, number in parts)
    result = {"held_out_tokens": count, "nats_per_token": nats / count,
              "perplexity": math.exp(nats / count), "trained_tokens": planned}  # fmt: skip
    (options.out / "perplexity.json").write_text(json.dumps(result, indent=1) + "\n")
    print(result)


if __name__ == "__main__":
    main()
