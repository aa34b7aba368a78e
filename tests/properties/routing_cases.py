"""Problems for the router, and oracles that share no code with it: they read contracts, never the compiled graph."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import highspy
import numpy as np
from hypothesis import strategies as st

from agentroute.graph.compiled import compile_graph
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import KOfN, Need, ToolSpec, artifacts_of
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId
from agentroute.routing.router import Problem, cheapest_route

GOAL = GoalId("goal")
MILLI = 1_000_000
"""Nano-dollars in a thousandth of a dollar; weights of larger cases are whole multiples, so that a solver is exact."""


@dataclass(frozen=True)
class Case:
    """A routing problem as a person would write it down."""

    tools: tuple[ToolSpec, ...]
    needs: tuple[Need, ...]
    have: frozenset[ArtifactId]
    weights: Mapping[ToolId, NanoUsd]
    latency_s: Mapping[ToolId, float] = field(default_factory=dict[ToolId, float])
    usd: Mapping[ToolId, NanoUsd] = field(default_factory=dict[ToolId, NanoUsd])
    within_s: float | None = None
    within_usd: NanoUsd | None = None

    def problem(self) -> Problem:
        return Problem(
            compile_graph(self.tools, [GoalSpec(GOAL, self.needs)]),
            GOAL,
            self.have,
            self.weights,
            latency_s=self.latency_s or None,
            within_s=self.within_s,
            usd=self.usd or None,
            within_usd=self.within_usd,
        )

    def usable(self) -> list[ToolSpec]:
        return [tool for tool in self.tools if tool.name in self.weights]

    def unlimited(self) -> "Case":
        return replace(self, within_s=None, within_usd=None)

    def without(self, name: ToolId) -> "Case":
        return replace(self, weights={tool: weight for tool, weight in self.weights.items() if tool != name})


# --- oracles ---------------------------------------------------------------------------------------------------


def ready_at(need: Need, times: Mapping[ArtifactId, float]) -> float:
    """When a requirement is met: an artifact when it is there, k of n with the k-th."""
    if isinstance(need, KOfN):
        return sorted(times.get(artifact, math.inf) for artifact in need.of)[need.k - 1]
    return times.get(need, math.inf)


def finish(case: Case, tools: Sequence[ToolSpec]) -> float:
    """Seconds until the goal if these tools run as early as they can; infinite if it is out of reach."""
    times: dict[ArtifactId, float] = dict.fromkeys(case.have, 0.0)
    changed = True
    while changed:
        changed = False
        for tool in tools:
            start = max((ready_at(need, times) for need in tool.requires), default=0.0)
            end = start + case.latency_s.get(tool.name, 0.0)
            for artifact in tool.produces:
                if end < times.get(artifact, math.inf):
                    times[artifact] = end
                    changed = True
    return max(ready_at(need, times) for need in case.needs)


def holds(case: Case, tools: Sequence[ToolSpec]) -> bool:
    """Whether the tools reach the goal within the limits."""
    end = finish(case, tools)
    in_time = end < math.inf if case.within_s is None else end <= case.within_s + 1e-9
    price = sum(case.usd.get(tool.name, 0) for tool in tools)
    return in_time and (case.within_usd is None or price <= case.within_usd)


def brute_force(case: Case) -> tuple[ToolId, ...] | None:
    """Try every set of tools; the cheapest that holds, then the smallest, then the first by sorted names."""
    tools = sorted(case.usable(), key=lambda tool: tool.name)
    best: tuple[int, int, tuple[ToolId, ...]] | None = None
    for size in range(len(tools) + 1):
        for chosen in combinations(tools, size):
            names = tuple(tool.name for tool in chosen)
            rank = (sum(case.weights[name] for name in names), size, names)
            if (best is None or rank < best) and holds(case, chosen):
                best = rank
    return None if best is None else best[2]


class _Milp:
    """A mixed integer program: which tools run, which artifact each is first to provide, and when it is there."""

    def __init__(self, case: Case, *, timed: bool) -> None:
        self.case, self.timed = case, timed
        self.solver = highspy.Highs()
        self.solver.silent()
        self.horizon = sum(case.latency_s.get(tool.name, 0.0) for tool in case.usable()) + 1.0
        wanted = sorted({artifact for tool in case.usable() for artifact in tool.produces} - case.have)
        self.runs = {tool.name: self._column(1.0, whole=True) for tool in case.usable()}
        self.there = {artifact: self._column(1.0, whole=True) for artifact in wanted}
        self.at = {artifact: self._column(self.horizon) for artifact in wanted}
        for tool in case.usable():
            for need in tool.requires:
                self._require(need, self.runs[tool.name])
        for artifact in wanted:
            self._provide(artifact)

    def limit(self, uses: Mapping[ToolId, int], most: int) -> None:
        """Limit what the set uses of something."""
        self._at_least(-most, {run: -float(uses[name]) for name, run in self.runs.items()})

    def solve(self) -> int | None:
        """Weight of the cheapest set, in nano-dollars."""
        case, solver = self.case, self.solver
        always = self._column(1.0, whole=True)
        self._at_least(1.0, {always: 1.0})
        for need in case.needs:
            self._require(need, always)
            if case.within_s is not None and not isinstance(need, KOfN) and need in self.at:
                self._at_least(-case.within_s, {self.at[need]: -1.0})
        if case.within_usd is not None:
            prices = {run: -case.usd[name] / MILLI for name, run in self.runs.items()}
            self._at_least(-case.within_usd / MILLI, prices)
        for name, run in self.runs.items():
            solver.changeColCost(run, case.weights[name] / MILLI)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        values = list(solver.getSolution().col_value)
        return sum(case.weights[name] for name, run in self.runs.items() if values[run] > 0.5)

    def _column(self, upper: float, *, whole: bool = False) -> int:
        self.solver.addVar(0.0, upper)
        column = self.solver.getNumCol() - 1
        if whole:
            self.solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)
        return column

    def _at_least(self, lower: float, terms: Mapping[int, float]) -> None:
        columns, factors = np.array(list(terms), dtype=np.int32), np.array(list(terms.values()), dtype=np.float64)
        self.solver.addRow(lower, highspy.kHighsInf, len(terms), columns, factors)

    def _require(self, need: Need, runs: int) -> None:
        """Whoever runs needs enough of these artifacts to be there."""
        if self.timed and isinstance(need, KOfN):
            raise NotImplementedError("the times of k-of-n joins are left to brute force")
        options = need.of if isinstance(need, KOfN) else (need,)
        count = (need.k if isinstance(need, KOfN) else 1) - sum(artifact in self.case.have for artifact in options)
        if count > 0:
            there = {self.there[artifact]: 1.0 for artifact in options if artifact in self.there}
            self._at_least(0.0, {**there, runs: -float(count)})

    def _provide(self, artifact: ArtifactId) -> None:
        """What is there has a first provider, which runs, and ends after its own inputs were there."""
        providers: dict[int, float] = {}
        for tool in self.case.usable():
            if artifact in tool.produces:
                provides = self._column(1.0, whole=True)
                providers[provides] = 1.0
                self._at_least(0.0, {self.runs[tool.name]: 1.0, provides: -1.0})
                if self.timed:
                    self._take_time(artifact, tool, provides)
        self._at_least(0.0, {**providers, self.there[artifact]: -1.0})

    def _take_time(self, artifact: ArtifactId, tool: ToolSpec, provides: int) -> None:
        """If the tool provides the artifact, it is there no earlier than the tool's inputs plus its latency."""
        latency, slack = self.case.latency_s[tool.name], 2 * self.horizon
        self._at_least(latency - slack, {self.at[artifact]: 1.0, provides: -slack})
        for need in artifacts_of(tool.requires):
            if need == artifact:
                self._at_least(0.0, {provides: -1.0})
            elif need in self.at:
                self._at_least(latency - slack, {self.at[artifact]: 1.0, self.at[need]: -1.0, provides: -slack})


def milp(
    case: Case, *, timed: bool = False, also_within: Sequence[tuple[Mapping[ToolId, int], int]] = ()
) -> int | None:
    """Weight of the cheapest set by HiGHS; `timed` for cycles and deadlines (every latency above 0 then).

    Args:
        case: The problem.
        timed: Whether artifacts have a time.
        also_within: What each tool uses of something, and what the set may use of it.
    """
    program = _Milp(case, timed=timed)
    for uses, most in also_within:
        program.limit(uses, most)
    return program.solve()


# --- problems --------------------------------------------------------------------------------------------------


@st.composite
def small_cases(draw: st.DrawFn, *, limits: bool = False, max_tools: int = 7) -> Case:
    """Anything goes: cycles, several outputs, k-of-n joins, removed tools, weights of zero and equal ones."""
    names = [ArtifactId(name) for name in "abcdefgh"[: draw(st.integers(3, 8))]]
    artifact = st.sampled_from(names)
    several = st.lists(artifact, min_size=2, max_size=3, unique=True)
    join = st.builds(KOfN, st.integers(1, 2), several.map(tuple))
    need = st.one_of(artifact, artifact, artifact, join)
    count = draw(st.integers(1, max_tools))
    tools = tuple(
        ToolSpec(
            ToolId(f"t{index}"),
            requires=tuple(draw(st.lists(need, max_size=2, unique=True))),
            produces=tuple(draw(st.lists(artifact, min_size=1, max_size=3, unique=True))),
        )
        for index in range(count)
    )
    weight = draw(st.sampled_from([st.integers(0, 2), st.integers(0, 20), st.just(0)]))
    usable = [tool.name for tool in tools if draw(st.integers(0, 9)) != 9]
    case = Case(
        tools,
        tuple(draw(st.lists(need, min_size=1, max_size=2, unique=True))),
        frozenset(draw(st.lists(artifact, max_size=2))),
        {name: NanoUsd(draw(weight)) for name in usable},
        latency_s={tool.name: draw(st.integers(1, 9)) / 10 for tool in tools},
        usd={tool.name: NanoUsd(draw(st.integers(0, 9))) for tool in tools},
    )
    if not limits:
        return case
    return replace(
        case,
        within_s=draw(st.none() | st.integers(0, 25).map(lambda tenths: tenths / 10)),
        within_usd=draw(st.none() | st.integers(0, 25).map(NanoUsd)),
    )


def random_dag(rng: random.Random, count: int) -> Case:
    """`count` tools without cycles: joins of up to three, two to four alternatives each, some with two outputs."""
    inner = max(4, count // rng.choice([2, 3, 4]))
    names = [ArtifactId(f"a{index:03}") for index in range(inner + 2)]  # the first two are at hand
    tools: list[ToolSpec] = []
    for index in range(count):
        out = 2 + (index if index < inner else rng.randrange(inner))
        inputs = rng.sample(range(max(0, out - 12), out), min(rng.choice([1, 1, 2, 2, 3]), out))
        outputs = {out, rng.randrange(out, inner + 2)} if rng.random() < 0.15 else {out}
        tools.append(
            ToolSpec(
                ToolId(f"t{index:03}"),
                requires=tuple(names[i] for i in sorted(inputs)),
                produces=tuple(names[o] for o in sorted(outputs)),
            )
        )
    return _with_figures(rng, tools, (names[-1], names[-2]), frozenset(names[:2]))


def random_cyclic(rng: random.Random, count: int) -> Case:
    """`count` tools, each from anywhere to anywhere: most of the graph is one cycle, and most goals can be reached."""
    names = [ArtifactId(f"a{index:02}") for index in range(max(5, count // 2))]
    tools = [
        ToolSpec(
            ToolId(f"t{index:02}"),
            requires=tuple(rng.sample(names, rng.choice([1, 1, 2]))),
            produces=tuple(rng.sample(names, rng.choice([1, 1, 1, 2]))),
        )
        for index in range(count)
    ]
    return _with_figures(rng, tools, (names[-1], names[-2]), frozenset(names[:2]))


def _with_figures(
    rng: random.Random, tools: Sequence[ToolSpec], needs: tuple[Need, ...], have: frozenset[ArtifactId]
) -> Case:
    return Case(
        tuple(tools),
        needs,
        have,
        {tool.name: NanoUsd(rng.randrange(1, 1000) * MILLI) for tool in tools},
        latency_s={tool.name: rng.randrange(1, 100) / 10 for tool in tools},
        usd={tool.name: NanoUsd(rng.randrange(1, 1000) * MILLI) for tool in tools},
    )


def limited(seed: int, kind: str) -> Case:
    """A DAG with limits between what is possible at all and what the unlimited route takes."""
    rng = random.Random(seed)
    case = random_dag(rng, rng.randint(16, 60))
    route = cheapest_route(case.problem())
    frugal = cheapest_route(replace(case, weights=case.usd).problem())
    assert route is not None
    assert frugal is not None
    fastest = finish(case, case.tools)
    spent = sum(case.usd[name] for name in route.tools)
    if "time" in kind:
        case = replace(case, within_s=round(fastest + (route.makespan_s - fastest) * rng.random(), 1))
    if "money" in kind:
        least = frugal.weight // MILLI
        case = replace(case, within_usd=NanoUsd(rng.randint(least, max(least, spent // MILLI)) * MILLI))
    return case
