"""Two sensors for one temperature. A measurement must be possible, and younger than five seconds."""

import anyio
from pydantic import BaseModel

from agentroute import Agent, Budget, Goal, tool

TAKES_S = 6.0

YOUNG_S = 5.0

COLDEST, HOTTEST = -90.0, 60.0
"""Temperatures of the air that have ever been measured, and a little more, in degrees Celsius."""


class Place(BaseModel):
    """Where to measure."""

    name: str = "harbour"


class Reading(BaseModel):
    """A measurement; `at` is in seconds of the event loop."""

    celsius: float
    at: float


def is_plausible(reading: Reading) -> bool:
    """Postcondition: possible, and not from long ago."""
    return COLDEST <= reading.celsius <= HOTTEST and anyio.current_time() - reading.at <= YOUNG_S


async def measure(celsius: float) -> Reading:
    """Take the time that a measurement takes."""
    await anyio.sleep(TAKES_S)
    return Reading(celsius=celsius, at=anyio.current_time())


@tool(usd=0.002, latency_s=TAKES_S, effect="read", ensure=is_plausible, timeout_s=10)
async def read_primary(place: Place) -> Reading:
    """Ask the sensor at the quay."""
    del place  # they stand where they stand
    return await measure(12.5)


@tool(usd=0.004, latency_s=TAKES_S, effect="read", ensure=is_plausible, timeout_s=10)
async def read_backup(place: Place) -> Reading:
    """Ask the sensor on the roof."""
    del place
    return await measure(12.7)


agent = Agent(
    name="sensors",
    tools=[read_primary, read_backup],
    goals=[Goal("measured", requires=[Reading])],
    budget=Budget(deadline_s=60),
)
