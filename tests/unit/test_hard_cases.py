"""Hard cases: double effects, lost ones, frozen loops, and errors that escape."""

import sys
import time
from typing import Annotated, Any

import anyio
import pytest
from pydantic import BaseModel

from agentroute import Agent, Artifact, Budget, Goal, Health, ToolError, current, tool
from agentroute.errors import DefinitionError, InputError
from agentroute.testing.fakes import fake_tool, fake_verifier
from agentroute.testing.faults import Fault
from agentroute.testing.virtual_time import run_virtual
from agentroute.testing.world import World
from tests.laboratory import bench, experiment

pytestmark = pytest.mark.anyio

Order = Annotated[str, Artifact("order")]
Image = Annotated[bytes, Artifact("image")]


class Paid(BaseModel):
    by: str = ""


class Shipped(BaseModel):
    pass


class Cart(BaseModel):
    items: list[str] = []


def agent(*tools: Any, goal: Any = Paid, **options: Any) -> Agent:
    return Agent(
        name="a", tools=tools, goals=[Goal("g", [goal])], health=Health(backoff_s=0.01), trace=False, seed=1, **options
    )


async def test_an_overspent_run_with_free_steps_left_comes_to_an_end() -> None:
    @tool(effect="read", usd=0.01)
    async def search(order: Order) -> Paid:
        current().charge(usd=0.06)
        return Paid()

    @tool(effect="read")
    async def pick(paid: Paid) -> Shipped:
        return Shipped()

    with anyio.fail_after(5):
        result = await agent(search, pick, goal=Shipped, budget=Budget(usd=0.05)).run(inputs={"order": "1"})
    assert result.outcome == "escalated"


async def test_leaving_an_idempotent_tool_behind_looks_for_its_effect() -> None:
    made: list[str] = []

    def find(order: Order) -> Paid | None:
        return Paid(by="stripe") if "stripe" in made else None

    def undo(paid: Paid) -> None:
        made.remove(paid.by)

    @tool(usd=0.01, effect="idempotent", verify=find, compensate=undo)
    async def stripe(order: Order) -> Paid:
        made.append("stripe")
        raise TimeoutError

    @tool(usd=0.011, effect="once")
    async def bank(order: Order) -> Paid:
        made.append("bank")
        return Paid(by="bank")

    result = await agent(stripe, bank).run(inputs={"order": "1"})
    assert result.route[0] == "bank"
    assert result.outcome == "succeeded"
    assert made == ["bank"]


async def test_an_idempotent_effect_nobody_can_look_for_is_named() -> None:
    @tool(usd=0.01, effect="idempotent")
    async def stripe(order: Order) -> Paid:
        raise TimeoutError

    @tool(usd=0.011, effect="once")
    async def bank(order: Order) -> Paid:
        return Paid(by="bank")

    result = await agent(stripe, bank).run(inputs={"order": "1"})
    assert (result.outcome, result.left_behind) == ("succeeded", ["stripe"])


async def test_an_idempotent_effect_made_in_vain_is_named() -> None:
    @tool(effect="idempotent")
    async def charge(order: Order) -> Paid:
        return Paid()

    @tool(effect="once")
    async def ship(paid: Paid) -> Shipped:
        raise ToolError("no stock", kind="permanent")

    result = await agent(charge, ship, goal=Shipped).run(inputs={"order": "1"})
    assert (result.outcome, result.left_behind) == ("escalated", ["charge"])
    assert "no stock" in result.reason


async def test_the_key_survives_a_tool_that_changes_its_input() -> None:
    keys: list[str] = []

    @tool(effect="idempotent")
    async def charge(cart: Cart) -> Paid:
        keys.append(current().idempotency_key)
        cart.items.append("tax")
        if len(keys) == 1:
            raise TimeoutError
        return Paid()

    result = await agent(charge).run(Cart())
    assert result.outcome == "succeeded"
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_a_call_whose_thread_goes_on_is_not_made_again() -> None:
    made: list[str] = []

    def find(order: Order) -> Paid | None:
        return Paid() if made else None

    @tool(effect="once", timeout_s=0.1, verify=find)
    def pay(order: Order) -> Paid:
        time.sleep(0.6)  # noqa: TID251  # a thread that really blocks
        made.append("paid")
        return Paid()

    result = await agent(pay).run(inputs={"order": "1"})
    await anyio.sleep(0.7)
    assert made == ["paid"]
    assert result.outcome == "escalated" or result.route == ["pay"]


async def test_a_tool_cannot_end_the_process() -> None:
    @tool(effect="once")
    def leave(order: Order) -> Paid:
        sys.exit(0)

    @tool(effect="once")
    async def leave_too(order: Order) -> Paid:
        sys.exit(0)

    for one in (leave, leave_too):
        result = await agent(one).run(inputs={"order": "1"})
        assert (result.outcome, result.left_behind) == ("escalated", [one.spec.name])


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    @property
    def response(self) -> object:
        raise RuntimeError("no response")


@pytest.mark.parametrize("odd", ["kind", "retry", "unreadable"])
async def test_errors_that_cannot_be_read_are_ambiguous(odd: str) -> None:
    @tool(effect="once")
    async def pay(order: Order) -> Paid:
        if odd == "kind":
            raise ToolError("x", kind="retryable")  # pyright: ignore[reportArgumentType]
        if odd == "retry":
            raise ToolError("x", kind="rate_limited", retry_after_s=float("inf"))
        raise UnreadableError

    result = await agent(pay).run(inputs={"order": "1"})
    assert (result.outcome, result.left_behind) == ("escalated", ["pay"])


async def test_artifacts_that_json_cannot_hold_are_no_obstacle() -> None:
    @tool(effect="once")
    async def develop(image: Image) -> Paid:
        assert current().idempotency_key
        return Paid()

    made = agent(develop)
    result = await made.run(inputs={"image": b"\xff\xfe"})
    assert result.outcome == "succeeded"
    assert (await made.result(result.run_id)).outcome == "succeeded"


async def test_an_agent_that_changes_something_is_not_called_twice() -> None:
    charged: list[str] = []

    @tool(effect="idempotent")
    async def charge(order: Order) -> Paid:
        charged.append(current().idempotency_key)
        await anyio.sleep(0.5)
        return Paid()

    outer = agent(agent(charge).as_tool(timeout_s=0.1))
    result = await outer.run(inputs={"order": "1"})
    assert len(charged) == 1
    assert result.outcome == "escalated"


async def test_an_inner_agent_keeps_to_what_was_reserved_for_it() -> None:
    @tool(effect="read", usd=0.01)
    async def cheap(order: Order) -> Paid:
        raise ToolError("gone", kind="permanent")

    @tool(effect="read", usd=0.03)
    async def dear(order: Order) -> Paid:
        return Paid()

    result = await agent(agent(cheap, dear).as_tool(), budget=Budget(usd=0.011)).run(inputs={"order": "1"})
    assert result.outcome == "escalated"
    assert result.cost_usd <= 0.011


async def test_what_a_verifier_finds_has_to_satisfy_the_tool() -> None:
    def find(order: Order) -> Paid | None:
        return Paid(by="")

    @tool(effect="once", verify=find, ensure=lambda paid: bool(paid.by))
    async def pay(order: Order) -> Paid:
        raise TimeoutError

    result = await agent(pay).run(inputs={"order": "1"})
    assert (result.outcome, result.left_behind) == ("escalated", ["pay"])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("remedy", ["verify", "compensate"])
def test_an_effect_is_looked_into_or_undone_once_whoever_wakes_the_run_meanwhile(remedy: str, seed: int) -> None:
    async def main() -> list[str]:
        remedies = {remedy: "remedy"}
        pay = fake_tool("pay", ["start"], ["paid"], effect="once", seconds=0.1, **remedies)  # pyright: ignore[reportArgumentType]
        undo = fake_tool("remedy", ["start"], effect="idempotent", seconds=0.1)
        made = fake_verifier(pay, seconds=0.1) if remedy == "verify" else undo
        others = [
            fake_tool("spare", ["start"], ["paid"], usd=1.0, seconds=0.5),
            fake_tool("look", ["start"], ["seen"], seconds=0.2),  # comes back as the remedy does
        ]
        fault = Fault(type="malformed", target="pay")
        return (await bench([pay, made, *others], {"all": ["paid", "seen"]}, faults=[fault]).run()).called()

    assert run_virtual(main, seed=seed).count("remedy") == 1


async def test_two_values_for_one_artifact_are_refused() -> None:
    @tool(effect="read")
    async def look(cart: Cart) -> Paid:
        return Paid()

    with pytest.raises(InputError, match="two values for 'Cart'"):
        await agent(look).run(Cart(), Cart())


def test_conditions_that_would_have_to_be_awaited_are_refused() -> None:
    async def later(paid: Paid) -> bool:
        return False

    with pytest.raises(DefinitionError, match="plain function"):

        @tool(ensure=later)  # pyright: ignore[reportArgumentType]
        async def pay(order: Order) -> Paid:
            return Paid()


def test_a_second_attempt_of_an_unsure_effect_is_the_same_request() -> None:
    """What may be given to a tool and comes between its attempts is left out: other inputs would be another effect."""
    world = World()
    pay = fake_tool("pay", ["start"], ["receipt"], effect="idempotent", optional=["note"], world=world)
    write = fake_tool("write", ["start"], ["note"], seconds=0.2, world=world)
    done = experiment(
        [pay, write],
        {"all": ["receipt", "note"]},
        faults=[Fault(type="ack_lost", target="pay", attempts=(1, 1))],
        health=Health(backoff_s=1.0),
        world=world,
    )
    assert done.result.outcome == "succeeded"
    assert len(done.calls("pay")) == 2
    assert len(world.standing("run")) == 1
