"""What processes tell each other of their tools: a report, as frozen data and as text that anybody may have sent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentroute.errors import DefinitionError

LONGEST_S = 3600.0
"""Seconds that any word may count for."""

LARGEST_REPORT = 7_500
"""Bytes of a report in UTF-8. A notification of PostgreSQL takes less than 8,000."""

MOST_WORDS = 64
"""Words of a report; a provider stands for all of its tools, so few are needed."""

LONGEST_NAME = 200
"""Characters of the name of a tool (`agentroute.graph.artifact.check_name`) or provider."""

MOST_PROBLEMS = 3
"""Problems of a report that are told at once."""

Scope = Literal["provider", "tool"]
WordKind = Literal["outage", "rate-limit"]


class Subject(NamedTuple):
    """Whom a word is about. A tool and a provider may have the same name."""

    scope: Scope
    name: str


@dataclass(frozen=True, slots=True)
class Word:
    """What a process has found out about a tool or provider, by calls of its own and nothing else.

    There are no moments in it, for clocks of two machines have nothing in common: only how long ago, and how long.

    Attributes:
        subject: The tool or provider.
        kind: An outage (its breaker has opened), or a rate limit (it asked to be left alone).
        number: Tells one such finding from the next about the same subject; said again, a word keeps its number.
        age_s: Seconds since it was found out.
        lasts_s: Seconds from then on for which it counts.
    """

    subject: Subject
    kind: WordKind
    number: int
    age_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Everything that a process has to say now. What was in an earlier one and is not in this one is taken back.

    So a report needs none of those before it: they may be lost, come twice, or come late.

    Attributes:
        sender: Which process; drawn at random each time one starts. 24 hex digits.
        name: The same, for people.
        number: Counts up; of two reports of a sender the one with the larger number is the later.
        words: What it says.
    """

    sender: str
    name: str
    number: int
    words: Sequence[Word]

    def encode(self) -> str:
        """Write it as JSON, in ASCII, of at most `LARGEST_REPORT` bytes: words at the end are left out if need be."""
        words = [_encoded(word) for word in self.words if _can_be_said(word)][:MOST_WORDS]
        report = {"version": "1", "sender": self.sender, "name": self.name, "number": self.number}
        while len(text := json.dumps({**report, "words": words}, separators=(",", ":"))) > LARGEST_REPORT:
            words.pop()
        return text


def decode(text: str) -> HealthReport:
    """Read a report; whoever sent it.

    Raises:
        DefinitionError: It is none, or is out of bounds; with the place and why, and nothing of what it said.
    """
    if len(text) > LARGEST_REPORT:
        raise DefinitionError("health report", f"has more than {LARGEST_REPORT} characters")
    try:
        return _Report.model_validate_json(text).report
    except ValidationError as error:
        raise DefinitionError("health report", _told(error)) from None


# ---------------------------------------------------------------- on the wire

Seconds = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0, le=2**53)]


class _Wire(BaseModel):
    """Strict about what is known. What is not known is left alone: a later version may have added it."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Word(_Wire):
    of: Scope
    subject: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    kind: WordKind
    number: Number
    age_s: Seconds
    lasts_s: Annotated[Seconds, Field(gt=0)]

    @property
    def word(self) -> Word:
        return Word(Subject(self.of, self.subject), self.kind, self.number, self.age_s, self.lasts_s)


class _Report(_Wire):
    version: Literal["1"]
    sender: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@-]{1,64}$")]
    number: Number
    words: Annotated[list[_Word], Field(max_length=MOST_WORDS)]

    @property
    def report(self) -> HealthReport:
        return HealthReport(self.sender, self.name, self.number, tuple(word.word for word in self.words))


def _encoded(word: Word) -> dict[str, Any]:
    return {
        "of": word.subject.scope,
        "subject": word.subject.name,
        "kind": word.kind,
        "number": word.number,
        "age_s": round(word.age_s, 3),
        "lasts_s": round(word.lasts_s, 3),
    }


def _can_be_said(word: Word) -> bool:
    """Whether others would take it: one word that they refuse would cost all the others."""
    name = word.subject.name
    lasts = word.lasts_s >= 0.001 and max(word.age_s, word.lasts_s) <= LONGEST_S
    return lasts and 0 < len(name) <= LONGEST_NAME and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _told(error: ValidationError) -> str:
    """What is wrong, and where: ``words.0.age_s: Input should be ...``. Nothing of it is in the sender's words."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'the text'}: {each['msg']}" for each in problems[:MOST_PROBLEMS]
    )
