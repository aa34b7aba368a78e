"""Travel for the ReAct loop: what the model is told, and its tools."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel

from agentroute.testing.scenario.testbed import Contender
from graphs.contenders.answers import Cancelled
from graphs.contenders.client import Client
from graphs.contenders.react import Job, React
from graphs.travel.agent import GOALS, Car, CarOffer, Flight, FlightOffer, Hotel, HotelOffer

PROMPT: Final = """
You are a travel agent. You are given a trip to be booked: a flight, a hotel from the day it lands to the day of the
flight back, a car for the same days, brought to the hotel, and a confirmation to the traveller of what is booked.

Goals, the best first: full-trip: all of it, confirmed. flight-and-hotel: no car is to be had; the rest, confirmed.
flight-only: no hotel is to be had; the flight, confirmed.

Providers whose names end in -a are preferred to those in -b, mail is preferred to SMS. Offers cost nothing: know the
price of everything that can be had before you book anything. If together it is above the traveller's budget, book
nothing and hand over: what to leave out is the traveller's decision. Book the flight first, then the hotel, then the
car, each for the dates of what is really booked, and set each limit so that the whole stays within the budget. Bookings
must not happen twice.
"""

FlightProvider: TypeAlias = Literal["flight-a", "flight-b"]
HotelProvider: TypeAlias = Literal["hotel-a", "hotel-b"]
CarProvider: TypeAlias = Literal["car-a", "car-b"]
Channel: TypeAlias = Literal["mail", "sms"]

KINDS: Final[Mapping[str, type[BaseModel]]] = {"flight": Flight, "hotel": Hotel, "car": Car}


class Confirmation(BaseModel):
    """A message to the traveller."""

    id: int
    recipient: str
    text: str
    status: str


def make(urls: Mapping[str, str], model_url: str) -> Contender:
    """Make the contender."""
    return React(urls, model_url, Job(PROMPT, tools, [goal.spec.name for goal in GOALS]))


def tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools."""
    return [*flight_tools(client), *hotel_tools(client), *car_tools(client), *common_tools(client)]


def flight_tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools that price and book a flight. Dates are ISO dates."""

    async def price_flight(provider: FlightProvider, origin: str, city: str, leaves: str, returns: str) -> str:
        """Ask what a flight costs and when it lands."""
        wish = {"origin": origin, "city": city, "leaves": leaves, "returns": returns}
        return (await client.get(provider, "/offers/flights", FlightOffer, wish)).model_dump_json()

    async def book_flight(
        provider: FlightProvider, *, traveller: str, limit_cents: int, origin: str, city: str, leaves: str, returns: str
    ) -> str:
        """Book a flight, if it costs no more than the limit. Must not happen twice."""
        wish = {"origin": origin, "city": city, "leaves": leaves, "returns": returns}
        booked = await client.post(provider, "/flights", Flight, traveller=traveller, limit_cents=limit_cents, **wish)
        return booked.model_dump_json()

    return [price_flight, book_flight]


def hotel_tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools that price and book a room."""

    async def price_hotel(provider: HotelProvider, city: str, check_in: str, check_out: str) -> str:
        """Ask what a room costs."""
        wish = {"city": city, "check_in": check_in, "check_out": check_out}
        return (await client.get(provider, "/offers/hotels", HotelOffer, wish)).model_dump_json()

    async def book_hotel(
        provider: HotelProvider, *, traveller: str, limit_cents: int, city: str, check_in: str, check_out: str
    ) -> str:
        """Book a room, if it costs no more than the limit. Must not happen twice."""
        wish = {"city": city, "check_in": check_in, "check_out": check_out}
        booked = await client.post(provider, "/hotels", Hotel, traveller=traveller, limit_cents=limit_cents, **wish)
        return booked.model_dump_json()

    return [price_hotel, book_hotel]


def car_tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools that price and book a car."""

    async def price_car(provider: CarProvider, city: str, pick_up: str, drop_off: str, deliver_to: str) -> str:
        """Ask what a car costs that is brought to a hotel."""
        wish = {"city": city, "pick_up": pick_up, "drop_off": drop_off, "deliver_to": deliver_to}
        return (await client.get(provider, "/offers/cars", CarOffer, wish)).model_dump_json()

    async def book_car(
        provider: CarProvider,
        *,
        traveller: str,
        limit_cents: int,
        city: str,
        pick_up: str,
        drop_off: str,
        deliver_to: str,
    ) -> str:
        """Book a car that is brought to a hotel, if it costs no more than the limit. Must not happen twice."""
        wish = {"city": city, "pick_up": pick_up, "drop_off": drop_off, "deliver_to": deliver_to}
        booked = await client.post(provider, "/cars", Car, traveller=traveller, limit_cents=limit_cents, **wish)
        return booked.model_dump_json()

    return [price_car, book_car]


def common_tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools for what is booked, whatever it is."""

    async def find_booking(provider: FlightProvider | HotelProvider | CarProvider) -> str:
        """Look up the booking that you made with a provider; null if you made none there."""
        leg = provider.partition("-")[0]
        found = await client.made(provider, f"{leg}s", KINDS[leg])
        return found.model_dump_json() if found else "null"

    async def cancel_booking(provider: FlightProvider | HotelProvider | CarProvider, booking_id: int) -> str:
        """Cancel a booking."""
        leg = provider.partition("-")[0]
        return (await client.post(provider, f"/{leg}s/{booking_id}/cancel", Cancelled)).model_dump_json()

    async def confirm(channel: Channel, recipient: str, text: str) -> str:
        """Tell the traveller what is booked; `recipient` is the address or number of that channel."""
        body = {"recipient": recipient, "text": text}
        return (await client.post(channel, "/confirmations", Confirmation, **body)).model_dump_json()

    return [find_booking, cancel_booking, confirm]
