"""Which language a text is in, where that can be said with confidence."""

import re
from functools import cache
from typing import Any

NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech",
    "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French", "gu": "Gujarati",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "km": "Khmer",
    "kn": "Kannada", "ko": "Korean", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian",
    "ml": "Malayalam", "mr": "Marathi", "my": "Burmese", "ne": "Nepali", "nl": "Dutch",
    "no": "Norwegian", "or": "Odia", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian",
    "so": "Somali", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili",
    "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""The languages that are told apart: the more there are, the more a short text is mistaken."""

CLIPPED = 400
"""Letters that are looked at: more do not make it surer."""
_FEWEST_LETTERS = 40
_FEWEST_SIGNS = 12
"""Letters of scripts in which one stands for a syllable or a word."""
_SURE = 0.95
_NO_LANGUAGE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+|<[^<>\n]{1,60}>|\$[^$\n]{1,80}\$", re.DOTALL
)
_SIGNS = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_COMMON = """
the and that you with this have are be it your they would what not of there which been for from is
can or if about but could should when who how will has their them some than more think people my
just like it's i'm don't
"""
_ENGLISH = frozenset(_COMMON.split())
_ENGLISH_SHARE, _ENGLISH_WORDS = 0.2, 4


def language_of(text: str) -> str:
    """The language's two letters; empty where the text is short, mixed, code or names.

    py3langid knows them by their bytes; it is exact, but takes 0.2 ms a text and half a second to
    load. So English is told by its commonest words first, and most data never needs it.

    >>> language_of("The weather was so fine that we went for a walk by the river, and had lunch.")
    'en'
    >>> language_of("for x in range(10): print(x)"), language_of("Coca-Cola, Pepsi, Fanta")
    ('', '')
    """
    text = _NO_LANGUAGE.sub(" ", text[: 2 * CLIPPED])[:CLIPPED]
    if _is_english(text):
        return "en"
    letters = sum(map(str.isalpha, text))
    signs = len(_SIGNS.findall(text))
    if letters < _FEWEST_LETTERS and signs < _FEWEST_SIGNS:
        return ""
    latin = len(_LATIN.findall(text)) / max(1, letters)
    if 0.2 < latin < 0.8:
        return ""  # an instruction in one language about text in another
    language, confidence = _detector().classify(text)
    return language if confidence >= _SURE else ""


def _is_english(text: str) -> bool:
    words = text.lower().replace("’", "'").split()
    known = sum(word in _ENGLISH for word in words)
    return known >= _ENGLISH_WORDS and known >= _ENGLISH_SHARE * len(words)


@cache
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    detector = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    detector.set_languages(list(NAMES))
    return detector
