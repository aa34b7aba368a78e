"""A session as one HTML page that needs nothing else: no network, no fonts, and no script to be read."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from agentroute.testing.scenario.record import ScenarioRecord, Session
from agentroute.testing.scenario.reports.details import detail, row
from agentroute.testing.scenario.reports.plots import comparison_plot, cost_plot, recovery_plot, verdict_plot
from agentroute.testing.scenario.reports.totals import Totals, cost_ratios, totals
from agentroute.testing.scenario.reports.words import (
    Tone,
    caveats,
    cut,
    duration,
    headline,
    moment,
    recovery,
    spread_of,
    summary,
)

if TYPE_CHECKING:
    from jinja2 import Template

MOST_ROWS: Final = 2000
"""Scenarios in the table; what did not hold comes first when there are more."""

MOST_DETAILS: Final = 300
"""Scenarios shown one by one; what did not hold comes first when there are more."""


def page_html(session: Session) -> str:
    """Write the page. Whatever a file or a tool said is text on it: escaped, on one line and not endless."""
    from markupsafe import Markup

    style, script = _part("page.css"), _part("page.js")
    figures = totals(session)
    numbered = list(enumerate(session.scenarios, start=1))
    listed, detailed = _first(numbered, MOST_ROWS), _first(numbered, MOST_DETAILS)
    anchors = {at: f"scenario-{at}" for at, _ in detailed}
    plots = _plots(session, figures)
    return _template().render(
        style=Markup(style),  # noqa: S704  # a file of this package
        script=Markup(script),  # noqa: S704  # the same
        policy=_policy(style, script),
        headline=headline(figures),
        tone=_tone(figures),
        when=moment(session.started),
        lines=summary(session, figures),
        tiles=_tiles(figures),
        plots=[_Plot(Markup(each.svg), each.heading, each.words) for each in plots],  # noqa: S704  # built as a tree
        comparison=Markup(comparison_plot(figures.systems)) if len(figures.systems) > 1 else "",  # noqa: S704  # the same
        systems=figures.systems,
        caveats=[_sentence(each) for each in caveats(session, figures.systems)],
        rows=[row(record, anchors.get(at, "")) for at, record in listed],
        rows_left_out=len(numbered) - len(listed),
        details=[detail(record, anchors[at]) for at, record in detailed],
        details_left_out=len(numbered) - len(detailed),
        cut=cut,
        duration=duration,
        repeated=session.repeat > 1,
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    surroundings = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return surroundings.from_string(_part("page.html.j2"))


@cache
def _part(name: str) -> str:
    """A file of this package."""
    return files("agentroute.testing.scenario.reports").joinpath(name).read_text("utf-8")


@dataclass(frozen=True, slots=True)
class _Plot:
    svg: str
    heading: str
    words: str


@dataclass(frozen=True, slots=True)
class _Tile:
    figure: str
    label: str
    tone: Tone = ""


def _policy(style: str, script: str) -> str:
    """Content security policy: nothing is loaded, and nothing runs but our own script."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _tone(figures: Totals) -> Tone:
    ran = figures.scenarios - figures.waiting
    if ran == 0:
        return "note"
    return "good" if figures.held == ran else "bad"


def _tiles(figures: Totals) -> list[_Tile]:
    rules = figures.triggered_faults + figures.untriggered_faults
    saved = f"{figures.recovered:,}/{figures.could_be_saved:,}" if figures.could_be_saved else "-"
    never = "bad" if figures.untriggered_faults else ""
    return [
        _must_be_none(figures.silent_failures, "silent failures"),
        _must_be_none(figures.duplicate_effects, "duplicate effects"),
        _must_be_none(figures.budget_breaches, "budget breaches"),
        _Tile(saved, "saveable runs recovered"),
        _Tile(f"{figures.llm_calls:,}", "model calls"),
        _Tile(f"{figures.triggered_faults:,}/{rules:,}", "fault rules triggered", never),
    ]


def _must_be_none(many: int, label: str) -> _Tile:
    return _Tile(f"{many:,}", label, "bad" if many else "good")


def _plots(session: Session, figures: Totals) -> list[_Plot]:
    verdicts = _Plot(verdict_plot(figures), "Verdicts", "")
    recovered = _Plot(
        recovery_plot(figures.recovery),
        "Recovered, of what could be saved",
        f"{_sentence(recovery(figures.recovery))} Counted are runs in which a fault happened and an oracle that knows "
        "every fault beforehand says that the goal could be reached; the line is the 95% interval (Wilson).",
    )
    cost = _Plot(
        cost_plot(cost_ratios(session)),
        "Cost against the oracle",
        f"Cost ratio: {spread_of(figures.cost_ratio, 'run', ratio=True)}. 1 is the least that the same goal could have "
        "cost somebody who knows every fault beforehand.",
    )
    return [plot for plot in (verdicts, recovered, cost) if plot.svg]


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _first(records: list[tuple[int, ScenarioRecord]], most: int) -> list[tuple[int, ScenarioRecord]]:
    """The records in order; if there are too many, what did not hold goes first."""
    if len(records) <= most:
        return records
    return sorted(records, key=lambda each: each[1].verdict in {"held", "waiting"})[:most]
