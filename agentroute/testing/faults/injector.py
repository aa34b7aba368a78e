"""Fault injection at the seam where tools are called: the tool really runs wherever the fault says that it does."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random

import anyio

from agentroute.attempt import Attempt, current, serving
from agentroute.errors import DefinitionError
from agentroute.ports import Clock, Tool, ToolExecutor, Values
from agentroute.testing.faults.actions import ACTIONS
from agentroute.testing.faults.fault import BESIDE_CALLS, IN_CALLS, Fault
from agentroute.testing.faults.ledger import Seen, Triggered
from agentroute.testing.faults.passage import Passage
from agentroute.testing.faults.schedule import Schedule, Strike


class FaultyCalls:
    """Makes calls through another executor and injects faults on the way.

    Of several faults that hit one call, the first counts; latencies come on top.

    Attributes:
        triggered: What really happened, in order.
        seen: Every call, in order.
        schedule: The rules, and which calls they hit.
    """

    def __init__(
        self,
        inner: ToolExecutor,
        faults: Iterable[Fault],
        *,
        clock: Clock,
        seed: int = 0,
        alias: Callable[[str], str] = str,
    ) -> None:
        """Take the rules. Second 0 of their windows is `start`, or else the first call.

        Args:
            inner: Really makes the calls.
            faults: The rules.
            clock: Tells their windows.
            seed: What their dice are drawn from.
            alias: Name of a run as the dice know it, where runs have other ids each time.

        Raises:
            DefinitionError: A fault cannot be done to a call.
        """
        self.triggered: list[Triggered] = []
        self.seen: list[Seen] = []
        self.schedule = Schedule(tuple(faults), seed)
        for fault in self.schedule.faults:
            if fault.type not in IN_CALLS | BESIDE_CALLS:
                raise DefinitionError(f"fault {str(fault)!r}", "cannot be done to a call, only to bytes on a wire")
        self._inner = inner
        self._clock = clock
        self._alias = alias
        self._origin: float | None = None
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._order = itertools.count()
        self._last_answer: dict[str, Values] = {}
        self._late: list[_Late] = []
        self._dead: dict[str, Strike] = {}

    def start(self) -> None:
        """Let the time windows of the faults begin now."""
        self._origin = self._clock.now()

    @property
    def counts(self) -> list[int]:
        """How often each rule was triggered, in the order of the rules."""
        times = Counter(entry.rule for entry in self.triggered)
        return [times[index] for index in range(len(self.schedule.faults))]

    def trigger_rate(self) -> float:
        """Share of the rules that were triggered at least once; 1.0 without rules."""
        counts = self.counts
        return sum(count > 0 for count in counts) / len(counts) if counts else 1.0

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Make one attempt of `tool`, or have it go wrong."""
        if self._origin is None:
            self.start()
        attempt = current()
        seen = self._note(tool, attempt)
        try:
            await self.deliver_late()
            strikes = self._strikes(tool, seen)
            answer = await Passage(
                tool,
                inputs,
                attempt,
                seen,
                strikes,
                ACTIONS,
                call=self._reach,
                note=self.trigger,
                postpone=self._postpone,
                leave=self._leave,
                condemn=self._condemn,
                dice=Random(f"{self._alias(seen.run)}/{seen.tool}/{seen.number}"),
            ).onwards()
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
        with anyio.CancelScope(shield=True):  # it is not the business of whoever happens to call just now
            for late in due:
                worked = late.works and await self._made(late)
                late.attempt.still_running = False
                late.seen.late_order = next(self._order)
                if late.attempt.on_late is not None:
                    late.attempt.on_late(worked)

    async def _made(self, late: "_Late") -> bool:
        """Make a late call; whether it worked, for nobody is there to be told but the fence."""
        with serving(late.attempt):
            try:
                await self._inner.call(late.tool, late.inputs)
            except Exception:  # noqa: BLE001  # as above
                return False
        return True

    def _note(self, tool: Tool, attempt: Attempt) -> Seen:
        name = tool.spec.name
        self._numbers[attempt.run_id, name] += 1
        number = self._numbers[attempt.run_id, name]
        key = attempt.idempotency_key
        seen = Seen(next(self._order), self._clock.now(), attempt.run_id, name, attempt.attempt, number, key)
        self.seen.append(seen)
        return seen

    def _strikes(self, tool: Tool, seen: Seen) -> list[Strike]:
        at = seen.at - (self._origin or 0.0)
        spec = tool.spec
        dead = self._dead.get(spec.provider or spec.name)
        if dead is not None and (dead.rule.until_s is None or at < dead.rule.until_s):
            return [dead]
        run = self._alias(seen.run)
        return self.schedule.strikes(run, seen.tool, seen.number, at, provider=spec.provider)

    async def _reach(self, passage: Passage) -> Values:
        """Really call the tool."""
        answer = await self._inner.call(passage.tool, passage.inputs)
        name = passage.seen.tool
        passage.previous = self._last_answer.get(name)
        self._last_answer[name] = answer
        return answer

    def trigger(self, strike: Strike, seen: Seen) -> None:
        """Enter a fault into the ledger."""
        entry = Triggered(self._clock.now(), seen.run, seen.tool, seen.attempt, strike.fault, strike.index)
        self.triggered.append(entry)

    def _condemn(self, provider: str, strike: Strike) -> None:
        """Keep a provider (or a tool without one) down from here on; whoever calls it enters that into the ledger."""
        if provider not in self._dead:
            self._dead[provider] = replace(strike, fault=replace(strike.fault, type="down"))

    def _postpone(self, passage: Passage, seconds: float) -> None:
        due = self._clock.now() + seconds
        self._late.append(_Late(due, passage.tool, passage.inputs, passage.attempt, passage.seen))

    def _leave(self, passage: Passage, seconds: float) -> None:
        due = self._clock.now() + seconds
        self._late.append(_Late(due, passage.tool, passage.inputs, passage.attempt, passage.seen, works=False))


@dataclass(slots=True, eq=False)
class _Late:
    """A call that is to happen (or only to come back) after its caller has given up."""

    due: float
    tool: Tool
    inputs: Values
    attempt: Attempt
    seen: Seen
    works: bool = True
