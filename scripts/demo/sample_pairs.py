"""Sample the demo's pairs and prompts from its language model: about ten minutes on two cores.

    python scripts/demo/sample_pairs.py --imdb stanfordnlp/imdb --model build/reviews/model

Openings and responses are drawn in parts, each kept in `--work`: the same command goes on where
it stopped. Of the finished responses to an opening the best and the worst by the scorer make a
pair. Nothing that stands word for word in IMDb is kept. Writes `pairs.jsonl.gz`,
`prompts.jsonl` and an account of what was left out, `pairs.json`, into `--out`.
"""

import argparse
import gzip
import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from imdb import HUB_ID, SPLITS, reviews
from preftune.generation import generate
from preftune.judging import SentimentScorer
from verbatim import standing_in

PAIRS, HELD_OUT_PROMPTS = 2000, 256
OPENINGS_PER_PART = 512
LEAST_OPENING, MOST_OPENING = 2, 8  # tokens
RESPONSES, MOST_RESPONSE = 4, 48  # tokens, the end-of-sequence token included
LEAST_GAP = 0.2  # in P(positive) between chosen and rejected
OUT = Path(__file__).parents[2] / "src/preftune/recipes/demo"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--imdb", default=HUB_ID, help="hub id or a folder of *.jsonl.gz")
    parser.add_argument("--model", type=Path, default=Path("build/reviews/model"))
    parser.add_argument("--work", type=Path, default=Path("build/pairs"))
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    weights = hashlib.sha256((options.model / "model.safetensors").read_bytes()).hexdigest()
    work = options.work / weights[:12]  # samples of another model are never mixed in
    work.mkdir(parents=True, exist_ok=True)
    sampler = Sampler(options.model)
    corpus = [text for split in SPLITS for text, _ in reviews(split, options.imdb)]

    groups: list[dict] = []
    part = 0
    while True:
        groups += sampler.part(part, work / f"part-{part:03}.jsonl")
        part += 1
        if len(groups) < PAIRS + HELD_OUT_PROMPTS:
            continue
        pairs, prompts, counts = choose(groups, corpus)
        print(f"{part} parts: {len(pairs):,} pairs; {dict(counts)}", flush=True)
        if len(pairs) >= PAIRS:
            break
    account = {"pairs": PAIRS, "prompts": len(prompts), "openings_drawn": len(groups),
               "usable_pairs": len(pairs), "left_out": counts,
               "command": f"python scripts/demo/sample_pairs.py --imdb {options.imdb}"}  # fmt: skip
    write(options.out, pairs[:PAIRS], prompts, account)


class Sampler:
    """Draws openings, and responses to them."""

    def __init__(self, folder: Path) -> None:
        self.model = LlamaForCausalLM.from_pretrained(folder, dtype="float32").eval()
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        self.scorer = SentimentScorer.load()

    def part(self, number: int, file: Path) -> list[dict]:
        """Groups of an opening and its scored responses, drawn once and read again later."""
        if not file.exists():
            openings = self.openings(seed=2 * number)
            groups = self.responses(openings, seed=2 * number + 1)
            lines = "".join(json.dumps(group) + "\n" for group in groups)
            file.with_suffix(".tmp").write_text(lines, encoding="utf-8")
            file.with_suffix(".tmp").rename(file)
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def openings(self, seed: int) -> list[str]:
        """The first 2 to 8 tokens of new reviews, cut before a token that begins with a space."""
        start = np.array([self.tokenizer.bos_token_id], np.int32)
        drawn = generate(
            self.model, self.tokenizer, [start] * OPENINGS_PER_PART,
            max_new_tokens=MOST_OPENING + 1, seed=seed,
        )  # fmt: skip
        cut = random.Random(seed)
        found: dict[str, None] = {}  # a set that keeps the order
        for (response,) in drawn:
            ids = response.ids.tolist()
            names = self.tokenizer.convert_ids_to_tokens(ids)
            places = [
                place
                for place in range(LEAST_OPENING, min(MOST_OPENING, len(ids) - 1) + 1)
                if names[place].startswith("Ġ")
            ]
            if places:
                ids = ids[: cut.choice(places)]
                text = self.tokenizer.decode(ids)
                if self.is_clean(text, ids) and text[0].isalnum():
                    found[text] = None
        return list(found)

    def responses(self, openings: list[str], seed: int) -> list[dict]:
        """Each opening with its finished, clean responses and their scores."""
        prompts = [np.array(self.tokenizer(text).input_ids, np.int32) for text in openings]
        drawn = generate(
            self.model, self.tokenizer, prompts,
            n=RESPONSES, max_new_tokens=MOST_RESPONSE, seed=seed,
        )  # fmt: skip
        groups = []
        for opening, responses in zip(openings, drawn, strict=True):
            texts = []
            for response in responses:
                *ids, last = response.ids.tolist()
                text = self.tokenizer.decode(ids)
                finished = last == self.tokenizer.eos_token_id
                if finished and text.startswith(" ") and self.is_clean(text, ids):
                    texts.append(text)
            scores = self.scorer.score([opening + text for text in texts])
            rows = [[text, round(float(s), 4)] for text, s in zip(texts, scores, strict=True)]
            dropped = RESPONSES - len(rows)
            groups.append({"prompt": opening, "responses": rows, "dropped": dropped})
        return groups

    def is_clean(self, text: str, ids: list[int]) -> bool:
        """Printable, and tokenised again it gives the very tokens that were sampled."""
        again = self.tokenizer(text, add_special_tokens=False).input_ids
        return text.isprintable() and "\ufffd" not in text and again == ids


def choose(groups: list[dict], corpus: list[str]) -> tuple[list[dict], list[str], Counter[str]]:
    """Pairs, held-out prompts, and how many groups were left out for which reason."""
    by_prompt = {group["prompt"].lower(): group for group in reversed(groups)}
    prompts = sorted(by_prompt)
    random.Random(0).shuffle(prompts)
    held_out = [by_prompt[prompt]["prompt"] for prompt in prompts[:HELD_OUT_PROMPTS]]
    counts: Counter[str] = Counter({"repeated opening": len(groups) - len(prompts)})
    rest = [by_prompt[prompt] for prompt in prompts[HELD_OUT_PROMPTS:]]
    taken = Counter(text for group in rest for text, _ in group["responses"])
    texts = {text.strip() for text in taken}
    texts |= {group["prompt"] + text for group in rest for text, _ in group["responses"]}
    counts["response unfinished or not clean"] = sum(group["dropped"] for group in rest)
    copied = standing_in(sorted(texts), corpus)
    counts["response stands in IMDb"] = sum(text.strip() in copied for text in taken)
    pairs = []
    for group in rest:
        ranked = sorted(
            (score, text)
            for text, score in group["responses"]
            if taken[text] == 1
            and text.strip() not in copied
            and group["prompt"] + text not in copied
        )
        if len(ranked) < 2:
            counts["fewer than two usable responses"] += 1
        elif ranked[-1][0] - ranked[0][0] < LEAST_GAP:
            counts["too small a gap"] += 1
        else:
            (low, rejected), (high, chosen) = ranked[0], ranked[-1]
            pairs.append(
                {"prompt": group["prompt"], "chosen": chosen, "rejected": rejected,
                 "score_chosen": high, "score_rejected": low}
            )  # fmt: skip
    return pairs, held_out, counts


def write(out: Path, pairs: list[dict], prompts: list[str], account: dict) -> None:
    """Each file whole or not at all; the same rows give the same bytes."""
    lines = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
    atomically(out / "pairs.jsonl.gz", gzip.compress(lines.encode(), mtime=0))
    lines = "".join(json.dumps({"prompt": prompt}, ensure_ascii=False) + "\n" for prompt in prompts)
    atomically(out / "prompts.jsonl", lines.encode())
    atomically(out / "pairs.json", (json.dumps(account, indent=1) + "\n").encode())


def atomically(file: Path, content: bytes) -> None:
    file.with_suffix(".tmp").write_bytes(content)
    file.with_suffix(".tmp").rename(file)


if __name__ == "__main__":
    main()
