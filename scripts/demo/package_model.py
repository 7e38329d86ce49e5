"""Put the trained language model into the package, with a model card that states its figures.

    python scripts/demo/package_model.py --model build/reviews/model

Run it after train_model.py, train_scorer.py and sample_pairs.py, whose figures it quotes.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

from safetensors import safe_open

from preftune.judging.sentiment import SHIPPED

DEMO = Path(__file__).parents[2] / "src/preftune/recipes/demo"
FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
         "tokenizer_config.json"]  # fmt: skip
CARD = """---
language: en
license: other
license_name: research-use
library_name: transformers
pipeline_tag: text-generation
datasets: [stanfordnlp/imdb]
tags: [preftune, demo, movie-reviews]
---

# Movie reviews, {millions} M parameters

A language model that continues movie reviews. It exists for `preftune demo`, which tunes it with
preference pairs in about a minute on two cores, and for nothing else.

- **Architecture:** Llama, {layers} layers, {hidden} wide, {vocabulary:,} byte-level BPE tokens,
  {parameters:,} parameters, bf16.
- **Training data:** text of the IMDb review data set ([Maas et al. 2011][1]; hub id
  `stanfordnlp/imdb`): the labelled training reviews and the unlabelled ones, as runs of whole
  sentences of at most 54 tokens, five to a review; labels were not used. The tokenizer was trained
  on the same text. {trained_tokens:,} tokens were seen in training.
- **Licence of the data:** IMDb gives the reviews for research use. The weights were made from them:
  use them for research and teaching only.
- **Held-out perplexity:** {perplexity:.1f} per token ({nats:.3f} nats) on {held_out_tokens:,}
  tokens of test reviews that were not trained on, cut in the same way. Command:
  `python scripts/demo/train_model.py --imdb ../shared/data/imdb --out build/reviews`.

## Limits

It writes the way reviews sound and makes little sense. It invents facts, also about people whose
names stand in reviews, and repeats the prejudices of its data. Its context is 128 tokens, and it
was trained on texts of up to 62.

## The pairs beside it

`pairs.jsonl.gz` holds {pairs:,} pairs, `prompts.jsonl` {prompts} prompts for evaluation. All text
is the model's own, drawn at temperature 1: {drawn:,} openings of 2 to 8 tokens, four
responses to each of at most 48 tokens. Left out are responses that had not ended by then or whose
text is not printable or not tokenised as drawn ({unclean:,}), responses that
stand word for word in IMDb, alone or behind their prompt ({copied:,}), and repeated ones. Of the
others the best and the worst by P(positive) of prompt + response make a pair, if they differ by at
least 0.2. So the pairs lack long responses, and they want one thing only: praise.

The scorer is a logistic regression on words, pairs and triples of words
(`preftune.judging.SentimentScorer`), trained on the labelled IMDb reviews and their snippets.
Held-out accuracy: {review_accuracy:.1%} on {test_reviews:,} test reviews, {snippet_accuracy:.1%} on
{test_snippets:,} snippets of them, where the label is that of the whole review. Command:
`{scorer_command}`.

Commands that made these files: `scripts/demo/train_model.py`, `train_scorer.py`,
`sample_pairs.py`, `package_model.py`.

[1]: https://aclanthology.org/P11-1015/

```bibtex
@inproceedings{{maas-etal-2011-learning,
  title = {{Learning Word Vectors for Sentiment Analysis}},
  author = {{Maas, Andrew L. and Daly, Raymond E. and Pham, Peter T. and Huang, Dan and
            Ng, Andrew Y. and Potts, Christopher}},
  booktitle = {{Proceedings of the 49th Annual Meeting of the ACL: Human Language Technologies}},
  year = {{2011}},
  pages = {{142--150}},
}}
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("build/reviews/model"))
    parser.add_argument("--demo", type=Path, default=DEMO)
    options = parser.parse_args()
    folder = options.demo / "model"
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(options.model / name, folder / name)
    (folder / "README.md").write_text(card(options.model, options.demo), encoding="utf-8")


def card(model: Path, demo: Path) -> str:
    """The card, its figures read from what the other scripts wrote."""
    config = read(model / "config.json")
    measured = read(model.parent / "perplexity.json")
    account = read(demo / "pairs.json")
    scorer = read(SHIPPED.with_suffix(".json"))
    parameters = number_of_parameters(model / "model.safetensors")
    return CARD.format(
        millions=round(parameters / 1e6, 1),
        parameters=parameters,
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        vocabulary=config["vocab_size"],
        trained_tokens=measured["trained_tokens"],
        held_out_tokens=measured["held_out_tokens"],
        perplexity=measured["perplexity"],
        nats=measured["nats_per_token"],
        pairs=account["pairs"],
        prompts=account["prompts"],
        drawn=account["openings_drawn"],
        unclean=account["left_out"]["response unfinished or not clean"],
        copied=account["left_out"]["response stands in IMDb"],
        scorer_command=scorer["command"],
        **{name: scorer[name] for name in ("review_accuracy", "snippet_accuracy")},
        **{name: scorer[name] for name in ("test_reviews", "test_snippets")},
    )


def number_of_parameters(weights: Path) -> int:
    with safe_open(weights, framework="pt") as file:
        names: list[str] = file.keys()
        return sum(math.prod(file.get_slice(name).get_shape()) for name in names)


def read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
