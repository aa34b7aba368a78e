"""What the three static workflows share: a step with one fallback, the pause for a person, and the claim at the end.

Each step is a node per provider. The first is retried where that may help; if it fails, its error handler goes to the
second, and if that fails too, to where the workflow ends in good order. That is all the failure handling there is: one
failure of a step is survived, two are reported.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, TypedDict

from agentroute.testing.scenario.testbed import Claim
from graphs.contenders.call import CallError, Kind, Tally
from graphs.contenders.client import Client
from graphs.contenders.insist import PAUSE_S
from graphs.contenders.library import Command, NodeError, RetryPolicy, ask, play


class State(TypedDict, total=False):
    """What every workflow keeps.

    Attributes:
        reached: The goal it has reached.
        problem: What went wrong last, for the person who takes over.
    """

    reached: str
    problem: str


Node: TypeAlias = Callable[[Any], Awaitable[Mapping[str, Any]]]


def repeat_if(*kinds: Kind, attempts: int = 2) -> RetryPolicy:
    """Ask the same provider again, after a pause, if its failure is one of these kinds."""

    def helps(error: Exception) -> bool:
        return isinstance(error, CallError) and error.kind in kinds

    return RetryPolicy(initial_interval=PAUSE_S, max_attempts=attempts, jitter=False, retry_on=helps)


REPEATABLE: Final = repeat_if("busy", "doubt")
"""For reads, and for what the key makes safe: the same provider once more."""

ONCE: Final = repeat_if("busy")
"""For what must not happen twice: once more only where it surely did not happen."""

ONLY_ONE: Final = repeat_if("busy", "doubt", "down", attempts=3)
"""Where there is no other provider."""


def add_step(graph: Any, name: str, ways: Mapping[str, Node], *, then: str, otherwise: str) -> None:
    """Add a step that may safely be taken twice: the first way, and the others as fallbacks, one after another.

    Args:
        graph: To add it to.
        name: Node to enter the step at.
        ways: Nodes by name of the provider.
        then: Node that follows a way that worked.
        otherwise: Node that follows if none did.
    """
    for node, way, fallback in _chain(name, ways, otherwise):
        graph.add_node(node, way, retry_policy=REPEATABLE, error_handler=_go_to(fallback, in_doubt=fallback))
        graph.add_edge(node, then)


def add_once(graph: Any, name: str, ways: Mapping[str, Node], *, then: str, otherwise: str, in_doubt: str) -> None:
    """Add a step that must not happen twice, see `add_step`.

    Args:
        in_doubt: Node that follows if a way may have worked and nobody can know: no other is tried.
    """
    for node, way, fallback in _chain(name, ways, otherwise):
        graph.add_node(node, way, retry_policy=ONCE, error_handler=_go_to(fallback, in_doubt=in_doubt))
        graph.add_edge(node, then)


def _chain(name: str, ways: Mapping[str, Node], otherwise: str) -> list[tuple[str, Node, str]]:
    """Nodes of a step, each with its name and what follows if it fails."""
    names = [name, *(f"{name}_{provider}" for provider in list(ways)[1:])]
    return list(zip(names, ways.values(), [*names[1:], otherwise], strict=True))


def _go_to(fallback: str, *, in_doubt: str) -> Callable[..., Any]:
    """Make the error handler that leads on."""

    def handle(state: State, error: NodeError) -> Any:  # noqa: ARG001  # langgraph passes it
        if not isinstance(error.error, CallError):
            raise error.error
        where = in_doubt if error.error.kind == "doubt" else fallback
        return Command(goto=where, update={"problem": str(error.error)})

    return handle


def hand_over(state: State) -> dict[str, Any]:
    """Node that stops for a person, who gets everything that is known."""
    ask(state)
    return {}


class StaticWorkflow:
    """A workflow as a contender.

    Args:
        urls: Addresses of the providers.
        begin: Makes the state to start from out of a run's inputs.
        draw: Makes the graph; told the client to call with and the goal of a way without failures.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        begin: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        draw: Callable[[Client, str], Any],
    ) -> None:
        """Nothing is drawn yet: each run has a client and a graph of its own."""
        self._urls = urls
        self._begin = begin
        self._draw = draw

    async def run(self, inputs: Mapping[str, Any], *, goal: str, run_id: str) -> Claim:
        """Go from the inputs to an end, or to where a person is waited for; that is an escalation of `goal`."""
        tally = Tally()
        reached = goal
        async with Client(self._urls, run_id, tally) as client:
            try:
                end, waits = await play(self._draw(client, goal), self._begin(inputs))
            except CallError:
                outcome = "failed"
            else:
                outcome, reached = _ending(end.get("reached", ""), goal, waits=waits)
        return Claim(outcome=outcome, goal=reached, tool_calls=tally.tool_calls, recovered_s=tuple(tally.recovered_s))


def _ending(reached: str, goal: str, *, waits: bool) -> tuple[str, str]:
    """Outcome and goal of an end; an end where no node says that it reached a goal is no success."""
    if waits or not reached:
        return "escalated" if waits else "failed", goal
    return "succeeded" if reached == goal else "demoted", reached
