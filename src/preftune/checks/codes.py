"""What each finding of `check` means, why it matters and how to mend it. Imports nothing heavy.

PC1xx rows · PC2xx repeats and leaks · PC3xx contradictions · PC4xx shortcuts · PC5xx diversity ·
PC6xx labels · PC7xx with a model
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a finding's code stands for."""

    title: str
    why: str
    """What comes of training on it."""
    fix: str
    """What to do, in general; a finding may know better."""


MEANINGS: Mapping[str, Meaning] = {
    "PC100": Meaning(
        "Broken rows",
        "they can't be read as what the others are, so `train` refuses the file.",
        "mend the listed rows, or leave them out: `--fix` writes a copy without them.",
    ),
    "PC101": Meaning(
        "Empty responses",
        "an empty response teaches the model to say nothing, or never to stop.",
        "leave these rows out (`train` and `--fix` do), and find out where the text was lost.",
    ),
    "PC102": Meaning(
        "Identical responses",
        "two equal responses have no difference to learn: the gradient is zero.",
        "leave these rows out (`train` and `--fix` do).",
    ),
    "PC103": Meaning(
        "Prompt repeated in the response",
        "the model learns to say the question again before it answers.",
        "cut the prompt off the response: `--fix` does where it is repeated word by word.",
    ),
    "PC104": Meaning(
        "Mojibake",
        "text decoded with the wrong character set teaches the model to write `â€™` for `’`.",
        "decode the source again as UTF-8; `--fix` repairs what can be repaired.",
    ),
    "PC105": Meaning(
        "Control characters",
        "invisible characters become tokens of their own, and the model learns to write them.",
        "remove them: `--fix` does.",
    ),
    "PC106": Meaning(
        "Roles out of order",
        "most chat templates refuse such rows, or write turns that no user will ever see.",
        "put the turns in the order system, user, assistant, user, …; the prompt ends with the "
        "user's turn.",
    ),
    "PC107": Meaning(
        "Responses that stop in the middle",
        "the model learns to end its answers there; where chosen ones do, it is rewarded for it.",
        "generate again with a higher token limit, or leave these rows out.",
    ),
    "PC108": Meaning(
        "Refusals",
        "a model that learns that refusing wins refuses harmless questions, too.",
        "look whether the refusals are deserved; balance them with prompts where helping wins.",
    ),
    "PC109": Meaning(
        "Template tokens inside text",
        "`<|im_end|>` or `[INST]` in a text becomes a control token, or is taught as ordinary "
        "text; either breaks conversations.",
        "give messages, and let the template write its tokens; `--fix` cuts them off at the ends.",
    ),
    "PC110": Meaning(
        "Some responses lack the end-of-turn mark of the others",
        "what never ends its turn teaches the model to talk on.",
        "take the marks out of all responses: the template writes them.",
    ),
    "PC111": Meaning(
        "Very long prompts",
        "over the model's limit they are left out or cut, and what is cut may hold the question.",
        "say what happens to them: rendering.truncation; `--model` counts their tokens.",
    ),
    "PC112": Meaning(
        "Several languages",
        "a language with few rows is judged by few, and tuned by the others.",
        "check that the mix is the one you want.",
    ),
    "PC113": Meaning(
        "Responses in another language than their prompt",
        "the model learns to switch languages.",
        "leave such rows out unless translation is the task.",
    ),
    "PC200": Meaning(
        "Exact repeats",
        "a row that stands there n times counts n times, and can be in training and test at once.",
        "keep one of each: `--fix` does; use `weight` where a row should count more.",
    ),
    "PC201": Meaning(
        "Near repeats of pairs",
        "almost equal rows count several times, and let a test measure memory.",
        "keep one of each cluster.",
    ),
    "PC202": Meaning(
        "Near repeats of prompts",
        "prompts that differ in a few words are one prompt to the model.",
        "keep the most different ones, and don't hold out one of a cluster and train on another.",
    ),
    "PC203": Meaning(
        "Held-out prompts that are trained on",
        "the held-out figures then measure memory and look better than the model is.",
        "take these prompts out of one of the two: `--fix` leaves out the rows that are trained "
        "on; preftune's own splits are by prompt.",
    ),
    "PC204": Meaning(
        "Held-out prompts that are nearly trained on",
        "prompts that differ in a few words leak almost as much as equal ones.",
        "take these prompts out of one of the two.",
    ),
    "PC205": Meaning(
        "Overlap with a benchmark",
        "a benchmark whose questions were trained on measures memory.",
        "leave these rows out: `--fix` does.",
    ),
    "PC300": Meaning(
        "The same two responses judged both ways",
        "the two judgements cancel each other; only noise is learned.",
        "merge them into one with a strength (`--convert majority`), or leave both out: `--fix` "
        "does.",
    ),
    "PC301": Meaning(
        "Preference cycles",
        "a over b, b over c, c over a: no model can satisfy all three.",
        "judge these prompts again, or leave them out: `--fix` does.",
    ),
    "PC302": Meaning(
        "Rankings that disagree with their scores",
        "one of the two is wrong, and which one is used depends on the objective.",
        "find out which was meant, and take the other column out.",
    ),
    "PC303": Meaning(
        "Ties",
        "most objectives can't learn from a tie and leave it out.",
        "use an objective made for ties (`preftune objectives ls`), or leave them out.",
    ),
    "PC304": Meaning(
        "Labels against their scores",
        "chosen is rated lower than rejected: label or score is wrong.",
        "look at them; `--fix` leaves them out.",
    ),
    "PC400": Meaning(
        "Length as a shortcut",
        "the model learns to write longer (or shorter) instead of better.",
        "balance the lengths, or use an objective that takes length out (ld_dpo, rdpo, simpo).",
    ),
    "PC401": Meaning(
        "Form as a shortcut",
        "the model learns to format, not to answer.",
        "balance the form of both sides, or remove formatting from both.",
    ),
    "PC402": Meaning(
        "Refusing as a shortcut",
        "the model learns to refuse (or never to), whatever the question.",
        "add prompts where the other way wins.",
    ),
    "PC403": Meaning(
        "Position as a shortcut",
        "the judge preferred a place, not a response.",
        "show each pair in both orders and keep what both agree on.",
    ),
    "PC404": Meaning(
        "Opening words as a shortcut",
        "the model learns an opening phrase.",
        "remove the phrase from both sides, or balance it.",
    ),
    "PC405": Meaning(
        "All counts of form together",
        "what a few counts of form predict, the model will learn first.",
        "balance the sides; see which features weigh most.",
    ),
    "PC406": Meaning(
        "Words without the prompt",
        "chosen and rejected are told apart without reading the prompt: often by who wrote them.",
        "sample both sides from one source.",
    ),
    "PC407": Meaning(
        "Pairs that differ in formatting only",
        "there is nothing to learn from them but formatting.",
        "leave them out, unless formatting is what you want to teach.",
    ),
    "PC500": Meaning(
        "Distinct prompts",
        "the model learns to answer these prompts, not others.",
        "add prompts; more responses to the same prompts help less.",
    ),
    "PC501": Meaning(
        "The most frequent template",
        "what is learned holds for the template and may not hold elsewhere.",
        "vary how prompts are put.",
    ),
    "PC502": Meaning(
        "Pairs a prompt has",
        "prompts with many pairs outvote the others.",
        "limit the pairs of a prompt, or weigh them (`--convert all-pairs` counts a prompt once).",
    ),
    "PC503": Meaning(
        "Lengths",
        "how long prompts and responses are decides memory and limits.",
        "nothing to do.",
    ),
    "PC600": Meaning(
        "Label noise",
        "wrong labels pull the model back; DPO fits them with as much force as right ones.",
        "judge the suspicious pairs again, or use an objective that expects noise (cdpo, "
        "robust_dpo).",
    ),
    "PC601": Meaning(
        "Label noise can't be estimated here",
        "the words of the responses don't predict the label well enough to doubt a label by them.",
        "have a sample judged twice: agreement is an estimate that needs no model.",
    ),
    "PC602": Meaning(
        "Suspicious pairs",
        "the words of all the others say that these labels are the wrong way round.",
        "read them first.",
    ),
    "PC603": Meaning(
        "Agreement of the annotators",
        "what people don't agree on, a model can't learn from them.",
        "sharpen the guidelines; learn from shares instead of single votes (`--convert majority`).",
    ),
    "PC604": Meaning(
        "Annotators who disagree with the others",
        "their labels are noise to everybody else's.",
        "talk to them, or leave their labels out.",
    ),
    "PC605": Meaning(
        "Annotators who follow the position",
        "they choose a side, not a response.",
        "leave their labels out; show sides in random order.",
    ),
    "PC606": Meaning(
        "Annotators who follow the length",
        "they choose the longer (or shorter) response whatever it says.",
        "leave their labels out, or ask them to read.",
    ),
    "PC607": Meaning(
        "Several judgements of the same pair",
        "each is trained on as if it were another pair, and minorities are taught in full.",
        "merge them into one with the majority's share as strength: `--convert majority`.",
    ),
    "PC608": Meaning(
        "Gaps of the scores",
        "a small gap is a doubtful label; a few large ones may carry an objective with margins.",
        "leave small gaps out where pairs are made of them: `--convert best-versus-worst --set "
        "data.minimum_gap=…`.",
    ),
    "PC700": Meaning(
        "Tokens",
        "they decide time and memory.",
        "nothing to do.",
    ),
    "PC701": Meaning(
        "Rows over the token limit",
        "they are left out of training, or cut.",
        "raise rendering.max_tokens, or choose rendering.truncation.",
    ),
    "PC702": Meaning(
        "Rows that say nothing once rendered",
        "the template or the limit makes both responses equal.",
        "leave them out (`train` does), or choose another truncation.",
    ),
    "PC703": Meaning(
        "No end-of-turn token",
        "a model that is not taught where an answer ends talks on.",
        "use a template that ends turns with a token of its own.",
    ),
    "PC704": Meaning(
        "How far off-policy the responses are",
        "DPO moves the model along responses that it would hardly ever write: slow, and it "
        "pushes both log-probs down.",
        "fine-tune on the chosen responses first, or sample pairs from the model itself.",
    ),
    "PC705": Meaning(
        "What the reference prefers already",
        "where it prefers chosen by far there is little to learn; where it prefers rejected by "
        "far, DPO can seldom turn it round.",
        "nothing to do; far from one half, look at a few.",
    ),
    "PC706": Meaning(
        "Prompts that the reference can't handle",
        "it has never seen text like this, so its log-probs of the answers mean little.",
        "fine-tune on such prompts first, or leave them out.",
    ),
    "PC707": Meaning(
        "The reference's own answers",
        "its own answers are worse than the rejected ones: preferences can't teach what it can't "
        "yet do.",
        "fine-tune on the chosen responses first: `preftune train --objective sft`.",
    ),
    "PC708": Meaning(
        "Risk of displacement",
        "to the model chosen and rejected look alike, so pushing one down pushes both down.",
        "leave the riskiest out, or use an objective that holds chosen up (dpop, cpo, a mixture "
        "with sft).",
    ),
    "PC709": Meaning(
        "Rows that can't be written in the model's form",
        "the chat template refuses them, so `train` refuses the file.",
        "put the turns in the order the template asks for, or leave the rows out: `--fix` does.",
    ),
}
"""One entry for each code, in the order of the sections."""
