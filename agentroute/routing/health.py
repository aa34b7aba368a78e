"""How quickly an agent loses and regains trust in its tools."""

from dataclasses import dataclass

from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.routing.reliability import Fading


@dataclass(frozen=True, slots=True)
class Health:
    """How quickly an agent loses and regains trust in a tool.

    Attributes:
        trip_after: Consecutive failures that open the circuit breaker of a tool that hardly ever fails. One that fails
            now and then by habit is given more.
        cool_down_s: Seconds until an open breaker lets a probe through; grows while it keeps opening.
        max_attempts: Attempts of one tool within one run.
        backoff_s: Seconds before the second attempt of a tool; doubled for each further one, with jitter.
        patience_s: Longest wait for a tool that asks for one, when there is no other way.
        half_life_s: Seconds after which what calls said of a tool's habits counts half.
        burst_half_life_s: Seconds after which a burst of failures that opened no breaker counts half.
        retry_share: Share of the calls of a provider that may be retries.
        retry_reserve: Retries a provider may be asked for beyond that share; they come back within ten seconds.
        hedge: Whether the run goes another way beside a read that takes too long, where the deadline or the price of
            time pays for it.
    """

    trip_after: int = 3
    cool_down_s: float = 5.0
    max_attempts: int = 3
    backoff_s: float = 0.05
    patience_s: float = 30.0
    half_life_s: float = 300.0
    burst_half_life_s: float = 30.0
    retry_share: float = 0.2
    retry_reserve: int = 10
    hedge: bool = True

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could ever be called."""
        for name in ("trip_after", "max_attempts", "retry_reserve"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DefinitionError("health", f"{name} must be a whole number from 1, not {value!r}")
        for name in ("cool_down_s", "backoff_s", "patience_s"):
            checked("health", name, getattr(self, name))
        if not isinstance(self.hedge, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need no type checker
            raise DefinitionError("health", f"hedge must be True or False, not {self.hedge!r}")
        checked("health", "retry_share", self.retry_share, largest=1.0)
        for name in ("half_life_s", "burst_half_life_s"):
            if checked("health", name, getattr(self, name)) == 0:
                raise DefinitionError("health", f"{name} must be above 0")

    @property
    def fading(self) -> Fading:
        """How fast things are forgotten."""
        return Fading(self.half_life_s, self.burst_half_life_s)
