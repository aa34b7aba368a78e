"""Virtual time: waiting costs nothing, and the same seed gives the same order."""

import subprocess
import sys

import anyio
import pytest

from agentroute.testing.virtual_time import EPOCH, TimeStandsStillError, VirtualClock, run_virtual


def test_a_year_passes_at_once() -> None:
    async def main() -> float:
        await anyio.sleep(365 * 86_400.0)
        return VirtualClock().now()

    assert run_virtual(main) == 365 * 86_400.0


def test_wall_time_goes_with_it_and_starts_at_the_same_moment_every_time() -> None:
    async def main() -> float:
        await anyio.sleep(7.0)
        return VirtualClock().wall()

    assert run_virtual(main) == run_virtual(main) == EPOCH + 7.0


def test_arguments_are_passed_on_and_errors_come_back() -> None:
    async def main(left: int, right: int) -> float:
        return left / right

    assert run_virtual(main, 6, 3) == 2.0
    with pytest.raises(ZeroDivisionError):
        run_virtual(main, 1, 0)


async def order() -> list[int]:
    """In which order eight tasks that could all run do run."""
    done: list[int] = []

    async def one(number: int) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            done.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(one, number)
    return done


def test_the_seed_decides_the_order_of_tasks() -> None:
    orders = [run_virtual(order, seed=seed) for seed in range(8)]
    assert [run_virtual(order, seed=seed) for seed in range(8)] == orders
    assert len({tuple(each) for each in orders}) > 1


def test_time_that_stands_still_is_noticed() -> None:
    async def main() -> None:
        clock = VirtualClock(patience=100)
        while clock.now() < 1.0:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(TimeStandsStillError, match="without sleeping"):
        run_virtual(main)


def test_without_trio_the_message_says_what_to_install() -> None:
    program = """
import sys
sys.modules["trio"] = sys.modules["trio.testing"] = None
from agentroute.testing.virtual_time import run_virtual
async def main(): ...
try:
    run_virtual(main)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("ConfigurationError"), done.stderr
    assert "pip install trio" in done.stdout
