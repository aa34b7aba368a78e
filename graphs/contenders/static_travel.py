"""Travel as a static workflow: price everything, hold it against the budget, book, confirm.

Each price, each booking and the confirmation has one fallback. Nothing is booked before the whole trip is priced and
within the budget; what cannot be completed is cancelled, and a person takes over.
"""

from collections.abc import Mapping
from typing import Any, Final, NotRequired

from pydantic import BaseModel

from agentroute.testing.scenario.testbed import Contender
from graphs.contenders.answers import Cancelled
from graphs.contenders.call import CallError
from graphs.contenders.client import Client
from graphs.contenders.insist import insist, make_once
from graphs.contenders.library import END, START, ask, new_graph
from graphs.contenders.workflow import Node, State, StaticWorkflow, add_once, add_step, hand_over
from graphs.travel.agent import (
    Car,
    CarOffer,
    Flight,
    FlightOffer,
    Hotel,
    HotelOffer,
    Leg,
    Trip,
    car_wish,
    flight_wish,
    hotel_wish,
)

SIDES: Final = ("a", "b")

LEGS: Final[tuple[Leg, ...]] = ("flight", "hotel", "car")
"""In the order in which each needs the one before."""

OFFERS: Final[Mapping[Leg, type[FlightOffer | HotelOffer | CarOffer]]] = {
    "flight": FlightOffer,
    "hotel": HotelOffer,
    "car": CarOffer,
}

BOOKINGS: Final[Mapping[Leg, type[Flight | Hotel | Car]]] = {"flight": Flight, "hotel": Hotel, "car": Car}


class TravelState(State):
    """What is known of a trip: what could be booked, and what is."""

    trip: Trip
    flight_offer: FlightOffer
    hotel_offer: HotelOffer
    car_offer: CarOffer
    flight: NotRequired[Flight]
    hotel: NotRequired[Hotel]
    car: NotRequired[Car]


class Sent(BaseModel):
    """A confirmation that went out."""

    id: int
    recipient: str
    text: str


def make(urls: Mapping[str, str], model_url: str) -> Contender:  # noqa: ARG001  # every contender's
    """Make the contender; it asks no model."""
    return StaticWorkflow(urls, begin, draw)


def begin(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Start from what the traveller asks for."""
    return {"trip": Trip.model_validate(inputs["Trip"])}


def draw(client: Client, goal: str) -> Any:
    """Draw the workflow."""
    graph = new_graph(TravelState)
    for leg, then in zip(LEGS, ("price_hotel", "price_car", "check_budget"), strict=True):
        ways = {f"{leg}_{side}": price(client, leg, side) for side in SIDES}
        add_step(graph, f"price_{leg}", ways, then=then, otherwise="hand_over")
    graph.add_node("check_budget", check_budget)
    for leg, then in zip(LEGS, ("book_hotel", "book_car", "confirm"), strict=True):
        ways = {f"{leg}_{side}": book(client, leg, side) for side in SIDES}
        add_once(graph, f"book_{leg}", ways, then=then, otherwise="cancel", in_doubt="cancel")
    graph.add_node("cancel", cancel(client))
    ways = {channel: confirm(client, channel, goal) for channel in ("mail", "sms")}
    add_step(graph, "confirm", ways, then=END, otherwise="hand_over")
    graph.add_node("hand_over", hand_over)
    graph.add_edge(START, "price_flight")
    graph.add_edge("check_budget", "book_flight")
    graph.add_edge("cancel", "hand_over")
    return graph


def wish(leg: Leg, state: TravelState) -> dict[str, str]:
    """What to ask a provider for: what fits what is booked, or while nothing is, what fits what is offered."""
    trip = state["trip"]
    if leg == "flight":
        return flight_wish(trip)
    flight = state.get("flight") or state["flight_offer"]
    if leg == "hotel":
        return hotel_wish(trip, flight)
    return car_wish(trip, flight, state.get("hotel") or state["hotel_offer"])


def price(client: Client, leg: Leg, side: str) -> Node:
    """Make the node that asks one provider for an offer."""

    async def node(state: TravelState) -> dict[str, Any]:
        offer = await client.get(f"{leg}-{side}", f"/offers/{leg}s", OFFERS[leg], wish(leg, state))
        return {f"{leg}_offer": offer}

    return node


def quotes(state: TravelState) -> dict[Leg, int]:
    """What each part was offered for, in cents."""
    return {
        "flight": state["flight_offer"].price_cents,
        "hotel": state["hotel_offer"].price_cents,
        "car": state["car_offer"].price_cents,
    }


def check_budget(state: TravelState) -> dict[str, Any]:
    """Node that goes on with what fits the budget, and waits for a person's word on what does not."""
    total, budget = sum(quotes(state).values()), state["trip"].budget_cents
    if total <= budget:
        return {}
    allowed = ask({"question": "This is above the budget. What may it cost?", "cents": total})
    return {"trip": state["trip"].model_copy(update={"budget_cents": allowed})}


def limit(leg: Leg, state: TravelState) -> int:
    """What a part may cost, in cents: what the others leave of the budget, booked ones at their price."""
    booked = {leg: booking.price_cents for leg, booking in bookings(state).items()}
    others = {**quotes(state), **booked, leg: 0}
    return state["trip"].budget_cents - sum(others.values())


def bookings(state: TravelState) -> dict[Leg, Flight | Hotel | Car]:
    """What is booked, in order."""
    found: dict[Leg, Flight | Hotel | Car | None] = {
        "flight": state.get("flight"),
        "hotel": state.get("hotel"),
        "car": state.get("car"),
    }
    return {leg: booking for leg, booking in found.items() if booking is not None}


def book(client: Client, leg: Leg, side: str) -> Node:
    """Make the node that books with one provider."""

    async def node(state: TravelState) -> dict[str, Any]:
        body = {"traveller": state["trip"].traveller, "limit_cents": limit(leg, state), **wish(leg, state)}
        return {leg: await make_once(client, f"{leg}-{side}", f"{leg}s", BOOKINGS[leg], **body)}

    return node


def cancel(client: Client) -> Node:
    """Make the node that takes back what is booked, the last first: a part of a trip is of no use to anybody."""

    async def node(state: TravelState) -> dict[str, Any]:
        problem = state.get("problem", "")
        for leg, booking in reversed(bookings(state).items()):
            path = f"/{leg}s/{booking.id}/cancel"
            try:
                await insist(lambda at=booking.provider, path=path: client.post(at, path, Cancelled))
            except CallError as error:
                problem += f"; still booked: {leg} {booking.provider} #{booking.id} ({error})"
        return {"problem": problem}

    return node


def confirm(client: Client, channel: str, goal: str) -> Node:
    """Make the node that tells the traveller what is booked, by one channel."""

    async def node(state: TravelState) -> dict[str, Any]:
        trip = state["trip"]
        recipient = trip.email if channel == "mail" else trip.phone
        parts = ", ".join(f"{leg} {booking.provider} #{booking.id}" for leg, booking in bookings(state).items())
        await client.post(channel, "/confirmations", Sent, recipient=recipient, text=f"Booked: {parts}")
        return {"reached": goal}

    return node
