"""Fault injection at the seam where tools are called: the tool really runs wherever the fault says that it does.

The injector keeps a ledger of what it really triggered, and of every call that it saw. A run is judged by these and by
the ground truth, never by its own account.
"""

import fnmatch
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, TypeAlias, cast, get_args

import anyio
from pydantic import BaseModel

from agentroute.attempt import Attempt, current, serving
from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.ids import ArtifactId
from agentroute.ports import Clock, Tool, ToolExecutor, Values

FaultType = Literal[
    "error",
    "latency",
    "timeout",
    "reset",
    "down",
    "hang",
    "rate_limit",
    "malformed",
    "truncated",
    "renamed_field",
    "empty",
    "wrong",
    "stale",
    "ack_lost",
    "late_success",
]

FAULT_TYPES: tuple[FaultType, ...] = get_args(FaultType)

UNDETECTABLE: frozenset[FaultType] = frozenset({"wrong", "stale"})
"""Answers that keep the contract and are false. Without a postcondition or a second source nobody can see them."""

HARMLESS: frozenset[FaultType] = frozenset({"latency"})
"""Faults under which a call may well succeed."""

NEVER_RUN: frozenset[FaultType] = frozenset({"error", "timeout", "reset", "down", "hang", "rate_limit"})
"""Faults under which the tool is not reached: nothing has happened, whether or not the caller can know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One rule of what goes wrong.

    Attributes:
        type: What goes wrong:

            - ``error``: the provider answers with the status code `status` and does nothing.
            - ``latency``: the call takes `latency_s` longer, give or take `jitter_s`.
            - ``timeout``: no answer, and nothing happens. ``hang``: the same, deaf to cancellation for `latency_s`.
            - ``reset``: the connection breaks before anything happens. ``down``: it is refused.
            - ``rate_limit``: status 429, with ``Retry-After`` if `retry_after_s` is given.
            - ``malformed``: the tool runs, its answer cannot be parsed. ``truncated``: the connection ends within it.
            - ``renamed_field``, ``empty``: the tool runs, its answer lacks what it should have.
            - ``wrong``, ``stale``: the tool runs; a false value, or that of its previous call, is answered.
            - ``ack_lost``: the tool runs, the answer is lost.
            - ``late_success``: no answer; the tool runs `latency_s` after the caller has given up.
        target: Name of the tools it hits, with ``*`` and ``?``.
        status: Status code of an ``error``.
        latency_s: Seconds; see `type`.
        jitter_s: Seconds; see `type`.
        retry_after_s: Seconds; see `type`.
        from_s: Seconds since the injector's start from which it is active.
        until_s: Seconds since the injector's start up to which it is; None for ever.
        attempts: First and last call of a tool within a run (counted from 1) that it hits; None for all. A last of
            None is open.
        toxicity: Share of those calls that it hits.
    """

    type: FaultType
    target: str = "*"
    status: int = 503
    latency_s: float = 1.0
    jitter_s: float = 0.0
    retry_after_s: float | None = None
    from_s: float = 0.0
    until_s: float | None = None
    attempts: tuple[int, int | None] | None = None
    toxicity: float = 1.0

    def __post_init__(self) -> None:
        """Refuse rules that mean nothing.

        Raises:
            DefinitionError: Naming the field.
        """
        if self.type not in FAULT_TYPES:
            raise DefinitionError("fault", f"type must be one of {', '.join(FAULT_TYPES)}, not {self.type!r}")
        for name in ("latency_s", "jitter_s", "retry_after_s", "from_s", "until_s"):
            if getattr(self, name) is not None:
                checked(f"fault {self.type!r}", name, getattr(self, name))
        checked(f"fault {self.type!r}", "toxicity", self.toxicity, largest=1.0)

    def hits(self, tool: str, number: int, at: float) -> bool:
        """Whether it is meant for the `number`-th call of `tool` in a run, `at` seconds after the start."""
        first, last = self.attempts or (1, None)
        return (
            fnmatch.fnmatchcase(tool, self.target)
            and first <= number
            and (last is None or number <= last)
            and self.from_s <= at
            and (self.until_s is None or at < self.until_s)
        )

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.type}:{self.target}"


SPELLING = re.compile(
    r"(?P<type>[a-z_]+)(?:=(?P<value>[0-9.]+))?:(?P<target>.+?)(?:@(?P<first>\d+)(?P<to>-(?P<last>\d+)?)?)?"
)

VALUES: Mapping[str, str] = {
    "error": "status",
    "rate_limit": "retry_after_s",
    "latency": "latency_s",
    "late_success": "latency_s",
}
"""Which field the value in ``TYPE=VALUE:TOOL`` sets."""


def parse_fault(text: str) -> Fault:
    """Read a fault as the command line has it: ``TYPE[=VALUE]:TOOL[@CALLS]``.

    `TOOL` may contain ``*`` and ``?``. `VALUE` is the status of an ``error``, the seconds of a ``latency``, a
    ``late_success`` or the ``Retry-After`` of a ``rate_limit``. `CALLS` is ``2`` (the second call of a run), ``2-3``
    or ``2-`` (from the second on).

    Raises:
        DefinitionError: Saying what was expected.

    Example:
        >>> parse_fault("error=500:search_*@1-2").attempts
        (1, 2)
    """
    found = SPELLING.fullmatch(text.strip())
    if found is None:
        raise DefinitionError(f"fault {text!r}", "write TYPE:TOOL, such as error:search_* or rate_limit=30:book@1")
    kind, value = found["type"], found["value"]
    options: dict[str, Any] = {"target": found["target"]}
    if value is not None:
        if kind not in VALUES:
            raise DefinitionError(f"fault {text!r}", f"takes no value; those that do: {', '.join(VALUES)}")
        options[VALUES[kind]] = int(float(value)) if kind == "error" else float(value)
    if found["first"] is not None:
        first = int(found["first"])
        options["attempts"] = (first, first if found["to"] is None else int(found["last"]) if found["last"] else None)
    return Fault(type=cast("FaultType", kind), **options)


# -------------------------------------------------------------------- what is kept


@dataclass(frozen=True, slots=True)
class Triggered:
    """A fault that really happened to a call. `at` is in seconds of the injected clock."""

    at: float
    run: str
    tool: str
    attempt: int
    fault: Fault


@dataclass(slots=True)
class Seen:
    """A call that came through, as the injector saw it.

    Attributes:
        order: Counts beginnings and ends of all calls in one sequence.
        at: Seconds of the injected clock.
        run: The run it belongs to.
        tool: The tool.
        attempt: The attempt's number within the run.
        number: Counts the calls of this tool in this run from 1.
        key: Idempotency key that came with it.
        ended: Seconds of the injected clock; None while it is under way.
        end_order: See `order`.
        outcome: ``answered``, ``cancelled``, or the type of the exception.
        late_order: When the tool ran after all, although its caller had given up; see `order`.
    """

    order: int
    at: float
    run: str
    tool: str
    attempt: int
    number: int
    key: str
    ended: float | None = None
    end_order: int | None = None
    outcome: str = ""
    late_order: int | None = None


class StatusError(Exception):
    """An HTTP answer with an error status, as clients raise it."""

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        """Keep what classification looks at."""
        super().__init__(f"the server answered {status}")
        self.status_code = status
        self.headers = dict(headers or {})


class FaultyCalls:
    """Makes calls through another executor and injects faults on the way.

    Of several faults that hit one call, the first counts; latencies come on top.

    Attributes:
        triggered: What really happened, in order.
        seen: Every call, in order.
    """

    def __init__(self, inner: ToolExecutor, faults: Iterable[Fault], *, clock: Clock, seed: int = 0) -> None:
        """Take the rules. Second 0 of their windows is `start`, or else the first call."""
        self.triggered: list[Triggered] = []
        self.seen: list[Seen] = []
        self._inner = inner
        self._faults = tuple(faults)
        self._clock = clock
        self._seed = seed
        self._origin: float | None = None
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._order = itertools.count()
        self._last_answer: dict[str, Values] = {}
        self._late: list[_Late] = []

    def start(self) -> None:
        """Let the time windows of the faults begin now."""
        self._origin = self._clock.now()

    def trigger_rate(self) -> float:
        """Share of the rules that were triggered at least once; 1.0 without rules."""
        hit = {entry.fault for entry in self.triggered}
        return len(hit) / len(set(self._faults)) if self._faults else 1.0

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Make one attempt of `tool`, or have it go wrong."""
        if self._origin is None:
            self.start()
        attempt = current()
        seen = self._note(tool, attempt)
        try:
            await self.deliver_late()
            answer = await self._pass(_Passage(self, tool, inputs, attempt, seen, self._rules_for(seen)))
        except anyio.get_cancelled_exc_class():
            seen.outcome = "cancelled"
            raise
        except BaseException as error:
            seen.outcome = type(error).__name__
            raise
        else:
            seen.outcome = "answered"
            return answer
        finally:
            seen.ended, seen.end_order = self._clock.now(), next(self._order)

    async def deliver_late(self, *, everything: bool = False) -> None:
        """Let those calls of ``late_success`` happen whose time has come: before each further call, and when asked to.

        Args:
            everything: Do not wait for the time; for the end of a test.
        """
        now = self._clock.now()
        due = [late for late in self._late if everything or late.due <= now]
        self._late = [late for late in self._late if late not in due]
        for late in due:
            with serving(late.attempt):
                try:
                    await self._inner.call(late.tool, late.inputs)
                except Exception:  # noqa: BLE001  # nobody is there to be told but the fence
                    worked = False
                else:
                    worked = True
            late.seen.late_order = next(self._order)
            if late.attempt.on_late is not None:
                late.attempt.on_late(worked)

    def _note(self, tool: Tool, attempt: Attempt) -> Seen:
        name = tool.spec.name
        self._numbers[attempt.run_id, name] += 1
        number = self._numbers[attempt.run_id, name]
        key = attempt.idempotency_key
        seen = Seen(next(self._order), self._clock.now(), attempt.run_id, name, attempt.attempt, number, key)
        self.seen.append(seen)
        return seen

    def _rules_for(self, seen: Seen) -> list[Fault]:
        """Rules that hit this call. The dice of a call depend on nothing but the seed and the call."""
        at = seen.at - (self._origin or 0.0)
        hits: list[Fault] = []
        for index, fault in enumerate(self._faults):
            dice = Random(f"{self._seed}/{index}/{seen.run}/{seen.tool}/{seen.number}")
            if fault.hits(seen.tool, seen.number, at) and dice.random() < fault.toxicity:
                hits.append(fault)
        slow = [fault for fault in hits if fault.type == "latency"]
        return slow + [fault for fault in hits if fault.type != "latency"][:1]

    async def _pass(self, passage: "_Passage") -> Values:
        """Go through the next rule, or to the tool."""
        if not passage.rules:
            answer = await self._inner.call(passage.tool, passage.inputs)
            passage.previous = self._last_answer.get(passage.seen.tool)
            self._last_answer[passage.seen.tool] = answer
            return answer
        fault = passage.rules.pop(0)
        return await ACTIONS[fault.type](fault, passage)

    def trigger(self, fault: Fault, seen: Seen) -> None:
        """Enter a fault into the ledger."""
        self.triggered.append(Triggered(self._clock.now(), seen.run, seen.tool, seen.attempt, fault))

    def postpone(self, passage: "_Passage", seconds: float) -> None:
        """Let the tool run after its caller has given up."""
        due = self._clock.now() + seconds
        self._late.append(_Late(due, passage.tool, passage.inputs, passage.attempt, passage.seen))

    async def onwards(self, passage: "_Passage") -> Values:
        """Go on to the tool."""
        return await self._pass(passage)


@dataclass(slots=True, eq=False)
class _Late:
    due: float
    tool: Tool
    inputs: Values
    attempt: Attempt
    seen: Seen


@dataclass(slots=True)
class _Passage:
    """A call on its way through the rules that hit it."""

    injector: FaultyCalls
    tool: Tool
    inputs: Values
    attempt: Attempt
    seen: Seen
    rules: list[Fault]
    previous: Values | None = None
    dice: Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = Random(f"{self.seen.run}/{self.seen.tool}/{self.seen.number}")

    def trigger(self, fault: Fault) -> None:
        self.injector.trigger(fault, self.seen)

    async def onwards(self) -> Values:
        return await self.injector.onwards(self)


# -------------------------------------------------------------------- one fault, one function

Action: TypeAlias = Callable[[Fault, _Passage], Awaitable[Values]]


async def _error(fault: Fault, passage: _Passage) -> Values:
    passage.trigger(fault)
    raise StatusError(fault.status)


async def _latency(fault: Fault, passage: _Passage) -> Values:
    passage.trigger(fault)
    await anyio.sleep(max(0.0, fault.latency_s + fault.jitter_s * (2 * passage.dice.random() - 1)))
    return await passage.onwards()


async def _timeout(fault: Fault, passage: _Passage) -> Values:
    passage.trigger(fault)
    await anyio.sleep_forever()
    raise AssertionError


async def _hang(fault: Fault, passage: _Passage) -> Values:
    passage.trigger(fault)
    with anyio.CancelScope(shield=True):
        await anyio.sleep(fault.latency_s)
    await anyio.sleep_forever()
    raise AssertionError


async def _reset(fault: Fault, passage: _Passage) -> Values:
    passage.trigger(fault)
    raise ConnectionResetError("connection reset by peer")


async def _down(fault: Fault, passage: _Passage) -> Values:
    passage.trigger(fault)
    raise ConnectionRefusedError("connection refused")


async def _rate_limit(fault: Fault, passage: _Passage) -> Values:
    passage.trigger(fault)
    wait = fault.retry_after_s
    raise StatusError(429, None if wait is None else {"retry-after": str(math.ceil(wait))})


async def _malformed(fault: Fault, passage: _Passage) -> Values:
    await passage.onwards()
    passage.trigger(fault)
    raise json.JSONDecodeError("expecting value", "<html>", 0)


async def _truncated(fault: Fault, passage: _Passage) -> Values:
    await passage.onwards()
    passage.trigger(fault)
    raise ConnectionError("the connection was closed within the answer")


async def _renamed_field(fault: Fault, passage: _Passage) -> Values:
    answer = dict(await passage.onwards())
    if answer:
        passage.trigger(fault)
        name = min(answer)
        plain = _plain(answer[name])
        if isinstance(plain, dict) and plain:
            fields = cast("dict[str, Any]", plain)
            first = min(fields)
            fields[f"{first}_v2"] = fields.pop(first)
            answer[name] = fields
        else:
            answer[ArtifactId(f"{name}_v2")] = answer.pop(name)
    return answer


async def _empty(fault: Fault, passage: _Passage) -> Values:
    if await passage.onwards():
        passage.trigger(fault)
    return {}


async def _wrong(fault: Fault, passage: _Passage) -> Values:
    answer = await passage.onwards()
    false = {name: _other(value) for name, value in answer.items()}
    if false != answer:
        passage.trigger(fault)
    return false


async def _stale(fault: Fault, passage: _Passage) -> Values:
    answer = await passage.onwards()
    if passage.previous is None or passage.previous == answer:
        return answer
    passage.trigger(fault)
    return passage.previous


async def _ack_lost(fault: Fault, passage: _Passage) -> Values:
    await passage.onwards()
    passage.trigger(fault)
    raise ConnectionResetError("connection reset by peer")


async def _late_success(fault: Fault, passage: _Passage) -> Values:
    passage.trigger(fault)
    try:
        await anyio.sleep_forever()
    finally:
        passage.injector.postpone(passage, fault.latency_s)
    raise AssertionError


ACTIONS: Mapping[FaultType, Action] = {
    "error": _error,
    "latency": _latency,
    "timeout": _timeout,
    "reset": _reset,
    "down": _down,
    "hang": _hang,
    "rate_limit": _rate_limit,
    "malformed": _malformed,
    "truncated": _truncated,
    "renamed_field": _renamed_field,
    "empty": _empty,
    "wrong": _wrong,
    "stale": _stale,
    "ack_lost": _ack_lost,
    "late_success": _late_success,
}


def _plain(value: Any) -> Any:
    return (
        value.model_dump()
        if isinstance(value, BaseModel)
        else dict(cast("dict[Any, Any]", value))
        if isinstance(value, dict)
        else value
    )


def _other(value: Any) -> Any:
    """Another value of the same type, in range: what a provider answers that has mixed something up."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"not {value}"
        case BaseModel():
            name = next((n for n, v in value if _other(v) != v), None)
            return value if name is None else value.model_copy(update={name: _other(getattr(value, name))})
        case dict():
            entries = cast("dict[Any, Any]", value)
            return {name: _other(inside) for name, inside in entries.items()}
        case list():
            return [_other(inside) for inside in cast("list[Any]", value)]
        case _:
            return value
