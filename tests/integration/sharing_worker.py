"""A process with an agent that shares health: does what it is told on standard input, a word a line."""

import json
import logging
import sys
from typing import Annotated

import anyio

from agentroute import Agent, Artifact, Goal, Health, http_tool
from tests.integration.socket_exchange import SocketExchange

City = Annotated[str, Artifact("city")]
Weather = Annotated[str, Artifact("weather")]


def make_agent(name: str, exchange_port: int, near_port: int, far_port: int) -> Agent:
    """Two ways to the weather; the near one is cheaper."""
    tools = [
        http_tool(
            where,
            "GET",
            f"http://127.0.0.1:{port}/weather/{{city}}",
            takes={"city": City},
            returns=Weather,
            usd=usd,
            headers={"x-who": name},
            provider=f"{where} inc.",
        )
        for where, port, usd in (("near", near_port, 0.001), ("far", far_port, 0.003))
    ]
    return Agent(
        name="weather",
        tools=tools,
        goals=[Goal("known", requires=[Weather])],
        health=Health(cool_down_s=2.0),
        exchange=SocketExchange(name, exchange_port),
        trace=False,
    )


async def main() -> None:
    """Answer ``run`` with how a run went, ``look`` with what is known of the near provider."""
    agent = make_agent(sys.argv[1], *map(int, sys.argv[2:5]))
    async with agent:
        _say("ready")
        async for line in anyio.wrap_file(sys.stdin):
            if line.strip() == "run":
                result = await agent.run(inputs={"city": "Lyon"})
                answer = {"outcome": result.outcome, "route": result.route, "attempts": result.attempts}
            else:
                plan = agent.plan(explain=True, now=anyio.current_time())
                near = next(factors for factors in plan.weighed if factors.tool == "near")
                answer = {"tools": plan.tools, "monitor": near.monitor, "signal": near.signal}
            _say(answer)


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig()
    anyio.run(main)
