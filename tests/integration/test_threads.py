"""Plain functions in threads: real time, real blocking, and a process that still comes to an end."""

import subprocess
import sys
import textwrap
import threading
import time
from contextvars import ContextVar
from typing import Annotated

import anyio
import pytest

from agentroute import Agent, Artifact, Budget, Goal, Health, HealthSignal, Probes, current, tool
from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.ids import RunId
from agentroute.run.events import AttemptFailed, LateResultFenced, Quarantined

pytestmark = pytest.mark.anyio

Start = Annotated[str, Artifact("start")]
Value = Annotated[str, Artifact("value")]
Other = Annotated[str, Artifact("other")]
setting: ContextVar[str] = ContextVar("setting", default="unset")


def agent(*tools: object, goals: list[Goal] | None = None, **options: object) -> Agent:
    return Agent(name="a", tools=tools, goals=goals or [Goal("g", requires=[Value])], **options)  # pyright: ignore[reportArgumentType]


async def test_plain_functions_run_side_by_side() -> None:
    barrier = threading.Barrier(2, timeout=5)

    @tool(effect="read")
    def one(start: Start) -> Value:
        barrier.wait()
        return "one"

    @tool(effect="read")
    def two(start: Start) -> Other:
        barrier.wait()
        return "two"

    both = agent(one, two, goals=[Goal("g", requires=[Value, Other])])
    assert (await both.run(inputs={"start": "x"})).outcome == "succeeded"


async def test_the_event_loop_is_not_blocked() -> None:
    @tool(effect="read")
    def slow(start: Start) -> Value:
        time.sleep(0.3)
        return "done"

    ticks = 0
    async with anyio.create_task_group() as tasks:

        async def tick() -> None:
            nonlocal ticks
            while True:
                await anyio.sleep(0.01)
                ticks += 1

        tasks.start_soon(tick)
        await agent(slow).run(inputs={"start": "x"})
        tasks.cancel_scope.cancel()
    assert ticks > 10


async def test_a_thread_sees_the_context_of_its_run() -> None:
    @tool(effect="read")
    def look(start: Start) -> Value:
        return f"{setting.get()} {current().run_id}"

    setting.set("set by the caller")
    result = await agent(look).run(inputs={"start": "x"}, run_id="r1")
    assert result["value"] == "set by the caller r1"


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt], ids=lambda e: e.__name__)
async def test_what_a_thread_raises_is_the_attempts_failure(error: type[BaseException]) -> None:
    def raising() -> str:
        raise error("from the thread")

    @tool(effect="read")
    def bad(start: Start) -> Value:
        return raising()

    @tool(effect="read", usd=1.0)
    def good(start: Start) -> Value:
        return "good"

    assert (await agent(bad, good).run(inputs={"start": "x"})).route == ["good"]


async def test_a_late_result_is_fenced_off() -> None:
    release = threading.Event()
    calls: list[int] = []

    @tool(effect="read", timeout_s=0.1)
    def slow_once(start: Start) -> Value:
        calls.append(current().attempt)
        if len(calls) == 1:
            release.wait(5)
            return "late"
        return "in time"

    @tool(effect="read")
    async def after(value: Value) -> Other:
        release.set()
        await anyio.sleep(0.3)
        return value

    journal = MemoryJournal()
    late = agent(slow_once, after, goals=[Goal("g", requires=[Other])], journal=journal)
    result = await late.run(inputs={"start": "x"}, run_id="r")
    assert (result["other"], result["value"]) == ("in time", "in time")
    events = [record.event for record in await journal.read(RunId("r"))]
    assert [event.error for event in events if isinstance(event, AttemptFailed)] == ["TimeoutError"]
    assert [(event.attempt, event.succeeded) for event in events if isinstance(event, LateResultFenced)] == [(1, True)]


@pytest.mark.parametrize("times", [1, 2], ids=["of the late one", "of the late one, too"])
async def test_what_a_late_call_charges_is_looked_at(times: int) -> None:
    """Its books are closed, but who charges more than it may is put aside, and that is said once."""
    release = threading.Event()

    @tool(effect="read", usd=1.0, timeout_s=0.1)
    def dear(start: Start) -> Value:
        if times == 2:
            current().charge(usd=5.0)
        release.wait(5)
        current().charge(usd=5.0)
        return "late"

    @tool(effect="read", usd=2.0)
    async def fair(start: Start) -> Value:
        release.set()
        await anyio.sleep(0.3)
        return "in time"

    journal = MemoryJournal()
    desk = agent(dear, fair, journal=journal, health=Health(max_attempts=1))
    result = await desk.run(inputs={"start": "x"}, run_id="r")
    assert (result["value"], result.cost_usd) == ("in time", 3.0 if times == 1 else 7.0)
    events = [record.event for record in await journal.read(RunId("r"))]
    why = "it charged 5 USD, where 1 are the worst case"
    assert [(event.attempt, event.reason) for event in events if isinstance(event, Quarantined)] == [(1, why)]
    assert dict(desk.put_aside) == {"dear": why}


async def test_a_late_call_is_found_out_when_its_run_is_over_too(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    @tool(effect="read", usd=1.0, timeout_s=0.05)
    def dear(start: Start) -> Value:
        release.wait(5)
        current().charge(usd=5.0)
        return "late"

    desk = agent(dear, health=Health(max_attempts=1))
    assert (await desk.run(inputs={"start": "x"}, run_id="r")).outcome == "escalated"
    assert not desk.put_aside
    release.set()
    with anyio.fail_after(5):
        while not desk.put_aside:  # noqa: ASYNC110  # a thread says so, and to nobody else
            await anyio.sleep(0.01)
    assert "run r: tool dear put aside for all runs: it charged 5 USD" in caplog.text


async def test_a_late_failure_is_fenced_off_as_one() -> None:
    @tool(effect="read", timeout_s=0.1)
    def slow(start: Start) -> Value:
        time.sleep(0.2)
        raise ValueError("too late to matter")

    @tool(effect="read", usd=1.0)
    async def other(start: Start) -> Value:
        await anyio.sleep(0.5)
        return "other"

    journal = MemoryJournal()
    health = Health(max_attempts=1)
    result = await agent(slow, other, journal=journal, health=health).run(inputs={"start": "x"}, run_id="r")
    assert result.route == ["other"]
    events = [record.event for record in await journal.read(RunId("r"))]
    assert [event.succeeded for event in events if isinstance(event, LateResultFenced)] == [False]


async def test_a_run_is_over_by_its_deadline_although_a_thread_hangs() -> None:
    release = threading.Event()

    @tool(effect="read", timeout_s=30)
    def hangs(start: Start) -> Value:
        release.wait(20)
        return "never"

    began = anyio.current_time()
    result = await agent(hangs, budget=Budget(deadline_s=0.2)).run(inputs={"start": "x"})
    assert result.outcome == "escalated"
    assert anyio.current_time() - began < 2
    release.set()


async def test_cancelling_a_run_leaves_its_thread_behind_at_once() -> None:
    release = threading.Event()

    @tool(effect="read")
    def hangs(start: Start) -> Value:
        release.wait(20)
        return "never"

    began = anyio.current_time()
    with anyio.move_on_after(0.1):
        await agent(hangs).run(inputs={"start": "x"})
    assert anyio.current_time() - began < 2
    release.set()


async def test_the_limit_on_concurrency_bounds_threads() -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    @tool(effect="read")
    def count(start: Start) -> Value:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return "x"

    limited = agent(count, max_concurrency=3)
    async with anyio.create_task_group() as runs:
        for _ in range(12):
            runs.start_soon(lambda: limited.run(inputs={"start": "x"}))
    assert most == 3


def program(body: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, and wait no longer than ten seconds for its end."""
    head = """
        import time
        from typing import Annotated
        from agentroute import Agent, Artifact, Budget, Goal, Health, tool
        Start, Value = Annotated[str, Artifact("start")], Annotated[str, Artifact("value")]
    """
    source = textwrap.dedent(head) + textwrap.dedent(body)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=10, check=False)


async def test_a_thread_that_hangs_for_good_does_not_keep_the_process_alive() -> None:
    done = await anyio.to_thread.run_sync(
        program,
        """
        @tool(effect="read", timeout_s=0.2)
        def hangs(start: Start) -> Value:
            time.sleep(3600)
            return "never"

        @tool(effect="read", usd=1.0)
        def other(start: Start) -> Value:
            return "other"

        goals, health = [Goal("g", requires=[Value])], Health(max_attempts=1)
        print(Agent(name="a", tools=[hangs, other], goals=goals, health=health).run_sync(inputs={"start": "x"}).route)
        """,
    )
    assert (done.stdout.strip(), done.returncode) == ("['other']", 0), done.stderr


async def test_a_thread_that_ends_after_the_event_loop_disturbs_nothing() -> None:
    done = await anyio.to_thread.run_sync(
        program,
        """
        @tool(effect="read", timeout_s=0.1)
        def slow(start: Start) -> Value:
            time.sleep(0.5)
            return "late"

        agent = Agent(name="a", tools=[slow], goals=[Goal("g", requires=[Value])], health=Health(max_attempts=1))
        print(agent.run_sync(inputs={"start": "x"}).outcome)
        time.sleep(1.0)
        print("still here")
        """,
    )
    assert done.stdout.split("\n")[:2] == ["escalated", "still here"]
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


async def test_an_interrupted_program_ends() -> None:
    """Ctrl+C while a tool hangs in a thread: the process is gone at once, and says why."""
    body = """
        import os, signal, threading

        @tool(effect="read")
        def hangs(start: Start) -> Value:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(3600)
            return "never"

        Agent(name="a", tools=[hangs], goals=[Goal("g", requires=[Value])]).run_sync(inputs={"start": "x"})
    """
    done = await anyio.to_thread.run_sync(program, body)
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr


async def test_a_probe_that_blocks_is_not_asked_again_until_it_has_come_back() -> None:
    asked, release = list[float](), threading.Event()

    def blocks() -> None:
        asked.append(time.monotonic())
        release.wait(10)

    said: list[HealthSignal] = []
    probes = Probes({"read": blocks}, every_s=0.02, timeout_s=0.02)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(probes.watch, said.append)
        with anyio.fail_after(5):
            while len(said) < 5:  # noqa: ASYNC110  # it has no end that could be waited for
                await anyio.sleep(0.01)
        assert len(asked) == 1
        assert {signal.reason for signal in said} == {"no answer within 0.02 s"}
        release.set()
        with anyio.fail_after(5):
            while said[-1].reason != "answered":  # noqa: ASYNC110
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


def test_a_probe_that_never_returns_does_not_keep_the_process_from_ending() -> None:
    program = """
    import time
    from typing import Annotated
    import anyio
    from agentroute import Agent, Artifact, Goal, Probes, tool

    @tool(effect="read")
    async def read(start: Annotated[str, Artifact("start")]) -> Annotated[str, Artifact("value")]:
        return start

    async def main():
        probes = Probes({"read": lambda: time.sleep(3600)}, timeout_s=0.05)
        agent = Agent(name="a", tools=[read], goals=[Goal("g", ["value"])], trace=False, monitors=[probes])
        async with agent:
            await anyio.sleep(0.2)
            print((await agent.run(inputs={"start": "x"})).outcome)

    anyio.run(main)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "succeeded\n"
