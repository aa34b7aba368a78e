"""Reports for programs: JSON, the journal, JUnit."""

import json
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentroute.testing.scenario.record import FaultCount, ScenarioRecord, Session, Trial
from agentroute.testing.scenario.reports import as_text, journal_json, junit_xml, session_json
from tests.unit.test_scenario_reports import EVENTS, LOST, SESSION

COUNT = {"type": "integer", "minimum": 0}
AMOUNT = {"type": ["number", "null"], "minimum": 0}
TEXTS = {"type": "array", "items": {"type": "string"}}


def closed(properties: dict[str, Any]) -> dict[str, Any]:
    """An object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


SPREAD = closed({"count": COUNT, "p50": AMOUNT, "p95": AMOUNT, "p99": AMOUNT})
RUN: dict[str, Any] = {
    "outcome": {"enum": ["", "succeeded", "demoted", "escalated", "cancelled", "failed"]},
    "goal": {"type": "string"},
    "correct": {"type": "boolean"},
    "silent": COUNT,
    "undetectable": COUNT,
    "duplicate_effects": COUNT,
    "budget_breaches": COUNT,
    "llm_calls": COUNT,
    "tool_calls": COUNT,
    "retries": COUNT,
    "reroutes": COUNT,
    "escalations": COUNT,
    "flaps": COUNT,
    "cost_usd": AMOUNT,
    "duration_s": AMOUNT,
    "detect_s": {"type": "array", "items": AMOUNT},
    "reroute_s": {"type": "array", "items": AMOUNT},
    "faults": {"type": "array", "items": closed({"fault": {"type": "string"}, "times": COUNT})},
    "violations": TEXTS,
    "deviations": TEXTS,
    "oracle": {
        "anyOf": [
            {"type": "null"},
            closed({"possible": {"type": ["boolean", "null"]}, "best": {"type": "string"}, "cost_usd": AMOUNT}),
        ]
    },
    "seed": {"type": ["integer", "null"]},
}
SCENARIO: dict[str, Any] = RUN | {
    "title": {"type": "string"},
    "file": {"type": "string"},
    "level": {"enum": ["virtual", "call", "wire", "process"]},
    "verdict": {"enum": ["held", "deviated", "invalid", "baseline_not_met", "waiting"]},
    "reason": {"type": "string"},
    "expected": {"type": "string"},
    "took_s": AMOUNT,
    "baseline": {"anyOf": [{"type": "null"}, closed(RUN)]},
    "runs": {"type": "array", "items": closed(RUN)},
    "systems": {"type": "object", "additionalProperties": closed(RUN)},
}
CONTRACT = [
    "scenarios",
    "held",
    "deviated",
    "invalid",
    "baseline_not_met",
    "triggered_faults",
    "untriggered_faults",
    "silent_failures",
    "undetectable_wrong",
    "in_doubt",
    "deceived",
    "duplicate_effects",
    "budget_breaches",
    "llm_calls",
    "tool_calls",
]
"""Totals that the contract of the command line names."""

EXTRA = [
    "waiting",
    "runs",
    "baselines",
    "fault_hits",
    "violations",
    "retries",
    "reroutes",
    "escalations",
    "flaps",
    "recoveries",
    "false_escalations",
]
TOTALS: dict[str, Any] = dict.fromkeys([*CONTRACT, *EXTRA], COUNT) | {
    "cost_usd": AMOUNT,
    "recovery": closed({"recovered": COUNT, "could_be_saved": COUNT, "rate": AMOUNT, "low": AMOUNT, "high": AMOUNT}),
    "cost_ratio": SPREAD,
    "detect_s": SPREAD,
    "reroute_s": SPREAD,
}
SYSTEM = closed(
    dict.fromkeys(
        ["runs", "correct", "silent", "undetectable", "llm_calls", "tool_calls", "duplicates", "recoveries"], COUNT
    )
    | {"recovery_s": SPREAD, "cost_usd": AMOUNT}
)
SCHEMA = closed(
    {
        "scenarios": {"type": "array", "items": closed(SCENARIO)},
        "totals": closed(TOTALS),
        "systems": {"type": "object", "additionalProperties": SYSTEM},
    }
)
VALIDATOR: Any = Draft202012Validator(SCHEMA)

HOSTILE = "<script>\x1b[31m&\x00\ud800\ufffe\u202e]]>"
ODD = Session(
    scenarios=(
        ScenarioRecord(
            title=HOSTILE,
            file=f"scenarios/{HOSTILE}/x.yaml",
            verdict="deviated",
            reason=HOSTILE * 100_000,
            trials=(
                Trial(
                    outcome=HOSTILE,
                    cost_usd=float("nan"),
                    duration_s=float("inf"),
                    detect_s=(float("nan"),),
                    faults=(FaultCount(fault=HOSTILE, times=1),),
                    violations=(HOSTILE,),
                    events=({"event": "Odd", "at": float("-inf"), "bytes": b"\xff", "thing": object(), "set": {1}},),
                ),
            ),
            took_s=float("nan"),
        ),
    ),
    started=float("inf"),
    took_s=float("inf"),
)
"""What strangers wrote and what no JSON and no XML can hold."""


class TestTheShortForm:
    @pytest.mark.parametrize("session", [SESSION, Session()])
    def test_it_has_the_promised_shape(self, session: Session) -> None:
        Draft202012Validator.check_schema(SCHEMA)
        VALIDATOR.validate(json.loads(as_text(session_json(session))))

    def test_a_scenario_shows_its_worst_run_and_lists_all(self) -> None:
        record = session_json(SESSION)["scenarios"][1]
        assert (record["outcome"], record["seed"], record["silent"]) == ("demoted", 8, 2)
        assert record["violations"] == list(LOST.violations)
        assert [run["outcome"] for run in record["runs"]] == ["succeeded", "demoted"]

    def test_every_system_that_ran_is_shown(self) -> None:
        data = session_json(SESSION)
        assert list(data["scenarios"][0]["systems"]) == ["agentroute", "react", "static"]
        assert data["systems"]["react"]["llm_calls"] == 6

    def test_a_scenario_that_was_not_run_has_no_figures(self) -> None:
        record = session_json(SESSION)["scenarios"][4]
        assert (record["outcome"], record["tool_calls"], record["runs"], record["seed"]) == ("", 0, [], None)
        assert record["baseline"]["tool_calls"] == 50

    def test_the_totals_are_the_figures(self) -> None:
        found = session_json(SESSION)["totals"]
        assert (found["held"], found["untriggered_faults"], found["flaps"]) == (2, 2, 1)
        assert found["recovery"]["recovered"] == 1


class TestCanonicalText:
    @pytest.mark.parametrize("session", [SESSION, ODD])
    def test_keys_are_sorted_and_every_number_is_one(self, session: Session) -> None:
        for data in (session_json(session), journal_json(session)):
            text = as_text(data)
            read = json.loads(text, parse_constant=pytest.fail)
            assert text == json.dumps(read, indent=2, sort_keys=True) + "\n"
            text.encode()

    def test_a_number_that_is_none_is_refused(self) -> None:
        with pytest.raises(ValueError, match="JSON"):
            as_text({"x": float("nan")})


class TestTheJournal:
    def test_it_has_every_event(self) -> None:
        trial = journal_json(SESSION)["session"]["scenarios"][0]["trials"][0]
        assert trial["events"] == list(EVENTS)
        assert trial["faults"][0] == {"fault": "error:refund_a", "times": 2}

    def test_what_json_cannot_hold_is_shown_by_its_type(self) -> None:
        trial = journal_json(ODD)["session"]["scenarios"][0]["trials"][0]
        assert trial["events"][0]["thing"] == "<object>"
        assert trial["events"][0]["at"] is None
        assert trial["cost_usd"] is None
        assert trial["detect_s"] == [None]


def suites_of(session: Session) -> Element:
    return fromstring(junit_xml(session))  # noqa: S314  # it was written here


def cases(root: Element) -> dict[str, Element]:
    return {case.attrib["name"]: case for case in root.iter("testcase")}


class TestJUnit:
    def test_the_counts_are_those_of_the_verdicts(self) -> None:
        root = suites_of(SESSION)
        assert {name: root.attrib[name] for name in ("tests", "failures", "errors", "skipped", "time")} == {
            "tests": "6",
            "failures": "1",
            "errors": "2",
            "skipped": "1",
            "time": "3.000",
        }
        assert len(list(root.iter("testcase"))) == 6
        assert [len(list(root.iter(kind))) for kind in ("failure", "error", "skipped")] == [1, 2, 1]

    def test_there_is_a_suite_for_each_folder(self) -> None:
        suites = {suite.attrib["name"]: suite.attrib for suite in suites_of(SESSION)}
        assert list(suites) == ["scenarios/payment", "scenarios", "."]
        assert suites["scenarios/payment"] == {
            "name": "scenarios/payment",
            "tests": "2",
            "failures": "1",
            "errors": "0",
            "skipped": "0",
            "time": "2.000",
            "timestamp": "2026-09-21T14:13:20",
        }

    def test_a_deviation_is_a_failure_and_says_everything(self) -> None:
        case = cases(suites_of(SESSION))["All payment is down"]
        assert (case.attrib["classname"], case.attrib["time"]) == ("scenarios.payment.all", "1.500")
        failure = case.find("failure")
        assert failure is not None
        assert failure.attrib == {"message": "outcome is demoted, not succeeded", "type": "deviated"}
        assert failure.text is not None
        assert failure.text.splitlines() == ["outcome is demoted, not succeeded", *LOST.violations]

    def test_properties_tell_how_to_run_it_again(self) -> None:
        case = cases(suites_of(SESSION))["A payment provider is down"]
        properties = {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
        assert properties == {
            "level": "virtual",
            "verdict": "held",
            "seed": "7",
            "outcome": "succeeded",
            "faults": "error:refund_a: 2, latency:look_up: 0",
        }

    def test_what_waits_is_skipped_and_says_why(self) -> None:
        skipped = cases(suites_of(SESSION))["A monitor lies"].find("skipped")
        assert skipped is not None
        assert skipped.attrib == {"message": "needs health calibration"}

    def test_a_scenario_without_a_title_goes_by_its_file(self) -> None:
        assert "scenarios/broken.yaml" in cases(suites_of(SESSION))

    def test_hostile_text_is_escaped_and_cut(self) -> None:
        text = junit_xml(ODD)
        assert len(text) < 10_000
        assert "<script" not in text
        text.encode()
        assert suites_of(ODD).attrib["time"] == "0.000"

    @given(st.text(), st.text())
    def test_any_text_makes_valid_xml(self, title: str, reason: str) -> None:
        record = ScenarioRecord(title=title, file=title, verdict="invalid", reason=reason)
        assert suites_of(Session(scenarios=(record,))).attrib["errors"] == "1"
