"""Book a trip while providers die: ``python -m graphs.travel.demo``.

Things to try:

    --kill flight-a                         the other flight lands a day later, and so does everything that follows
    --kill hotel-a@after-flight             the hotel dies when the flight is booked
    --cut car-a@after-car                   the car is booked, its answer is lost: it is looked up, not booked again
    --kill hotel-a --kill hotel-b           no hotel: the flight alone is booked, and confirmed
    --kill nothing --budget 900             the trip costs more: a person decides, nothing is booked
"""

from graphs.providers.demonstration import Demonstration, main
from graphs.travel.agent import build_agent

TRIP = {
    "traveller": "Ada Park",
    "email": "ada@example.org",
    "phone": "+15550001042",
    "origin": "Berlin",
    "city": "Lisbon",
    "leaves": "2027-03-01",
    "returns": "2027-03-08",
}

DEMONSTRATION = Demonstration(
    domain="travel",
    build_agent=build_agent,
    option=("--budget", "1500", "what the traveller can spend, in USD"),
    inputs=lambda budget: {"Trip": {**TRIP, "budget_cents": round(float(budget) * 100)}},
    moments={
        "flight-offer": [("flight-a", "GET /offers/flights"), ("flight-b", "GET /offers/flights")],
        "flight": [("flight-a", "POST /flights"), ("flight-b", "POST /flights")],
        "hotel": [("hotel-a", "POST /hotels"), ("hotel-b", "POST /hotels")],
        "car": [("car-a", "POST /cars"), ("car-b", "POST /cars")],
        "confirmation": [("mail", "POST /confirmations"), ("sms", "POST /confirmations")],
    },
    kill=["hotel-a@after-flight"],
    tables=["flights", "hotels", "cars", "confirmations"],
)

if __name__ == "__main__":
    main(DEMONSTRATION, __doc__ or "")
