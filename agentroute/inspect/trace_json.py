"""A run as JSON data, for programs."""

from typing import Any

from agentroute.ids import dollars
from agentroute.inspect.burn import burn_down
from agentroute.inspect.traces import DEEPEST, Node, Run


def run_data(run: Run) -> dict[str, Any]:
    """The run with its spans, as nested plain data."""
    return {
        **run.summary(),
        "reason": run.reason,
        "budget_usd": None if run.budget is None else dollars(run.budget),
        "llm_calls_limit": run.limits.model_calls,
        "tokens_limit": run.limits.tokens,
        "tool_calls_limit": run.limits.tool_calls,
        "burn_down": [moment.as_data(run.started_ns) for moment in burn_down(run)],
        "spans": [_node(top, run.started_ns, 0) for top in run.tops],
    }


def _node(node: Node, origin: int, depth: int) -> dict[str, Any]:
    span = node.span
    return {
        "kind": node.kind,
        "name": span.name,
        "tool": node.tool,
        "span_id": span.span_id,
        "start_s": (span.start_ns - origin) / 1e9,
        "duration_s": span.duration_s,
        "failed": span.failed,
        "message": span.message,
        "attributes": dict(span.attributes),
        "links": [{"trace_id": x.trace_id, "span_id": x.span_id, "meaning": x.meaning} for x in span.links],
        "children": [_node(child, origin, depth + 1) for child in node.children] if depth < DEEPEST else [],
    }
