"""``agentroute scenario``: files in, verdicts out, and what a user reads when something is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

PROGRAM = Path(sys.executable).with_name("agentroute")

AGENT = """
from typing import Annotated
import anyio, os, time
from pydantic import BaseModel
from agentroute import Agent, Artifact, Budget, Goal, tool

Order = Annotated[str, Artifact("order")]

class Refund(BaseModel):
    reference: str

@tool(usd=0.01, latency_s=0.1, effect="idempotent", provider="near")
async def refund_near(order: Order) -> Refund:
    return Refund(reference=f"near-{order}")

@tool(usd=0.02, latency_s=0.1, effect="idempotent")
def refund_far(order: Order) -> Refund:
    return Refund(reference=f"far-{order}")

agent = Agent(name="refunds", tools=[refund_near, refund_far], goals=[Goal("refunded", requires=[Refund])],
              budget=Budget(usd=0.5, deadline_s=30))

@tool(effect="read")
async def phone_home(order: Order) -> Refund:
    stream = await anyio.connect_tcp("127.0.0.1", 9)
    return Refund(reference="never")

caller = Agent(name="caller", tools=[phone_home], goals=[Goal("refunded", requires=[Refund])])

@tool(effect="read")
async def die(order: Order) -> Refund:
    os._exit(7)

deadly = Agent(name="deadly", tools=[die], goals=[Goal("refunded", requires=[Refund])])

@tool(effect="read")
async def shout(order: Order) -> Refund:
    print("this is not JSON")
    return Refund(reference="loud")

loud = Agent(name="loud", tools=[shout], goals=[Goal("refunded", requires=[Refund])])
"""

SCENARIO = """
version: "1"
title: {title}
agent: {agent}
inputs: {{order: "${{order}}"}}
variables: {{order: "1042"}}
steady-state-hypothesis: {{outcome: succeeded, llm_calls: {{max: 0}}}}
method:
  - {{type: {fault}, target: {target}}}
expect: {expect}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "refunds.py").write_text(AGENT, encoding="utf-8")
    return tmp_path


def write(folder: Path, name: str, **changes: str) -> Path:
    said = {
        "title": "The far way is taken",
        "agent": "refunds.py:agent",
        "fault": "down",
        "target": "refund_near",
        "expect": "{reroutes: {min: 1}, effects: {refund_far: 1, refund_near: 0}}",
        **changes,
    }
    file = folder / name
    file.write_text(SCENARIO.format(**said), encoding="utf-8")
    return file


def call(folder: Path, *arguments: str, timeout: float = 100.0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "140"}
    return subprocess.run(
        [PROGRAM, "scenario", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def as_json(folder: Path, *arguments: str) -> tuple[int, Any]:
    done = call(folder, "run", *arguments, "--json")
    return done.returncode, json.loads(done.stdout)


def test_a_scenario_that_holds(folder: Path) -> None:
    write(folder, "held.yaml")
    status, told = as_json(folder, "held.yaml", "--quiet")
    scenario, totals = told["scenarios"][0], told["totals"]
    assert status == 0
    assert (scenario["verdict"], scenario["outcome"], scenario["reroutes"]) == ("held", "succeeded", 1)
    assert (totals["held"], totals["silent_failures"], totals["duplicate_effects"]) == (1, 0, 0)
    assert scenario["baseline"]["outcome"] == "succeeded"
    assert scenario["level"] == "virtual"
    journals = list((folder / ".agentroute/scenarios").glob("*.json"))
    assert len(journals) == 1
    events = json.loads(journals[0].read_text(encoding="utf-8"))["session"]["scenarios"][0]["trials"][0]["events"]
    assert [event["event"] for event in events][-1] == "RunFinished"


def test_a_scenario_that_deviates_says_from_what(folder: Path) -> None:
    write(folder, "deviated.yaml", expect="{reroutes: 0, effects: {refund_far: 0}}")
    done = call(folder, "run", "deviated.yaml")
    assert done.returncode == 1
    assert "effects.refund_far: 1, expected 0" in done.stdout.replace("\n", " ")
    assert "deviated" in done.stderr


def test_a_smaller_scenario_still_fails_from_where_it_is_kept(folder: Path) -> None:
    write(folder, "deviated.yaml", expect="{reroutes: 0}")
    (folder / "kept").mkdir()
    done = call(folder, "shrink", "deviated.yaml", "--out", "kept/small.yaml")
    assert done.returncode == 0, done.stderr
    assert "../refunds.py:agent" in (folder / "kept/small.yaml").read_text(encoding="utf-8")
    status, told = as_json(folder, "kept/small.yaml", "--quiet")
    assert (status, told["scenarios"][0]["verdict"]) == (1, "deviated"), told


def test_a_fault_that_never_triggers_is_no_proof(folder: Path) -> None:
    write(folder, "quiet.yaml", target="refund_far", expect="{}")
    status, told = as_json(folder, "quiet.yaml")
    assert status == 1
    assert "nothing was put to the test" in told["scenarios"][0]["reason"]
    assert told["totals"]["untriggered_faults"] == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"target": "refund_nowhere"}, "hits no tool of agent 'refunds'"),
        ({"agent": "refunds.py:nobody"}, "has no Agent named 'nobody'"),
        ({"agent": "nothing.py:agent"}, "there is no file"),
        ({"fault": "explode"}, "must be one of"),
        ({"fault": "slice"}, "only bytes on a wire"),
        ({"fault": "clock_jump", "target": "x"}, "not about calls of tools"),
        ({"fault": "monitor_lies", "target": "x"}, "hits no monitor; there are none; say monitors:"),
        ({"fault": "silent_noop"}, "only simulated tools"),
        ({"agent": "refunds.py:caller", "target": "phone_home", "expect": "{}"}, "opened a socket"),
    ],
    ids=str,
)
def test_what_cannot_be_run_is_invalid_and_says_why(folder: Path, changes: dict[str, str], why: str) -> None:
    write(folder, "invalid.yaml", **changes)
    status, told = as_json(folder, "invalid.yaml")
    assert (status, told["scenarios"][0]["verdict"]) == (2, "invalid")
    assert why in told["scenarios"][0]["reason"]


def test_a_baseline_that_is_not_met_is_told_before_any_fault(folder: Path) -> None:
    file = write(folder, "base.yaml")
    file.write_text(file.read_text(encoding="utf-8").replace("max: 0}", "min: 3}"), encoding="utf-8")
    status, told = as_json(folder, "base.yaml")
    assert (status, told["scenarios"][0]["verdict"]) == (3, "baseline_not_met")
    assert "llm_calls: 0, expected at least 3" in told["scenarios"][0]["reason"]


def test_a_scenario_that_waits_counts_as_nothing(folder: Path) -> None:
    file = write(folder, "later.yaml")
    file.write_text(file.read_text(encoding="utf-8") + "waits-for: health\n", encoding="utf-8")
    status, told = as_json(folder, "later.yaml")
    assert (status, told["totals"]["held"], told["totals"]["waiting"]) == (0, 0, 1)


def test_a_tool_that_prints_does_not_spoil_the_json(folder: Path) -> None:
    write(folder, "loud.yaml", agent="refunds.py:loud", target="shout", fault="latency", expect="{}")
    assert as_json(folder, "loud.yaml")[0] == 0


def test_an_agent_that_takes_its_process_down_takes_nothing_else_along(folder: Path) -> None:
    for number in range(24):
        write(folder, f"s{number:02}.yaml")
    write(folder, "s99.yaml", agent="refunds.py:deadly", target="die", fault="latency", expect="{}")
    done = call(folder, "run", ".", "--jobs", "2", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert (told["totals"]["held"], told["totals"]["invalid"]) == (24, 1)
    assert "ended with status 7" in told["scenarios"][-1]["reason"]
    alone = call(folder, "run", "s99.yaml", "--json")
    assert (alone.returncode, json.loads(alone.stdout)["totals"]["invalid"]) == (2, 1)


def test_variables_seeds_and_repeats(folder: Path) -> None:
    write(folder, "held.yaml", expect='{artifacts: {Refund: {reference: "far-77"}}}')
    status, told = as_json(folder, "held.yaml", "--var", "order=77", "--repeat", "3", "--seed", "5")
    assert (status, [run["seed"] for run in told["scenarios"][0]["runs"]]) == (2, [])
    assert "order" in told["scenarios"][0]["reason"], "77 is a number in the file, and the agent asks for text"
    status, told = as_json(folder, "held.yaml", "--var", "order='77'", "--repeat", "3", "--seed", "5")
    assert status == 1
    write(folder, "text.yaml", expect='{artifacts: {Refund: {reference: "far-order 77"}}}')
    status, told = as_json(folder, "text.yaml", "--var", "order=order 77", "--repeat", "3", "--seed", "5")
    assert (status, [run["seed"] for run in told["scenarios"][0]["runs"]]) == (0, [5, 6, 7])


def test_a_dry_run_calls_nothing(folder: Path) -> None:
    write(folder, "deadly.yaml", agent="refunds.py:deadly", target="die", fault="latency", expect="{}")
    done = call(folder, "run", "deadly.yaml", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "virtual  The far way is taken: ready\n")
    write(folder, "wrong.yaml", target="nobody")
    assert call(folder, "run", "wrong.yaml", "--dry-run").returncode == 2


def test_a_dry_run_knows_what_waits_and_what_is_to_be_refused(folder: Path) -> None:
    file = write(folder, "later.yaml")
    file.write_text(file.read_text(encoding="utf-8") + "waits-for: health\n", encoding="utf-8")
    write(folder, "refused.yaml", agent="refunds.py:nobody", expect="{refused: has no Agent}")
    done = call(folder, "run", ".", "--dry-run")
    assert done.returncode == 0
    assert "waiting: waits for health" in done.stdout
    assert call(folder, "run", "refused.yaml").returncode == 0


GRAPH = """
version: "1"
name: g
tools: [{name: look, produces: [a], effect: read, timeout_s: 300000, cost: {latency_s: 0.1}}]
goals: [{name: all, requires: [a]}]
"""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("level: call", "tools without code are simulated, in virtual time only"),
        ("simulate: {loook: {seconds: 1s}}", "no tool is named 'loook'; did you mean 'look'?"),
        ("simulate: {look: {seconds: 200000s}}", "no end within"),
    ],
)
def test_a_graph_without_code_is_simulated_and_what_that_cannot_do_is_told(folder: Path, more: str, why: str) -> None:
    (folder / "g.yaml").write_text(GRAPH, encoding="utf-8")
    text = f'version: "1"\ntitle: t\nagent: g.yaml\nmethod: [{{type: down, target: look}}]\n{more}\n'
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    _, told = as_json(folder, "s.yaml", "--quiet")
    assert why in told["scenarios"][0]["reason"]


REMEMBERS = """
from typing import Annotated
from pydantic import BaseModel
from agentroute import Agent, Artifact, Goal, current, tool

Order = Annotated[str, Artifact("order")]
BANK = {}

class Refund(BaseModel):
    reference: str

async def find(order: Order) -> Refund | None:
    return BANK.get(current().original_key)

@tool(usd=0.02, effect="once", verify=find, timeout_s=2)
async def refund(order: Order) -> Refund:
    BANK[current().idempotency_key] = Refund(reference=order)
    return BANK[current().idempotency_key]

agent = Agent(name="bank", tools=[refund], goals=[Goal("refunded", requires=[Refund])])

def make():
    BANK.clear()
    return Agent(name="bank", tools=[refund], goals=[Goal("refunded", requires=[Refund])])
"""


@pytest.mark.parametrize("name", ["agent", "make"])
def test_what_an_agent_remembers_of_the_run_without_faults_saves_nobody(folder: Path, name: str) -> None:
    (folder / "bank.py").write_text(REMEMBERS, encoding="utf-8")
    expect = "{outcome: escalated, effects: {refund: 0}}"
    write(folder, "reset.yaml", agent=f"bank.py:{name}", fault="reset", target="refund", expect=expect)
    status, told = as_json(folder, "reset.yaml")
    assert (status, told["scenarios"][0]["reason"]) == (1 if name == "nobody" else 0, "")


BREAKS = """
import sys, uuid
from datetime import datetime
from typing import Annotated
from pydantic import BaseModel, Field
from agentroute import Agent, Artifact, Goal, ToolError, tool

Order = Annotated[str, Artifact("order")]

class Ticket(BaseModel):
    id: str = Field(default_factory=lambda: str(uuid.uuid4()))

def agent_of(function):
    return Agent(name="a", tools=[tool(effect="once", usd=0.1)(function)], goals=[Goal("g", requires=[Ticket])])

async def different(order: Order) -> Ticket:
    return {}

async def leaves(order: Order) -> Ticket:
    sys.exit(0)

async def odd(order: Order) -> Ticket:
    raise ToolError("\\ud800", kind="transient")

different, leaves, odd = map(agent_of, (different, leaves, odd))
"""


@pytest.mark.parametrize(
    ("name", "verdict"), [("different", "held"), ("leaves", "baseline_not_met"), ("odd", "baseline_not_met")]
)
def test_odd_tools_get_a_verdict_and_take_nothing_down(folder: Path, name: str, verdict: str) -> None:
    (folder / "breaks.py").write_text(BREAKS, encoding="utf-8")
    write(folder, "odd.yaml", agent=f"breaks.py:{name}", fault="latency", target="'*'", expect="{}")
    write(folder, "fine.yaml")
    _, told = as_json(folder, "odd.yaml", "fine.yaml")
    verdicts = {Path(each["file"]).stem: each["verdict"] for each in told["scenarios"]}
    assert verdicts == {"odd": verdict, "fine": "held"}, told["scenarios"][0]["reason"]


@pytest.mark.parametrize(
    ("expect", "why"),
    [
        ("{effects: {refund_naer: 0}}", "has no 'refund_naer'; did you mean 'refund_near'?"),
        ("{calls: {nobody: 0}}", "expect.calls: agent 'refunds' has no 'nobody'"),
        ("{goal: refundd}", "did you mean 'refunded'?"),
        ("{retries: {}}", "says nothing: give it min, max or a number"),
    ],
)
def test_a_misspelt_expectation_does_not_hold_for_ever(folder: Path, expect: str, why: str) -> None:
    write(folder, "typo.yaml", expect=expect)
    status, told = as_json(folder, "typo.yaml")
    assert (status, told["scenarios"][0]["verdict"]) == (2, "invalid")
    assert why in told["scenarios"][0]["reason"]
    assert call(folder, "run", "typo.yaml", "--dry-run").returncode == 2


def test_a_run_that_was_cut_off_is_held_against_what_is_expected(folder: Path) -> None:
    (folder / "g.yaml").write_text(GRAPH, encoding="utf-8")
    text = 'version: "1"\ntitle: t\nagent: g.yaml\ncancel_at: 50ms\nmethod: [{type: latency, target: look}]\n'
    for expect, status in (("{outcome: cancelled, retries: 0}", 0), ("{outcome: succeeded}", 1), ("{retries: 7}", 1)):
        (folder / "s.yaml").write_text(f"{text}expect: {expect}\n", encoding="utf-8")
        assert call(folder, "run", "s.yaml", "--quiet").returncode == status


def test_a_journal_that_cannot_be_written_throws_nothing_away(folder: Path) -> None:
    write(folder, "held.yaml")
    (folder / "taken").write_text("", encoding="utf-8")
    environment = {**os.environ, "AGENTROUTE_HOME": "taken"}
    command = [PROGRAM, "scenario", "run", "held.yaml", "--json", "--quiet"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["totals"]["held"]) == (0, 1)
    assert "no journal was written" in done.stderr


def test_a_fault_that_is_not_about_calls_is_refused_for_a_run(folder: Path) -> None:
    command = [PROGRAM, "run", "refunds.py:agent", "--input", "order=1", "--fault", "model_down:*"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, "write it into a scenario file" in done.stderr) == (2, True)


def test_reports_are_written_where_they_are_asked_for(folder: Path) -> None:
    write(folder, "held.yaml")
    write(folder, "deviated.yaml", expect="{reroutes: 0}")
    done = call(folder, "run", ".", "--junit", "out/report.xml", "--html", "out/page.html", "--journal", "out/j.json")
    assert done.returncode == 1
    suite = ET.parse(folder / "out/report.xml").getroot()  # noqa: S314  # our own file
    assert len(suite.findall(".//testcase")) == 2
    assert len(suite.findall(".//failure")) == 1
    page = (folder / "out/page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "The far way is taken" in page
    assert json.loads((folder / "out/j.json").read_text(encoding="utf-8"))["totals"]["held"] == 1
    assert not (folder / ".agentroute/scenarios").exists()


def test_a_report_that_cannot_be_written_is_told_in_a_sentence(folder: Path) -> None:
    write(folder, "held.yaml")
    (folder / "taken").write_text("", encoding="utf-8")
    done = call(folder, "run", "held.yaml", "--junit", "taken/report.xml", "--quiet")
    assert done.returncode == 2
    assert done.stderr.startswith("error: taken/report.xml: cannot be written")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "cannot be read"),
        (["empty"], "no scenario files"),
        (["held.yaml", "--compare", "magic"], "there is react and static"),
        (["held.yaml", "--var", "order"], "NAME=VALUE"),
        (["held.yaml", "--var", "ordre=3"], "no scenario here has ${ordre}; did you mean 'order'?"),
        (["held.yaml", "--compare", "react"], "needs a testbed"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_in_a_sentence(folder: Path, arguments: list[str], why: str) -> None:
    write(folder, "held.yaml")
    (folder / "empty").mkdir()
    done = call(folder, "run", *arguments, "--quiet")
    assert done.returncode == 2
    assert why in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_generated_scenarios_are_the_same_for_the_same_seed_and_can_be_run(folder: Path) -> None:
    for name in ("one", "two"):
        assert call(folder, "generate", "--count", "12", "--seed", "3", "--out", name).returncode == 0
    one, two = ({file.name: file.read_bytes() for file in (folder / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert len(one) == 12
    again = call(folder, "generate", "--count", "12", "--out", "one")
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)
    status, told = as_json(folder, "one")
    assert status == 0, [scenario["reason"] for scenario in told["scenarios"]]
    assert told["totals"]["triggered_faults"] >= 12


def test_ctrl_c_shows_what_was_played_by_then(folder: Path) -> None:
    for number in range(400):
        write(folder, f"s{number:03}.yaml")
    with subprocess.Popen(
        [PROGRAM, "scenario", "run", ".", "--json", "--jobs", "2"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        time.sleep(5.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert json.loads(out)["totals"]["scenarios"] < 400
    assert "stopped after" in err


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["generate", "--help"], ["shrink", "--help"]])
def test_help_shows_examples(folder: Path, command: list[str]) -> None:
    done = call(folder, *command)
    assert done.returncode == 0
    assert "Examples:" in done.stdout


def test_the_schema_of_scenario_files_is_printed(folder: Path) -> None:
    done = subprocess.run([PROGRAM, "schema", "scenario"], capture_output=True, text=True, check=True, cwd=folder)
    assert json.loads(done.stdout)["title"] == "agentroute scenario file"


TRUTHFUL = """
from typing import Annotated
import anyio
from pydantic import BaseModel
from agentroute import Agent, Artifact, Goal, current, tool

Order = Annotated[str, Artifact("order")]
ROWS = []

class Refund(BaseModel):
    reference: str

async def blind(order: Order) -> Refund | None:
    return None

async def seeing(order: Order) -> Refund | None:
    return next((Refund(reference=row["ref"]) for row in ROWS if row["run"] == current().run_id), None)

def pay(verify):
    @tool(name="pay", effect="once", usd=0.1, timeout_s=1, verify=verify)
    async def pay(order: Order) -> Refund:
        ROWS.append({"run": current().run_id, "ref": order})
        await anyio.sleep(0.5)
        return Refund(reference=order)
    return pay

def agent_of(verify):
    return Agent(name="bank", tools=[pay(verify)], goals=[Goal("paid", requires=[Refund])])

trusting, careful = agent_of(blind), agent_of(seeing)

def rows(runs):
    return {"payments": [row for row in ROWS if row["run"] in runs]}
"""


@pytest.mark.parametrize(("name", "status"), [("trusting", 1), ("careful", 0)])
def test_an_agents_own_database_is_believed_before_anybody_else(folder: Path, name: str, status: int) -> None:
    (folder / "bank.py").write_text(TRUTHFUL, encoding="utf-8")
    text = f"""
version: "1"
title: done, and told too late
agent: bank.py:{name}
truth: bank.py:rows
inputs: {{order: "1"}}
steady-state-hypothesis: {{outcome: succeeded, truth: {{payments: [{{ref: "1"}}]}}}}
method: [{{type: latency, target: pay, latency: 5s, attempts: 1}}]
"""
    (folder / "late.yaml").write_text(text, encoding="utf-8")
    done, told = as_json(folder, "late.yaml")
    assert done == status, told["scenarios"][0]["reason"]
    assert ("truth.payments: a row that was not expected" in told["scenarios"][0]["reason"]) == bool(status)


def test_what_a_tool_did_before_it_raised_is_unclear_until_its_verifier_says(folder: Path) -> None:
    code = TRUTHFUL.replace("await anyio.sleep(0.5)", "raise TimeoutError").replace("seeing, None)", "seeing)")
    (folder / "bank.py").write_text(code, encoding="utf-8")
    text = 'version: "1"\ntitle: t\nagent: bank.py:{}\ninputs: {{order: "1"}}\nexpect: {{effects: {{pay: {}}}}}\n'
    for name, effects, status in (("careful", "1", 0), ("careful", "0", 1), ("trusting", "{max: 9}", 0)):
        (folder / "t.yaml").write_text(text.format(name, effects), encoding="utf-8")
        done, told = as_json(folder, "t.yaml")
        assert done == status, told["scenarios"][0]["reason"]
