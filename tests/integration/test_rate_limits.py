"""What servers say of their rate limits, over real HTTP: the agent goes elsewhere before it is refused."""

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, ClassVar

import anyio
import httpx
import pytest

from agentroute import Agent, Artifact, Budget, Goal, Health, LiteLlm, Price, Prices, RunResult, llm_step, tool
from agentroute.adapters.http.tools import HttpTool, http_tool
from agentroute.attempt import Attempt, serving
from agentroute.errors import ToolError
from agentroute.guard.failures import classify
from agentroute.guard.rate_limits import Headroom, headroom_of
from agentroute.ids import ArtifactId, AttemptId, RunId, ToolId
from agentroute.ports import Tool
from agentroute.testing import ModelServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

City = Annotated[str, Artifact("city")]
Name = Annotated[str, Artifact("name")]
Weather = Annotated[int, Artifact("weather")]


@dataclass
class Answer:
    """What the server says to one request."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    data: object = 21


class Server(ThreadingHTTPServer):
    """A server on the loopback that answers as `script` says, and notes when it was asked."""

    daemon_threads = True

    def __init__(self, script: Callable[[int], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.asked_at: list[float] = []
        self.answered: list[int] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.server.asked_at.append(time.monotonic())
        answer = self.server.script(len(self.server.asked_at))
        self.server.answered.append(answer.status)
        body = json.dumps(answer.data).encode()
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Write no access log."""


Start = Callable[[Callable[[int], Answer]], Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, and stops them at the end."""
    servers: list[Server] = []

    def begin(script: Callable[[int], Answer]) -> Server:
        servers.append(Server(script))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def limited(calls: int, *, window_s: float = 60.0) -> Callable[[int], Answer]:
    """Serves so many calls, says with each how many are left, and refuses the rest."""

    def script(number: int) -> Answer:
        left = max(calls - number, 0)
        headers = {"x-ratelimit-limit": f"{calls}", "x-ratelimit-remaining": f"{left}"}
        return Answer(200 if number <= calls else 429, {**headers, "x-ratelimit-reset": f"{window_s}"})

    return script


def unlimited(_: int) -> Answer:
    return Answer()


def forecast(name: str, server: Server, usd: float = 0.001) -> HttpTool:
    url = server.address + "/{city}"
    return http_tool(name, "GET", url, takes={"city": City}, returns=Weather, usd=usd, provider=name)


def agent_of(*tools: Tool, patience_s: float = 30.0) -> Agent:
    goals = [Goal("known", requires=[Weather])]
    return Agent(name="w", tools=list(tools), goals=goals, health=Health(patience_s=patience_s), trace=False)


async def ask(agent: Agent) -> RunResult:
    return await agent.run(inputs={"city": "Oslo"})


async def ask_often(agent: Agent, times: int) -> Sequence[RunResult]:
    return [await ask(agent) for _ in range(times)]


class TestHttpTools:
    async def test_the_alternative_is_taken_before_the_first_refusal(self, start: Start) -> None:
        cheap, dear = start(limited(10)), start(unlimited)
        results = await ask_often(agent_of(forecast("cheap", cheap), forecast("dear", dear, usd=0.004)), 15)
        assert all(result.outcome == "succeeded" for result in results)
        assert cheap.answered == [200] * 10
        assert dear.answered == [200] * 5

    async def test_an_alternative_that_hardly_costs_more_is_taken_while_something_is_left(self, start: Start) -> None:
        cheap, dear = start(limited(20)), start(unlimited)
        await ask_often(agent_of(forecast("cheap", cheap), forecast("dear", dear, usd=0.0012)), 24)
        assert 15 <= len(cheap.answered) < 20
        assert 429 not in cheap.answered

    async def test_with_nothing_left_and_no_other_way_the_reset_is_waited_for(self, start: Start) -> None:
        server = start(lambda number: limited(1, window_s=0.5)(1) if number == 1 else Answer())
        first, second = await ask_often(agent_of(forecast("only", server)), 2)
        assert (first.outcome, second.outcome) == ("succeeded", "succeeded")
        assert server.answered == [200, 200]
        assert server.asked_at[1] - server.asked_at[0] >= 0.45

    async def test_a_reset_beyond_all_patience_is_not_waited_for(self, start: Start) -> None:
        server = start(limited(1, window_s=50_000))
        began = time.monotonic()
        _, second = await ask_often(agent_of(forecast("only", server), patience_s=1.0), 2)
        assert second.outcome == "escalated"
        assert len(server.answered) == 1
        assert time.monotonic() - began < 5

    async def test_a_refusal_without_retry_after_is_waited_out_as_its_headers_say(self, start: Start) -> None:
        headers = {"RateLimit": '"default";r=0;t=0.5', "RateLimit-Policy": '"default";q=10;w=1'}
        server = start(lambda number: Answer(429, headers) if number == 1 else Answer())
        result = await ask(agent_of(forecast("only", server)))
        assert (result.outcome, server.answered) == ("succeeded", [429, 200])
        assert server.asked_at[1] - server.asked_at[0] >= 0.45

    @pytest.mark.parametrize("status", [200, 302, 404, 500])
    async def test_what_any_answer_says_counts(self, start: Start, status: int) -> None:
        """A breach of contract, a redirect, an unknown city, a crash: the limit is a fact all the same."""
        last = limited(1)(1).headers
        busy, other = start(lambda _: Answer(status, last, data="warm")), start(unlimited)
        results = await ask_often(agent_of(forecast("busy", busy), forecast("other", other, usd=0.004)), 2)
        assert [result.outcome for result in results] == ["succeeded", "succeeded"]
        assert busy.answered == [status]
        assert other.answered == [200, 200]

    async def test_runs_under_way_go_elsewhere_when_the_last_call_is_taken(self, start: Start) -> None:
        cheap, dear = start(limited(3)), start(unlimited)
        agent = agent_of(forecast("cheap", cheap), forecast("dear", dear, usd=0.004))
        await ask(agent)
        async with anyio.create_task_group() as runs:
            for _ in range(8):
                runs.start_soon(ask, agent)
        assert cheap.answered == [200] * 3
        assert dear.answered == [200] * 6

    async def test_a_run_whose_next_tool_another_run_has_used_up_goes_elsewhere(self, start: Start) -> None:
        cheap, dear = start(limited(1)), start(unlimited)
        asked = anyio.Event()

        @tool(usd=0.001, effect="read")
        async def locate(name: Name) -> City:
            asked.set()
            while not cheap.answered:  # noqa: ASYNC110  # answered in another thread
                await anyio.sleep(0.01)
            await anyio.sleep(0.05)
            return name

        agent = agent_of(locate, forecast("cheap", cheap), forecast("dear", dear, usd=0.004))
        found: list[RunResult] = []

        async def from_name() -> None:
            found.append(await agent.run(inputs={"name": "Oslo"}))

        async with anyio.create_task_group() as runs:
            runs.start_soon(from_name)
            await asked.wait()
            await ask(agent)
        assert found[0].route == ["locate", "dear"]
        assert cheap.answered == [200]

    async def test_nonsense_changes_nothing(self, start: Start) -> None:
        nonsense = {
            "x-ratelimit-remaining": "-1",
            "RateLimit": '"',
            "ratelimit-remaining": "nan",
            "x-ratelimit-reset": "9" * 99,
        }
        server = start(lambda _: Answer(200, nonsense))
        results = await ask_often(agent_of(forecast("only", server), patience_s=0.0), 3)
        assert [result.outcome for result in results] == ["succeeded"] * 3

    async def test_an_endpoint_can_be_called_outside_of_a_run(self, start: Start) -> None:
        values = await forecast("alone", start(limited(1))).call({"city": "Oslo"})  # pyright: ignore[reportArgumentType]
        assert list(values.values()) == [21]

    async def test_functions_with_a_client_of_their_own_are_heard_when_they_fail(self, start: Start) -> None:
        last = limited(1)(1).headers
        broken, other = start(lambda _: Answer(503, last)), start(unlimited)

        @tool(usd=0.001, effect="read")
        async def own(city: City) -> Weather:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"{broken.address}/{city}")
                return answer.raise_for_status().json()

        agent = Agent(name="w", tools=[own, forecast("other", other, usd=0.004)], goals=[Goal("k", requires=[Weather])])
        await ask_often(agent, 2)
        assert broken.answered == [503]


class TestModelSteps:
    PRICES: ClassVar = Prices(
        {
            "openai/cheap": Price(input_usd_per_million=1.0, output_usd_per_million=2.0),
            "openai/dear": Price(input_usd_per_million=10.0, output_usd_per_million=20.0),
            "anthropic/claude-x": Price(input_usd_per_million=10.0, output_usd_per_million=20.0),
        }
    )
    LAST: ClassVar = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-reset-requests": "9m",
    }

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    def model_at(self, address: str) -> LiteLlm:
        return LiteLlm(prices=self.PRICES, api_base=address, api_key="any")

    async def run_twice(self, cheap: ModelServer, dear: ModelServer) -> list[RunResult]:
        steps = [
            step
            for model, server in (("openai/cheap", cheap), ("openai/dear", dear))
            for step in llm_step(
                "describe",
                inputs=[City],
                output=Weather,
                prompt="Describe the weather in {city}.",
                models=[model],
                language_model=self.model_at(server.base_url),
            )
        ]
        agent = Agent(name="m", tools=steps, goals=[Goal("k", requires=[Weather])], budget=Budget(usd=1.0))
        return [await ask(agent) for _ in range(2)]

    async def test_a_model_that_says_nothing_is_left_is_not_asked_again(self) -> None:
        good = Reply({"value": 21}, usage=(20, 5))
        last = Reply({"value": 21}, usage=(20, 5), headers=self.LAST)
        async with ModelServer(last) as cheap, ModelServer(good) as dear:
            results = await self.run_twice(cheap, dear)
        assert [result.route for result in results] == [["describe@openai/cheap"], ["describe@openai/dear"]]
        assert len(cheap.requests) == 1

    @pytest.mark.parametrize(
        "reply", [Reply(status=429, headers=LAST), Reply(status=500, headers=LAST), Reply("prose", headers=LAST)]
    )
    async def test_nor_one_that_says_so_while_it_fails(self, reply: Reply) -> None:
        async with ModelServer(reply) as cheap, ModelServer(Reply({"value": 21}, usage=(20, 5))) as dear:
            results = await self.run_twice(cheap, dear)
        assert [result.route for result in results] == [["describe@openai/dear"]] * 2
        assert len(cheap.requests) == 1

    async def test_a_refused_call_says_when_to_come_back(self) -> None:
        async with ModelServer(Reply(status=429, headers=self.LAST)) as server:
            with pytest.raises(ToolError) as caught:
                await self.model_at(server.base_url).complete("openai/cheap", HELLO, max_tokens=5, timeout_s=10)
        assert (caught.value.kind, caught.value.retry_after_s) == ("rate_limited", 540.0)
        assert classify(caught.value).headroom == headroom_of(self.LAST, 0)

    async def test_anthropic_says_it_in_its_own_way(self, start: Start) -> None:
        headers = {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "2",
            "anthropic-ratelimit-requests-reset": "2999-01-01T00:00:00Z",
        }
        message = {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [{"type": "text", "text": "hello"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 3, "output_tokens": 1},
        }
        server = start(lambda _: Answer(200, headers, message))
        answer = await self.model_at(server.address).complete("anthropic/claude-x", HELLO, max_tokens=5, timeout_s=10)
        assert answer.text == "hello"
        assert isinstance(answer.headroom, Headroom)
        assert (answer.headroom.left, answer.headroom.limit, answer.headroom.resets_in_s) == (2, 50, 3600)


WALL = 4_000_000_000.0
"""What an agent's clock shows that is ahead of the system's by half a century, in seconds since 1970."""


@contextmanager
def ahead() -> Generator[Attempt]:
    """An attempt of an agent whose clock shows `WALL`."""
    attempt = Attempt(RunId("r"), ToolId("t"), AttemptId(1), "", 0.0, wall=lambda: WALL)
    with serving(attempt):
        yield attempt


class TestMoments:
    """Answers that name a moment are read by the clock of the agent, not by the system's."""

    SAID: ClassVar = {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-limit": "60",
        "x-ratelimit-reset": f"{WALL + 30:.0f}",
    }

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_of_an_http_tool(self, start: Start) -> None:
        near = forecast("near", start(lambda _: Answer(200, self.SAID)))
        with ahead() as attempt:
            await near.call({ArtifactId("city"): "Oslo"})
        assert attempt.headroom == Headroom(0, 60, 30)

    async def test_of_a_model(self) -> None:
        async with ModelServer([Reply("hello", headers=self.SAID), Reply(status=429, headers=self.SAID)]) as server:
            model = LiteLlm(prices=TestModelSteps.PRICES, api_base=server.base_url, api_key="any")
            with ahead():
                answer = await model.complete("openai/cheap", HELLO, max_tokens=5, timeout_s=10)
                with pytest.raises(ToolError) as caught:
                    await model.complete("openai/cheap", HELLO, max_tokens=5, timeout_s=10)
        assert answer.headroom == Headroom(0, 60, 30)
        assert (caught.value.kind, caught.value.retry_after_s) == ("rate_limited", 30)


HELLO = [{"role": "user", "content": "Say hello."}]
