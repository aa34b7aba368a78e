"""An agent in a process of its own, so that it can be killed: ``python -m agentroute.testing.scenario.servers.actor``.

Reads what to do from its standard input (one line of JSON) and writes what happens to its standard output, a line of
JSON for each fact at the moment it is on record: what a SIGKILL leaves behind is what had been recorded by then.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, BinaryIO

import anyio

from agentroute.adapters.clock import LoopClock
from agentroute.ids import RunId
from agentroute.ports import Clock, Observer, Tool, ToolExecutor, Values
from agentroute.run.codec import encode
from agentroute.run.events import Event
from agentroute.testing.faults import FaultyCalls
from agentroute.testing.scenario.document import read_scenario
from agentroute.testing.scenario.staging import load_testbed, stage

RUN = "run-0"


class _Reporter(Observer):
    """Writes each fact, and each call, as it happens."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def observe(self, run: RunId, event: Event) -> None:
        del run
        self.say(event=encode(event))

    def say(self, **line: Any) -> None:
        self._out.write(json.dumps(line).encode() + b"\n")
        self._out.flush()


class _Watched:
    """Makes calls through an injector without faults, and reports what it saw."""

    def __init__(self, inner: ToolExecutor, reporter: _Reporter, *, clock: Clock) -> None:
        self._calls = FaultyCalls(inner, (), clock=clock)
        self._reporter = reporter

    async def call(self, tool: Tool, inputs: Values) -> Values:
        try:
            return await self._calls.call(tool, inputs)
        finally:
            self._reporter.say(seen=[asdict(seen) for seen in self._calls.seen])


async def _perform(orders: Mapping[str, Any], reporter: _Reporter) -> None:
    file: str = orders["file"]
    document = read_scenario(file, orders["variables"])
    testbed = load_testbed(document, file)
    assert testbed is not None  # noqa: S101  # without servers there is nothing that could strike
    addresses = {name: (host, port) for name, (host, port) in orders["addresses"].items()}
    staging = stage(document, file, testbed, level="process", addresses=addresses)
    made = testbed.agent(addresses)
    agent = made.with_options(
        seed=orders["seed"],
        observers=[reporter],
        clock=LoopClock(),
        budget=staging.budget(made),
        health=staging.health(made),
        trace=False,
        wrap_executor=lambda calls, clock: _Watched(calls, reporter, clock=clock),
    )
    async with agent:
        result = await agent.run(goal=document.goal, inputs=staging.inputs, run_id=RUN)
    reporter.say(result=result.model_dump(mode="json"))


def main() -> None:
    """Run once."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what tools print is no fact
    orders = json.loads(sys.stdin.readline())
    anyio.run(partial(_perform, orders, _Reporter(out)))


if __name__ == "__main__":
    main()
