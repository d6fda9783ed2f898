"""Words that say yes or no, such as True, f or NO."""

from __future__ import annotations

from collections.abc import Collection

TRUE_WORDS, FALSE_WORDS = ("true", "t", "yes", "y"), ("false", "f", "no", "n")

# In other languages, for labels only: which of two values is yes; as features they are texts.
_YES = ("ja", "oui", "si", "sí", "sì", "sim")
_NO = ("nein", "nee", "nej", "nei", "non", "não")

# The number that stands for a word.
TRUTH_NUMBERS = dict.fromkeys(TRUE_WORDS, 1.0) | dict.fromkeys(FALSE_WORDS, 0.0)


def is_truth_word(text: str) -> bool:
    """Whether a text says yes or no, in small or capital letters."""
    return text.strip().lower() in TRUTH_NUMBERS


def are_truth_values(values: Collection[str]) -> bool:
    """Whether the different values of a column are two words that belong together."""
    words = {value.strip().lower() for value in values}
    return any(words == {*pair} for pair in zip(TRUE_WORDS, FALSE_WORDS, strict=True))


def truth_value(values: Collection[str]) -> str | None:
    """The one of two values that means yes, if they mean yes and no; of 1 and 0 it is 1."""
    # Numbers are here for what TFRecords hold as texts.
    true = [value for value in values if value.strip().lower() in (*TRUE_WORDS, *_YES, "1")]
    false = [value for value in values if value.strip().lower() in (*FALSE_WORDS, *_NO, "0")]
    return true[0] if len(true) == len(false) == 1 and len(values) == 2 else None
