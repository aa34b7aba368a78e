"""Plays a scenario whose agent is to be stopped or killed: in a process of its own, watched from here."""

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.agent import Agent
from agentroute.errors import ConfigurationError
from agentroute.ids import RunId
from agentroute.run.codec import decode
from agentroute.run.events import AttemptSucceeded, Event, RunStarted, Verified
from agentroute.run.result import RunResult
from agentroute.testing.faults import Fault, Seen
from agentroute.testing.scenario.play import Play
from agentroute.testing.scenario.servers.actor import RUN
from agentroute.testing.scenario.servers.faulty import FaultyServers
from agentroute.testing.scenario.servers.processes import AGENT
from agentroute.testing.scenario.staging import Staging
from agentroute.testing.world import World

LONGEST_S = 300.0
"""Seconds after which the process is ended."""

LONGEST_LINE = 64 * 1024 * 1024


def befalls_agent(faults: Sequence[Fault]) -> bool:
    """Whether a fault stops or kills the agent itself."""
    return any(fault.victim == AGENT for fault in faults)


async def play_apart(
    staging: Staging, faults: Sequence[Fault], seed: int, servers: FaultyServers, variables: Mapping[str, Any]
) -> Play:
    """Play a scenario with its agent in another process.

    Raises:
        ConfigurationError: The process could not even begin; with what it said.
    """
    assert staging.testbed is not None  # noqa: S101  # there are servers
    made = staging.make(World(), servers.addresses)
    agent = made.with_options(budget=staging.budget(made), health=staging.health(made), trace=False)
    played = Play(agent, agent.budget, World())
    journal = MemoryJournal()
    orders = {"file": staging.file, "variables": dict(variables), "seed": seed}
    command = [sys.executable, "-m", "agentroute.testing.scenario.servers.actor"]
    with servers.playing(faults, agent.graph, seed) as showing:
        async with await anyio.open_process(command, stderr=None, start_new_session=True) as process:
            showing.processes.agent = process.pid
            with anyio.move_on_after(LONGEST_S) as patience:
                await _listen(process, {**orders, "addresses": dict(servers.addresses)}, played, journal)
            if patience.cancelled_caught:
                process.kill()
    ordered = process.returncode == -signal.SIGKILL and not patience.cancelled_caught
    played.killed = ordered
    if RUN not in played.results and not ordered:
        raise ConfigurationError(f"the agent's process ended with status {process.returncode}")
    for run in await journal.runs():
        played.records[str(run)] = await journal.read(run)
    played.triggered = showing.ledger(played.seen, agent.graph)
    rules = [entry.rule for entry in played.triggered]
    played.counts = [rules.count(index) for index in range(len(faults))]
    played.truth = staging.testbed.truth()
    return played


async def _listen(process: Process, orders: Mapping[str, Any], played: Play, journal: MemoryJournal) -> None:
    """Tell the process what to do, and take down what it says until it ends."""
    assert process.stdin is not None  # noqa: S101  # pipes are what open_process makes
    assert process.stdout is not None  # noqa: S101
    await process.stdin.send(json.dumps(orders).encode() + b"\n")
    lines = BufferedByteReceiveStream(process.stdout)
    with suppress(anyio.IncompleteRead, anyio.EndOfStream):
        while True:
            said = json.loads(await lines.receive_until(b"\n", LONGEST_LINE))
            if "event" in said:
                await journal.append(RunId(RUN), _with_values(decode(said["event"]), played.agent))
            elif "seen" in said:
                played.seen = [Seen(**seen) for seen in said["seen"]]
            elif "result" in said:
                result = RunResult.model_validate(said["result"])
                values = _values(result.artifacts, played.agent)
                played.results[RUN] = result.model_copy(update={"artifacts": values})
    await process.wait()


def _with_values(event: Event, agent: Agent) -> Event:
    """The same with its artifacts as the agent knows them: what came over the pipe is plain data."""
    if isinstance(event, RunStarted):
        return replace(event, inputs=_values(event.inputs, agent))
    if isinstance(event, (AttemptSucceeded, Verified)):
        return replace(event, outputs=_values(event.outputs, agent))
    return event


def _values(data: Mapping[Any, Any], agent: Agent) -> dict[Any, Any]:
    return {name: agent.types[name].validate(value) if name in agent.types else value for name, value in data.items()}
