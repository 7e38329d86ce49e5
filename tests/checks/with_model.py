"""Data examined with a model."""

import shutil

from preftune.checks.examine import gather, run_checks
from preftune.checks.reference.with_model import ModelCheck
from preftune.models import load_tokenizer
from preftune.records import Group, Message, Relation, Response, Silent


def pair(prompt, chosen, rejected, source="f:1", form="text"):
    sides = tuple(Response((Message("assistant", text),)) for text in (chosen, rejected))
    turns = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    return Group(turns, sides, (Relation(0, 1),), source, form=form)


def examined(model, groups, **settings):
    check = ModelCheck(str(model), **settings)
    return gather(lambda: groups, run_checks(lambda: groups, [check], Silent()))


def found(examination, code):
    (one,) = [finding for finding in examination.findings if finding.code == code]
    return one


def with_template(model, folder, template, controls=(), **tokens):
    """A copy of the model folder whose tokenizer has a chat template (weights unchanged)."""
    shutil.copytree(model, folder)
    tokenizer = load_tokenizer(str(model))
    tokenizer.add_special_tokens({"additional_special_tokens": list(controls)})
    tokenizer.chat_template = template
    for name, token in tokens.items():
        setattr(tokenizer, name, token)
    tokenizer.save_pretrained(folder)
    return folder
