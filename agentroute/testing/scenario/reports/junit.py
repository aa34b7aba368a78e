"""A session as JUnit XML, which every CI system shows."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # XML is written here, never read

from agentroute.testing.scenario.record import ScenarioRecord, Session, Trial, Verdict
from agentroute.testing.scenario.reports.totals import worst_run
from agentroute.testing.scenario.reports.words import LONGEST_TITLE, VERDICTS, cut, findings, moment, title

KINDS: Final[dict[Verdict, str]] = {
    "deviated": "failure",
    "invalid": "error",
    "baseline_not_met": "error",
    "waiting": "skipped",
}
"""What JUnit calls a verdict; what held has no mark."""

MOST_FINDINGS: Final = 50
"""Sentences about a scenario."""


def junit_xml(session: Session) -> str:
    """Write a test suite for each folder and a test case for each scenario; times are seconds of real time.

    Characters that XML cannot hold are escaped, and long texts are cut.
    """
    root = Element("testsuites", {"name": "agentroute scenarios", **_counts(session.scenarios)})
    root.set("time", _seconds(session.took_s))
    for folder in dict.fromkeys(_folder(record) for record in session.scenarios):
        records = [record for record in session.scenarios if _folder(record) == folder]
        suite = SubElement(root, "testsuite", {"name": folder, **_counts(records)})
        suite.set("time", _seconds(sum(record.took_s for record in records)))
        started = moment(session.started, "%Y-%m-%dT%H:%M:%S")
        if started:
            suite.set("timestamp", started)
        for record in records:
            _case(suite, record)
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _case(suite: Element, record: ScenarioRecord) -> None:
    names = {"name": title(record), "classname": _class(record), "file": cut(record.file, LONGEST_TITLE)}
    case = SubElement(suite, "testcase", {**names, "time": _seconds(record.took_s)})
    run = worst_run(record)
    properties = SubElement(case, "properties")
    for name, value in _properties(record, run):
        SubElement(properties, "property", {"name": name, "value": value})
    kind = KINDS.get(record.verdict)
    if kind is not None:
        said = findings(record, run, MOST_FINDINGS)
        message = said[0] if said else VERDICTS[record.verdict]
        mark = SubElement(case, kind, {"message": message})
        if kind != "skipped":
            mark.set("type", record.verdict)
            mark.text = "\n".join(said)


def _properties(record: ScenarioRecord, run: Trial | None) -> Iterable[tuple[str, str]]:
    yield "level", record.level
    yield "verdict", record.verdict
    if run is not None:
        yield "seed", str(run.seed)
        yield "outcome", cut(run.outcome, LONGEST_TITLE)
        yield "faults", ", ".join(f"{cut(rule.fault, LONGEST_TITLE)}: {rule.times}" for rule in run.faults)


def _counts(records: Iterable[ScenarioRecord]) -> dict[str, str]:
    kinds = Counter(KINDS.get(record.verdict, "") for record in records)
    return {
        "tests": str(kinds.total()),
        "failures": str(kinds["failure"]),
        "errors": str(kinds["error"]),
        "skipped": str(kinds["skipped"]),
    }


def _folder(record: ScenarioRecord) -> str:
    return cut(PurePath(record.file).parent.as_posix(), LONGEST_TITLE) if record.file else "scenarios"


def _class(record: ScenarioRecord) -> str:
    """The file as a dotted name: what CI systems group by."""
    path = PurePath(record.file).with_suffix("") if PurePath(record.file).name else PurePath("scenarios")
    return cut(".".join(part for part in path.parts if part not in {"/", "\\", "..", "."}), LONGEST_TITLE)


def _seconds(value: float) -> str:
    return f"{max(value, 0.0):.3f}" if value < float("inf") else "0.000"
