"""Runs, as their traces tell them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from agentroute.adapters.telemetry import semconv
from agentroute.guard.ledger import UNLIMITED, Limits
from agentroute.ids import NanoUsd, dollars, nanos
from agentroute.inspect.trace_files import MOST_BYTES, Span, read_spans, trace_files

UNFINISHED: Final = "unfinished"
"""Outcome of a run whose own span is not there: it still runs, or its process was killed."""

DEEPEST: Final = 64
"""Levels of spans that are told of."""

MOST_MATCHES: Final = 20
"""Traces that are looked into when an abbreviated id fits several."""

Kind: TypeAlias = Literal["run", "step", "attempt", "decision", "other"]
"""What a span stands for; ``other`` are spans that a tool made itself."""

_DECISIONS: Final = frozenset({
    semconv.REROUTE_SPAN,
    semconv.TIER_SPAN,
    semconv.HEDGE_SPAN,
    semconv.ESCALATE_SPAN,
    semconv.ROUTE_SPAN,
    semconv.GUARD_SPAN,
    semconv.SIGNAL_SPAN,
    semconv.QUARANTINE_SPAN,
    semconv.WAIT_SPAN,
    semconv.VERIFIED_SPAN,
    semconv.COMPENSATED_SPAN,
    semconv.UNRESOLVED_SPAN,
    semconv.FENCED_SPAN,
})  # fmt: skip


@dataclass(slots=True)
class Node:
    """A span with the spans below it, in order of their start."""

    span: Span
    children: "list[Node]" = field(default_factory=list["Node"])

    @property
    def kind(self) -> Kind:
        """What it stands for."""
        span = self.span
        if not span.text(semconv.RUN_ID):
            return "other"
        if span.name in _DECISIONS:
            return "decision"
        if span.name.startswith(semconv.STEP_SPAN):
            return "step"
        return "attempt" if semconv.ATTEMPT in span.attributes else "run"

    @property
    def tool(self) -> str:
        """The tool it is about; empty for none."""
        return self.span.text(semconv.TOOL_NAME) or self.span.text(semconv.TOOL)

    def below(self) -> Iterator["Node"]:
        """It and everything below it, down to `DEEPEST` levels."""
        ahead = [(self, 0)]
        while ahead:
            node, depth = ahead.pop()
            yield node
            if depth < DEEPEST:
                ahead += [(child, depth + 1) for child in reversed(node.children)]


@dataclass(frozen=True, slots=True)
class Run:
    """A run and its spans.

    Attributes:
        run_id: The run.
        trace_id: Its trace, which it may share with the run it was a tool of, or with an application.
        agent: Name of its agent.
        goal: The goal it was started for.
        outcome: How it ended; ``suspended`` or `UNFINISHED` if it has not.
        reason: Why.
        started_ns: Nanoseconds since 1970.
        duration_s: Seconds from its start to its end so far.
        attempts: Calls.
        retries: Failures answered by the same tool.
        reroutes: Failures answered by other tools.
        escalations: Times somebody else had to decide.
        llm_calls: Model calls.
        cost: What it cost, in nano-dollars.
        tokens: Tokens that models read and wrote, as they count against a limit.
        limits: Its limits, as far as they are known.
        tops: Its spans: one per time it was started or taken up again; for an unfinished run, those whose parents are
            not there.
    """

    run_id: str
    trace_id: str
    agent: str
    goal: str
    outcome: str
    reason: str
    started_ns: int
    duration_s: float
    attempts: int
    retries: int
    reroutes: int
    escalations: int
    llm_calls: int
    cost: NanoUsd
    tokens: int
    limits: Limits
    tops: Sequence[Node]

    @property
    def started_at(self) -> str:
        """Its start as ISO 8601, UTC."""
        return isoformat(self.started_ns)

    @property
    def budget(self) -> NanoUsd | None:
        """Its limit on money, in nano-dollars, if it had one."""
        return None if self.limits.usd is None else NanoUsd(self.limits.usd)

    def nodes(self) -> Iterator[Node]:
        """All its spans, also those of runs that it made as a tool."""
        for top in self.tops:
            yield from top.below()

    def spent(self) -> NanoUsd:
        """What its attempts and decisions cost, added up from their spans."""
        return _spent(node.span for node in self.nodes() if _belongs(node, self.run_id))

    def summary(self) -> dict[str, Any]:
        """The run without its spans, for JSON."""
        return {
            "run_id": self.run_id,
            "trace_id": self.trace_id,
            "agent": self.agent,
            "goal": self.goal,
            "outcome": self.outcome,
            "started_at": self.started_at,
            "duration_s": self.duration_s,
            "attempts": self.attempts,
            "retries": self.retries,
            "reroutes": self.reroutes,
            "escalations": self.escalations,
            "llm_calls": self.llm_calls,
            "tokens": self.tokens,
            "cost_usd": dollars(self.cost),
        }


def isoformat(ns: int) -> str:
    """Nanoseconds since 1970 as ISO 8601, UTC; empty if that is in no calendar."""
    try:
        return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""


def list_runs(folder: Path, *, limit: int | None = None) -> list[Run]:
    """The runs of a folder of trace files, the one started last first.

    Args:
        folder: Where the files are.
        limit: At most so many; files that can only hold older ones are not read.
    """
    spans: list[Span] = []
    left = MOST_BYTES
    found: list[Run] = []
    for file in trace_files(folder):
        if limit is not None and len(found) >= limit and file.stat().st_mtime * 1e9 < found[limit - 1].started_ns:
            break  # its runs were over before the last of these began
        spans += read_spans(file, most_bytes=left)
        left -= file.stat().st_size
        if limit is not None:
            found = _newest(spans)
        if left <= 0:
            break
    return _newest(spans)[:limit]


def _newest(spans: Iterable[Span]) -> list[Run]:
    return sorted(group(spans), key=attrgetter("started_ns"), reverse=True)


def find_runs(folder: Path, wanted: str) -> list[Run]:
    """The runs whose id, or whose trace's id, begins with `wanted`.

    ``latest`` is the one started last, or the outermost that it was a tool of. An exact match leaves the others out,
    and so does, of the runs of one trace, the one that made the others.
    """
    if wanted == "latest":
        return [_outermost(folder, run) for run in list_runs(folder, limit=1)]
    needle = wanted.lower() if _is_hex(wanted) else wanted
    candidates = {
        (span.trace_id, span.text(semconv.RUN_ID))
        for text in {wanted, needle}
        for file in trace_files(folder)
        for span in read_spans(file, containing=text)
    }
    exact = {trace for trace, run in candidates if run == wanted}
    by_run = {trace for trace, run in candidates if run.startswith(wanted)}
    by_trace = {trace for trace, _ in candidates if trace.startswith(needle)}
    found: list[Run] = []
    for trace in sorted(exact or by_run | by_trace)[:MOST_MATCHES]:
        runs = read_trace(folder, trace)
        named = [run for run in runs if run.run_id == wanted] or [run for run in runs if run.run_id.startswith(wanted)]
        found += named if trace in exact | by_run else runs[:1]
    return found


def _outermost(folder: Path, run: Run) -> Run:
    """The run itself, or the one that it was a tool of, or a tool of a tool of."""
    around = (
        other
        for other in read_trace(folder, run.trace_id)
        if any(node.span.text(semconv.RUN_ID) == run.run_id for node in other.nodes())
    )
    return next(around, run)


def read_trace(folder: Path, trace_id: str) -> list[Run]:
    """The runs of one trace, outer ones before those they made."""
    spans: list[Span] = []
    for file in trace_files(folder):
        spans += (span for span in read_spans(file, containing=trace_id) if span.trace_id == trace_id)
    return group(spans)


def group(spans: Iterable[Span]) -> list[Run]:
    """Put spans together to runs, those of a trace in order of their start.

    A span that was exported twice (a killed process may have managed to) counts once, as it ended last.
    """
    nodes = {(span.trace_id, span.span_id): Node(span) for span in sorted(spans, key=attrgetter("start_ns", "end_ns"))}
    tops: dict[tuple[str, str], list[Node]] = {}
    for node in nodes.values():
        span = node.span
        parent = nodes.get((span.trace_id, span.parent_id))
        if parent is not None and parent is not node:
            parent.children.append(node)
        run = span.text(semconv.RUN_ID)
        if run and (node.kind == "run" or parent is None):
            tops.setdefault((span.trace_id, run), []).append(node)
    return [_run(run, found) for (_, run), found in tops.items()]


def _run(run_id: str, tops: list[Node]) -> Run:
    roots = [node for node in tops if node.kind == "run"]
    if not roots:
        return _unfinished(run_id, tops)
    first, last = roots[0].span, roots[-1].span
    orphans = [node for node in tops if node.kind != "run"]
    inside = {id(node) for root in roots for node in root.below() if node is not root}
    return Run(
        run_id=run_id,
        trace_id=first.trace_id,
        agent=first.text(semconv.WORKFLOW_NAME) or first.service,
        goal=first.text(semconv.GOAL),
        outcome=last.text(semconv.OUTCOME) or UNFINISHED,
        reason=last.text(semconv.REASON),
        started_ns=first.start_ns,
        duration_s=max(0, last.end_ns - first.start_ns) / 1e9,
        attempts=int(last.number(semconv.ATTEMPTS)),
        retries=int(last.number(semconv.RETRIES)),
        reroutes=int(last.number(semconv.REROUTES)),
        escalations=int(last.number(semconv.ESCALATIONS)),
        llm_calls=int(last.number(semconv.LLM_CALLS)),
        cost=nanos(last.number(semconv.COST_USD)),
        tokens=int(last.number(semconv.TOKENS)),
        limits=_limits(first),
        tops=[node for node in (*roots, *orphans) if id(node) not in inside],
    )


def _unfinished(run_id: str, tops: list[Node]) -> Run:
    """What can be told of a run from the spans that were exported before it ended."""
    nodes = [node for top in tops for node in top.below() if _belongs(node, run_id)]
    spans = [node.span for node in nodes]
    attempts = [node.span for node in nodes if node.kind == "attempt"]
    started = min(span.start_ns for span in spans)
    return Run(
        run_id=run_id,
        trace_id=spans[0].trace_id,
        agent=spans[0].service,
        goal="",
        outcome=UNFINISHED,
        reason="its own span is not there: it still runs, or its process was killed",
        started_ns=started,
        duration_s=max(0, max(span.end_ns for span in spans) - started) / 1e9,
        attempts=len(attempts),
        retries=sum(semconv.RETRY_OF in span.attributes for span in attempts),
        reroutes=sum(span.name == semconv.REROUTE_SPAN for span in spans),
        escalations=sum(span.name == semconv.ESCALATE_SPAN for span in spans),
        llm_calls=sum(span.text(semconv.OPERATION) == semconv.CHAT_SPAN for span in attempts),
        cost=_spent(spans),
        tokens=sum(int(span.number(semconv.TOKENS)) for span in spans),
        limits=UNLIMITED,
        tops=tops,
    )


def _limits(span: Span) -> Limits:
    """What a run's own span says of its limits."""

    def limit(name: str) -> int | None:
        return int(span.number(name)) if name in span.attributes else None

    usd = nanos(span.number(semconv.BUDGET_USD)) if semconv.BUDGET_USD in span.attributes else None
    counts = map(limit, (semconv.TOKENS_LIMIT, semconv.LLM_CALLS_LIMIT, semconv.TOOL_CALLS_LIMIT))
    return Limits(usd, *counts)


def _belongs(node: Node, run_id: str) -> bool:
    return node.kind != "run" and node.span.text(semconv.RUN_ID) == run_id


def _spent(spans: Iterable[Span]) -> NanoUsd:
    return NanoUsd(sum(nanos(span.number(semconv.COST_USD)) for span in spans))


def _is_hex(text: str) -> bool:
    return all(c in "0123456789abcdefABCDEF" for c in text)
