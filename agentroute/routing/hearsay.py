"""What other processes say of tools, and how far it is believed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agentroute.routing.board import HealthBoard
from agentroute.routing.reports import HealthReport, Subject, Word, WordKind
from agentroute.routing.signals import HealthSignal
from agentroute.routing.standing import Standing

ALARM = 10.0
"""Factor on the weight of a tool that others found out of order: a detour, where there is one, and no outage."""

BELIEVED_S = 120.0
"""Seconds that others are believed without a call of one's own; less and less in the second half of them. Whom a
network's fault keeps from a provider may say for ever that it is down: by then somebody else has to find out."""

MOST_DOUBLINGS = 5
"""Each call that finds out that they are right doubles that time, so often at most."""

GRUDGE_S = 600.0
"""Seconds after which it is forgotten that others were wrong about a tool."""

MOST_DOUBTS = 16
"""Times wrong that are counted."""

MOST_SENDERS = 1_000
"""Processes that are listened to; of more, those heard longest ago are forgotten."""

REASONS: dict[WordKind, str] = {"outage": "its calls failed", "rate-limit": "it asked to be left alone"}
"""What people are told: in words of our own, for what others write may be meant for a model."""


_About: TypeAlias = tuple[Subject, WordKind]


@dataclass(frozen=True, slots=True)
class Alarm:
    """A word, on the clock of this process.

    Attributes:
        source: Who says so, for people.
        kind: What about.
        number: Which finding of the sender's.
        at: When it was found out, as far as can be told: a message takes some time that nobody knows.
        fades_at: When it begins to count for less.
        ends_at: When it counts for nothing.
        doubts: How often others had been wrong about the subject when it came.
        is_old: A call of one's own that had worked by then is later than it: it could not know better.
    """

    source: str
    kind: WordKind
    number: int
    at: float
    fades_at: float
    ends_at: float
    doubts: int
    is_old: bool


@dataclass(frozen=True, slots=True)
class _Sender:
    """The latest report of a sender."""

    number: int
    heard_at: float
    alarms: dict[_About, Alarm]


@dataclass(slots=True)
class _Belief:
    """How far others are believed about one tool or provider, by what calls of one's own have shown.

    Attributes:
        since: When it began that somebody says so, or was last borne out by a call of one's own that failed.
        borne_out: Times that one's own call has found out that it was so.
        doubts: Alarms that were found wrong: a call of one's own worked, begun after they were raised. The next ones
            count for less.
        doubted_at: When the latest of these was raised.
    """

    since: float | None = None
    borne_out: int = 0
    doubts: int = 0
    doubted_at: float = float("-inf")

    def learn(self, standing: Standing, alarms: Sequence[Alarm], now: float) -> list[Alarm]:
        """Hold alarms against what one's own calls have met; returns those that this leaves standing."""
        left = [alarm for alarm in alarms if alarm.at > standing.worked_from]
        wrong = max((alarm.at for alarm in alarms if alarm not in left and not alarm.is_old), default=self.doubted_at)
        if wrong > self.doubted_at:
            self.doubts, self.doubted_at = min(self.doubts + 1, MOST_DOUBTS), wrong
        failing = standing.breaker.opened_at is not None or standing.figures.reliability.suspicion > 0
        if failing:
            self.doubts = 0
        if not left:
            self.since, self.borne_out = None, 0
        elif self.since is None:
            self.since = now
        elif failing and standing.failed_at > self.since:
            if standing.failed_at - self.since >= self.patience_s() / 2:
                self.borne_out = min(self.borne_out + 1, MOST_DOUBLINGS)
            self.since = standing.failed_at
        return left

    def patience_s(self) -> float:
        """Seconds from `since` on that others are believed."""
        return BELIEVED_S * 2.0**self.borne_out

    def signal(self, subject: Subject, alarm: Alarm, now: float) -> HealthSignal | None:
        """What an alarm comes to, if its time is not over.

        A rate limit is told as an outage too: neither can be called, whatever else speaks for the tool.
        """
        since, patience_s = now if self.since is None else self.since, self.patience_s()
        ends_at = min(alarm.ends_at, since + patience_s)
        if ends_at <= max(now, alarm.at):
            return None
        fresh_s = ends_at - alarm.at
        whole_s = min(alarm.fades_at, since + patience_s / 2) - alarm.at
        return HealthSignal(
            subject.name,
            "outage",
            f"shared by {alarm.source}",
            REASONS[alarm.kind],
            ALARM ** (0.5 ** min(alarm.doubts, self.doubts)),
            at=alarm.at,
            fresh_s=fresh_s,
            whole=min(1.0, max(0.0, whole_s / fresh_s)),
        )

    def is_over(self, now: float) -> bool:
        """Whether it can be forgotten, once nobody says anything."""
        return not self.doubts or now - self.doubted_at > GRUDGE_S


@dataclass
class Hearsay:
    """Takes the reports of others and says what they come to: one signal about each tool or provider, the worst.

    Pure; what it keeps is bounded by the tools of the board, and by `MOST_SENDERS`.

    Attributes:
        own: Sender of the reports of this process, which come back to it and are no news.
    """

    own: str
    _senders: dict[str, _Sender] = field(default_factory=dict[str, _Sender])
    _beliefs: dict[Subject, _Belief] = field(default_factory=dict[Subject, _Belief])
    _said: dict[Subject, HealthSignal] = field(default_factory=dict[Subject, HealthSignal])

    def take(self, report: HealthReport, board: HealthBoard, now: float) -> bool:
        """Note a report; False if it is one's own, or no news. What it says of tools that are not known is dropped."""
        known = self._senders.get(report.sender)
        if report.sender == self.own or (known is not None and report.number <= known.number):
            return False
        before = {} if known is None else known.alarms
        alarms: dict[_About, Alarm] = {}
        for word in report.words:
            standing = board.standing_of(word.subject)
            if standing is not None:
                about: _About = word.subject, word.kind
                earlier = before.get(about)
                if earlier is None or earlier.number != word.number:
                    earlier = self._alarm(word, report, standing, now)
                alarms[about] = earlier  # said again, a word keeps the moment it was first given
        self._senders[report.sender] = _Sender(report.number, now, alarms)
        if len(self._senders) > MOST_SENDERS:
            del self._senders[min(self._senders, key=lambda sender: (self._senders[sender].heard_at, sender))]
        return True

    def weigh(self, board: HealthBoard, now: float) -> None:
        """Tell the board what others say, as far as it is to be believed at `now`."""
        alarms: dict[Subject, list[Alarm]] = {}
        for sender in self._senders.values():
            for (subject, _), alarm in sender.alarms.items():
                if now < alarm.ends_at:
                    alarms.setdefault(subject, []).append(alarm)
        for subject in sorted(alarms.keys() | self._beliefs.keys()):
            self._tell(board, subject, self._judged(board, subject, alarms.get(subject, ()), now))

    def _alarm(self, word: Word, report: HealthReport, standing: Standing, now: float) -> Alarm:
        at, belief = now - word.age_s, self._beliefs.get(word.subject)
        ends_at = at + word.lasts_s
        fades_at = ends_at if word.kind == "rate-limit" else at + word.lasts_s / 2
        doubts = 0 if belief is None else belief.doubts
        is_old = at <= standing.worked_from
        return Alarm(report.name, word.kind, word.number, at, fades_at, ends_at, doubts, is_old)

    def _judged(self, board: HealthBoard, subject: Subject, alarms: Sequence[Alarm], now: float) -> HealthSignal | None:
        standing, belief = board.standing_of(subject), self._beliefs.setdefault(subject, _Belief())
        if standing is None:
            return None
        left = belief.learn(standing, alarms, now)
        if not alarms and belief.is_over(now):
            del self._beliefs[subject]
        return _worst((belief.signal(subject, alarm, now) for alarm in left), now)

    def _tell(self, board: HealthBoard, subject: Subject, signal: HealthSignal | None) -> None:
        if signal == self._said.get(subject):
            return
        board.overhear(subject, signal)
        if signal is None:
            del self._said[subject]
        else:
            self._said[subject] = signal


def _worst(signals: Iterable[HealthSignal | None], now: float) -> HealthSignal | None:
    """The one that counts for most at `now`; of equals what lasts longest, then by name."""
    said = [signal for signal in signals if signal is not None]
    return max(said, key=lambda s: (s.factor_at(now), s.at + s.fresh_s, s.monitor), default=None)
