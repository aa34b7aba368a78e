"""Monitors of one run: what it works on, and how it is getting on. Pure; they look, and say what they see.

They are asked before each decision, cost nothing when there are none, and call nobody. What one of them says becomes a
fact of the run (`Signalled`): it changes weights for this run, or stops it until somebody has decided. Whatever one of
them does, it takes no run down (`sightings`).
"""

import inspect
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.graph.tool import ToolSpec
from agentroute.ids import ArtifactId, AttemptId
from agentroute.routing.signals import LARGEST_FACTOR, PRIORITIES, SignalKind
from agentroute.run.events import AttemptStarted
from agentroute.run.patterns import PatternError, finder

PREFERRED, AVOIDED = 0.1, 10.0
"""Factors on the weight of tools that an intent speaks for, or against."""

LONGEST_TEXT = 10_000
"""Characters of a text that patterns are held against."""

CANNOT_LOOK = "cannot look"
"""What the sighting is about that a monitor fails."""

MOST_SIGHTINGS = 100
"""Sightings of one monitor that are recorded in a run, but for one that stops it: what sees something new at
each look must not keep the run from going on."""

MOST = 0.8
"""Share of a limit that has to be gone to be worth a word."""

STUCK = 5.0
"""A step is stuck when it has taken so many times what four of five of its calls take."""


@dataclass(frozen=True, slots=True)
class View:
    """What a monitor can see of a run. Times are seconds since its start, money is in USD.

    Attributes:
        artifacts: Values at hand.
        in_flight: Attempts under way.
        made: When each of them was really made; the others wait for a turn.
        tools: Contracts by name.
        usual_s: Seconds that four of five calls of a tool take, as far as is known.
        spent_usd: Money spent, and reserved for attempts under way.
        limit_usd: Money there is; None without a limit.
        deadline_s: When the run has to be over; None without one.
    """

    artifacts: Mapping[ArtifactId, Any]
    in_flight: Sequence[AttemptStarted]
    made: Mapping[AttemptId, float]
    tools: Mapping[Any, ToolSpec]
    usual_s: Callable[[ToolSpec], float]
    spent_usd: float
    limit_usd: float | None
    deadline_s: float | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a monitor saw.

    Attributes:
        reason: In words, without the values themselves: it is recorded.
        about: Tells one sighting of a monitor from another; the same one counts once.
        stops: The run goes on only when somebody has decided so.
        factors: On the weights of tools or providers, by name.
    """

    reason: str
    about: str = ""
    stops: bool = False
    factors: Mapping[str, float] = field(default_factory=dict[str, float])


@runtime_checkable
class RunMonitor(Protocol):
    """Watches each run of an agent. `Risk`, `Intent`, `Progress` and `Burn` are such; write others."""

    @property
    def name(self) -> str:
        """Shown in traces; of signals of equal priority, the first by name counts."""
        ...

    @property
    def kind(self) -> SignalKind:
        """What its signals are about; decides their priority."""
        ...

    def look(self, view: View, now: float) -> Iterable[Sighting]:
        """Say what there is to see at `now`. A pure function; what was seen before may be said again."""
        ...

    def look_again_at(self, view: View, now: float) -> float | None:
        """When to look again even if nothing happens until then; None: no need."""
        ...


class _Looks:
    """Looks when something has happened, and not before."""

    def look_again_at(self, view: View, now: float) -> float | None:
        """No need."""
        del view, now
        return None


@dataclass(frozen=True)
class Risk(_Looks):
    """Stops a run whose artifacts satisfy a condition: an amount above a limit, a customer on a list.

    Nothing further is called, and nothing that waits for its turn. With ``escalate="human"`` a person is asked whether
    to go on, or, where the goal is reached by then, whether that stands; else the case is handed over. No model is
    asked. A condition that raises is taken for a yes: what cannot be judged is not waved through.

    Attributes:
        name: Shown in traces, and to the person.
        of: Name of the artifact.
        when: The condition.
    """

    name: str
    of: str
    when: Callable[[Any], bool]
    kind: SignalKind = "risk"

    def __post_init__(self) -> None:
        """Refuse a condition that would have to be awaited: what it returns would be taken for a yes."""
        if inspect.iscoroutinefunction(self.when):
            raise DefinitionError(_owner(self.name), "when= must be a plain function: it only looks, and must not wait")

    def check(self, artifacts: Container[str], subjects: Container[str]) -> None:
        """Refuse to watch what there is not: it would never stop a run, and nobody would know.

        Raises:
            DefinitionError: There is no artifact of that name.
        """
        del subjects
        _check_artifact(self.name, self.of, artifacts)

    def look(self, view: View, now: float) -> Iterable[Sighting]:
        """Ask the condition as soon as the artifact is known."""
        del now
        if ArtifactId(self.of) not in view.artifacts:
            return
        value = view.artifacts[ArtifactId(self.of)]
        try:
            risky, why = self.when(value), f"{self.of} is a risk ({self.name})"
        except Exception as error:  # noqa: BLE001  # the user's code
            risky, why = True, f"whether {self.of} is a risk ({self.name}) cannot be said: {type(error).__name__}"
        if risky:
            yield Sighting(why, stops=True)


@dataclass(frozen=True, slots=True)
class IntentRule:
    """What a text is recognised by, and what follows from it. Every condition that is given must hold.

    Attributes:
        intent: Its name.
        pattern: Regular expression found somewhere in it; case does not matter. Without what looks around or back.
        longer_than: Characters it has more than.
        shorter_than: Characters it has fewer than.
        script: Writing system of most of its letters, as Unicode calls it: ``"latin"``, ``"cyrillic"``, ``"cjk"`` ...
        prefer: Tools or providers to be preferred.
        avoid: Tools or providers to be avoided, unless there is nothing else.
        stop: Go on only when somebody has decided so.
    """

    intent: str
    pattern: str | None = None
    longer_than: int | None = None
    shorter_than: int | None = None
    script: str | None = None
    prefer: Sequence[str] = ()
    avoid: Sequence[str] = ()
    stop: bool = False

    def __post_init__(self) -> None:
        """Refuse a pattern that is none, or that a text could keep busy for long."""
        try:
            finder(self.pattern or "")
        except PatternError as error:
            raise DefinitionError(f"intent {self.intent!r}", f"pattern cannot be read: {error}") from None

    def matches(self, text: str) -> bool:
        """Whether every condition holds."""
        return (
            (self.pattern is None or finder(self.pattern)(text[:LONGEST_TEXT]))
            and (self.longer_than is None or len(text) > self.longer_than)
            and (self.shorter_than is None or len(text) < self.shorter_than)
            and (self.script is None or script_of(text[:LONGEST_TEXT]) == self.script.lower())
        )

    def sighting(self, what: str) -> Sighting:
        """What follows from it."""
        factors = dict.fromkeys(self.avoid, AVOIDED) | dict.fromkeys(self.prefer, PREFERRED)
        return Sighting(what, stops=self.stop, factors=factors)


@dataclass(frozen=True)
class Intent(_Looks):
    """Recognises what a text is about, by rules: the first that matches counts. None matching is a signal too.

    Attributes:
        name: Shown in traces.
        of: Name of the artifact.
        rules: In order.
        unknown: What follows if none matches; its conditions are not looked at.
        text: Gets the text out of the artifact; ``str`` by default.
    """

    name: str
    of: str
    rules: Sequence[IntentRule]
    unknown: IntentRule = IntentRule("unknown")
    text: Callable[[Any], str] = str
    kind: SignalKind = "intent"

    def check(self, artifacts: Container[str], subjects: Container[str]) -> None:
        """Refuse to read what there is not, and to prefer or avoid what there is not.

        Raises:
            DefinitionError: There is no artifact, tool or provider of that name.
        """
        _check_artifact(self.name, self.of, artifacts)
        for rule in (*self.rules, self.unknown):
            for subject in (*rule.prefer, *rule.avoid):
                if subject not in subjects:
                    why = f"rule {rule.intent!r} names {subject!r}, which is no tool and no provider of this agent"
                    raise DefinitionError(_owner(self.name), why)

    def look(self, view: View, now: float) -> Iterable[Sighting]:
        """Read the text as soon as it is known."""
        del now
        if ArtifactId(self.of) not in view.artifacts:
            return
        value = view.artifacts[ArtifactId(self.of)]
        try:
            text = self.text(value)
            rule = next((rule for rule in self.rules if rule.matches(text)), self.unknown)
        except Exception as error:  # noqa: BLE001  # the user's code
            yield self.unknown.sighting(f"{self.of} cannot be read: {type(error).__name__}")
            return
        yield rule.sighting(f"{self.of} is about: {rule.intent}")


@dataclass(frozen=True)
class Progress:
    """Says when a step is stuck: it takes many times as long as its calls usually do.

    Attributes:
        name: Shown in traces.
        times: How many times what four of five calls take.
    """

    name: str = "progress"
    times: float = STUCK
    kind: SignalKind = "progress"

    def __post_init__(self) -> None:
        """Refuse what would call everything stuck."""
        if checked(self.name, "times", self.times) < 1:
            raise DefinitionError(self.name, f"times must be from 1 on, not {self.times!r}")

    def look(self, view: View, now: float) -> Iterable[Sighting]:
        """Name every step that is stuck."""
        for attempt, limit in self._limits(view):
            made = view.made.get(attempt.attempt, now)
            if now >= made + limit:
                usual = f"{limit / self.times:.3g} s"
                why = f"{attempt.tool} has taken {now - made:.3g} s, where four of five calls take {usual}"
                yield Sighting(why, about=str(attempt.attempt))

    def look_again_at(self, view: View, now: float) -> float | None:
        """When the next step would be stuck; one that waits for its turn, if it were made now."""
        ends = [view.made.get(attempt.attempt, now) + limit for attempt, limit in self._limits(view)]
        return min((end for end in ends if end > now), default=None)

    def _limits(self, view: View) -> Iterable[tuple[AttemptStarted, float]]:
        for attempt in view.in_flight:
            usual = view.usual_s(view.tools[attempt.tool])
            if usual > 0:
                yield attempt, self.times * usual


@dataclass(frozen=True)
class Burn:
    """Says when most of a run's money, or of its time, is gone.

    Attributes:
        of: ``"budget"`` or ``"deadline"``.
        share: How much has to be gone, 0 to 1.
    """

    of: SignalKind = "budget"
    share: float = MOST

    def __post_init__(self) -> None:
        """Refuse what there is no limit of."""
        if self.of not in ("budget", "deadline"):
            raise DefinitionError("burn", f"of must be 'budget' or 'deadline', not {self.of!r}")
        checked("burn", "share", self.share, largest=1.0)

    @property
    def name(self) -> str:
        """After what it watches, and from when on if that is not the usual."""
        return f"{self.of} burn" if self.share == MOST else f"{self.of} burn ({self.share:.3g})"

    @property
    def kind(self) -> SignalKind:
        """The same."""
        return self.of

    def look(self, view: View, now: float) -> Iterable[Sighting]:
        """Compare what is gone with what there was."""
        if self.of == "budget" and view.limit_usd and view.spent_usd >= self.share * view.limit_usd:
            yield Sighting(f"{view.spent_usd:.6f} of {view.limit_usd:.6f} USD are spent or reserved")
        if self.of == "deadline" and view.deadline_s and now >= self.share * view.deadline_s:
            yield Sighting(f"{now:.3g} of {view.deadline_s:g} s are over")

    def look_again_at(self, view: View, now: float) -> float | None:
        """When that share of the time will be over."""
        if self.of != "deadline" or not view.deadline_s or now >= self.share * view.deadline_s:
            return None
        return self.share * view.deadline_s


def check_run_monitors(monitors: Sequence[RunMonitor]) -> None:
    """Refuse monitors of runs that could not be told apart, or ranked.

    Raises:
        DefinitionError: Two have one name, so that what the second sees would be taken for seen; or a kind is none.
    """
    for place, monitor in enumerate(monitors):
        if any(monitor.name == other.name for other in monitors[:place]):
            raise DefinitionError(_owner(monitor.name), "two monitors have this name; the second would not be heard")
        if monitor.kind not in PRIORITIES:
            why = f"kind must be one of {', '.join(PRIORITIES)}, not {monitor.kind!r}"
            raise DefinitionError(_owner(monitor.name), why)


def sightings(monitor: RunMonitor, view: View, now: float) -> Iterable[Sighting]:
    """What a monitor sees. That it fails is a sighting too, the last one of this look.

    A monitor of risks that fails stops the run: what cannot be judged is not waved through.
    """
    try:
        for seen in monitor.look(view, now):
            yield replace(seen, factors=bounded(seen.factors))
    except Exception as error:  # noqa: BLE001  # the user's code
        why = f"{monitor.name} cannot look: {type(error).__name__}"
        yield Sighting(why, about=CANNOT_LOOK, stops=monitor.kind == "risk")


def next_look(monitor: RunMonitor, view: View, now: float) -> float | None:
    """When a monitor wants to look again; None if it does not, or cannot say."""
    try:
        at = monitor.look_again_at(view, now)
        is_to_come = at is not None and at > now
    except Exception:  # noqa: BLE001  # the user's code
        return None
    return at if is_to_come else None


def script_of(text: str) -> str:
    """Writing system of most letters of a text, by the first word of their Unicode names; empty without letters."""
    names = (unicodedata.name(letter, "").split(" ")[0] for letter in text if letter.isalpha())
    (found, _), *_ = Counter(name.lower() for name in names if name).most_common(1) or [("", 0)]
    return found


def bounded(factors: Mapping[str, float]) -> dict[str, float]:
    """Factors within the bounds that signals have; without those that are no numbers."""
    told = {name: factor for name, factor in factors.items() if not math.isnan(factor)}
    return {name: min(max(factor, 1 / LARGEST_FACTOR), LARGEST_FACTOR) for name, factor in told.items()}


def _owner(name: str) -> str:
    return f"monitor {name!r}"


def _check_artifact(name: str, of: str, artifacts: Container[str]) -> None:
    if of not in artifacts:
        raise DefinitionError(_owner(name), f"of={of!r} is no artifact of this agent")
