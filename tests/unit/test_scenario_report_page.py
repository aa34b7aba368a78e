"""The HTML page and the drawings: whole, self-contained, readable without script, and deaf to hostile text."""

import base64
import hashlib
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.testing.scenario.record import FaultCount, OracleView, ScenarioRecord, Session, Trial
from agentroute.testing.scenario.reports import comparison_svg, page_html, totals
from agentroute.testing.scenario.reports.plots import cost_plot, recovery_plot, verdict_plot
from agentroute.testing.scenario.reports.timeline import timeline
from tests.unit.test_scenario_report_data import HOSTILE, ODD
from tests.unit.test_scenario_reports import EVENTS, SAVED, SESSION, many, of_verdicts

VOID = frozenset({"meta", "br"})
SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Read(HTMLParser):
    """A page, read; fails on a tag that is not closed."""

    open: list[str] = field(default_factory=list[str])
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])
    words: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        self.words[inside] = self.words.get(inside, "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        """What people see."""
        return " ".join(words for tag, words in self.words.items() if tag not in {"style", "script"})


def read(page: str) -> Read:
    reader = Read()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def one(**trial: Any) -> Session:
    """A session of one scenario with one run."""
    record = ScenarioRecord(title="t", file="f.yaml", verdict="deviated", trials=(Trial(**trial),))
    return Session(scenarios=(record,))


EVERY_SESSION = pytest.mark.parametrize(
    "session",
    [SESSION, ODD, Session(), of_verdicts("waiting"), of_verdicts("held", "deviated", "invalid"), one()],
    ids=["mixed", "odd", "empty", "waiting", "without runs", "bare"],
)


class TestThePage:
    @EVERY_SESSION
    def test_every_tag_is_closed_and_every_id_is_there_once(self, session: Session) -> None:
        page = read(page_html(session))
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        links = [attributes["href"] for attributes in page.all("a")]
        assert {link.removeprefix("#") for link in links} <= set(ids)
        labels = {attributes["aria-labelledby"] for attributes in page.all("section")}
        assert labels <= set(ids)

    @EVERY_SESSION
    def test_it_needs_nothing_else(self, session: Session) -> None:
        text = page_html(session)
        assert not re.search(r"https?:|//[a-z]|@import|url\(", text.replace("// Sorts", ""))
        page = read(text)
        assert {tag for tag, _ in page.tags}.isdisjoint({"link", "img", "iframe", "object", "base", "form"})
        assert not {"src", "style"} & {name for _, attributes in page.tags for name in attributes}
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]

    @EVERY_SESSION
    def test_the_policy_allows_its_own_style_and_script_and_no_more(self, session: Session) -> None:
        page = read(page_html(session))
        policy = page.all("meta")[1]["content"]
        for tag in ("style", "script"):
            digest = base64.b64encode(hashlib.sha256(page.words[tag].encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert len(page.all("script")) == len(page.all("style")) == 1

    def test_the_same_session_is_the_same_page(self) -> None:
        assert page_html(SESSION) == page_html(SESSION)

    def test_it_says_what_came_of_it(self) -> None:
        text = read(page_html(SESSION)).text
        assert "2 of 5 scenarios held." in text
        assert "2026-09-21 14:13:20 UTC" in text
        assert "1 of 3 that could be saved: 33.3% (95% interval 6.1% to 79.2%)" in text
        assert "2 (they show nothing): latency:look_up, reset:refund_a" in text
        assert "not every system made as many runs" in text.lower()

    def test_when_everything_waits_it_says_that_nothing_was_shown(self) -> None:
        assert "Nothing was shown" in read(page_html(of_verdicts("waiting"))).words["h1"]

    def test_a_scenario_is_told_in_full(self) -> None:
        text = read(page_html(SESSION)).text
        assert "Baseline: without faults, seed 0" in text
        assert "agentroute under faults, seed 8" in text
        assert "2: it says that it succeeded, and nothing was refunded" in text
        assert "The goal asked for could be reached; the best in reach was refunded, for 0.020000 USD at least." in text
        assert "never: it shows nothing" in text
        assert "before refund_a, after refund_b, weight_after 0.013000 USD" in text

    def test_systems_are_compared_only_where_there_are_several(self) -> None:
        assert "Side by side" in read(page_html(SESSION)).text
        assert "Side by side" not in read(page_html(one())).text

    def test_tables_and_drawings_can_be_read_aloud(self) -> None:
        page = read(page_html(SESSION))
        assert page.all("th")
        assert all(attributes.get("scope") in {"col", "row"} for attributes in page.all("th"))
        assert len(page.all("svg")) == 4
        for drawing in page.all("svg"):
            assert drawing["role"] == "img"
            assert drawing["aria-label"]
        assert page.all("html") == [{"lang": "en"}]

    def test_it_has_a_dark_and_a_printed_form(self) -> None:
        style = read(page_html(SESSION)).words["style"]
        assert "prefers-color-scheme: dark" in style
        assert "@media print" in style


class TestHostileText:
    def test_it_is_text_and_it_is_cut(self) -> None:
        text = page_html(ODD)
        assert len(text) < 100_000
        text.encode()
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "\\x1b[31m&amp;\\x00\\ud800\\ufffe\\u202e]]" in text
        assert "&lt;script&gt;" in text

    @settings(deadline=None, max_examples=40)
    @given(st.text(alphabet="<>&\"'/={}%#\\`!-scriptonload \x00\x1b\u2028\u202e", max_size=60))
    def test_nothing_that_is_told_becomes_a_tag(self, words: str) -> None:
        told, harmless = read(page_html(saying(words))), read(page_html(saying("x")))
        assert {tag for tag, _ in told.tags} <= {tag for tag, _ in harmless.tags}
        assert {name for _, names in told.tags for name in names} <= {
            name for _, names in harmless.tags for name in names
        }


def shape(page: Read) -> set[str]:
    """Tags and names of attributes."""
    return {name for tag, attributes in page.tags for name in (tag, *attributes)}


def saying(words: str) -> Session:
    """A session that says the words wherever words are said."""
    trial = Trial(
        outcome=words,
        goal=words,
        faults=(FaultCount(fault=words, times=1),),
        violations=(words, "x"),
        deviations=(words, "x"),
        oracle=OracleView(possible=True, best=words or "x", cost_usd=1.0),
        events=({"event": words, "at": words, words: words, "list": [words], "map": {words: words}},),
        cost_usd=1.0,
    )
    record = ScenarioRecord(
        title=words,
        file=words,
        verdict="deviated",
        reason=words or "x",
        expected=words,
        trials=(trial, replace(trial, system=words or "x")),
    )
    return Session(scenarios=(record,), systems=("agentroute", words or "x"))


class TestWhatIsLeftOut:
    def test_the_middle_of_a_long_journal_and_a_line_says_so(self) -> None:
        events = [{"event": "Waiting", "at": float(number)} for number in range(1000)]
        entries = timeline(events)
        assert len(entries) == 101
        assert (entries[0].at, entries[59].at, entries[61].at, entries[-1].at) == (
            "0.000",
            "59.000",
            "960.000",
            "999.000",
        )
        assert entries[60].values == "900 events are left out here; the journal has them all"
        assert "900 events are left out here" in read(page_html(one(events=events))).text

    def test_a_short_journal_is_whole(self) -> None:
        entries = timeline(EVENTS)
        assert [entry.what for entry in entries] == [event["event"] for event in EVENTS]
        assert entries[3].values == "tool refund_a, kind transient, message refused"
        assert entries[7].values == "before refund_a, after refund_b, weight_after 0.013000 USD"

    def test_values_of_an_event_are_cut_and_counted(self) -> None:
        entry = timeline([{"event": "Odd", **{f"field{number}": "A" * 10_000 for number in range(20)}}])[0]
        assert entry.values.endswith(", and 12 more")
        assert len(entry.values) < 2_000

    def test_of_many_scenarios_those_that_did_not_hold_are_told(self) -> None:
        page = read(page_html(many(400, 1)))
        assert len(page.all("details")) == 300
        assert "101 scenarios are left out here" in page.text
        assert {"href": "#scenario-401"} in page.all("a")

    def test_of_very_many_scenarios_even_the_table_is_cut(self) -> None:
        text = read(page_html(many(2_010, 0))).text
        assert "10 scenarios are left out of this table" in text

    def test_of_many_runs_the_worst_is_told(self) -> None:
        bad = Trial(seed=99, violations=("1: unanswered",))
        record = ScenarioRecord(title="t", file="f", verdict="deviated", trials=[*[Trial(correct=True)] * 40, bad])
        text = read(page_html(Session(scenarios=(record,)))).text
        assert "agentroute under faults, seed 99" in text
        assert "29 more runs not shown here" in text

    def test_rules_and_sentences_of_a_run(self) -> None:
        faults = [FaultCount(fault=f"down:tool_{number}", times=1) for number in range(150)]
        text = read(page_html(one(faults=faults, violations=[f"v{number}" for number in range(50)]))).text
        assert "and 50 more rules" in text
        assert "and 30 more" in text


def drawn(svg: str) -> Element:
    return fromstring(svg)  # noqa: S314  # it was drawn here


def width(bar: Element) -> float:
    return float(bar.attrib["width"])


class TestDrawings:
    def test_the_bar_of_verdicts_is_divided_by_their_numbers(self) -> None:
        root = drawn(verdict_plot(totals(of_verdicts("held", "held", "held", "deviated"))))
        held, deviated = [bar for bar in root.findall("rect") if bar.find("title") is not None]
        assert (width(held) + 2) / (width(deviated) + 2) == pytest.approx(3)
        assert root.attrib["aria-label"] == "3 held, 1 deviated"

    def test_the_legend_of_all_verdicts_stays_inside(self) -> None:
        verdicts = of_verdicts("held", "deviated", "invalid", "baseline_not_met", "waiting")
        root = drawn(verdict_plot(totals(verdicts)))
        for text in root.findall("text"):
            assert float(text.attrib["x"]) + 7.5 * len(text.text or "") < 560

    def test_the_interval_is_drawn_around_the_rate(self) -> None:
        root = drawn(recovery_plot(totals(SESSION).recovery))
        bar = next(bar for bar in root.findall("rect") if bar.find("title") is not None)
        whisker = root.findall("line")[0].attrib
        assert float(whisker["x1"]) < 10 + width(bar) < float(whisker["x2"])

    @given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=50))
    def test_every_ratio_is_in_a_bar(self, ratios: list[float]) -> None:
        bars = drawn(cost_plot(ratios)).findall("rect")
        counted = [int((bar.findtext("title") or "").split()[0].replace(",", "")) for bar in bars]
        assert sum(counted) == len(ratios)
        assert all(float(bar.attrib["x"]) >= 0 and float(bar.attrib["x"]) + width(bar) <= 560 for bar in bars)
        assert len(bars) <= 27

    def test_what_was_not_measured_is_not_drawn(self) -> None:
        assert not recovery_plot(totals(Session()).recovery)
        assert not cost_plot([])
        assert not cost_plot([float("nan")])


class TestTheComparison:
    def test_it_is_a_file_of_its_own(self) -> None:
        text = comparison_svg(SESSION)
        root = drawn(text)
        assert root.tag == f"{SVG}svg"
        left, top, *size = map(float, root.attrib["viewBox"].split())
        assert (left, top) == (-20, -20)
        assert size == [float(root.attrib["width"]), float(root.attrib["height"])]
        ground = root.findall(f"{SVG}rect")[0]
        assert ground.attrib["class"] == "ground"
        assert ".ground{fill:#fff}" in (root.findtext(f"{SVG}style") or "")
        assert root.find(f"{SVG}script") is None

    def test_every_system_and_figure_is_on_it(self) -> None:
        words = [text.text for text in drawn(comparison_svg(SESSION)).iter(f"{SVG}text")]
        assert [word for word in words if word in {"agentroute", "react", "static"}] == [
            "agentroute",
            "react",
            "static",
        ] * 5
        assert {"3 of 5", "1 of 1", "0 of 1", "500 ms", "not measured"} <= set(words)

    def test_bars_are_as_long_as_their_figures(self) -> None:
        bars = {
            (bar.findtext(f"{SVG}title") or ""): width(bar) for bar in drawn(comparison_svg(SESSION)).iter(f"{SVG}rect")
        }
        assert bars["agentroute: 3"] / bars["react: 6"] == pytest.approx(0.5)  # model calls
        assert bars["agentroute: 3 of 5"] / bars["react: 1 of 1"] == pytest.approx(0.6)

    def test_hostile_names_are_text(self) -> None:
        ours = replace(SAVED, events=())
        record = ScenarioRecord(title="t", file="f", verdict="held", trials=(ours, Trial(system=HOSTILE)))
        text = comparison_svg(Session(scenarios=(record,)))
        drawn(text)
        assert "<script" not in text
        assert "\x1b" not in text
