"""Travel: flights, hotels and cars with two providers each, and two ways to confirm.

Prices and dates are data. The flights differ in more than price: the one of flight-b lands a day later, so whoever
books a hotel for the dates of the wrong flight leaves a traveller in the street.
"""

import sqlite3
from datetime import date

from graphs.providers.domain import Domain, Endpoints, ledger
from graphs.providers.store import RefusedError, Request, Row, effect_table, insert, one

SCHEMA = (
    effect_table("flights", "traveller TEXT, number TEXT, lands TEXT, returns TEXT, price_cents INTEGER")
    + effect_table("hotels", "traveller TEXT, name TEXT, check_in TEXT, check_out TEXT, price_cents INTEGER")
    + effect_table("cars", "traveller TEXT, pick_up TEXT, drop_off TEXT, deliver_to TEXT, price_cents INTEGER")
    + effect_table("confirmations", "recipient TEXT, text TEXT", status="sent")
    + """
CREATE TABLE flight_offers (
  provider TEXT, origin TEXT, city TEXT, number TEXT, nights_in_the_air INTEGER, cents INTEGER
);
CREATE TABLE hotel_offers (provider TEXT, city TEXT, name TEXT, cents_per_night INTEGER);
CREATE TABLE car_offers (provider TEXT, city TEXT, cents_per_day INTEGER);
INSERT INTO flight_offers VALUES
  ('flight-a', 'Berlin', 'Lisbon', 'FA 310', 0, 24000),
  ('flight-b', 'Berlin', 'Lisbon', 'FB 77', 1, 26000);
INSERT INTO hotel_offers VALUES ('hotel-a', 'Lisbon', 'Alfama House', 9000), ('hotel-b', 'Lisbon', 'Bairro Inn', 9500);
INSERT INTO car_offers VALUES ('car-a', 'Lisbon', 3000), ('car-b', 'Lisbon', 3300);
"""
)


def flight(db: sqlite3.Connection, request: Request) -> Row:
    """Offer a flight: where it goes, when it lands and returns, what it costs."""
    offer = one(db, "flight_offers", provider=request.provider, origin=request["origin"], city=request["city"])
    lands = date.fromordinal(_day(request, "leaves").toordinal() + offer["nights_in_the_air"])
    return {
        "number": offer["number"],
        "lands": lands.isoformat(),
        "returns": _day(request, "returns").isoformat(),
        "price_cents": offer["cents"],
    }


def hotel(db: sqlite3.Connection, request: Request) -> Row:
    """Offer a room for the nights between two days."""
    offer = one(db, "hotel_offers", provider=request.provider, city=request["city"])
    nights = _days(request, "check_in", "check_out")
    return {
        "name": offer["name"],
        "check_in": request["check_in"],
        "check_out": request["check_out"],
        "price_cents": nights * offer["cents_per_night"],
    }


def car(db: sqlite3.Connection, request: Request) -> Row:
    """Offer a car that is brought to an address."""
    offer = one(db, "car_offers", provider=request.provider, city=request["city"])
    return {
        "pick_up": request["pick_up"],
        "drop_off": request["drop_off"],
        "deliver_to": request["deliver_to"],
        "price_cents": _days(request, "pick_up", "drop_off") * offer["cents_per_day"],
    }


def confirm(db: sqlite3.Connection, request: Request) -> Row:
    """Deliver a confirmation."""
    return insert(db, "confirmations", request, recipient=request["recipient"], text=request["text"])


def _day(request: Request, name: str) -> date:
    try:
        return date.fromisoformat(request[name])
    except ValueError:
        raise RefusedError(422, f"{name} is no date") from None


def _days(request: Request, start: str, end: str) -> int:
    days = (_day(request, end) - _day(request, start)).days
    if days < 1:
        raise RefusedError(422, f"{end} must be after {start}")
    return days


def _sells(table: str) -> Endpoints:
    """Endpoints of a provider: an offer (nothing happens), a booking up to a price, finding and cancelling it."""
    offer = {"flights": flight, "hotels": hotel, "cars": car}[table]

    def book(db: sqlite3.Connection, request: Request) -> Row:
        made = offer(db, request)
        if made["price_cents"] > request["limit_cents"]:
            raise RefusedError(409, f"the price is {made['price_cents']} cents, above your limit")
        return insert(db, table, request, traveller=request["traveller"], **made)

    return {f"GET /offers/{table}": offer, **ledger(table, book, undo_by="cancel", undone="cancelled")}


DOMAIN = Domain(
    SCHEMA,
    {
        "flight-a": _sells("flights"),
        "flight-b": _sells("flights"),
        "hotel-a": _sells("hotels"),
        "hotel-b": _sells("hotels"),
        "car-a": _sells("cars"),
        "car-b": _sells("cars"),
        "mail": {"POST /confirmations": confirm},
        "sms": {"POST /confirmations": confirm},
    },
    effects=("flights", "hotels", "cars", "confirmations"),
)
