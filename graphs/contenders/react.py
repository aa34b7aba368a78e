"""The ReAct loop: a model is told everything that happened so far and decides on the next calls, until it is finished.

One node asks the model, the other is langgraph's own for tools. What a tool cannot do goes back to the model as text.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# As in `library`: the annotations of langgraph and langchain_core are incomplete.

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, TypedDict

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, convert_to_openai_messages
from langchain_core.tools import tool as as_tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolInvocationError
from pydantic_core import to_json

from agentroute.testing.scenario.testbed import Claim
from graphs.contenders.call import CallError, Tally
from graphs.contenders.client import Client, http_client
from graphs.contenders.library import END, START, GraphRecursionError, new_graph, play

MODEL: Final = "scripted"

MODEL_TIMEOUT_S: Final = 60.0

STEPS: Final = 60
"""Of the loop, asking and calling counted apart: a model that goes round in circles is stopped."""

RULES: Final = """

How to work: call tools until you have reached the best goal that can be reached; call several at once if none needs the
result of another. A failed call says whether something was done. Nothing was done: try another provider, or the same
once more if that may help. Unknown: if it must not happen twice, look it up before you do anything like it again, with
any provider; if it cannot be looked up, stop and hand over to a person. Repeating a call with the same arguments at
the same provider is safe. At the end call `finish`, and claim nothing that no tool has confirmed.
"""
"""What every prompt ends with."""

Outcome: TypeAlias = Literal["succeeded", "demoted", "escalated", "failed"]


class Conversation(TypedDict):
    """State of the loop: what was said and done."""

    messages: Annotated[list[Any], operator.add]


@dataclass(frozen=True, slots=True)
class Job:
    """What a model needs to do a domain's work.

    Attributes:
        prompt: What it is, what counts, what it may not do.
        tools: Makes the tools; their docstrings are what the model reads of them.
        goals: Names of the goals, the best first.
    """

    prompt: str
    tools: Callable[[Client], Sequence[Callable[..., Any]]]
    goals: Sequence[str]


class React:
    """The loop as a contender.

    Args:
        urls: Addresses of the providers.
        model_url: Base URL of an OpenAI-compatible server.
        job: What it is to do.
    """

    def __init__(self, urls: Mapping[str, str], model_url: str, job: Job) -> None:
        """Nothing is connected yet."""
        self._urls = urls
        self._model_url = model_url
        self._job = job

    async def run(self, inputs: Mapping[str, Any], *, goal: str, run_id: str) -> Claim:
        """Give the inputs to the model and let it work; what it says at the end is the claim."""
        tally = Tally()
        outcome, reached = "failed", goal
        messages = [SystemMessage(self._job.prompt + RULES), HumanMessage(to_json(inputs).decode())]
        async with Client(self._urls, run_id, tally) as client, self._model() as model:
            said: list[tuple[Outcome, str]] = []
            loop = draw([*self._job.tools(client), finish(self._job.goals, said)], model, tally, said)
            try:
                await play(loop, {"messages": messages}, steps=STEPS)
                outcome, reached = said[-1] if said else (outcome, reached)
            except (openai.OpenAIError, GraphRecursionError):
                pass  # no model, no decision: it has given up
        return Claim(
            outcome=outcome,
            goal=reached,
            llm_calls=tally.llm_calls,
            tool_calls=tally.tool_calls,
            recovered_s=tuple(tally.recovered_s),
        )

    def _model(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=self._model_url,
            api_key="any",
            max_retries=0,
            timeout=MODEL_TIMEOUT_S,
            http_client=http_client(),
        )


def finish(goals: Sequence[str], said: list[tuple[Outcome, str]]) -> Callable[..., Any]:
    """Make the tool that ends the loop; what it is told goes to `said`."""

    async def finish(outcome: Outcome, goal: str, summary: str) -> str:
        """Say what came of it, and end. `goal` is the one reached; when none was, the one that was wanted.

        succeeded: the best goal was reached. demoted: a lesser one. escalated: a person has to go on; the summary says
        with what. failed: neither.
        """
        if goal not in goals:
            return f"Error: there is no goal {goal!r}: {', '.join(goals)}"
        if outcome == ("demoted" if goal == goals[0] else "succeeded"):
            return f"Error: {goals[0]} succeeded, or one of {', '.join(goals[1:])} demoted"
        said.append((outcome, goal))
        return summary

    return finish


def draw(
    functions: Sequence[Callable[..., Any]], model: openai.AsyncOpenAI, tally: Tally, said: Sequence[object]
) -> Any:
    """Draw the loop; it ends when something was `said`, or when the model calls no tool."""
    tools = [as_tool(function) for function in functions]
    schemas: Any = [convert_to_openai_tool(tool) for tool in tools]

    async def ask(state: Conversation) -> dict[str, Any]:
        tally.llm_calls += 1
        asked: Any = convert_to_openai_messages(state["messages"])
        try:
            completion = await model.chat.completions.create(
                model=MODEL, messages=asked, tools=schemas, tool_choice="required"
            )
        except ValueError as error:
            raise openai.OpenAIError("the answer is no JSON") from error
        if not completion.choices:
            raise openai.OpenAIError("the answer has no choices")
        return {"messages": [_message(completion.choices[0].message)]}

    def after_tools(state: Conversation) -> str:  # noqa: ARG001  # langgraph passes it
        return END if said else "model"

    graph = new_graph(Conversation)
    graph.add_node("model", ask)
    graph.add_node("tools", ToolNode(tools, handle_tool_errors=_explain))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", _after_model)
    graph.add_conditional_edges("tools", after_tools)
    return graph


def _after_model(state: Conversation) -> str:
    return "tools" if state["messages"][-1].tool_calls else END


def _message(message: Any) -> AIMessage:
    """What the model said, as langchain writes it."""
    calls = [
        {"name": call.function.name, "args": _arguments(call.function.arguments), "id": call.id}
        for call in message.tool_calls or ()
    ]
    return AIMessage(message.content or "", tool_calls=calls)


def _arguments(text: str) -> dict[str, Any]:
    """Arguments of a call; none, if they are not to be read: the tool then says which it needs."""
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _explain(error: CallError | ToolInvocationError) -> str:
    """What the model reads of a call that failed."""
    return f"Error: {error}"
