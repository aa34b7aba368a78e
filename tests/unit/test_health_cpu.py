"""What health costs a call that goes as planned, in bytecodes: those do not depend on the machine."""

import pytest

from tests.benchmarks.bench_health_cpu import COUNTED, Caller


@pytest.mark.parametrize("declared_s", [0.0, 0.05, 0.2, 0.4])
@pytest.mark.parametrize(("tools", "provider", "most"), [(1, None, 600), (2, "shared", 900)])
def test_a_call_that_goes_as_planned_takes_the_short_way(
    tools: int, provider: str | None, most: int, declared_s: float
) -> None:
    """Also of tools that take longer than they declare, or declare nothing: a long way is some 1,000 to 2,500."""
    caller = Caller(tools, provider, 0.02, declared_s=declared_s)
    caller.live(1_000)
    assert caller.count(COUNTED) < most
