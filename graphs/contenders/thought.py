"""How the scripted model thinks: a plan that is resumed from nothing but the messages it is sent.

A plan is a generator: it yields the calls that it wants made, gets their results, and returns how it finishes. A
request holds the whole conversation, so the plan is begun anew for each, walked past what is already answered, and
what it yields then is the reply. It can know nothing that is not in the messages, as a model can not.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentroute.testing.model_server import Reply, Request, Script


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that is to be called."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What the model reads of a call."""

    text: str

    @property
    def works(self) -> bool:
        """Whether it is no error."""
        return not self.text.startswith("Error")

    @property
    def in_doubt(self) -> bool:
        """Whether it may have been done all the same."""
        return not self.works and "unknown whether" in self.text

    @property
    def worth_repeating(self) -> bool:
        """Whether the same call may work if made again."""
        return self.in_doubt or (not self.works and "tried again" in self.text)

    @property
    def is_unreachable(self) -> bool:
        """Whether nobody listened: of use to repeat only where there is nobody else."""
        return not self.works and "no connection" in self.text

    @property
    def data(self) -> Any:
        """The result as data."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Finish:
    """What is said at the end."""

    outcome: str
    goal: str
    summary: str


class DoubtError(Exception):
    """Something may have been done, and it cannot be looked up."""


Step: TypeAlias = Generator[Sequence[Call], Sequence[Result], Result | None]
"""A part of a plan, with the result that counts; None if there is none."""

Plan: TypeAlias = Generator[Sequence[Call], Sequence[Result], Finish]


def first(*ways: Call) -> Step:
    """Work down the ways until one works, each once more where that may help."""
    for way in ways:
        for _ in range(2):
            [result] = yield [way]
            if result.works:
                return result
            if not (result.worth_repeating or (result.is_unreachable and len(ways) == 1)):
                break
    return None


def once(*ways: tuple[Call, Call]) -> Step:
    """Work down the ways to do what must not happen twice; each comes with the call that looks it up.

    Raises:
        DoubtError: It may have happened.
    """
    for make, find in ways:
        for _ in range(2):
            [result] = yield [make]
            if result.in_doubt:
                found = yield from first(find)
                if found is None:
                    raise DoubtError(result.text)
                if found.data is not None:
                    return found
            elif result.works:
                return result
            elif not (result.worth_repeating or (result.is_unreachable and len(ways) == 1)):
                break
    return None


def script_of(plan: Callable[[Any], Plan]) -> Script:
    """Make the model server's script from a plan, which is begun with the user's message, read as JSON."""

    def reply(request: Request) -> Reply:
        messages: Sequence[Mapping[str, Any]] = request.body["messages"]
        [task] = [message["content"] for message in messages if message["role"] == "user"]
        return Reply(tool_calls=[(call.tool, call.arguments) for call in _next(plan(json.loads(task)), messages)])

    return reply


def _next(plan: Plan, messages: Sequence[Mapping[str, Any]]) -> Sequence[Call]:
    """Walk the plan past what is already answered; returns what it wants then."""
    results = {message["tool_call_id"]: Result(message["content"]) for message in messages if message["role"] == "tool"}
    try:
        wanted = next(plan)
        for message in messages:
            if message["role"] == "assistant":
                wanted = plan.send([results[call["id"]] for call in message["tool_calls"]])
    except StopIteration as end:
        finish: Finish = end.value
        return [Call("finish", {"outcome": finish.outcome, "goal": finish.goal, "summary": finish.summary})]
    return wanted
