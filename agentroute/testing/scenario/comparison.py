"""Systems that agentroute is compared with: the same servers, the same faults, the same ground truth."""

from functools import partial

import anyio

from agentroute.adapters.clock import LoopClock
from agentroute.errors import ConfigurationError
from agentroute.graph.toolgraph import ToolGraph
from agentroute.testing.model_server import ModelServer
from agentroute.testing.scenario.findings import claims_falsely, rows_missed
from agentroute.testing.scenario.measures import repeated_rows
from agentroute.testing.scenario.record import FaultCount, Trial
from agentroute.testing.scenario.servers.faulty import FaultyServers
from agentroute.testing.scenario.staging import Staging
from agentroute.testing.scenario.testbed import Claim, Contender
from agentroute.testing.world import World

LONGEST_S = 300.0
"""Seconds after which a system is given up."""

RUN = "run-0"
"""Name of the run, which the dice depend on: the same as agentroute's."""


def contend(staging: Staging, name: str, seed: int, servers: FaultyServers | None) -> Trial:
    """Let another system pursue the scenario's goal.

    It is correct if the ground truth is what the scenario expects and it says so itself; silent if it claims a goal,
    and the truth is another.

    Raises:
        ConfigurationError: The scenario has no servers that others could call, or there is no such system.
    """
    testbed, expected = staging.testbed, staging.document.expected
    if testbed is None or servers is None:
        raise ConfigurationError(f"--compare {name} needs a testbed: servers that other systems can call, too")
    graph = staging.make(World(), servers.addresses).graph
    with ModelServer(testbed.model(name)) as model:
        contender = testbed.contender(name, servers.addresses, model.base_url)
        claim, took, times = anyio.run(partial(_hold, staging, graph, contender, servers, seed))
    truth = testbed.truth()
    missed = [line for table, rows in (expected.truth or {}).items() for line in rows_missed(table, rows, truth)]
    as_expected = not expected.outcome or claim.outcome in expected.outcome
    said = [] if as_expected else [f"outcome: {claim.outcome}, expected {' or '.join(expected.outcome or ())}"]
    return Trial(
        system=name,
        seed=seed,
        outcome=claim.outcome,
        goal=claim.goal,
        correct=not missed and not said,
        silent=int(claims_falsely([claim.outcome], missed)),
        duplicate_effects=repeated_rows(truth),
        llm_calls=claim.llm_calls,
        tool_calls=claim.tool_calls,
        duration_s=took,
        reroute_s=claim.recovered_s,
        faults=[
            FaultCount(fault=str(fault), times=times.get(index, 0))
            for index, fault in enumerate(staging.document.faults)
        ],
        deviations=[*said, *missed],
    )


async def _hold(
    staging: Staging, graph: ToolGraph, contender: Contender, servers: FaultyServers, seed: int
) -> tuple[Claim, float, dict[int, int]]:
    """Run it once: what it claims, the seconds it took, and how often each rule was made."""
    clock, document = LoopClock(), staging.document
    faults = document.faults
    goal = document.goal or str(graph.first_goal)
    began = clock.now()
    claim = Claim(outcome="failed", goal=goal)
    with servers.playing(faults, graph, seed, run=RUN) as showing, anyio.move_on_after(LONGEST_S):
        claim = await contender.run(staging.inputs, goal=goal, run_id=RUN)
    return claim, clock.now() - began, showing.times()
