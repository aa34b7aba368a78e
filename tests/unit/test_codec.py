"""Events survive being written down: every kind, to the byte."""

import json
from dataclasses import replace
from typing import get_args

import pytest

from agentroute.errors import JournalError
from agentroute.ids import AttemptId, NanoUsd, ToolId
from agentroute.routing.tiers.situation import Situation, sketch
from agentroute.run.codec import GENESIS, chain, decode, encode
from agentroute.run.events import Event, Hedged, ModelAsked, Quarantined, RunStarted, Signalled, TierChosen
from agentroute.testing.faults import Fault
from tests.properties.run_cases import play
from tests.unit.test_planted_bugs import GALLERY, with_faults


def seen_events() -> list[Event]:
    """Every kind of event that the gallery of runs shows."""
    scenarios = [
        *GALLERY.values(),
        with_faults(Fault(type="rate_limit", target="*", retry_after_s=2.0, attempts=(1, 1))),
    ]
    watched = Signalled(0.5, "large amounts", "risk", "order is a risk", stops=True, factors={"refund": 10.0})
    search, spare = ToolId("search"), ToolId("spare")
    hedged = Hedged(0.5, AttemptId(1), search, (search,), (spare,), NanoUsd(5), optimal=True, reason="late")
    played = [r.event for scenario in scenarios for records in play(scenario).journals.values() for r in records]
    put_aside = Quarantined(0.5, AttemptId(1), search, "charged more than its worst case")
    asked = Situation("answer", sketch("What is the capital of France?"), "contract", {"small": 1}, depth=2, context=90)
    weights = {search: NanoUsd(5), spare: NanoUsd(7)}
    odds = {search: 0.7, spare: 0.9}
    chosen = TierChosen(
        at=0.5,
        step="answer",
        policy="learned",
        situation=asked,
        ranking=(search, spare),
        weights=weights,
        right=odds,
        costs=weights,
        usd=weights,
        propensities={search: 0.95, spare: 0.05},
        worth=NanoUsd(100),
        detection=1.0,
    )
    return [*played, watched, hedged, put_aside, chosen, ModelAsked(0.5, "some/model", NanoUsd(5), 70)]


def test_every_event_comes_back_as_it_was_and_keeps_its_place_in_the_chain() -> None:
    events = seen_events()
    for event in events:
        again = decode(json.loads(json.dumps(encode(event))))
        assert again == event
        assert chain(GENESIS, again) == chain(GENESIS, event)
    missing = {kind.__name__ for kind in get_args(Event)} - {type(event).__name__ for event in events}
    assert missing <= {"GuardClosed", "Suspended", "Resumed"}, "the gallery has become poorer"


@pytest.mark.parametrize(
    "data", [{}, {"event": "Nonsense"}, {"event": "RunStarted"}, {"event": "RunFinished", "at": "x"}]
)
def test_what_is_no_event_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(JournalError, match="no event"):
        decode(data)


def test_values_that_were_models_come_back_as_data() -> None:
    started = next(event for event in seen_events() if isinstance(event, RunStarted))
    odd = replace(started, inputs={"a": object()})
    assert decode(encode(odd)) == replace(started, inputs={"a": "<object>"})
