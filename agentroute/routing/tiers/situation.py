"""What is known of a step before a tier is chosen, as numbers that mean the same in every process."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log, sqrt
from typing import Final, TypeAlias, TypeVar
from zlib import crc32

WORD_BUCKETS: Final = 4_096
"""Buckets that words and pairs of words are hashed into."""

FACT_BUCKETS: Final = 1_024
"""Buckets for everything else: ``step=extract``, ``retries=1`` and so on."""

DIMENSIONS: Final = WORD_BUCKETS + FACT_BUCKETS

FACT: Final = 0.5
"""Value of a fact that holds; the words of a text have length 1 together."""

MOST_RETRIES: Final = 4
"""Retries that are told apart."""

MOST_TOKENS: Final = 1_024
"""Words of a text that are looked at: half of them from its beginning, half from its end."""

LONGEST_LOOKED_AT: Final = 16 * MOST_TOKENS
"""Characters of a text that are searched for words."""

_TOKEN: Final = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")

Vector: TypeAlias = Sequence[tuple[int, float]]
"""Positions and values of what is not zero, by position."""

Part = TypeVar("Part", str, list[str])


@dataclass(frozen=True, slots=True)
class Sketch:
    """A text without its words: what a prediction needs of it, and what a log may keep.

    Attributes:
        words: How often each bucket is met, by words and pairs of words.
        characters: Length of the text.
        lines: Lines it has.
        digits: Digits among the characters that were looked at.
        symbols: What is neither letter, digit nor space, among the same.
    """

    words: Mapping[int, int] = field(default_factory=dict[int, int])
    characters: int = 0
    lines: int = 0
    digits: int = 0
    symbols: int = 0


@dataclass(frozen=True, slots=True)
class Situation:
    """A step that is about to be done.

    Attributes:
        step: Its type: the name of the model step.
        text: Sketch of what the model is asked.
        error: Kind of the last failure of this step in this run; empty at first.
        tried: Attempts of this step that have failed in this run, by tier.
        depth: Steps that were done before it.
        context: Tokens that the model is given, estimated.
    """

    step: str = ""
    text: Sketch = field(default_factory=Sketch)
    error: str = ""
    tried: Mapping[str, int] = field(default_factory=dict[str, int])
    depth: int = 0
    context: int = 0

    @property
    def retries(self) -> int:
        """Attempts of this step that have failed in this run."""
        return sum(self.tried.values())

    @property
    def vector(self) -> Vector:
        """What is the same for every tier, of `DIMENSIONS`: words together of length 1, other facts 1/2 each."""
        values = dict(_of_words(self.text.words))
        for fact in self._facts():
            position = _position(fact)
            values[position] = values.get(position, 0.0) + FACT
        return sorted(values.items())

    def again(self, tier: str) -> tuple[int, float]:
        """What is added to the vector for one tier: how often it has failed at this very step."""
        return _position(f"again={min(self.tried.get(tier, 0), MOST_RETRIES)}"), FACT

    def _facts(self) -> Iterator[str]:
        text = self.text
        yield f"step={self.step}"
        yield f"error={self.error}"
        yield f"retries={min(self.retries, MOST_RETRIES)}"
        yield f"step={self.step} retries={min(self.retries, MOST_RETRIES)} error={self.error}"
        yield f"depth={_octave(self.depth)}"
        yield f"context={_octave(self.context)}"
        yield f"characters={_octave(text.characters)}"
        yield f"lines={_octave(text.lines)}"
        looked_at = min(text.characters, LONGEST_LOOKED_AT) or 1
        yield f"digits={_octave(100 * text.digits // looked_at)}"
        yield f"symbols={_octave(100 * text.symbols // looked_at)}"


def sketch(text: str) -> Sketch:
    """Count the words of a text by bucket; of a long one, those of its beginning and its end.

    The same text gives the same sketch in every process: buckets are CRC-32 of the words in lower case (feature
    hashing; Weinberger et al. 2009). A sketch cannot be read, but whoever guesses a word can check the guess.
    """
    found = _TOKEN.findall(_ends(text, LONGEST_LOOKED_AT).lower())
    words = ["#" * len(token) if token.isdigit() else token for token in _ends(found, MOST_TOKENS)]
    counts = Counter(_bucket(word) for word in words)
    counts.update(_bucket(f"{first} {second}") for first, second in pairwise(words))
    return Sketch(
        words=dict(sorted(counts.items())),
        characters=len(text),
        lines=text.count("\n") + 1 if text else 0,
        digits=sum(len(token) for token in found if token.isdigit()),
        symbols=sum(not token.isalnum() for token in found),
    )


def _ends(whole: Part, most: int) -> Part:
    return whole if len(whole) <= most else whole[: most // 2] + whole[-most // 2 :]


def _bucket(words: str) -> int:
    # A lone surrogate is text to Python and no UTF-8.
    return crc32(words.encode("utf-8", "surrogatepass")) % WORD_BUCKETS


def _position(fact: str) -> int:
    return WORD_BUCKETS + crc32(fact.encode("utf-8", "surrogatepass")) % FACT_BUCKETS


def _of_words(words: Mapping[int, int]) -> Iterator[tuple[int, float]]:
    """Counts weigh by their logarithm, and together they have length 1 however long the text is."""
    weighed = [(bucket, 1 + log(count)) for bucket, count in words.items() if count > 0]
    length = sqrt(sum(value * value for _, value in weighed))
    for bucket, value in weighed:
        yield bucket, value / length


def _octave(number: int) -> int:
    """Number of binary digits: sizes by their order of magnitude."""
    return max(0, number).bit_length()
