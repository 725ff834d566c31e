"""In which language a text is written, of those that potluck is asked about in; "" where that is not sure.

The model knows 97 languages and is wrong about short texts ("ok gracias" is Esperanto to it): a text must be long
enough, its best language one of ours, and clearly ahead among ours.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES = ("es", "en", "fr", "de", "it", "pt", "ca")
LEAST_LETTERS = 40
LEAST_SHARE = 0.75  # of what the model gives to ours together
_LOOKED_AT = 4_000  # characters, from the start and from the middle: the model reads a megabyte in seconds


def language_of(text: str) -> str:
    middle = len(text) // 2
    sample = text[:_LOOKED_AT] if len(text) <= 2 * _LOOKED_AT else f"{text[:_LOOKED_AT]}\n{text[middle:][:_LOOKED_AT]}"
    if sum(letter.isalpha() for letter in sample) < LEAST_LETTERS:
        return ""
    ranked = language_model().rank(sample)
    best, share = ranked[0]
    ours = sum(part for language, part in ranked if language in LANGUAGES)
    return str(best) if best in LANGUAGES and share >= LEAST_SHARE * ours else ""


@cache
def language_model() -> "LanguageIdentifier":
    """Unpacking it takes half a second, once a process, and a temporary file."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
