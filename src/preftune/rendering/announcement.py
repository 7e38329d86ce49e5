"""What is said about the way rows are written."""

from collections.abc import Iterable

from preftune.records import Form
from preftune.rendering.boundary import Continuation, Conversation
from preftune.rendering.encoder import Encoder
from preftune.rendering.templates import ChatTemplate


def manner(form: Form, writer: Conversation | Continuation, *, has_template: bool) -> str:
    """How rows of one form are written, as a sentence."""
    if isinstance(writer, Continuation):
        return "Text rows: the response continues the prompt's text as it is."
    rows = "Messages" if form == "chat" else "Text rows, as user and assistant messages,"
    if isinstance(writer.write, ChatTemplate):
        clock = ", its date fixed to 26 Jul 2024" if writer.write.dated else ""
        return f"{rows} are written with the tokenizer's chat template{clock}."
    why = (
        "chat template not used, as asked" if has_template else "the tokenizer has no chat template"
    )
    return f"{rows} are written as a plain transcript, `Human: … Assistant: …` ({why})."


def ends(writers: Iterable[Conversation | Continuation], encoder: Encoder) -> str:
    """What stands first and last, as a sentence."""
    said: dict[str, None] = {}
    for writer in writers:
        starts = encoder.bos is not None and encoder.prompts([writer.prompt])[0][0] == encoder.bos
        first = f"one {_name(encoder, encoder.bos)} first" if starts else "no BOS"
        if writer.closed:
            last = f"{writer.ending.strip()} ends each answer"
        elif encoder.eos is not None:
            last = f"{_name(encoder, encoder.eos)} added to the end of each response"
        else:
            last = "no EOS: the tokenizer has none"
        said[f"{first}, {last}"] = None
    text = "; or ".join(said)
    return text[0].upper() + text[1:] + "."


def spelling(rows: int) -> str:
    """That data spells control tokens, as a sentence."""
    noun = "row spells" if rows == 1 else "rows spell"
    return f"{rows:,} {noun} out control tokens: kept as plain text."


def _name(encoder: Encoder, token: int | None) -> str:
    return "" if token is None else encoder.text(token)
