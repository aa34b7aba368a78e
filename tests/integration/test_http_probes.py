"""Probes of HTTP tools, over real HTTP: a server that says it is unwell is avoided before anybody calls it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import anyio
import pytest

from agentroute import Agent, Artifact, Goal
from agentroute.adapters.http.tools import HttpTool, http_tool
from agentroute.errors import DefinitionError

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

City = Annotated[str, Artifact("city")]
Weather = Annotated[str, Artifact("weather")]


class Clinic(ThreadingHTTPServer):
    """A server that is well or not."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.asked: list[tuple[str, str, str | None]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Clinic  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_HEAD(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers["x-key"]))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, None))
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"sunny")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Write no access log."""


@pytest.fixture
def clinic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Clinic()
    yield server
    server.shutdown()
    server.server_close()


def look_up(name: str, clinic: Clinic, usd: float, probe: str | None = None) -> HttpTool:
    url = f"http://127.0.0.1:{clinic.server_port}/weather/{{city}}"
    return http_tool(
        name,
        "GET",
        url,
        takes={"city": City},
        returns=Weather,
        usd=usd,
        headers={"x-key": "k"},
        probe=probe,
        provider=name,
    )


@pytest.mark.parametrize(("status", "route"), [(200, "near"), (405, "near"), (503, "far")])
async def test_a_server_is_asked_how_it_is_and_believed(clinic: Clinic, status: int, route: str) -> None:
    clinic.status = status
    tools = [look_up("near", clinic, 0.001, probe="/health?deep=1"), look_up("far", clinic, 0.003)]
    agent = Agent(name="weather", tools=tools, goals=[Goal("known", requires=[Weather])], trace=False)
    async with agent:
        with anyio.fail_after(10):
            while not clinic.asked:  # noqa: ASYNC110  # another thread is
                await anyio.sleep(0.01)
        await anyio.sleep(0.1)
        result = await agent.run(inputs={"city": "Lyon"})
    assert clinic.asked[0] == ("HEAD", "/health?deep=1", "k")
    assert result.route == [route]


async def test_a_server_that_is_not_there_is_avoided(clinic: Clinic) -> None:
    gone = Clinic()
    gone.shutdown()
    gone.server_close()
    tools = [look_up("near", gone, 0.001, probe="/health"), look_up("far", clinic, 0.003)]
    agent = Agent(name="weather", tools=tools, goals=[Goal("known", requires=[Weather])], trace=False)
    async with agent:
        await anyio.sleep(0.5)
        result = await agent.run(inputs={"city": "Lyon"})
    assert (result.route, result.attempts) == (["far"], 1)


@pytest.mark.parametrize("probe", ["health", "//elsewhere.example/health", "/he alth", "/a\r\nx: y", "http://x/"])
def test_a_probe_stays_on_its_server(clinic: Clinic, probe: str) -> None:
    with pytest.raises(DefinitionError, match="probe must be a path"):
        look_up("near", clinic, 0.001, probe=probe)
