"""Where a failure of one tool is put: the tool it befalls in each topology, and who stands beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentroute.testing.scenario.catalogue.graphs import dag, fanout, linear


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One topology and the tool in it that fails.

    Attributes:
        topology: As the catalogue calls it.
        title: The tool, for people.
        graph: Makes the graph.
        goal: Goal that is pursued.
        victim: The tool that fails.
        backup: The one that can stand in.
        effects: Those of the two that change something.
        siblings: Calls of others that must not be repeated because of it.
    """

    topology: str
    title: str
    graph: Callable[[], dict[str, Any]]
    goal: str
    victim: str
    backup: str
    effects: Sequence[str] = ()
    siblings: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def untouched(self) -> dict[str, Any]:
        """What holds without faults, besides the goal: the backup is not needed."""
        return {"calls": {**self.siblings, self.victim: 1, self.backup: 0}}


PLACES: Sequence[Place] = (
    Place(
        topology="linear",
        title="The second of four steps",
        graph=linear,
        goal="told",
        victim="price_primary",
        backup="price_backup",
        siblings={"look_up_order": 1, "save_primary": 1, "notify": 1},
    ),
    Place(
        topology="dag",
        title="The write that three others join in",
        graph=dag,
        goal="planned",
        victim="hold_primary",
        backup="hold_backup",
        effects=("hold_primary", "hold_backup"),
        siblings={"flights_primary": 1, "hotels_primary": 1, "weather": 1, "itinerary": 1},
    ),
    Place(
        topology="fanout",
        title="One of three parallel branches",
        graph=fanout,
        goal="full-verdict",
        victim="image_primary",
        backup="image_backup",
        siblings={"text_primary": 1, "history_primary": 1, "decide": 1},
    ),
)
