"""The same flows on other libraries, written as their documentation would have it.

They are installed by `make bench` only, and their types are not complete, so this file is left out of the type check.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Flow = Callable[[], Awaitable[object]]
STEPS, WIDTH = 20, 100


def langgraph() -> tuple[Flow, Flow]:
    """A compiled StateGraph without a checkpointer."""
    import operator
    from typing import Annotated, TypedDict

    from langgraph.graph import END, START, StateGraph

    class State(TypedDict):
        value: Annotated[int, operator.add]

    async def step(state: State) -> dict[str, int]:
        del state
        return {"value": 1}

    def build(*, parallel: bool) -> Any:
        graph = StateGraph(State)
        names = [f"n{i}" for i in range(WIDTH if parallel else STEPS)]
        for name in names:
            graph.add_node(name, step)
        if parallel:
            graph.add_node("join", step)
            for name in names:
                graph.add_edge(START, name)
            graph.add_edge(names, "join")
            graph.add_edge("join", END)
        else:
            for before, after in zip([START, *names], [*names, END], strict=True):
                graph.add_edge(before, after)
        return graph.compile()

    chain, fan = build(parallel=False), build(parallel=True)
    return (lambda: chain.ainvoke({"value": 0}, {"recursion_limit": 200})), (lambda: fan.ainvoke({"value": 0}))


def burr() -> tuple[Flow, None]:
    """A linear application of async actions; it has no fan-out within one application that compares."""
    from burr.core import ApplicationBuilder, State, action, expr

    @action(reads=["n"], writes=["n"])
    async def step(state: State) -> State:
        return state.update(n=state["n"] + 1)

    @action(reads=["n"], writes=[])
    async def end(state: State) -> State:
        return state

    async def linear() -> None:
        application = (
            ApplicationBuilder()
            .with_actions(step=step, end=end)
            .with_transitions(("step", "step", expr(f"n < {STEPS}")), ("step", "end"))
            .with_state(n=0)
            .with_entrypoint("step")
            .build()
        )
        await application.arun(halt_after=["end"])

    return linear, None
