"""Moderation as a static workflow: ask three classifiers at once, ask the two others if they are needed, act.

The three are enough for a full verdict. Where the text was not read, or fewer than two answered, the secondary checks
stand in; two signals make a degraded verdict, fewer put the post on a person's list. Each classifier is retried on its
own, and one that fails leaves the others' answers as they are.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from agentroute.testing.scenario.testbed import Contender
from graphs.contenders.answers import Hold, Verdict
from graphs.contenders.call import CallError
from graphs.contenders.client import Client
from graphs.contenders.library import END, START, Command, NodeError, ask, new_graph
from graphs.contenders.workflow import ONLY_ONE, REPEATABLE, Node, State, StaticWorkflow
from graphs.moderation.agent import REMOVE, THREAT, Signal

PRIMARY: Final = ("image", "text", "history")
SECONDARY: Final = ("toxicity", "spam")

DEGRADED, HELD = "degraded-verdict", "held-for-review"


def together(one: dict[str, Signal], other: dict[str, Signal]) -> dict[str, Signal]:
    """What two classifiers say that were asked at the same time."""
    return {**one, **other}


class ModerationState(State):
    """What is known of a post."""

    post_id: str
    signals: Annotated[dict[str, Signal], together]


def make(urls: Mapping[str, str], model_url: str) -> Contender:  # noqa: ARG001  # every contender's
    """Make the contender; it asks no model."""
    return StaticWorkflow(urls, begin, draw)


def begin(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Start from a post's id."""
    return {"post_id": inputs["post_id"], "signals": dict[str, Signal]()}


def draw(client: Client, goal: str) -> Any:
    """Draw the workflow."""
    graph = new_graph(ModerationState)
    for names, before, after in ((PRIMARY, START, "weigh"), (SECONDARY, "ask_more", "weigh_again")):
        for name in names:
            graph.add_node(name, classify(client, name), retry_policy=REPEATABLE, error_handler=go_without(after))
            graph.add_edge(before, name)
            graph.add_edge(name, after)
    graph.add_node("weigh", stop_threats)
    graph.add_node("ask_more", ask_more)
    graph.add_node("weigh_again", stop_threats)
    graph.add_node("full", act(client, "full", goal), retry_policy=ONLY_ONE)
    graph.add_node("degraded", act(client, "degraded", DEGRADED), retry_policy=ONLY_ONE)
    graph.add_node("hold", hold(client), retry_policy=ONLY_ONE)
    graph.add_conditional_edges("weigh", is_enough)
    graph.add_conditional_edges("weigh_again", is_enough_now)
    for node in ("full", "degraded", "hold"):
        graph.add_edge(node, END)
    return graph


def classify(client: Client, name: str) -> Node:
    """Make the node that asks one classifier."""

    async def node(state: ModerationState) -> dict[str, Any]:
        signal = await client.post(name, "/classifications", Signal, post_id=state["post_id"])
        return {"signals": {name: signal}}

    return node


def go_without(after: str) -> Callable[..., Any]:
    """Make the error handler of a classifier: the others decide."""

    def handle(state: ModerationState, error: NodeError) -> Any:  # noqa: ARG001  # langgraph passes it
        if not isinstance(error.error, CallError):
            raise error.error
        return Command(goto=after)  # an edge is not followed from a node that failed

    return handle


def stop_threats(state: ModerationState) -> dict[str, Any]:
    """Node that hands a post over as soon as somebody sees a threat; it stays held."""
    if any(signal.threat >= THREAT for signal in state["signals"].values()):
        ask({"question": "A threat. What is to be done?", "post_id": state["post_id"]})
    return {}


def ask_more(state: ModerationState) -> dict[str, Any]:  # noqa: ARG001  # langgraph passes it
    """Node from which the secondary checks start, at once."""
    return {}


def is_enough(state: ModerationState) -> Literal["full", "degraded", "ask_more"]:
    """Decide after the three were asked."""
    heard = state["signals"].keys()
    if heard >= set(PRIMARY):
        return "full"
    return "degraded" if "text" in heard and len(heard) >= 2 else "ask_more"


def is_enough_now(state: ModerationState) -> Literal["degraded", "hold"]:
    """Decide after everybody was asked."""
    return "degraded" if len(state["signals"]) >= 2 else "hold"


def act(client: Client, kind: str, goal: str) -> Node:
    """Make the node that gives a verdict."""

    async def node(state: ModerationState) -> dict[str, Any]:
        signals = {f"{name.title()}Signal": signal.score for name, signal in state["signals"].items()}
        missing = [f"{name.title()}Signal" for name in PRIMARY if name not in state["signals"]]
        action = "removed" if max(signals.values()) >= REMOVE else "shown"
        body = {"post_id": state["post_id"], "kind": kind, "action": action, "signals": signals, "missing": missing}
        await client.post("queue", "/verdicts", Verdict, **body)
        return {"reached": goal}

    return node


def hold(client: Client) -> Node:
    """Make the node that puts the post on a person's list."""

    async def node(state: ModerationState) -> dict[str, Any]:
        await client.post("queue", "/holds", Hold, post_id=state["post_id"], reason="fewer than two signals")
        return {"reached": HELD}

    return node
