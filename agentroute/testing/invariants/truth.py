"""2: nothing is made up, and no effect is disowned."""

from typing import Any

from agentroute.graph.tool import artifacts_of
from agentroute.ids import ArtifactId, GoalId, ToolId
from agentroute.run.events import AttemptSucceeded, RunFinished, RunStarted, Unresolved, Verified
from agentroute.testing.faults import UNDETECTABLE, Triggered
from agentroute.testing.invariants.account import Account, Found, at_hand, ledger, read, satisfied, worked
from agentroute.testing.invariants.case import Case
from agentroute.testing.invariants.effects import doubled_on_the_way


def undetectable(case: Case) -> list[Triggered]:
    """False answers that kept the contract, in calls that count as successes: nobody could have seen them."""
    account = read(case)
    return [entry for entry in ledger(account) if entry.fault.type in UNDETECTABLE and worked(account, entry)]


def outcome_is_earned(account: Account) -> Found:
    """Succeeded means the goal asked for, demoted a lesser one, and both that its artifacts are there."""
    finished, started = account.finished, account.events[0] if account.events else None
    if finished is None or not isinstance(started, RunStarted) or finished.outcome not in ("succeeded", "demoted"):
        return
    goal = finished.goal
    if (goal == started.goal) != (finished.outcome == "succeeded"):
        yield 2, f"{finished.outcome} with goal {goal!r} where {started.goal!r} was asked for"
    there = at_hand(account)
    if goal is None or not satisfied(account.case.graph.goals[goal].requires, there):
        yield 2, f"{finished.outcome}, but {goal!r} is not met by {sorted(there)}"
    if any(isinstance(event, Unresolved) for event in account.events):
        yield 2, f"{finished.outcome}, although an effect is unresolved"


def result_is_true(account: Account) -> Found:
    """What the caller is given was really answered by a tool, and is still there."""
    case, result = account.case, account.case.result
    if case.world is None or result is None or result.outcome not in ("succeeded", "demoted"):
        return
    false = {entry.tool for entry in undetectable(case)}
    started = account.events[0]
    inputs = dict(started.inputs) if isinstance(started, RunStarted) else dict[ArtifactId, Any]()
    gone = {str(value) for row in case.world.rows if row.undone_at is not None for value in row.outputs.values()}
    for artifact in artifacts_of(case.graph.goals[GoalId(result.goal)].requires):
        value = result.artifacts.get(artifact)
        if value is None or (artifact in inputs and inputs[artifact] == value) or false:
            continue
        if value not in case.world.answers.get((case.run, artifact), ()):
            yield 2, f"{artifact} = {value!r} was never answered by any tool"
        elif str(value) in gone:
            yield 2, f"{artifact} = {value!r} is part of the result and has been undone"


def effects_are_owned(account: Account) -> Found:
    """A standing effect of a ``once`` tool carries the result, or the run says that it may have stayed behind."""
    case, finished = account.case, account.finished
    if case.world is None or finished is None:
        return
    carrying = _carrying(account, finished)
    named = {str(tool) for tool in finished.left_behind} | _said_unknown(account, finished)
    named |= {entry.tool for entry in undetectable(case)}
    doubled, told = doubled_on_the_way(account), set[int]()
    for row in case.world.standing(case.run):
        again = row.attempt in doubled and row.attempt in told  # delivered twice: the caller knows of one
        told.add(row.attempt)
        if case.graph.tools[ToolId(row.tool)].effect != "once" or row.tool in named or again:
            continue
        if not carrying & set(map(str, row.outputs.values())):
            yield 2, f"effect {row.number} of {row.tool} (attempt {row.attempt}) stands, and nobody owns up to it"


def _carrying(account: Account, finished: RunFinished) -> set[str]:
    """Values that the goal reached rests on: its artifacts, what they were made from, and so on."""
    if finished.goal is None:
        return set()
    there = at_hand(account)
    pending = [str(artifact) for artifact in artifacts_of(account.case.graph.goals[finished.goal].requires)]
    carrying: set[str] = set()
    while pending:
        artifact = pending.pop()
        if artifact in there and artifact not in carrying:
            carrying.add(artifact)
            pending += _made_from(account, artifact)
    return {str(there[artifact]) for artifact in carrying}


def _made_from(account: Account, artifact: str) -> list[str]:
    makers = [
        event.tool
        for event in account.events
        if isinstance(event, (AttemptSucceeded, Verified)) and artifact in map(str, event.outputs)
    ]
    return [str(need) for maker in makers for need in artifacts_of(account.case.graph.tools[maker].requires)]


def _said_unknown(account: Account, finished: RunFinished) -> set[str]:
    said = {str(event.tool) for event in account.events if isinstance(event, Unresolved)}
    if finished.outcome == "cancelled":
        said |= {str(tool) for tool in account.case.graph.tools if tool in finished.reason}
    return said
