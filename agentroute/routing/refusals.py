"""Calls that were refused for good: whether that still can be for what they were given."""

import math
from dataclasses import dataclass

USUAL = 0.3
"""How often one refusal is followed by another, at least, and as long as nothing is known of a tool."""

KNOWN_AS = 10.0
"""Refusals that this counts for."""

RARE = 1e-4
"""Chance from which on refusals in a row are none any more: eight, of a tool of which nothing is known."""

MEMORY = 200.0
"""Refusals that are looked back on."""


@dataclass(slots=True)
class Refusals:
    """Calls in a row that failed in a way that trying again does not change: bad inputs, or a tool that refuses all.

    One such failure says nothing of the tool: the next inputs are others. But if one is followed by another with
    probability q, ``n`` of them come in a row by chance with probability ``q ** n``; when that is too rare, it is the
    tool. One that refuses most of its calls by habit, as a search does that seldom finds something, is given more: q is
    the mean of a Beta distribution over what came after each refusal so far.

    Attributes:
        in_a_row: Since a call last worked.
        followed: Of those before, how many were followed by another.
        before: How many there were before.
    """

    in_a_row: int = 0
    followed: float = 0.0
    before: float = 0.0

    def refuse(self) -> bool:
        """Note that a call was refused; True if that cannot be put down to what it was given any more."""
        self.in_a_row += 1
        chance = max(USUAL, (KNOWN_AS * USUAL + self.followed) / (KNOWN_AS + self.before))
        return self.in_a_row * math.log(chance) <= math.log(RARE)

    def end(self) -> None:
        """Note that a call worked, after others that did not."""
        self.followed += self.in_a_row - 1
        self.before += self.in_a_row
        self.in_a_row = 0
        if self.before > MEMORY:
            self.followed *= MEMORY / self.before
            self.before = MEMORY
