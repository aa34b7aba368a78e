"""Functions as tools: what a signature says, what is refused, and how calls are made."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import threading
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from agentroute import Agent, Artifact, AtLeast, Goal, RunResult, ToolError, current, tool
from agentroute.adapters.functions import FunctionTool
from agentroute.errors import AgentrouteError, DefinitionError
from agentroute.graph.tool import KOfN, ToolSpec


class Trip(BaseModel):
    city: str


class Flights(BaseModel):
    codes: list[str]


class Booking(BaseModel):
    code: str


City = Annotated[str, Artifact("city")]
Price = Annotated[float, Artifact("price")]
Note = Annotated[str, Artifact("note")]


def run(tools: list[Any], goal: Any, *values: Any, **inputs: Any) -> RunResult:
    agent = Agent(name="a", tools=tools, goals=[Goal("g", requires=[goal])])
    return agent.run_sync(*values, inputs=inputs)


# -------------------------------------------------------------------- contracts


def test_parameters_are_needs_and_the_return_type_is_what_is_made() -> None:
    @tool(usd=0.01, latency_s=0.5, risk=0.1, effect="read", timeout_s=5, provider="p")
    async def search(trip: Trip, city: City) -> Flights:
        return Flights(codes=[trip.city, city])

    assert search.spec.requires == ("Trip", "city")
    assert search.spec.produces == ("Flights",)
    assert (search.spec.cost.usd, search.spec.cost.worst, search.spec.cost.latency_s) == (0.01, 10_000_000, 0.5)
    assert (search.spec.name, search.spec.effect, search.spec.timeout_s) == ("search", "read", 5)
    assert search.spec.provider == "p"


def test_nothing_is_assumed_to_be_repeatable() -> None:
    @tool
    async def pay(trip: Trip) -> Booking:
        return Booking(code="")

    assert pay.spec.effect == "once"


def test_a_tuple_is_several_artifacts_and_a_name_can_be_given() -> None:
    @tool(name="look-up")
    def look(trip: Trip) -> tuple[Flights, Price]:
        return Flights(codes=[]), 1.0

    assert (look.spec.name, look.spec.produces) == ("look-up", ("Flights", "price"))


def test_parameters_with_defaults_are_optional_artifacts_or_settings() -> None:
    @tool
    async def search(
        trip: Trip, note: Note = "", booking: Booking | None = None, limit: int = 3, mode: str = "x"
    ) -> Flights:
        return Flights(codes=[])

    assert search.spec.requires == ("Trip",)
    assert search.spec.optional == ("note", "Booking")


def test_a_join_is_a_parameter() -> None:
    @tool
    async def judge(signals: Annotated[dict[str, Any], AtLeast(2, of=[Flights, Booking, City])]) -> Note:
        return ", ".join(sorted(signals))

    assert judge.spec.requires == (KOfN(2, ("Flights", "Booking", "city")),)  # pyright: ignore[reportArgumentType]
    result = run([judge], Note, Flights(codes=[]), city="Oslo")
    assert result["note"] == "Flights, city"


def test_a_join_can_be_received_as_a_list_in_the_order_of_the_declaration() -> None:
    @tool
    async def judge(signals: Annotated[list[Any], AtLeast(1, of=[City, Note])]) -> Price:
        return float(len(signals))

    assert run([judge], Price, city="Oslo", note="x")["price"] == 2.0


def test_annotations_given_as_strings_are_resolved_where_the_function_was_defined() -> None:
    class Local(BaseModel):
        value: int

    @tool
    async def make(trip: "Trip") -> "Local":
        return Local(value=len(trip.city))

    assert make.spec.produces == ("Local",)
    assert run([make], Local, Trip(city="Oslo"))[Local] == Local(value=4)


@pytest.mark.parametrize(
    ("define", "why"),
    [
        (lambda: tool(lambda x: x), "needs a type annotation"),
        (lambda: tool(_takes_str), "too common"),
        (lambda: tool(_returns_union), "union"),
        (lambda: tool(_varargs), "plain named parameters"),
        (lambda: tool(name=" x")(_fine), "a name is"),
        (lambda: tool(usd=-1.0)(_fine), "usd must be"),
        (lambda: tool(usd=float("nan"))(_fine), "usd must be"),
        (lambda: tool(usd=2.0, usd_max=1.0)(_fine), "usd_max"),
        (lambda: tool(risk=1.5)(_fine), "risk must be"),
        (lambda: tool(timeout_s=0.0)(_fine), "timeout_s must be above 0"),
        (lambda: tool(effect="often")(_fine), "effect must be one of"),  # pyright: ignore[reportArgumentType]
        (lambda: tool(effect="read", compensate="undo")(_fine), "nothing to compensate"),
        (lambda: tool(_twice), "twice"),
        (lambda: AtLeast(3, of=[City, Note]), "1 <= k <= 2"),
    ],
    ids=[f"case-{number}" for number in range(14)],
)
def test_what_cannot_work_is_refused_with_a_reason(define: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        define()


def _fine(trip: Trip) -> Flights:
    return Flights(codes=[trip.city])


def _takes_str(x: str) -> Flights:
    return Flights(codes=[x])


def _returns_union(trip: Trip) -> Flights | Booking:
    return Flights(codes=[trip.city])


def _varargs(*trips: Trip) -> Flights:
    return Flights(codes=[trip.city for trip in trips])


def _twice(trip: Trip) -> tuple[Flights, Flights]:
    return Flights(codes=[trip.city]), Flights(codes=[])


def test_the_message_names_the_tool() -> None:
    with pytest.raises(DefinitionError, match="_takes_str"):
        tool(_takes_str)


# -------------------------------------------------------------------- calls


def test_a_decorated_function_can_still_be_called() -> None:
    decorated = tool(_fine)
    assert decorated(Trip(city="Oslo")) == Flights(codes=["Oslo"])
    assert repr(decorated) == "<tool _fine: Trip -> Flights>"


def test_plain_functions_run_in_a_thread_and_async_ones_on_the_loop() -> None:
    threads: dict[str, int] = {}

    @tool
    def plain(trip: Trip) -> Flights:
        threads["plain"] = threading.get_ident()
        return Flights(codes=[])

    @tool
    async def direct(flights: Flights) -> Booking:
        threads["direct"] = threading.get_ident()
        return Booking(code="1")

    run([plain, direct], Booking, Trip(city="Oslo"))
    assert threads["direct"] == threading.get_ident() != threads["plain"]


def test_a_plain_function_knows_the_attempt_it_serves() -> None:
    @tool(usd=1.0)
    def plain(trip: Trip) -> Note:
        current().charge(usd=0.25)
        return f"{current().step} {current().attempt} {len(current().idempotency_key)}"

    result = run([plain], Note, Trip(city="Oslo"))
    assert result["note"] == "plain 1 32"
    assert result.cost_usd == 0.25


def test_outside_a_tool_there_is_no_attempt() -> None:
    with pytest.raises(AgentrouteError, match="inside a tool"):
        current()


def test_an_answer_is_validated_and_may_be_converted() -> None:
    @tool
    async def priced(trip: Trip) -> Price:
        return "1.5"  # pyright: ignore[reportReturnType]

    assert run([priced], Price, Trip(city="Oslo"))["price"] == 1.5


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("many", "price: Input should be a valid number"),
        (None, "price: Input should be a valid number"),
        ((1.0, 2.0), "price: Input should be a valid number"),
    ],
    ids=repr,
)
def test_an_answer_of_another_type_is_a_failure_that_shows_no_value(answer: Any, why: str) -> None:
    @tool(effect="read")
    async def priced(trip: Trip) -> Price:
        return answer

    result = run([priced], Price, Trip(city="Oslo"))
    assert (result.outcome, result.attempts) == ("escalated", 1)
    assert why in result.reason
    assert "many" not in result.reason


@pytest.mark.parametrize(
    "answer",
    [1.0, (Flights(codes=[]),), (Flights(codes=[]), 1.0, 2.0), [Flights(codes=[]), 1.0]],
    ids=["bare", "one", "three", "list"],
)
def test_a_tuple_of_another_length_breaks_the_contract(answer: Any) -> None:
    @tool(effect="read")
    async def both(trip: Trip) -> tuple[Flights, Price]:
        return answer

    result = run([both], Price, Trip(city="Oslo"))
    assert result.outcome == "escalated"
    assert "price" not in result.artifacts


@pytest.mark.parametrize(
    "broken", [lambda b: b.code != "", lambda b: b.nothing, lambda _: False], ids=["false", "raises", "no"]
)
def test_a_postcondition_that_does_not_hold_is_a_failure(broken: Any) -> None:
    @tool(effect="read", ensure=broken)
    async def book(trip: Trip) -> Booking:
        return Booking(code="")

    @tool(effect="read", usd=1.0)
    async def other(trip: Trip) -> Booking:
        return Booking(code="X")

    assert run([book, other], Booking, Trip(city="Oslo"))[Booking] == Booking(code="X")


def test_a_postcondition_on_several_outputs_gets_all_of_them() -> None:
    @tool(effect="read", ensure=lambda both: both[1] > 0)
    async def both(trip: Trip) -> tuple[Flights, Price]:
        return Flights(codes=[]), 1.0

    assert run([both], Price, Trip(city="Oslo")).outcome == "succeeded"


def test_guards_are_matched_by_parameter_name_or_type() -> None:
    @tool(effect="read", when=lambda trip: trip.city == "Oslo")
    async def oslo(trip: Trip) -> Note:
        return "north"

    @tool(effect="read", usd=1.0)
    async def other(trip: Trip) -> Note:
        return "south"

    assert run([oslo, other], Note, Trip(city="Oslo"))["note"] == "north"
    assert run([oslo, other], Note, Trip(city="Rome"))["note"] == "south"


def test_a_guard_may_read_other_artifacts_than_its_tool() -> None:
    def affordable(price: Price) -> bool:
        return price < 10

    @tool(effect="read", when=affordable)
    async def book(trip: Trip) -> Booking:
        return Booking(code="X")

    assert run([book], Booking, Trip(city="Oslo"), price=5.0).outcome == "succeeded"
    assert run([book], Booking, Trip(city="Oslo"), price=50.0).outcome == "escalated"


def test_a_guard_over_something_unknown_is_refused() -> None:
    with pytest.raises(DefinitionError, match="weather"):

        @tool(when=lambda weather: weather)
        async def book(trip: Trip, city: City) -> Booking:
            return Booking(code="X")


# -------------------------------------------------------------------- remedies


def test_verify_and_compensate_can_be_functions_without_annotations() -> None:
    booked: dict[str, Booking] = {}
    cancelled: list[str] = []

    @tool(
        effect="once",
        verify=lambda trip: booked.get(trip.city),
        compensate=lambda booking: cancelled.append(booking.code),
    )
    async def book(trip: Trip) -> Booking:
        booked[trip.city] = Booking(code="K7")
        raise ConnectionResetError

    @tool(effect="read")
    async def confirm(booking: Booking) -> Note:
        raise ToolError(kind="permanent")

    assert (book.spec.verify, book.spec.compensate) == ("book.verify", "book.compensate")
    result = run([book, confirm], Note, Trip(city="Oslo"))
    assert (result.outcome, cancelled, result.route) == ("escalated", ["K7"], ["book"])


def test_remedies_can_be_tools_by_name_and_stand_on_no_route() -> None:
    @tool(effect="read")
    async def find(trip: Trip) -> Booking | None:
        return None

    @tool(effect="idempotent")
    async def cancel(booking: Booking) -> None: ...

    @tool(effect="once", verify="find", compensate="cancel")
    async def book(trip: Trip) -> Booking:
        return Booking(code="1")

    agent = Agent(name="a", tools=[find, cancel, book], goals=[Goal("g", requires=[Booking])])
    assert agent.plan().tools == ["book"]
    with pytest.raises(DefinitionError, match="which is no tool"):
        Agent(name="a", tools=[book], goals=[Goal("g", requires=[Booking])])


def test_a_verifier_must_answer_for_everything_its_tool_makes() -> None:
    @tool(effect="read")
    async def find(trip: Trip) -> Booking | None:
        return None

    @tool(effect="once", verify="find")
    async def book(trip: Trip) -> tuple[Booking, Price]:
        return Booking(code="1"), 1.0

    with pytest.raises(DefinitionError, match="price"):
        Agent(name="a", tools=[find, book], goals=[Goal("g", requires=[Booking])])


def test_a_tool_that_waits_gives_way_to_the_others() -> None:
    @tool(effect="read")
    def slow(trip: Trip) -> Flights:
        return Flights(codes=[])

    @tool(effect="read")
    async def quick(trip: Trip) -> Note:
        await anyio.lowlevel.checkpoint()
        return "x"

    result = Agent(name="a", tools=[slow, quick], goals=[Goal("g", requires=[Flights, Note])]).run_sync(Trip(city="O"))
    assert sorted(result.route) == ["quick", "slow"]


def test_specs_are_data() -> None:
    spec = tool(_fine).spec
    assert isinstance(spec, ToolSpec)
    assert isinstance(tool(_fine), FunctionTool)
    with pytest.raises(AttributeError):
        spec.name = "other"  # pyright: ignore[reportAttributeAccessIssue]
