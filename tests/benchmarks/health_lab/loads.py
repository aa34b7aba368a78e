"""The loads: who serves an agent, how its runs come, and what goes wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from agentroute.graph.tool import Effect
from agentroute.routing.health import Health
from agentroute.testing.faults import Fault
from tests.benchmarks.health_lab.providers import Service
from tests.benchmarks.health_lab.troubles import (
    Crowded,
    Failing,
    Flapping,
    Hanging,
    Ramp,
    RateLimited,
    Slow,
    Trouble,
)
from tests.benchmarks.health_lab.watchers import Sees, Watcher

USD_PER_SECOND = 0.01
"""What the agents of all loads pay to be a second faster."""

LOST_USD = 0.1
"""What it costs not to reach the goal: ten times the price of the primary."""


@dataclass(frozen=True)
class Load:
    """Runs that come, and who serves them.

    Attributes:
        name: For the table.
        services: The tools. Those that make the same artifact are alternatives; the cheapest is meant to be used.
        runs: How many.
        per_s: How many come each second, by a Poisson process; infinity: all at the same instant.
        first_at: When the first comes, in seconds since the start.
        bad: Names of the tools that go bad.
        heals_at: When they are good again; None: never.
        health: The agent's settings.
        concurrency: Calls that the agent lets be under way at once.
        jumps: When the agent's wall clock jumps, and by how much.
        watcher: Who probes the primary, with health on; None: nobody does.
        suspended: When the process of the agent sleeps, and for how many seconds: its monotonic clock jumps, and who
            would have come in between comes later. None: it never does.
        lesser: Whether there is a lesser goal to fall back to, whose tool always works.
        deadline_s: Seconds that each run has; None: any number.
        compared: Whether to show beside it what health does without second calls.
    """

    name: str
    services: tuple[Service, ...]
    runs: int
    per_s: float
    first_at: float = 0.0
    bad: tuple[str, ...] = ("primary",)
    heals_at: float | None = None
    health: Health = field(default_factory=Health)
    concurrency: int = 1_000
    jumps: tuple[tuple[float, float], ...] = ()
    lesser: bool = False
    watcher: Watcher | None = None
    suspended: tuple[float, float] | None = None
    deadline_s: float | None = None
    compared: bool = False

    def arrivals(self, seed: int) -> list[float]:
        """When the runs come."""
        drawn = Random(f"{seed}/{self.name}/arrivals")
        moments, at = list[float](), self.first_at
        for _ in range(self.runs):
            moments.append(self._awake(at))
            at += drawn.expovariate(self.per_s) if math.isfinite(self.per_s) else 0.0
        return moments

    def _awake(self, at: float) -> float:
        """When a run comes that would have come `at` if the process did not sleep."""
        if self.suspended is None or at < self.suspended[0]:
            return at
        return at + self.suspended[1]

    @property
    def needs(self) -> tuple[str, ...]:
        """Artifacts that a run is to make."""
        return tuple(dict.fromkeys(service.makes for service in self.services))

    def primaries(self) -> set[str]:
        """For each artifact, the tool that would be used if all were well."""
        return {min((s.usd, s.name) for s in self.services if s.makes == artifact)[1] for artifact in self.needs}


def pair(
    *troubles: Trouble, times: float = 2.0, effect: Effect = "read", room: int | None = None
) -> tuple[Service, ...]:
    """A primary that has `troubles`, and a backup at so many `times` its price that may serve few calls at once."""
    crowded = () if room is None else (Crowded(room=room),)
    return (
        Service("primary", 0.01, troubles=troubles, effect=effect),
        Service("backup", 0.01 * times, troubles=crowded, effect=effect),
    )


def outage(name: str, times: float, *, effect: Effect = "read") -> Load:
    """Thirty seconds without the primary, and a backup at so many `times` its price."""
    services = pair(Failing(from_s=60, until_s=90), times=times, effect=effect)
    return Load(name, services, runs=1_000, per_s=4, heals_at=90)


def watched(name: str, sees: Sees = "the truth", *faults: Fault, down: bool = True) -> Load:
    """Thirty seconds without the primary, or none, while somebody probes it every other second."""
    watcher = Watcher(sees, faults)
    if not down:
        return Load(name, pair(times=3.0), runs=600, per_s=1, first_at=5.0, watcher=watcher)
    services = pair(Failing(from_s=60, until_s=90), times=3.0)
    return Load(name, services, runs=500, per_s=4, heals_at=90, watcher=watcher)


def family() -> tuple[Service, ...]:
    """Four tools of one provider that die together, and their four backups elsewhere."""
    dead = (Failing(from_s=60, until_s=120),)
    parts = ("a", "b", "c", "d")
    return tuple(
        service
        for part in parts
        for service in (
            Service(f"primary-{part}", 0.01, makes=part, provider="shared", troubles=dead),
            Service(f"backup-{part}", 0.02, makes=part),
        )
    )


def everything_fails() -> tuple[Service, ...]:
    """A primary and two backups that are all out for the same five seconds."""
    out = (Failing(from_s=60, until_s=65),)
    return (
        Service("primary", 0.01, troubles=out),
        Service("backup-1", 0.02, troubles=out),
        Service("backup-2", 0.03, troubles=out),
    )


LOADS: Sequence[Load] = (
    Load("slow x10, 60-180 s", pair(Slow(from_s=60, until_s=180)), runs=1_200, per_s=4, heals_at=180),
    Load("ramp 1.05x a call, 60-180 s", pair(Ramp(from_s=60, until_s=180)), runs=1_200, per_s=4, heals_at=180),
    Load("hang, 60-120 s", pair(Hanging(from_s=60, until_s=120)), runs=1_000, per_s=4, heals_at=120, compared=True),
    Load(
        "hang, 60-120 s, deadline 5 s",
        pair(Hanging(from_s=60, until_s=120)),
        runs=1_000,
        per_s=4,
        heals_at=120,
        deadline_s=5.0,
        compared=True,
    ),
    Load("1% of calls hang", pair(Hanging(share=0.01)), runs=1_000, per_s=10, compared=True),
    Load(
        "1% of calls hang, deadline 5 s", pair(Hanging(share=0.01)), runs=1_000, per_s=10, deadline_s=5.0, compared=True
    ),
    Load("20% fail, 1,000 runs at once", pair(Failing(share=0.2)), runs=1_000, per_s=math.inf),
    Load("20% fail, at once, 64 slots", pair(Failing(share=0.2)), runs=1_000, per_s=math.inf, concurrency=64),
    Load("20% fail, 20 runs a second", pair(Failing(share=0.2)), runs=1_000, per_s=20),
    Load(
        "flapping, 0.3 s up, 0.2 s down",
        pair(Flapping(from_s=30, until_s=90, up_s=0.3, down_s=0.2)),
        runs=1_500,
        per_s=10,
        heals_at=90,
    ),
    Load(
        "flapping, 90 s up, 30 s down",
        pair(Flapping(from_s=60, until_s=510, up_s=90, down_s=30)),
        runs=1_800,
        per_s=3,
        heals_at=450,
    ),
    Load(
        "half-open, the probe hangs",
        pair(Failing(from_s=60, until_s=64), Hanging(from_s=64, until_s=120)),
        runs=1_000,
        per_s=4,
        heals_at=120,
    ),
    Load(
        "four tools of one provider",
        family(),
        runs=600,
        per_s=4,
        bad=("primary-a", "primary-b", "primary-c", "primary-d"),
        heals_at=120,
    ),
    Load(
        "backup has room for 4, 10 a second",
        pair(Failing(from_s=60, until_s=120), room=4),
        runs=1_600,
        per_s=10,
        heals_at=120,
        lesser=True,
    ),
    Load(
        "backup has room for 1, 10 a second",
        pair(Failing(from_s=60, until_s=120), room=1),
        runs=1_600,
        per_s=10,
        heals_at=120,
        lesser=True,
    ),
    Load("herd of 100, room for 10", pair(Failing(), room=10), runs=100, per_s=math.inf),
    Load(
        "all fail for 5 s, cool-down 60 s",
        everything_fails(),
        runs=800,
        per_s=4,
        bad=("primary", "backup-1", "backup-2"),
        heals_at=65,
        health=Health(cool_down_s=60),
    ),
    outage("outage of 30 s, backup x1.5", 1.5),
    outage("outage of 30 s, backup x3", 3.0),
    outage("outage of 30 s, backup x10", 10.0),
    outage("outage of 30 s, effects once", 3.0, effect="once"),
    Load(
        "rate limit by date, clock goes back 1 h",
        pair(RateLimited(from_s=60, until_s=70)),
        runs=800,
        per_s=4,
        heals_at=70,
        jumps=((50, -3600.0),),
    ),
    Load(
        "outage, clock jumps to and fro",
        pair(Failing(from_s=60, until_s=90), times=3.0),
        runs=1_000,
        per_s=4,
        heals_at=90,
        jumps=((62, 3600.0), (70, -7200.0), (95, 86_400.0)),
    ),
    Load(
        "outage, process sleeps for an hour",
        pair(Failing(from_s=60, until_s=90), times=3.0),
        runs=500,
        per_s=4,
        heals_at=3_670,
        suspended=(70, 3600.0),
    ),
    Load(
        "all is well, process sleeps for an hour",
        pair(times=3.0),
        runs=1_000,
        per_s=40,
        heals_at=3_610,
        suspended=(10, 3600.0),
    ),
    watched("outage, probed every 2 s"),
    watched("outage, probes say all is well", "always well"),
    watched("all is well, probes say down", "always down", down=False),
    watched("outage, monitor dead from 70 s", "the truth", Fault(type="monitor_dead", from_s=70)),
    watched("outage, monitor late by 20 s", "the truth", Fault(type="monitor_late", latency_s=20)),
    watched("outage, monitor lies", "the truth", Fault(type="monitor_lies")),
)
