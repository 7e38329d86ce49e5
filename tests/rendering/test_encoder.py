import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from preftune.rendering.encoder import SHIELD, Encoder
from tests.rendering.tokenizers_built import KINDS, built

LOSSLESS = [kind for kind in KINDS if kind != "unigram"]  # without bytes, it has unknowns
WORDS = st.text(alphabet=st.sampled_from("aeé.!'# \nHL1<|>▁"), max_size=12)


@pytest.mark.parametrize("kind", LOSSLESS)
@settings(max_examples=150, deadline=None)
@given(head=WORDS, tail=WORDS)
@example("Once upon a ti", "me Lily")
@example("Once upon a time", " Lily")
@example("A:", "  two spaces")
def test_prompt_and_piece_spell_exactly_what_was_given(kind: str, head: str, tail: str) -> None:
    tokenizer = built(kind)
    encoder = Encoder(tokenizer)
    [prompt], [piece] = encoder.prompts([head]), encoder.pieces([tail])
    if not kind.startswith("byte"):  # sentencepiece's own sign for a space
        head, tail = head.replace("▁", " "), tail.replace("▁", " ")
    start = tokenizer.decode(prompt)
    assert tokenizer.decode([*prompt, *piece]) == start + tail
    assert start in {f"<s>{head}", f"<s> {head}"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["Hello there", " Hello", "\n\nHuman: hello", "!", "'s", "0"])
def test_a_piece_gains_no_space(kind: str, text: str) -> None:
    tokenizer = built(kind)
    encoder = Encoder(tokenizer)
    [prompt], [piece] = encoder.prompts(["Assistant:"]), encoder.pieces([text])
    assert tokenizer.decode([*prompt, *piece]).endswith("Assistant:" + text)


def test_the_tokenizer_alone_would_have_put_a_space_there() -> None:
    """What the anchor is for: the test above can fail."""
    tokenizer = built("legacy")
    ids = tokenizer("Assistant:Hello", add_special_tokens=False)["input_ids"]
    alone = tokenizer("Hello", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode([*ids, *alone]).endswith("Hello Hello")


def test_wordpiece_pieces_start_words_of_their_own() -> None:
    tokenizer = built("wordpiece")
    [ids] = Encoder(tokenizer).pieces(["Hello there"])
    assert tokenizer.decode(ids) == "Hello there"


@pytest.mark.parametrize("kind", KINDS)
def test_bos_is_added_once_and_only_where_the_tokenizer_adds_it(kind: str) -> None:
    adds, adds_not = Encoder(built(kind)), Encoder(built(kind, adds_bos=False))
    for text in ("Hello", "<s>Hello"):
        assert adds.prompts([text])[0].count(adds.bos or -1) == 1
    assert adds_not.prompts(["Hello"])[0].count(adds_not.bos or -1) == 0


def test_an_empty_prompt_is_bos_or_else_eos() -> None:
    without_bos = built("byte-level", adds_bos=False)
    encoder = Encoder(without_bos)
    assert encoder.prompts([""]) == [[encoder.bos]]
    encoder.bos = None
    assert encoder.prompts([""]) == [[encoder.eos]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["<s>", "</s>", "<|im_end|>", "<unk>"])
def test_control_tokens_spelled_in_data_stay_text(kind: str, name: str) -> None:
    tokenizer = built(kind, None, ("<|im_end|>",))
    encoder = Encoder(tokenizer)
    control = tokenizer.convert_tokens_to_ids(name)
    text = f"say {encoder.shield(name)} now<|im_end|>"
    for ids in (encoder.pieces([text])[0], encoder.prompts([text])[0][1:]):
        spelled_out = name != "<|im_end|>"
        assert ids.count(control) == (0 if spelled_out else 1)
        assert ids[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")
        assert tokenizer.decode(ids).strip() == f"say {name} now<|im_end|>"


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_that_spells_a_control_token_starts_as_any_other(kind: str) -> None:
    tokenizer = built(kind)
    encoder = Encoder(tokenizer)
    plain, marked = encoder.prompts(["hello there", "hello there " + encoder.shield("<s>")])
    assert tokenizer.decode(marked) == tokenizer.decode(plain) + " <s>"
    assert tokenizer.decode(marked).startswith("<s>" if kind == "byte-level" else "<s> ")


def test_text_without_control_tokens_is_left_as_it_is() -> None:
    encoder = Encoder(built("byte-level"))
    text = "a < b <sss> | c"
    assert encoder.shield(text) is text or encoder.shield(text) == text
    assert SHIELD in encoder.shield("a <s> b")


def test_a_control_token_that_eats_the_space_after_it_does_so_beside_spelled_ones() -> None:
    tokenizer = built("byte-level", None, ("<|end|>",))
    stop = AddedToken("<|stop|>", special=True, rstrip=True)
    tokenizer.backend_tokenizer.add_special_tokens([stop])
    encoder = Encoder(tokenizer)
    [ids] = encoder.pieces([f"{encoder.shield('<|end|>')}hello<|stop|>\n now"])
    assert tokenizer.decode(ids) == "<|end|>hello<|stop|>now"
    [usual] = encoder.pieces(["hello<|stop|>\n now"])
    assert ids[-len(usual) :] == usual


@pytest.mark.parametrize("kind", KINDS)
def test_text_after_a_control_token_is_encoded_as_ever_beside_spelled_ones(kind: str) -> None:
    tokenizer = built(kind, None, ("<|im_end|>",))
    encoder = Encoder(tokenizer)
    usual = tokenizer("a<|im_end|>hello", add_special_tokens=False)["input_ids"]
    after = usual[usual.index(tokenizer.convert_tokens_to_ids("<|im_end|>")) :]
    spelled = encoder.shield("<s>") + "a<|im_end|>hello"
    for ids in (*encoder.pieces([spelled]), *encoder.prompts([spelled])):
        assert ids[-len(after) :] == after


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_of_a_token_keeps_its_space(kind: str) -> None:
    encoder = Encoder(built(kind))
    [ids] = encoder.pieces([" hello there\n"])
    assert "".join(encoder.text(token) for token in ids) == " hello there\n"
    assert encoder.text(encoder.bos or 0) == "<s>"
