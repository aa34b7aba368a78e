"""What ``scenario run`` shows in the terminal: progress, the table of scenarios, the comparison."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from rich.cells import cell_len
from rich.console import Console, RenderableType

from agentroute.adapters.clock import SystemClock
from agentroute.testing.scenario.record import ScenarioRecord, Session, Trial
from agentroute.testing.scenario.reports import SessionProgress, comparison_table, session_table
from agentroute.testing.scenario.theatre import Settings, Theatre
from tests.unit.test_scenario_reports import LOST, SESSION, many, of_verdicts

HOSTILE = "[bold]x[/bold] \x1b[2J\x1b]0;owned\x07 \u202e :boom: \r\n forged"

WRONG = """\
version: "1"
titel: x
tulz: []
level: nowhere
"""


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def printed(what: RenderableType, *, width: int = 160) -> str:
    console = Console(width=width, highlight=False, emoji=False, markup=False, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(what)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


class TestTheTable:
    def test_a_session_on_a_wide_terminal(self) -> None:
        assert printed(session_table(SESSION)) == snapshot("""\
verdict   scenario                    level    outcome                   faults  retries  reroutes  model  cost USD  seconds
                                                                                                    calls
held      A payment provider is down  virtual  succeeded                    1/2        1         2      1  0.030000    4.000
deviated  All payment is down         wire     succeeded 1, demoted 1       1/1        0         0      2  0.050000    9.000
    outcome is demoted, not succeeded
    2: it says that it succeeded, and nothing was refunded
    4: refund_b stands twice
    scenarios/payment/all.yaml  seed 8
held      A wrong order               virtual  succeeded 1, escalated 1     1/1        0         0      0  0.020000    0.000
invalid   scenarios/broken.yaml       virtual  -                              -        -         -      -         -        -
    line 3: no such tool
    scenarios/broken.yaml
baseline  It never worked             virtual  -                              -        -         -      -         -        -
not met
    without faults the outcome is escalated
    scenarios/never.yaml
waiting   A monitor lies              virtual  -                              -        -         -      -         -        -
    needs health calibration
faults: rules that triggered, of those given; figures of a scenario: those of its worst run; seconds at level virtual: of virtual time

2 of 5 scenarios held.
Verdicts                        2 held, 1 deviated, 1 invalid, 1 baseline not met, 1 waiting
Faults that triggered           4 of 6 rules, 12 times in all
Faults that never triggered     2 (they show nothing): latency:look_up, reset:refund_a
Silent failures                 2
Wrong values nobody could see   1 (they kept the tool's contract)
Duplicate effects               1
Budget breaches                 3
Broken invariants               2
False escalations               2 in 4 runs without faults
Recovered                       1 of 3 that could be saved: 33.3% (95% interval 6.1% to 79.2%)
Not recovered                   1 with a false answer that nobody could see; 1 otherwise
Cost, times the least possible  p50 1.00, p95 1.50 (2 runs)
Time to detect                  p50 300 ms, p99 1.10 s (3 faults)
Time to answer a failure        p50 400 ms, p99 600 ms (3 failures)
Answers                         1 retry, 2 reroutes, 2 escalations, 1 flap
Calls                           3 model calls, 17 tool calls
Ran                             5 runs with faults, 4 without, from each scenario's own seed; 3.00 s of real time\
""")  # noqa: E501  # a table is as wide as it is

    def test_the_same_on_a_narrow_one(self) -> None:
        assert printed(session_table(SESSION), width=80).split("\n\n", maxsplit=1)[0] == snapshot("""\
verdict  scenario                 outcome                  faults reroutes model
                                                                           calls
held     A payment provider is    succeeded                   1/2        2     1
         down
deviated All payment is down      succeeded 1, demoted 1      1/1        0     2
    outcome is demoted, not succeeded
    2: it says that it succeeded, and nothing was refunded
    4: refund_b stands twice
    scenarios/payment/all.yaml  seed 8
held     A wrong order            succeeded 1, escalated 1    1/1        0     0
invalid  scenarios/broken.yaml    -                             -        -     -
    line 3: no such tool
    scenarios/broken.yaml
baseline It never worked          -                             -        -     -
not met
    without faults the outcome is escalated
    scenarios/never.yaml
waiting  A monitor lies           -                             -        -     -
    needs health calibration
faults: rules that triggered, of those given; figures of a scenario: those of
its worst run; seconds at level virtual: of virtual time; no room for: cost USD,
level, seconds, retries\
""")

    def test_up_to_forty_scenarios_are_listed(self) -> None:
        assert printed(session_table(many(39, 1))).count("f.yaml") == 1
        assert printed(session_table(many(39, 1))).count("\nheld ") == 39

    def test_of_more_only_those_that_did_not_hold(self) -> None:
        text = printed(session_table(many(60, 2)))
        assert "\nheld " not in text
        assert text.count("\ndeviated ") == 2
        assert "not listed: 60 that held, of 62 scenarios" in text

    def test_all_of_them_on_request(self) -> None:
        text = printed(session_table(many(60, 2), all_rows=True))
        assert text.count("\nheld ") == 60
        assert "not listed" not in text

    def test_when_everything_waits_it_says_that_nothing_was_shown(self) -> None:
        text = printed(session_table(of_verdicts("waiting", "waiting")))
        assert "Nothing was shown: no scenario was put to the test" in text
        assert "held." not in text

    def test_runs_that_ended_differently_are_told_apart(self) -> None:
        assert "succeeded 1, demoted 1" in printed(session_table(SESSION))

    def test_not_more_than_a_few_sentences_below_a_scenario(self) -> None:
        trial = replace(LOST, violations=[f"violation {number}" for number in range(30)], deviations=())
        record = ScenarioRecord(title="t", file="f", verdict="deviated", reason="why", trials=(trial,))
        text = printed(session_table(Session(scenarios=(record,))))
        assert "violation 3" in text
        assert "violation 4" not in text
        assert "and 26 more" in text

    def test_each_problem_of_a_file_has_a_line_of_its_own(self, tmp_path: Path) -> None:
        file = tmp_path / "wrong.yaml"
        file.write_text(WRONG)
        with Theatre(Settings(), SystemClock()) as theatre:
            record = theatre.run(str(file))
        lines = [line.strip() for line in printed(session_table(Session(scenarios=(record,))), width=300).splitlines()]
        places = [line.removeprefix(f"{file}:").split(": ")[0] for line in lines if line.startswith(f"{file}:")]
        assert places == ["1:1", "2:1", "3:1", "4:8"]
        assert not any("\\n" in line for line in lines)
        assert len(record.reason.splitlines()) == 4

    @pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
    def test_no_line_is_wider_than_the_terminal(self, width: int) -> None:
        assert max(cell_len(line) for line in printed(session_table(SESSION), width=width).splitlines()) <= width

    def test_rules_that_never_triggered_are_named(self) -> None:
        assert "2 (they show nothing): latency:look_up, reset:refund_a\n" in printed(session_table(SESSION))

    @given(st.text(max_size=80))
    def test_whatever_a_title_is_it_stays_a_title(self, title: str) -> None:
        text = printed(session_table(Session(scenarios=(ScenarioRecord(title=title, file="f", verdict="held"),))))
        assert "All" not in text.splitlines()[0]
        assert "The scenario held." in text


class TestHostileText:
    @pytest.mark.parametrize("table", [session_table, comparison_table])
    def test_it_cannot_act_on_the_terminal(self, table: Callable[[Session], RenderableType]) -> None:
        trial = Trial(system=HOSTILE, outcome=HOSTILE, deviations=(HOSTILE + "!",))
        ours = Trial(outcome=HOSTILE, deviations=(HOSTILE + "!",))
        record = ScenarioRecord(title=HOSTILE, file=HOSTILE, verdict="deviated", reason=HOSTILE, trials=(ours, trial))
        text = printed(table(Session(scenarios=(record,))), width=400)
        assert "[bold]x[/bold]" in text
        assert ":boom:" in text
        assert all(c.isprintable() for line in text.splitlines() for c in line)
        assert "\\x1b[2J" in text
        assert not any(line.startswith(" forged") for line in text.splitlines())

    def test_it_is_cut(self) -> None:
        record = ScenarioRecord(title="A" * 1_000_000, file="f", verdict="invalid", reason="B" * 1_000_000)
        assert len(printed(session_table(Session(scenarios=(record,))))) < 20_000


class TestTheComparison:
    def test_scenarios_by_system_and_their_totals(self) -> None:
        assert printed(comparison_table(SESSION)) == snapshot("""\
scenario                    agentroute           react       static
A payment provider is down  correct  1           correct  6  SILENT   0
All payment is down         SILENT in 1 of 2  2  not run     not run
A wrong order               wrong in 1 of 2  0   not run     not run
scenarios/broken.yaml       not run              not run     not run
It never worked             not run              not run     not run
A monitor lies              not run              not run     not run
correct: the end that the scenario expects, by the ground truth; silent: it claims a success that is none, or passes over a failure; the number is that of model
calls

                             model   tool               double  recovery  recovery
system      correct  silent  calls  calls  recoveries  effects       p50       p99
agentroute      3/5       2      3     17           3        1    500 ms    500 ms
react           1/1       0      6      5           2        0    2.00 s    4.00 s
static          0/1       1      0      4           0        2         -         -
not every system made as many runs: only their shares can be compared, not their sums\
""")  # noqa: E501  # a table is as wide as it is

    def test_beside_the_papers_totals_if_these_are_its_scenarios(self) -> None:
        ids = [*(f"S{n}" for n in range(1, 8)), *(f"T{n}" for n in range(1, 7)), *(f"M{n}" for n in range(1, 7))]
        trials = [Trial(system=name, correct=True, llm_calls=1) for name in SESSION.systems]
        records = [ScenarioRecord(title=f"{i}: x", file="f", verdict="held", trials=trials) for i in ids]
        text = printed(comparison_table(Session(scenarios=records, systems=SESSION.systems)))
        assert text[text.index("\nsystem ") :] == snapshot("""\

system           correct  silent  calls  calls  recoveries  effects       p50       p99
agentroute         19/19       0     19      0           0        0         -         -
  paper: router    19/19       0      9     66          13        -         -         -
react              19/19       0     19      0           0        0         -         -
  paper: ReAct     19/19       -    123     93           -        -         -         -
static             19/19       0     19      0           0        0         -         -
  paper: static    16/19       3      0     87           -        -         -         -\
""")

    def test_it_is_whole_on_eighty_columns(self) -> None:
        records = [ScenarioRecord(title="S2 x", file="f", verdict="held", trials=SESSION.scenarios[0].trials)]
        text = printed(comparison_table(Session(scenarios=records, systems=SESSION.systems)), width=80)
        assert "\u2026" not in text
        assert "  paper: router" in text

    def test_part_of_the_papers_scenarios_is_said_to_be_a_part(self) -> None:
        records = [ScenarioRecord(title="S2 Stripe is down", file="f", verdict="held", trials=(Trial(),))]
        assert "the paper's totals are of its 19 scenarios; here are 1 of them" in printed(
            comparison_table(Session(scenarios=records))
        )

    @pytest.mark.parametrize("title", ["S8: x", "S10: x", "S1b", "My S1", "T7", ""])
    def test_other_scenarios_are_not_compared_with_the_paper(self, title: str) -> None:
        records = [ScenarioRecord(title=each, file="f", verdict="held", trials=(Trial(),)) for each in ("S1: y", title)]
        assert "paper" not in printed(comparison_table(Session(scenarios=records)))

    def test_sums_of_unequal_numbers_of_runs_come_with_a_warning(self) -> None:
        assert "not every system made as many runs" in printed(comparison_table(SESSION))
        even = Session(scenarios=SESSION.scenarios[:1], systems=SESSION.systems)
        assert "as many runs" not in printed(comparison_table(even))

    def test_repetitions_count_together(self) -> None:
        trials = (Trial(correct=True, llm_calls=2), Trial(silent=1, llm_calls=3), Trial(correct=True))
        record = ScenarioRecord(title="t", file="f", verdict="deviated", trials=trials)
        text = printed(comparison_table(Session(scenarios=(record,), repeat=3)))
        assert "SILENT in 1 of 3  5" in text
        assert "2/3" in text
        assert "totals are of every run" in text


class TestProgress:
    def test_in_a_pipe_a_line_for_each_that_did_not_hold_and_one_at_the_end(self) -> None:
        stream = io.StringIO()
        with SessionProgress(6, Console(file=stream, width=40, markup=False, emoji=False)) as progress:
            for record in SESSION.scenarios:
                progress.started(record.title)
                progress.finished(record)
        *lines, last = stream.getvalue().splitlines()
        assert lines == snapshot(
            [
                "deviated  All payment is down: outcome is demoted, not succeeded",
                "invalid  scenarios/broken.yaml: line 3: no such tool",
                "baseline not met  It never worked: without faults the outcome is escalated",
            ]
        )
        assert last.startswith("6 scenarios in ")
        assert last.endswith(": 2 held, 1 deviated, 1 invalid, 1 baseline not met, 1 waiting")
        assert "\x1b" not in stream.getvalue()

    def test_what_is_over_is_not_shown_as_running(self) -> None:
        stream = Terminal()
        console = Console(file=stream, width=200, force_terminal=True, color_system=None, _environ={"TERM": "xterm"})
        with SessionProgress(3, console) as progress:
            progress.started("first")
            progress.started(SESSION.scenarios[0].file)
            progress.finished(SESSION.scenarios[0])
            progress.started(SESSION.scenarios[2].title)
            progress.finished(SESSION.scenarios[2])
            stream.truncate(0)
        assert "first" in stream.getvalue()
        assert "payment" not in stream.getvalue()
        assert "wrong" not in stream.getvalue()

    def test_nothing_goes_to_standard_output(self, capsys: pytest.CaptureFixture[str]) -> None:
        with SessionProgress(1) as progress:
            progress.started("t")
            progress.finished(SESSION.scenarios[1])
        captured = capsys.readouterr()
        assert not captured.out
        assert "deviated  All payment is down: outcome is demoted, not succeeded\n" in captured.err

    def test_on_a_terminal_there_is_a_bar_with_counts(self) -> None:
        stream = Terminal()
        console = Console(file=stream, width=120, force_terminal=True, color_system=None, _environ={"TERM": "xterm"})
        with SessionProgress(2, console) as progress:
            for record in SESSION.scenarios[:2]:
                progress.started(record.title)
                progress.finished(record)
        text = stream.getvalue()
        assert "2/2" in text
        assert "1 held, 1 deviated" in text
        assert "deviated  All payment is down: outcome is demoted" in text

    def test_what_is_printed_meanwhile_still_goes_to_standard_output(self, capsys: pytest.CaptureFixture[str]) -> None:
        stream = Terminal()
        console = Console(file=stream, width=120, force_terminal=True, _environ={"TERM": "xterm"})
        with SessionProgress(1, console):
            print('{"a": 1}')  # noqa: T201  # the JSON of the command
        assert capsys.readouterr().out == '{"a": 1}\n'
        assert '{"a": 1}' not in stream.getvalue()

    def test_a_terminal_that_cannot_move_its_cursor_gets_lines(self) -> None:
        stream = Terminal()
        with SessionProgress(1, Console(file=stream, force_terminal=True, _environ={"TERM": "dumb"})) as progress:
            progress.started("t")
            progress.finished(SESSION.scenarios[0])
        assert stream.getvalue().startswith("1 scenario in ")

    def test_an_interruption_says_how_far_it_came(self) -> None:
        stream = io.StringIO()

        def interrupted() -> None:
            with SessionProgress(9, Console(file=stream)) as progress:
                progress.finished(SESSION.scenarios[0])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert stream.getvalue().startswith("stopped after 1 of 9 scenarios in ")

    def test_hostile_text_stays_on_its_line(self) -> None:
        stream = io.StringIO()
        with SessionProgress(1, Console(file=stream, markup=False, emoji=False)) as progress:
            progress.started(HOSTILE)
            progress.finished(ScenarioRecord(title=HOSTILE, file="f", verdict="invalid", reason=HOSTILE))
        assert len(stream.getvalue().splitlines()) == 2
        assert "\x1b" not in stream.getvalue()
