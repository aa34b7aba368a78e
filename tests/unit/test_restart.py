"""When a server that died is started again."""

from hypothesis import given
from hypothesis import strategies as st

from agentroute.adapters.mcp.restart import Restart


def test_the_delay_doubles_up_to_the_longest() -> None:
    delays = [Restart(first_s=1.0, longest_s=10.0).delay(failures, 1.0) for failures in range(1, 7)]
    assert delays == [1, 2, 4, 8, 10, 10]


@given(
    failures=st.integers(1, 10_000), chance=st.floats(0, 1), first=st.floats(0.01, 100), longest=st.floats(0.01, 100)
)
def test_chance_spreads_it_from_a_half_to_the_whole(failures: int, chance: float, first: float, longest: float) -> None:
    restart = Restart(first_s=first, longest_s=longest)
    whole = restart.delay(failures, 1.0)
    assert whole / 2 <= restart.delay(failures, chance) <= whole <= longest
