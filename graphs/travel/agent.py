"""Travel: a flight, a hotel for its dates, a car from that hotel, and a confirmation of what was booked.

The ladder: the full trip, else flight and hotel, else the flight alone, each confirmed.

Nothing is booked before everything that will be booked is priced: offers are reads, and a package is put together only
if it fits the traveller's budget. What an outage makes impossible is left out, down the ladder; what the budget makes
impossible is the traveller's decision, so a trip whose price is known and too high is handed over with nothing booked.
Each booking carries its share of the budget, and a provider that wants more refuses: neither a price that rises in
between nor a dearer second provider can overspend.

Bookings are ``once`` although each provider honours Idempotency-Key: the key is known to one provider only, so a second
try *elsewhere* would book twice. Confirmations are ``idempotent``: to hear the same news twice harms nobody.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, Field

from agentroute import Agent, Artifact, Budget, FunctionTool, Goal, Health, tool
from graphs.providers.client import Client

TIMEOUT_S: Final = 2.0

Leg = Literal["flight", "hotel", "car"]


class Trip(BaseModel):
    """What the traveller asks for."""

    traveller: str
    email: str
    phone: str
    origin: str
    city: str
    leaves: date
    returns: date
    budget_cents: int = Field(gt=0)


class FlightOffer(BaseModel):
    """A flight that could be booked."""

    number: str
    lands: date
    returns: date
    price_cents: int


class HotelOffer(BaseModel):
    """A room that could be booked."""

    name: str
    check_in: date
    check_out: date
    price_cents: int


class CarOffer(BaseModel):
    """A car that could be booked."""

    pick_up: date
    drop_off: date
    deliver_to: str
    price_cents: int


class Flight(FlightOffer):
    """A booked flight."""

    id: int
    provider: str


class Hotel(HotelOffer):
    """A booked room."""

    id: int
    provider: str


class Car(CarOffer):
    """A booked car."""

    id: int
    provider: str


class Package(BaseModel):
    """Offers that fit the budget together."""

    price_cents: int
    budget_cents: int

    def limit(self, offer: FlightOffer | HotelOffer | CarOffer) -> int:
        """What this part may cost, in cents: its share of the budget."""
        return offer.price_cents * self.budget_cents // self.price_cents


TripConfirmation = Annotated[int, Artifact("trip_confirmation")]
StayConfirmation = Annotated[int, Artifact("stay_confirmation")]
FlightConfirmation = Annotated[int, Artifact("flight_confirmation")]

GOALS = (
    Goal("full-trip", requires=[TripConfirmation]),
    Goal("flight-and-hotel", requires=[StayConfirmation], utility=0.6),
    Goal("flight-only", requires=[FlightConfirmation], utility=0.3),
)

Booked = TypeVar("Booked", Flight, Hotel, Car)


def fits(trip: Trip, flight: FlightOffer, hotel: HotelOffer, car: CarOffer) -> bool:
    """Guard: the whole trip is within the budget. It says nothing where a price is not to be had."""
    return flight.price_cents + hotel.price_cents + car.price_cents <= trip.budget_cents


def stay_fits(trip: Trip, flight: FlightOffer, hotel: HotelOffer) -> bool:
    """Guard: flight and hotel are within the budget."""
    return flight.price_cents + hotel.price_cents <= trip.budget_cents


def flight_fits(trip: Trip, flight: FlightOffer) -> bool:
    """Guard: the flight is within the budget."""
    return flight.price_cents <= trip.budget_cents


def packages() -> list[FunctionTool]:
    """Tools that see what fits. Those that leave something out cost a little, so that they are the second choice."""

    @tool(effect="read", when=fits)
    def package_trip(trip: Trip, flight: FlightOffer, hotel: HotelOffer, car: CarOffer) -> Package:
        """Plan with flight, hotel and car."""
        price = flight.price_cents + hotel.price_cents + car.price_cents
        return Package(price_cents=price, budget_cents=trip.budget_cents)

    @tool(usd=0.001, effect="read", when=stay_fits)
    def package_stay(trip: Trip, flight: FlightOffer, hotel: HotelOffer) -> Package:
        """Plan with flight and hotel."""
        return Package(price_cents=flight.price_cents + hotel.price_cents, budget_cents=trip.budget_cents)

    @tool(usd=0.002, effect="read", when=flight_fits)
    def package_flight(trip: Trip, flight: FlightOffer) -> Package:
        """Plan with the flight alone."""
        return Package(price_cents=flight.price_cents, budget_cents=trip.budget_cents)

    return [package_trip, package_stay, package_flight]


def offers(client: Client, side: str, *, usd: float, latency_s: float) -> list[FunctionTool]:
    """Tools that ask one set of providers for prices."""

    def read(leg: Leg) -> dict[str, Any]:
        return {
            "name": f"price_{leg}_{side}",
            "usd": usd,
            "latency_s": latency_s,
            "risk": 0.01,
            "effect": "read",
            "timeout_s": TIMEOUT_S,
            "provider": f"{leg}-{side}",
        }

    @tool(**read("flight"))
    async def price_flight(trip: Trip) -> FlightOffer:
        """Ask for a flight."""
        wish = flight_wish(trip)
        return FlightOffer.model_validate(await client.get(f"flight-{side}", "/offers/flights", **wish))

    @tool(**read("hotel"))
    async def price_hotel(trip: Trip, flight: FlightOffer) -> HotelOffer:
        """Ask for a room from the day the flight lands."""
        wish = hotel_wish(trip, flight)
        return HotelOffer.model_validate(await client.get(f"hotel-{side}", "/offers/hotels", **wish))

    @tool(**read("car"))
    async def price_car(trip: Trip, flight: FlightOffer, hotel: HotelOffer) -> CarOffer:
        """Ask for a car for the stay, brought to the hotel."""
        wish = car_wish(trip, flight, hotel)
        return CarOffer.model_validate(await client.get(f"car-{side}", "/offers/cars", **wish))

    return [price_flight, price_hotel, price_car]


def bookings(client: Client, side: str, *, usd: float, latency_s: float) -> list[FunctionTool]:
    """Tools that book with one set of providers; `usd` is the fee of a booking."""

    def once(leg: Leg, kind: type[Booked]) -> dict[str, Any]:
        return {
            "name": f"book_{leg}_{side}",
            "usd": usd,
            "latency_s": latency_s,
            "risk": 0.02,
            "effect": "once",
            "timeout_s": TIMEOUT_S,
            "provider": f"{leg}-{side}",
            **remedies(client, leg, side, kind),
        }

    async def book(leg: Leg, trip: Trip, limit_cents: int, wish: Mapping[str, str]) -> dict[str, Any]:
        return await client.post(f"{leg}-{side}", f"/{leg}s", traveller=trip.traveller, limit_cents=limit_cents, **wish)

    @tool(**once("flight", Flight), when=fits)
    async def book_flight(trip: Trip, package: Package, offer: FlightOffer) -> Flight:
        """Book the flight."""
        return Flight.model_validate(await book("flight", trip, package.limit(offer), flight_wish(trip)))

    @tool(**once("hotel", Hotel))
    async def book_hotel(trip: Trip, package: Package, offer: HotelOffer, flight: Flight) -> Hotel:
        """Book a room from the day that the booked flight lands."""
        return Hotel.model_validate(await book("hotel", trip, package.limit(offer), hotel_wish(trip, flight)))

    @tool(**once("car", Car))
    async def book_car(trip: Trip, package: Package, offer: CarOffer, flight: Flight, hotel: Hotel) -> Car:
        """Book a car for the booked stay, brought to the booked hotel."""
        return Car.model_validate(await book("car", trip, package.limit(offer), car_wish(trip, flight, hotel)))

    return [book_flight, book_hotel, book_car]


def remedies(client: Client, leg: Leg, side: str, kind: type[Booked]) -> dict[str, Any]:
    """Tools that find a booking after a doubt, and cancel one."""

    async def find() -> Booked | None:
        found = await client.made(f"{leg}-{side}", f"{leg}s")
        return kind.model_validate(found) if found else None

    async def cancel(booked: Booked) -> None:
        await client.post(f"{leg}-{side}", f"/{leg}s/{booked.id}/cancel")

    find.__annotations__["return"] = kind | None
    cancel.__annotations__["booked"] = kind
    return {
        "verify": tool(name=f"find_{leg}_{side}", effect="read", timeout_s=TIMEOUT_S)(find),
        "compensate": tool(name=f"cancel_{leg}_{side}", effect="idempotent", timeout_s=TIMEOUT_S)(cancel),
    }


def flight_wish(trip: Trip) -> dict[str, str]:
    """What to ask a flight provider for."""
    leaves, returns = trip.leaves.isoformat(), trip.returns.isoformat()
    return {"origin": trip.origin, "city": trip.city, "leaves": leaves, "returns": returns}


def hotel_wish(trip: Trip, flight: FlightOffer) -> dict[str, str]:
    """What to ask a hotel for: the nights between landing and flying back."""
    return {"city": trip.city, "check_in": flight.lands.isoformat(), "check_out": flight.returns.isoformat()}


def car_wish(trip: Trip, flight: FlightOffer, hotel: HotelOffer) -> dict[str, str]:
    """What to ask a car rental for: the days of the stay, at the hotel's door."""
    return {
        "city": trip.city,
        "pick_up": hotel.check_in.isoformat(),
        "drop_off": flight.returns.isoformat(),
        "deliver_to": hotel.name,
    }


def confirmations(client: Client, provider: str, *, usd: float, latency_s: float) -> list[FunctionTool]:
    """Tools that confirm what was booked, by one channel."""
    contract: dict[str, Any] = {
        "usd": usd,
        "latency_s": latency_s,
        "risk": 0.01,
        "effect": "idempotent",
        "timeout_s": TIMEOUT_S,
        "provider": provider,
    }

    async def send(trip: Trip, *booked: Flight | Hotel | Car) -> int:
        recipient = trip.email if provider == "mail" else trip.phone
        text = "Booked: " + ", ".join(f"{type(b).__name__.lower()} {b.provider} #{b.id}" for b in booked)
        sent = await client.post(provider, "/confirmations", recipient=recipient, text=text)
        return sent["id"]

    @tool(name=f"confirm_trip_by_{provider}", **contract)
    async def confirm_trip(trip: Trip, flight: Flight, hotel: Hotel, car: Car) -> TripConfirmation:
        """Confirm flight, hotel and car."""
        return await send(trip, flight, hotel, car)

    @tool(name=f"confirm_stay_by_{provider}", **contract)
    async def confirm_stay(trip: Trip, flight: Flight, hotel: Hotel) -> StayConfirmation:
        """Confirm flight and hotel."""
        return await send(trip, flight, hotel)

    @tool(name=f"confirm_flight_by_{provider}", **contract)
    async def confirm_flight(trip: Trip, flight: Flight) -> FlightConfirmation:
        """Confirm the flight."""
        return await send(trip, flight)

    return [confirm_trip, confirm_stay, confirm_flight]


def build_agent(urls: Mapping[str, str] | None = None, **options: Any) -> Agent:
    """Make the agent.

    Args:
        urls: Addresses of the providers; by default those in ``$TRAVEL_PROVIDERS`` (JSON) when a tool is called.
        **options: Passed on to `Agent`.
    """
    client = Client("TRAVEL_PROVIDERS", urls)
    tools = [
        *offers(client, "a", usd=0.004, latency_s=0.3),
        *offers(client, "b", usd=0.006, latency_s=0.4),
        *packages(),
        *bookings(client, "a", usd=0.50, latency_s=0.8),
        *bookings(client, "b", usd=0.60, latency_s=0.9),
        *confirmations(client, "mail", usd=0.0004, latency_s=0.3),
        *confirmations(client, "sms", usd=0.0075, latency_s=0.2),
    ]
    settings: dict[str, Any] = {
        "budget": Budget(usd=10.0, deadline_s=60.0, llm_calls=1),
        "health": Health(patience_s=2.0),  # a lesser goal now is worth more than waiting for a dead provider
    }
    return Agent(name="travel", tools=tools, goals=GOALS, **{**settings, **options})


agent = build_agent()
