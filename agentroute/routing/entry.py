"""What the board has on one tool, to be found at once, and what it keeps of a call under way."""

from dataclasses import dataclass

from agentroute.graph.cost import Rates
from agentroute.graph.tool import ToolSpec
from agentroute.ids import NanoUsd
from agentroute.routing.expected import Expected
from agentroute.routing.standing import Standing

UNSEEN = -1
"""A number of changes that no record has had."""


@dataclass(slots=True)
class Entry:
    """All that the board has on one tool.

    While all goes well, next to nothing of it changes from call to call. So what is asked for every call is kept with
    what it rests on: the number of `changes` of the tool's records, this beat, and whose calls are meant. It is
    worked out anew if any of these is another; it is never kept for a tool that is not calm (`Standing.is_calm`).

    Attributes:
        own: Its own record.
        shared: Its provider's record; its own once more if it has none.
        standings: The same, each once.
        declared: What its contract says of a call.
        changes: Changes of both records when they were found calm; `UNSEEN`: they were not.
        since, until: When what follows holds, and is known to (monotonic seconds).
        beat: When the beat began that this is in.
        known: What was expected of the calls in question.
        usd, latency_s, p_fail: What is expected of a call (`HealthBoard.factors`).
        usual_s: Seconds that a call may take to be nothing out of the ordinary; negative: any is.
        usual_usd: The same for what it costs.
        overdue_s: Seconds after which a call under way makes the tool weigh more.
        rates: Exchange rates that `weight` was worked out for; None: it was not.
        weight: Nano-dollars.
    """

    own: Standing
    shared: Standing
    standings: tuple[Standing, ...]
    declared: Expected
    changes: int = UNSEEN
    since: float = 0.0
    until: float = 0.0
    beat: float = 0.0
    known: Expected | None = None
    usd: float = 0.0
    latency_s: float = 0.0
    p_fail: float = 0.0
    usual_s: float = 0.0
    usual_usd: float = 0.0
    overdue_s: float = 0.0
    rates: Rates | None = None
    weight: NanoUsd = NanoUsd(0)

    def is_late(self, now: float) -> bool:
        """Whether a call under way has taken so long that it makes the tool weigh more."""
        flying = self.own.flying  # the oldest comes first
        return bool(flying) and now - next(iter(flying.values()))[0] >= self.overdue_s


@dataclass(slots=True)  # not frozen: that takes five times as long to make, and one is made for every call
class Ticket:
    """A call under way: whom it says something about, in which generation of their breakers, and what was expected.

    Attributes:
        upsets: Those of the tool's records when it began; `UNSEEN` if what comes of it is no matter of course.
    """

    tool: ToolSpec
    number: int
    begun: float
    entry: Entry
    generations: tuple[int, int]
    expected: Expected
    upsets: int

    @property
    def standings(self) -> tuple[Standing, ...]:
        """The tool's own record first, then its provider's, if it has one."""
        return self.entry.standings
