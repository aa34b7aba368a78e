"""Every way a model call can end, through the real litellm, over real sockets."""

import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel

from agentroute.adapters.models.language_model import LiteLlm
from agentroute.adapters.models.prices import Price, Prices
from agentroute.errors import AnswerLostError, ConfigurationError, ToolError
from agentroute.ids import nanos
from agentroute.ports import Completion
from agentroute.testing import ModelServer, Reply
from agentroute.testing.model_server import Request, Script

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

KEY = "sk-canary-0123456789abcdef"
PRICE = Price(input_usd_per_million=2.0, output_usd_per_million=8.0)
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]


class Greeting(BaseModel):
    text: str
    loud: bool = False


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def litellm_loaded() -> None:
    """Importing litellm takes seconds: once is enough."""
    await LiteLlm().prepare()


def model_at(address: str) -> LiteLlm:
    return LiteLlm(prices=Prices({"openai/x": PRICE}), api_base=address, api_key=KEY)


async def ask(server: ModelServer | str, *, model: str = "openai/x", timeout_s: float = 10.0) -> Completion:
    address = server if isinstance(server, str) else server.base_url
    language_model = model_at(address)
    return await language_model.complete(model, HELLO, answer=Greeting, max_tokens=50, timeout_s=timeout_s)


async def failure(script: Script, *, timeout_s: float = 10.0) -> ToolError:
    """The error of one call, which must have been one call."""
    async with ModelServer(script) as server:
        with pytest.raises(ToolError) as caught:
            await ask(server, timeout_s=timeout_s)
    assert len(server.requests) == 1, "retries are agentroute's business"
    assert KEY not in str(caught.value)
    return caught.value


@asynccontextmanager
async def raw_server(behave: Callable[[socket.socket], None]) -> AsyncGenerator[str]:
    """A server below HTTP: `behave` gets the connection once a request has arrived."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                behave(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)
    await anyio.to_thread.run_sync(thread.join, 5)
    assert not thread.is_alive(), "the client did not let go of the connection"


class TestAnAnswer:
    async def test_has_text_tokens_and_price(self) -> None:
        async with ModelServer(Reply({"text": "hello"}, usage=(100, 10))) as server:
            answer = await ask(server)
        assert Greeting.model_validate_json(answer.text).text == "hello"
        assert (answer.input_tokens, answer.output_tokens) == (100, 10)
        assert answer.usd == pytest.approx((100 * 2.0 + 10 * 8.0) / 1e6)

    async def test_is_asked_for_once_with_a_strict_schema(self) -> None:
        async with ModelServer(Reply({"text": "hello"})) as server:
            await ask(server)
        [request] = server.requests
        assert request.path == "/v1/chat/completions"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.body["model"] == "x"
        assert request.body["messages"] == HELLO
        assert request.body["max_tokens"] == 50
        schema = request.body["response_format"]["json_schema"]
        assert schema["strict"] is True
        assert schema["schema"]["required"] == ["text", "loud"]
        assert schema["schema"]["additionalProperties"] is False
        assert "service_tier" not in request.body

    async def test_of_a_listed_openai_model_pins_the_tier_that_its_price_is_for(self) -> None:
        async with ModelServer(Reply("{}", usage=(1_000_000, 0))) as server:
            await model_at(server.base_url).complete("openai/gpt-5-mini", HELLO, max_tokens=50, timeout_s=10)
        assert server.requests[0].body["service_tier"] == "default"
        assert server.requests[0].body["max_completion_tokens"] == 50

    async def test_is_priced_as_the_model_asked_for_whatever_the_server_calls_itself(self) -> None:
        async with ModelServer(Reply("hi", usage=(1000, 100), model="gpt-5-pro")) as server:
            answer = await model_at(server.base_url).complete("openai/gpt-5-mini", HELLO, max_tokens=100, timeout_s=10)
        assert answer.usd == pytest.approx((1000 * 0.25 + 100 * 2.0) / 1e6)

    async def test_without_usage_has_no_price(self) -> None:
        async with ModelServer(Reply({"text": "hello"}, usage=None)) as server:
            answer = await ask(server)
        assert answer.usd is None
        assert answer.text

    async def test_with_half_a_usage_has_no_price(self) -> None:
        async with ModelServer(Reply({"text": "hello"}, usage=(10, 0))) as server:
            answer = await ask(server)
        assert answer.usd is None

    async def test_that_does_not_fit_the_schema_is_handed_over_for_the_caller_to_judge(self) -> None:
        async with ModelServer(Reply("I would rather talk.")) as server:
            answer = await ask(server)
        assert answer.text == "I would rather talk."
        assert answer.usd is not None

    async def test_costs_no_more_than_the_worst_case(self) -> None:
        async with ModelServer(Reply({"text": "x" * 100})) as server:
            answer = await ask(server)
        worst = model_at(server.base_url).worst_case("openai/x", HELLO, 50, answer=Greeting)
        assert answer.usd is not None
        assert 0 < nanos(answer.usd) <= worst.usd

    async def test_can_be_had_on_a_second_event_loop(self) -> None:
        def elsewhere() -> None:
            anyio.run(ask, server)

        async with ModelServer(Reply("hello")) as server:
            await ask(server)
            await anyio.to_thread.run_sync(elsewhere)
        assert len(server.requests) == 2


class TestRefusals:
    """The provider answered that it did not serve: nothing happened, nothing was billed."""

    async def test_429_is_rate_limited_and_says_how_long(self) -> None:
        error = await failure(Reply("slow down", status=429, headers={"retry-after": "2"}))
        assert (error.kind, error.retry_after_s) == ("rate_limited", 2.0)
        assert str(error) == "openai/x: slow down"
        assert not isinstance(error, AnswerLostError)

    async def test_429_without_a_time(self) -> None:
        error = await failure(Reply(status=429))
        assert (error.kind, error.retry_after_s) == ("rate_limited", None)

    @pytest.mark.parametrize("status", [500, 501, 503, 520, 529])
    async def test_a_failing_server_is_transient(self, status: int) -> None:
        error = await failure(Reply("overloaded", status=status))
        assert error.kind == "transient"
        assert "overloaded" in str(error)
        assert not isinstance(error, AnswerLostError)

    async def test_503_with_a_time(self) -> None:
        error = await failure(Reply(status=503, headers={"retry-after": "7"}))
        assert (error.kind, error.retry_after_s) == ("transient", 7.0)

    async def test_500_that_mentions_a_rate_limit_is_still_a_500(self) -> None:
        error = await failure(Reply("rate limit service crashed", status=500))
        assert error.kind == "transient"

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 418, 422])
    async def test_a_refused_request_is_permanent(self, status: int) -> None:
        error = await failure(Reply("you may not", status=status))
        assert error.kind == "permanent"
        assert "you may not" in str(error)

    @pytest.mark.parametrize("code", ["context_length_exceeded", "content_policy_violation"])
    async def test_a_prompt_that_cannot_be_answered_is_permanent(self, code: str) -> None:
        message = "This model's maximum context length is 10 tokens" if "context" in code else "flagged by the filter"
        error = await failure(Reply(message, status=400, code=code))
        assert error.kind == "permanent"
        assert message in str(error)

    async def test_a_refused_connection_is_transient(self) -> None:
        async with ModelServer(Reply("hello")) as server:
            pass
        with pytest.raises(ToolError) as caught:
            await ask(server)
        assert caught.value.kind == "transient"
        assert not isinstance(caught.value, AnswerLostError)

    async def test_an_unknown_host_is_transient(self) -> None:
        with pytest.raises(ToolError) as caught:
            await ask("http://nobody.invalid/v1")
        assert caught.value.kind == "transient"
        assert not isinstance(caught.value, AnswerLostError)


class TestLostAnswers:
    """The request went out and nothing usable came back: try again by all means, but it may have been billed."""

    @staticmethod
    def lost(error: ToolError) -> None:
        assert isinstance(error, AnswerLostError)
        assert error.kind == "transient"

    async def test_a_slow_server(self) -> None:
        started = time.monotonic()
        error = await failure(Reply("hello", delay_s=20), timeout_s=0.3)
        self.lost(error)
        assert time.monotonic() - started < 5

    async def test_a_server_that_keeps_dripping_cannot_stretch_the_time(self) -> None:
        def drip(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            with suppress(OSError):
                for _ in range(200):
                    connection.sendall(b" ")
                    time.sleep(0.05)

        started = time.monotonic()
        async with raw_server(drip) as address:
            with pytest.raises(AnswerLostError, match=r"no answer within 0\.5 s"):
                await ask(address, timeout_s=0.5)
        assert time.monotonic() - started < 4

    async def test_half_an_answer(self) -> None:
        self.lost(await failure(Reply({"text": "hello"}, malformed=True)))

    async def test_a_dropped_connection(self) -> None:
        self.lost(await failure(Reply(drop=True)))

    async def test_a_connection_dropped_in_the_middle(self) -> None:
        head = b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"id":'
        async with raw_server(lambda connection: connection.sendall(head)) as address:
            with pytest.raises(ToolError) as caught:
                await ask(address)
        self.lost(caught.value)

    async def test_noise_instead_of_http(self) -> None:
        async with raw_server(lambda connection: connection.sendall(b"\x00\x01\r\n\r\n")) as address:
            with pytest.raises(ToolError) as caught:
                await ask(address)
        self.lost(caught.value)

    @pytest.mark.parametrize("status", [408, 502, 504])
    async def test_a_gateway_that_gave_up_waiting(self, status: int) -> None:
        self.lost(await failure(Reply(status=status)))

    async def test_a_server_killed_while_it_works(self) -> None:
        arrived = threading.Event()

        def script(_: Request) -> Reply:
            arrived.set()
            return Reply("hello", delay_s=20)

        def stop() -> None:
            arrived.wait(10)
            server.close()

        with ModelServer(script) as server:
            threading.Thread(target=stop).start()
            with pytest.raises(ToolError) as caught:
                await ask(server)
        self.lost(caught.value)


class TestSecrets:
    async def test_a_key_that_the_provider_repeats_is_masked(self) -> None:
        error = await failure(Reply(f"Incorrect API key provided: {KEY}", status=401))
        assert "Incorrect API key provided: [redacted]" in str(error)

    async def test_so_is_one_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "plainlooking0123")
        async with ModelServer(Reply("bad key plainlooking0123", status=401)) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            language_model = LiteLlm(prices=Prices({"openai/x": PRICE}))
            with pytest.raises(ToolError) as caught:
                await language_model.complete("openai/x", HELLO, max_tokens=5, timeout_s=10)
        assert server.requests[0].headers["authorization"] == "Bearer plainlooking0123"
        assert "plainlooking" not in str(caught.value)


class TestConfiguration:
    @pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
    async def test_the_address_can_come_from_the_environment_and_needs_no_key(
        self, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with ModelServer(Reply("hello")) as server:
            monkeypatch.setenv(variable, server.base_url)
            answer = await LiteLlm(prices=Prices({"openai/x": PRICE})).complete(
                "openai/x", HELLO, max_tokens=5, timeout_s=10
            )
        assert answer.text == "hello"

    async def test_a_missing_key_is_a_matter_of_configuration(self) -> None:
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
            await LiteLlm(prices=Prices({"openai/x": PRICE})).complete("openai/x", HELLO, max_tokens=5, timeout_s=10)

    async def test_a_model_without_a_price_is_not_called(self) -> None:
        async with ModelServer(Reply("hello")) as server:
            with pytest.raises(ConfigurationError, match=r'Prices\(\{"openai/y": Price\(input_usd_per_million='):
                await ask(server, model="openai/y")
        assert not server.requests

    @pytest.mark.parametrize("address", ["127.0.0.1:80/v1", "http://[", "https://", "http://127.0.0.1:99999/v1", ""])
    async def test_an_impossible_address_is_refused_at_once(self, address: str) -> None:
        with pytest.raises(ConfigurationError, match="api_base must be an address"):
            LiteLlm(api_base=address)

    async def test_an_address_from_the_environment_is_not_our_word_to_check(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", "https://")
        with pytest.raises(ToolError) as caught:
            await LiteLlm(prices=Prices({"openai/x": PRICE})).complete("openai/x", HELLO, max_tokens=5, timeout_s=10)
        assert caught.value.kind == "permanent"

    async def test_trio_is_refused_by_name(self) -> None:
        def on_trio() -> None:
            anyio.run(ask, "http://127.0.0.1:9/v1", backend="trio")

        with pytest.raises(ConfigurationError, match="asyncio"):
            await anyio.to_thread.run_sync(on_trio)

    async def test_litellm_says_nothing_by_itself(
        self, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        await failure(Reply("overloaded", status=500))
        await failure(Reply({"text": "hello"}, malformed=True))
        assert capfd.readouterr() == ("", "")
        assert not [record for record in caplog.records if "LiteLLM" in record.name]


async def test_a_cancelled_call_lets_go_of_the_connection() -> None:
    async with ModelServer(Reply("hello", delay_s=20)) as server:
        started = time.monotonic()
        with anyio.move_on_after(0.3) as scope:
            await ask(server)
        assert scope.cancelled_caught
        assert time.monotonic() - started < 5


async def test_fifty_calls_at_once() -> None:
    async with ModelServer(Reply({"text": "hello"}, delay_s=0.05)) as server, anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(ask, server)
    assert len(server.requests) == 50


LOADS_QUIETLY = """
import os, sys, anyio
found = set()
def watch(event, args):
    if event == "socket.connect" and not str(args[1]).startswith("('127.0.0.1', 0"):
        found.add(str(args[1]))
    if event == "socket.getaddrinfo" and args[0] not in ("127.0.0.1", None):
        found.add(str(args[0]))
    if event == "open" and str(args[0]).endswith(".env"):
        found.add(str(args[0]))
sys.addaudithook(watch)
from agentroute.adapters.models.language_model import LiteLlm
assert "litellm" not in sys.modules
anyio.run(LiteLlm().prepare)
assert "litellm" in sys.modules
print(*sorted(found), os.environ["HF_HUB_OFFLINE"])
"""


async def test_loading_reaches_nobody_and_keeps_what_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=planted\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    loaded = await anyio.run_process([sys.executable, "-c", LOADS_QUIETLY], check=False)
    assert (loaded.stderr.decode(), loaded.stdout.decode()) == ("", "0\n")
