"""The file that what was learned is kept in: what is refused, and how it is written."""

import errno
import json
import math
import os
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute import Agent, ConfigurationError, DefinitionError, DocumentError, Goal, Priors
from agentroute.adapters.priors import LARGEST_FILE
from agentroute.ids import GoalId, ToolId
from agentroute.routing.knowledge import Calls, Knowledge, bucket
from agentroute.testing.fakes import fake_tool

counts = st.floats(0, 1e6)
entries = st.builds(
    Calls,
    failed=counts,
    worked=counts,
    usd=counts,
    declared_usd=counts,
    took=st.dictionaries(st.floats(1e-5, 1e6).map(bucket), counts, max_size=5),
)
names = st.text(min_size=1, max_size=20)
tools = st.dictionaries(names.map(ToolId), entries, max_size=3)
priors = st.builds(
    Priors, calls=st.integers(0, 10**9), tools=tools, goals=st.dictionaries(names.map(GoalId), tools, max_size=3)
)

FLOW = """
from typing import Annotated
from agentroute import Agent, Artifact, Goal, ToolError, tool

Question, Answer = Annotated[str, Artifact("question")], Annotated[str, Artifact("answer")]

@tool(usd=0.004, effect="read")
async def cheap(question: Question) -> Answer:
    raise ToolError("down", kind="transient")

@tool(usd=0.005, effect="read")
async def dear(question: Question) -> Answer:
    return "42"

agent = Agent(name="answers", tools=[cheap, dear], goals=[Goal("answered", [Answer])])
"""


@given(known=priors)
def test_what_is_written_is_read(known: Priors, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("kept") / "priors.json"
    known.save(file)
    assert Priors.load(file) == known


def content(**entry: Any) -> dict[str, Any]:
    return {"version": "1", "tools": {"search": entry}}


BROKEN: dict[str, tuple[str, str]] = {
    "empty": ("", "1:1: is not JSON"),
    "cut off": ('{"version": "1",\n "tools": {', "2:12: is not JSON"),
    "no object": ("[]", "the file: Input should be"),
    "another version": ('{"version": "2"}', "version: Input should be '1'"),
    "no version": ("{}", "version: Field required"),
    "NaN": ('{"version": "1", "calls": NaN}', "NaN is no number"),
    "infinite": ('{"version": "1", "tools": {"t": {"failed": 1e999}}}', "tools.t.failed"),
    "minus infinite": ('{"version": "1", "calls": -Infinity}', "-Infinity is no number"),
    "too many digits": ('{"version": "1", "calls": ' + "9" * 9_999 + "}", "digits"),
    "negative": (json.dumps(content(failed=-1)), "tools.search.failed: Input should be greater than"),
    "huge": (json.dumps(content(worked=1e13)), "tools.search.worked: Input should be less than"),
    "a huge price": (json.dumps(content(usd=1e30)), "tools.search.usd"),
    "text for a number": (json.dumps(content(worked="1")), "tools.search.worked: Input should be a valid number"),
    "truth for a number": (json.dumps(content(worked=True)), "tools.search.worked"),
    "an unknown key": (json.dumps(content(median=1)), "tools.search.median: Extra inputs are not permitted"),
    "no duration": (json.dumps(content(seconds={"soon": 1})), "tools.search.seconds.soon"),
    "a negative duration": (json.dumps(content(seconds={"-1": 1})), "tools.search.seconds.-1"),
    "a duration that is none": (json.dumps(content(seconds={"nan": 1})), "tools.search.seconds.nan"),
    "a negative count": (json.dumps(content(seconds={"1": -1})), "tools.search.seconds.1"),
    "a key twice": ('{"version": "1", "tools": {"t": {}, "t": {}}}', "'t' is there twice"),
    "no name": ('{"version": "1", "tools": {"": {}}}', "should have at least 1 character"),
    "a long name": (json.dumps({"version": "1", "tools": {"x" * 201: {}}}), "at most 200 characters"),
    "deep": ('{"version": ' + "[" * 100_000, "nested too deeply"),
    "goals that are none": ('{"version": "1", "goals": {"g": {"t": 1}}}', "goals.g.t"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_with_what_and_why(case: str, tmp_path: Path) -> None:
    text, why = BROKEN[case]
    file = tmp_path / "priors.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        Priors.load(file)
    assert str(caught.value).startswith(f"{file}:")
    assert why in str(caught.value)
    assert len(str(caught.value)) < 2_000


def test_of_many_problems_some_are_told(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    file.write_text(json.dumps({"version": "1", "tools": {str(n): {"failed": -1} for n in range(900)}}))
    with pytest.raises(DefinitionError, match="and 895 more"):
        Priors.load(file)


def test_what_is_no_small_text_file_is_refused(tmp_path: Path) -> None:
    large, latin, pipe = tmp_path / "large", tmp_path / "latin", tmp_path / "pipe"
    large.write_text(" " * (LARGEST_FILE + 1))
    latin.write_bytes(b'{"version": "\xe4"}')
    os.mkfifo(pipe)
    for file, why in ((large, "larger than"), (latin, "UTF-8"), (pipe, "not an ordinary file"), (tmp_path, "a folder")):
        with pytest.raises(DocumentError, match=why):
            Priors.load(file)


def test_a_file_that_is_missing_is_an_error_unless_it_may_be(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    with pytest.raises(DocumentError, match="No such file"):
        Priors.load(file)
    assert Priors.load(file, missing_ok=True) == Priors()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DocumentError):
        Priors.load(tmp_path / "dangling", missing_ok=True)


def test_tools_that_an_agent_does_not_have_are_ignored_and_carried_along(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    Priors(3, {ToolId("gone"): Calls(failed=3.0)}).save(file)
    agent = Agent(name="a", tools=[fake_tool("t", ["x"], ["y"])], goals=[Goal("g", ["y"])], priors=file, trace=False)
    assert agent.plan().tools == ["t"]
    agent.run_sync(inputs={"x": "1"})
    assert anyio.run(agent.learned).tools.keys() == {"gone", "t"}


def test_an_agent_is_not_made_of_a_broken_file(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    file.write_text("{}")
    with pytest.raises(DefinitionError, match="version"):
        Agent(name="a", tools=[fake_tool("t", ["x"], ["y"])], goals=[Goal("g", ["y"])], priors=str(file), trace=False)


# -------------------------------------------------------------------- writing


def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    file.write_text("old")
    file.chmod(0o644)
    Priors(1).save(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["priors.json"]


def test_a_link_keeps_leading_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    Priors(1).save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert Priors.load(tmp_path / "real.json") == Priors(1)


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full says so when the data is to be on it."""
    file = tmp_path / "priors.json"
    Priors(1).save(file)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match=r"priors\.json: what was learned cannot be written: No space left"):
        Priors(2).save(file)
    assert Priors.load(file) == Priors(1)
    assert [each.name for each in tmp_path.iterdir()] == ["priors.json"]


@pytest.mark.parametrize("place", ["missing/priors.json", ".", "a\0b", "pipe"])
def test_where_nothing_can_be_written_it_is_said(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        Priors().save(f"{tmp_path}/{place}")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


WRITER = """
import sys
from agentroute import Priors
from agentroute.routing.knowledge import Calls
known = Priors(int(sys.argv[2]), {f"tool-{n}": Calls(failed=float(sys.argv[2])) for n in range(300)})
for _ in range(40):
    known.save(sys.argv[1])
"""


def test_of_two_that_write_at_once_the_last_one_wins_whole(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    Priors(1, {ToolId("tool-0"): Calls(failed=1.0)}).save(file)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(number)]) for number in (1, 2)]
    seen: set[int] = set()
    while any(writer.poll() is None for writer in writers):
        known = Priors.load(file)
        assert {calls.failed for calls in known.tools.values()} == {float(known.calls)}
        seen.add(known.calls)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(Priors.load(file).tools) == 300
    assert [each.name for each in tmp_path.iterdir()] == ["priors.json"]


# -------------------------------------------------------------------- adding, several at once

ADDER = """
import sys
from agentroute import Priors
from agentroute.routing.knowledge import Calls, Knowledge
one = Knowledge(1, {sys.argv[2]: Calls(failed=1.0)})
for _ in range(int(sys.argv[3])):
    Priors.add(sys.argv[1], one)
    print("added", flush=True)
"""

HOLDER = """
import sys, time
from agentroute.adapters.priors import _alone
with _alone(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def start(program: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> int:
    """How many lines a process has said, once it is over."""
    return len(process.communicate(timeout=60)[0].splitlines())


def test_of_several_that_add_at_once_none_loses_what_another_added(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    adders = [start(ADDER, file, f"tool-{number}", 25) for number in range(4)]
    assert [said(adder) for adder in adders] == [25] * 4
    known = Priors.load(file)
    assert known.calls == 100
    assert sum(calls.failed for calls in known.tools.values()) == pytest.approx(100, rel=0.05)  # old ones fade
    assert stat.S_IMODE((tmp_path / ".priors.json.lock").stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == [".priors.json.lock", "priors.json"]


def test_one_that_is_killed_while_it_holds_the_lock_holds_up_nobody(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    holder = start(HOLDER, file)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    adders = [start(ADDER, file, "tool", 5) for _ in range(2)]
    with pytest.raises(subprocess.TimeoutExpired):  # they wait
        adders[0].wait(timeout=1.0)
    assert not file.exists()
    holder.kill()
    holder.communicate()
    assert [said(adder) for adder in adders] == [5, 5]
    assert Priors.load(file).calls == 10


def test_one_that_is_killed_anywhere_has_added_what_it_said_and_spoils_nothing(tmp_path: Path) -> None:
    """What was added and not said any more is one at most."""
    file = tmp_path / "priors.json"
    steady = start(ADDER, file, "steady", 60)
    told = 0
    for lines in (1, 3, 7, 12):
        victim = start(ADDER, file, "victim", 10_000)
        assert victim.stdout is not None
        told += sum(bool(victim.stdout.readline()) for _ in range(lines))
        victim.kill()
        told += said(victim)
    assert said(steady) == 60
    assert 60 + told <= Priors.load(file).calls <= 60 + told + 4


def test_a_lock_that_somebody_keeps_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "priors.json"
    Priors(1).save(file)
    monkeypatch.setattr("agentroute.adapters.priors.PATIENCE_S", 0.2)
    holder = start(HOLDER, file)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(ConfigurationError, match=r"another process has held its lock for 0\.2 s"):
            Priors.add(file, Knowledge(1))
    finally:
        holder.kill()
        holder.communicate()
    assert Priors.load(file) == Priors(1)


@pytest.mark.parametrize("place", ["missing/priors.json", "a\0b", "pipe"])
def test_where_nothing_can_be_added_it_is_said(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((ConfigurationError, DocumentError), match=r"cannot be written|not an ordinary file"):
        Priors.add(f"{tmp_path}/{place}", Knowledge(1))
    assert not (tmp_path / "missing").exists()


def test_nothing_is_added_to_what_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    file.write_text("{}")
    with pytest.raises(DefinitionError, match="version"):
        Priors.add(file, Knowledge(1))
    assert file.read_text() == "{}"


def test_an_agent_adds_each_run_once_and_loses_none_that_could_not_be_kept(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    agent = Agent(name="a", tools=[fake_tool("t", ["x"], ["y"])], goals=[Goal("g", ["y"])], priors=file, trace=False)

    async def main() -> list[int]:
        counts: list[int] = []
        for _ in range(3):
            await agent.run(inputs={"x": "1"})
            await agent.keep_learned(file)
            await agent.keep_learned(file)
            Priors.add(file, Knowledge(10))  # another process
            counts.append(Priors.load(file).calls)
        await agent.run(inputs={"x": "1"})
        with pytest.raises(ConfigurationError):
            await agent.keep_learned(tmp_path / "missing" / "priors.json")
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(agent.keep_learned, file)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await agent.keep_learned(file)
        assert (await agent.learned()).calls == 4
        return [*counts, Priors.load(file).calls]

    assert anyio.run(main) == [11, 22, 33, 34]


# -------------------------------------------------------------------- the command line


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "flow.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    return "flow.py:agent"


def typed(flow: str, *arguments: str, status: int = 0) -> tuple[str, str]:
    """What a command prints: a process of its own, as each has its own event loop and its own health."""
    command = [Path(sys.executable).with_name("agentroute"), arguments[0], flow, *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


RUN = ("run", "--input", "question=why", "--json", "--quiet")


def test_a_run_reads_what_earlier_ones_wrote(flow: str, tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    told: list[Any] = [json.loads(typed(flow, *RUN, "--priors", str(file))[0]) for _ in range(3)]
    assert told[0]["attempts"] > 1
    assert told[-1]["attempts"] == 1
    assert Priors.load(file).tools[ToolId("dear")].worked == pytest.approx(3.0, abs=0.1)
    before = file.read_bytes()
    plan = json.loads(typed(flow, "plan", "--json", "--priors", str(file))[0])
    assert plan["tools"] == ["dear"]
    assert file.read_bytes() == before


def test_what_was_broken_on_purpose_is_not_learned(flow: str, tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    typed(flow, *RUN, "--priors", str(file), "--fault", "latency=0.01:dear")
    assert not file.exists()


def test_a_run_whose_lessons_cannot_be_kept_says_so_and_prints_its_result(flow: str, tmp_path: Path) -> None:
    out, err = typed(flow, *RUN, "--priors", str(tmp_path / "missing" / "priors.json"))
    assert json.loads(out)["outcome"] == "succeeded"
    assert "what was learned cannot be written: No such file" in err


def test_a_broken_file_is_told_before_anything_is_called(flow: str, tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    file.write_text('{"version": "1", "calls": -1}')
    for command in (RUN, ("plan",)):
        out, err = typed(flow, *command, "--priors", str(file), status=2)
        assert not out
        assert f"{file}: calls: Input should be greater than or equal to 0" in err


def test_a_plan_needs_the_file_that_it_is_told_to_read(flow: str, tmp_path: Path) -> None:
    _, err = typed(flow, "plan", "--priors", str(tmp_path / "none.json"), status=2)
    assert "No such file" in err


def test_knowledge_in_memory_is_what_priors_add_up_to() -> None:
    known = Priors(1, {ToolId("t"): Calls(failed=1.0)})
    assert isinstance(known.merged(Knowledge(1)), Priors)


@settings(max_examples=40, deadline=None)
@given(known=priors, largest=st.integers(100, 3000), newer=priors)
def test_what_is_written_can_be_read_again_however_much_there_is(known: Priors, largest: int, newer: Priors) -> None:
    """The least used is left out, goals before tools."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr("agentroute.adapters.priors.LARGEST_FILE", largest)
        path = Path(folder, "priors.json")
        known.save(path)
        kept = Priors.load(path)
        assert path.stat().st_size <= largest
        assert set(kept.goals) <= set(known.goals)
        assert set(kept.tools) <= set(known.tools)
        if set(kept.tools) != set(known.tools):
            assert not kept.goals
        used = {goal: sum(calls.failed + calls.worked for calls in each.values()) for goal, each in known.goals.items()}
        left_out = [used[goal] for goal in known.goals if goal not in kept.goals]
        assert max(left_out, default=0.0) <= min((used[goal] for goal in kept.goals), default=math.inf)
        assert Priors.add(path, newer).goals.keys() == Priors.load(path).goals.keys()


def test_what_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    took = dict.fromkeys(range(100), 1.0)
    each = {ToolId(f"tool-{number}"): Calls(0.0, 9.0, 0.0, 0.0, took) for number in range(40)}
    known = Priors(calls=9, tools=each, goals={GoalId(f"goal-{number:03}"): each for number in range(60)})
    known.save(tmp_path / "priors.json")
    kept = Priors.load(tmp_path / "priors.json")
    assert kept.tools.keys() == known.tools.keys()
    assert 0 < len(kept.goals) < 60
    assert f"{60 - len(kept.goals)} goals and 0 tools, the least used, are forgotten" in caplog.text
