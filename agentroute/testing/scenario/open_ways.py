"""9: where a way was open over tools that no fault is aimed at, the run succeeded. Asks neither router nor oracle."""

from collections.abc import Iterator, Sequence

from agentroute.guard.ledger import UNLIMITED
from agentroute.run.events import Unresolved
from agentroute.testing.faults import Fault
from agentroute.testing.invariants import Violation, reachable
from agentroute.testing.scenario.play import Play
from agentroute.testing.scenario.staging import Staging


def ways_are_taken(staging: Staging, played: Play, faults: Sequence[Fault]) -> Iterator[Violation]:
    """Each run that had an open way and did not succeed, with what the way is made of.

    Only what is beyond dispute counts: no tool on the way, and nobody who shares its provider, is aimed at by any rule;
    neither a budget, nor a quota, nor time, nor an impatient caller stands in the way; and no effect is in doubt, which
    goes to a person whatever else would be possible.
    """
    document, limits, quotas = staging.document, played.budget, played.agent.quotas
    limited = limits.deadline_s is not None or limits.limits is not UNLIMITED or quotas
    if limited or document.cancel_at is not None or not staging.simulated:
        return
    graph = played.agent.graph
    goal = document.goal or str(graph.first_goal)
    spared = _spared(played, faults)
    if not reachable(graph, goal, staging.inputs, spared):
        return
    for run, result in played.results.items():
        in_doubt = any(isinstance(record.event, Unresolved) for record in played.records[run])
        if result.outcome != "succeeded" and not in_doubt:
            ways = ", ".join(sorted(spared))
            yield Violation(9, run, f"{result.outcome}, although a way to {goal!r} was open over: {ways}")


def _spared(played: Play, faults: Sequence[Fault]) -> set[str]:
    specs = played.agent.graph.tools.values()
    aimed_at = {spec.name for spec in specs if any(fault.aims_at(spec.name, spec.provider) for fault in faults)}
    unlucky = {spec.provider for spec in specs if spec.name in aimed_at} - {None}
    routable = played.agent.graph.routable.values()
    return {str(spec.name) for spec in routable if spec.name not in aimed_at and spec.provider not in unlucky}
