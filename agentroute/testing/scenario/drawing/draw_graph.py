"""Random agents: tools in layers, so that every artifact has one to three ways and the goal can be reached."""

from collections.abc import Callable, Mapping, Sequence

from agentroute.graph.tool import Effect
from agentroute.testing.scenario.drawing.axes import Topology
from agentroute.testing.scenario.drawing.dice import Dice
from agentroute.testing.scenario.drawing.sketch import START, AgentSketch, NeedSketch, ToolSketch

NAMES = ("quote", "stock", "route", "permit", "label", "parcel", "invoice", "receipt", "report", "slot", "ticket")
"""What artifacts are called."""

MOST_TOOLS = 12

EFFECTS: tuple[Effect, ...] = ("read", "read", "idempotent", "once", "once")
PRICES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02)
LATENCIES = (0.05, 0.1, 0.2, 0.4)
TIMEOUTS = (1, 2, 5)
PROVIDERS = (None, None, "north", "south")


def draw_agent(topology: Topology, dice: Dice) -> AgentSketch:
    """Draw an agent whose tools hang together in this way; it has no limits yet."""
    tools, final = _TOPOLOGIES[topology](_Workshop(dice))
    made = list(dict.fromkeys(artifact for tool in tools for artifact in tool.makes))
    lesser = [artifact for artifact in made if artifact not in final]
    rungs = dice.some(lesser, dice.pick((0, 1, 1, 2)))
    rate = dice.pick((0.0, 0.0, 0.0, 0.01))
    return AgentSketch(tools=tools, final=final, lesser=list(reversed(rungs)), usd_per_second=rate)


class _Workshop:
    """Makes tools, with names that are not taken, and no more than `MOST_TOOLS`."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.names = dice.shuffled(NAMES)
        self.made = 0

    def artifact(self) -> str:
        return self.names.pop()

    def ways(self, artifact: str, needs: Callable[[], Sequence[NeedSketch]], *, reserve: int) -> list[ToolSketch]:
        """One to three tools that make an artifact, leaving `reserve` tools for those to come."""
        most = max(1, min(3, MOST_TOOLS - self.made - reserve))
        count = min(most, self.dice.pick((1, 2, 2, 3)))
        self.made += count
        return [self._tool(f"{artifact}_{'abc'[way]}", needs(), [artifact]) for way in range(count)]

    def _tool(self, name: str, needs: Sequence[NeedSketch], makes: Sequence[str]) -> ToolSketch:
        dice, usd = self.dice, self.dice.pick(PRICES)
        worse = usd > 0 and dice.chance(0.4)
        effect = dice.pick(EFFECTS)
        tool = ToolSketch(
            name=name,
            needs=needs,
            makes=makes,
            usd=usd,
            usd_max=round(usd * dice.pick((1.5, 2, 3)), 6) if worse else None,
            latency_s=dice.pick(LATENCIES),
            timeout_s=dice.pick(TIMEOUTS),
            effect=effect,
            provider=dice.pick(PROVIDERS),
            verified=effect == "once" and dice.chance(0.5),
            undone=effect != "read" and dice.chance(0.5),
            honours_key=effect == "once" and dice.chance(0.4),
        )
        if worse and dice.chance(0.5):
            tool.price = tool.usd_max
        if dice.chance(0.2):
            tool.seconds = round(tool.latency_s * dice.pick((0.5, 2)), 3)
        return tool


def _linear(shop: _Workshop) -> tuple[list[ToolSketch], Sequence[NeedSketch]]:
    """A chain: each artifact is made of the one before."""
    tools: list[ToolSketch] = []
    last, layers = START, shop.dice.whole(2, 4)
    for layer in range(layers):
        artifact, needs = shop.artifact(), (last,)
        tools += shop.ways(artifact, lambda needs=needs: needs, reserve=layers - layer - 1)
        last = artifact
    return tools, (last,)


def _dag(shop: _Workshop) -> tuple[list[ToolSketch], Sequence[NeedSketch]]:
    """Each way to an artifact needs one or two of those before, and the last one needs the last but one."""
    tools: list[ToolSketch] = []
    known, layers = [START], shop.dice.whole(3, 5)
    for layer in range(layers):
        artifact, before = shop.artifact(), list(known)

        def needs(before: Sequence[str] = before) -> Sequence[NeedSketch]:
            return shop.dice.some(before[:-1], shop.dice.pick((0, 1))) + list(before[-1:])

        tools += shop.ways(artifact, needs, reserve=layers - layer - 1)
        known.append(artifact)
    if shop.dice.chance(0.4):  # one call, two artifacts
        tools[0].makes = list(dict.fromkeys((*tools[0].makes, known[2])))
    return tools, (known[-1],)


def _fanout(shop: _Workshop) -> tuple[list[ToolSketch], Sequence[NeedSketch]]:
    """One artifact, several made of it at the same time, and one that needs them all."""
    return _spread(shop, lambda branches: branches)


def _k_of_n(shop: _Workshop) -> tuple[list[ToolSketch], Sequence[NeedSketch]]:
    """The same with one that needs some of them."""
    return _spread(shop, lambda branches: [(shop.dice.whole(1, len(branches) - 1), tuple(branches))])


def _spread(
    shop: _Workshop, joined: Callable[[Sequence[str]], Sequence[NeedSketch]]
) -> tuple[list[ToolSketch], Sequence[NeedSketch]]:
    source, branches = shop.artifact(), [shop.artifact() for _ in range(shop.dice.whole(2, 4))]
    needs = joined(branches)
    tools = shop.ways(source, lambda: [START], reserve=len(branches) + 1)
    for index, branch in enumerate(branches):
        tools += shop.ways(branch, lambda: [source], reserve=len(branches) - index)
    if shop.dice.chance(0.3):  # the goal itself joins
        return tools, needs
    final = shop.artifact()
    tools += shop.ways(final, lambda: needs, reserve=0)
    return tools, (final,)


_TOPOLOGIES: Mapping[Topology, Callable[[_Workshop], tuple[list[ToolSketch], Sequence[NeedSketch]]]] = {
    "linear": _linear,
    "dag": _dag,
    "fanout": _fanout,
    "k-of-n": _k_of_n,
}
