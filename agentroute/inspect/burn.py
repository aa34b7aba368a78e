"""How a run's budget went: what was spent, held back and left each time that something was paid."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentroute.adapters.telemetry import semconv
from agentroute.graph.cost import NOTHING, Amounts
from agentroute.guard.ledger import Limits
from agentroute.ids import dollars, nanos
from agentroute.inspect.traces import Node, Run


@dataclass(frozen=True, slots=True)
class Moment:
    """What a run had after one of its attempts, or after it had asked a model what to do.

    Attributes:
        at_ns: When, in nanoseconds since 1970.
        tool: What was paid for; empty for an escalation.
        attempt: Number of the attempt within the run; 0 for an escalation.
        spent: What was gone by then.
        held: What was held back for attempts under way.
        left: What was neither; None where nothing limits it.
    """

    at_ns: int
    tool: str
    attempt: int
    spent: Amounts
    held: Amounts
    left: Limits

    def as_data(self, origin_ns: int) -> dict[str, Any]:
        """As plain data, for JSON; money in USD, time in seconds since `origin_ns`."""
        figures: dict[str, Any] = {"at_s": (self.at_ns - origin_ns) / 1e9, "tool": self.tool, "attempt": self.attempt}
        for name, amounts in (("spent", self.spent), ("held", self.held), ("left", self.left)):
            figures[name] = {"usd": None if amounts.usd is None else dollars(amounts.usd), **_counts(amounts)}
        return figures


@dataclass(frozen=True, slots=True)
class _Use:
    node: Node
    held: Amounts
    used: Amounts


def burn_down(run: Run) -> list[Moment]:
    """How what limits a run became less, oldest first; nothing for a run without limits.

    Attempts count that used or held something of what is limited. What agents used as tools did is in their own runs:
    their money is in the attempt, what they count against the caller's limits besides is not in here.
    """
    uses = [use for use in _uses(run) if _touches(run.limits, use)]
    ends = [(use.node.span.end_ns, 0, index) for index, use in enumerate(uses)]
    starts = [(use.node.span.start_ns, 1, index) for index, use in enumerate(uses)]
    spent, held, found = NOTHING, NOTHING, list[Moment]()
    for at, begins, index in sorted([*ends, *(each for each in starts if each[0] < ends[each[2]][0])]):
        use = uses[index]
        if begins:  # what begins at the moment at which another ends is held after it
            held = held.plus(use.held)
            continue
        spent = spent.plus(use.used)
        if use.node.span.start_ns < at:
            held = held.minus(use.held)
        number = int(use.node.span.number(semconv.ATTEMPT))
        found.append(Moment(at, use.node.tool, number, spent, held, _left(run.limits, spent.plus(held))))
    return found


def _uses(run: Run) -> Iterator[_Use]:
    for node in run.nodes():
        span = node.span
        if span.text(semconv.RUN_ID) != run.run_id:
            continue
        usd, tokens = nanos(span.number(semconv.COST_USD)), int(span.number(semconv.TOKENS))
        if node.kind == "attempt":
            model, called = span.text(semconv.OPERATION) == semconv.CHAT_SPAN, span.attributes.get(semconv.CALLED)
            reserved = nanos(span.number(semconv.RESERVED_USD)), int(span.number(semconv.RESERVED_TOKENS))
            calls = (0, 0) if called is False else (int(model), 1)
            yield _Use(node, Amounts(*reserved, int(model), 1), Amounts(usd, tokens, *calls))
        elif node.kind == "decision" and span.name == semconv.ESCALATE_SPAN:
            yield _Use(node, NOTHING, Amounts(usd, tokens, int(span.attributes.get(semconv.MODEL_CALLED) is True), 0))


def _touches(limits: Limits, use: _Use) -> bool:
    figures = zip(limits, use.held, use.used, strict=True)
    return any(limit is not None and (held or used) for limit, held, used in figures)


def _left(limits: Limits, gone: Amounts) -> Limits:
    return Limits(*(None if limit is None else limit - used for limit, used in zip(limits, gone, strict=True)))


def _counts(amounts: Amounts | Limits) -> dict[str, int | None]:
    return {"llm_calls": amounts.model_calls, "tokens": amounts.tokens, "tool_calls": amounts.tool_calls}
