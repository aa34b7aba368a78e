"""How the scripted model books a trip."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from graphs.contenders.thought import Call, DoubtError, Finish, Plan, Result, Step, first, once

GOALS: Final = {1: "flight-only", 2: "flight-and-hotel", 3: "full-trip"}
"""By how many parts are booked."""

FULL: Final = GOALS[3]

LEGS: Final = ("flight", "hotel", "car")

Parts: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Offers or bookings by leg."""

Gathering: TypeAlias = Generator[Sequence[Call], Sequence[Result], Parts]


def plan(task: Mapping[str, Any]) -> Plan:
    """Price what can be had, hold it against the budget, book it, confirm it."""
    trip = task["Trip"]
    offers = yield from price(trip)
    if not offers:
        return Finish("escalated", FULL, "No flight is to be had; nothing is booked.")
    total = sum(offer["price_cents"] for offer in offers.values())
    if total > trip["budget_cents"]:
        return Finish("escalated", FULL, f"What can be had costs {total} cents, above the budget; nothing is booked.")
    try:
        booked = yield from book(trip, offers)
    except DoubtError as doubt:
        return Finish("escalated", FULL, f"A person has to look into this before anything else is booked: {doubt}")
    if not booked:
        return Finish("escalated", FULL, "The flight cannot be booked any more; nothing is booked.")
    if (yield from confirm(trip, booked)) is None:
        return Finish("escalated", FULL, f"Booked {', '.join(booked)}, but the traveller cannot be told.")
    goal = GOALS[len(booked)]
    return Finish("succeeded" if goal == FULL else "demoted", goal, f"Booked and confirmed: {', '.join(booked)}.")


def price(trip: Mapping[str, Any]) -> Gathering:
    """Ask for a flight, a room and a car, each for the dates of the one before."""
    offers: dict[str, Mapping[str, Any]] = {}
    for leg in LEGS:
        body = wish(leg, trip, offers)
        offer = yield from first(*(Call(f"price_{leg}", {"provider": f"{leg}-{side}", **body}) for side in "ab"))
        if offer is None:
            break  # what comes after needs this one
        offers[leg] = offer.data
    return offers


def book(trip: Mapping[str, Any], offers: Parts) -> Gathering:
    """Book what was offered, each part with what the others leave of the budget."""
    booked: dict[str, Mapping[str, Any]] = {}
    for leg in offers:
        others = {**offers, **booked, leg: {"price_cents": 0}}
        limit = trip["budget_cents"] - sum(part["price_cents"] for part in others.values())
        body = {"traveller": trip["traveller"], "limit_cents": limit, **wish(leg, trip, booked)}
        made = yield from once(
            *(
                (Call(f"book_{leg}", {"provider": provider, **body}), Call("find_booking", {"provider": provider}))
                for provider in (f"{leg}-a", f"{leg}-b")
            )
        )
        if made is None:
            break
        booked[leg] = made.data
    return booked


def wish(leg: str, trip: Mapping[str, Any], parts: Parts) -> Mapping[str, str]:
    """What to ask for, so that it fits the parts before it."""
    if leg == "flight":
        return {name: trip[name] for name in ("origin", "city", "leaves", "returns")}
    lands, returns = parts["flight"]["lands"], parts["flight"]["returns"]
    if leg == "hotel":
        return {"city": trip["city"], "check_in": lands, "check_out": returns}
    return {"city": trip["city"], "pick_up": lands, "drop_off": returns, "deliver_to": parts["hotel"]["name"]}


def confirm(trip: Mapping[str, Any], booked: Parts) -> Step:
    """Tell the traveller what is booked, by mail, or else by SMS."""
    text = "Booked: " + ", ".join(f"{leg} {part['provider']} #{part['id']}" for leg, part in booked.items())
    addresses = {"mail": trip["email"], "sms": trip["phone"]}
    return first(
        *(
            Call("confirm", {"channel": channel, "recipient": recipient, "text": text})
            for channel, recipient in addresses.items()
        )
    )
