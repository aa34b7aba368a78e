"""What is used of langgraph. Its annotations are incomplete, so they end here: a graph is a value of any type."""

# pyright: reportMissingTypeStubs=false
# A namespace package: the checker does not find its py.typed.

from typing import Any, Final
from uuid import uuid4

from langgraph import graph as _graph
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError, NodeError
from langgraph.types import Command, RetryPolicy, interrupt

__all__ = ["END", "START", "Command", "GraphRecursionError", "NodeError", "RetryPolicy", "ask", "new_graph", "play"]

START: Final = _graph.START
END: Final = _graph.END


def new_graph(state: type) -> Any:
    """Make an empty `StateGraph` over a state, which is a `TypedDict`."""
    make: Any = _graph.StateGraph
    return make(state)


def ask(question: Any) -> Any:
    """In a node: stop the run until a person has answered."""
    return interrupt(question)


async def play(graph: Any, state: Any, *, steps: int = 100) -> tuple[dict[str, Any], bool]:
    """Run a graph from `state`: the state at its end, and whether it has stopped to ask a person.

    Raises:
        Exception: What a node raised and no error handler took.
        GraphRecursionError: It is not at its end after so many steps.
    """
    compiled: Any = graph.compile(checkpointer=InMemorySaver())  # without one, it cannot stop and go on
    config = {"configurable": {"thread_id": uuid4().hex}, "recursion_limit": steps}
    output = await compiled.ainvoke(state, config, version="v2")
    return output.value, bool(output.interrupts)
