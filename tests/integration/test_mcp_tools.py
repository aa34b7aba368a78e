"""Tools of MCP servers over stdio: contracts, answers, and what is known not to have been sent."""

import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

import anyio
import pytest
from pydantic import BaseModel

from agentroute.adapters.mcp.servers import McpServers
from agentroute.adapters.mcp.tool import McpTool
from agentroute.errors import ConfigurationError, DefinitionError
from agentroute.graph.artifact import Artifact, ArtifactType
from agentroute.graph.tool import AtLeast, Effect, ToolSpec
from agentroute.ids import ArtifactId, ToolId
from tests.integration.mcp_cases import Open, add, configuration, failure, opening, value

pytestmark = pytest.mark.anyio

Line = Annotated[str, Artifact("line")]


class Reading(BaseModel):
    n: int
    unit: str


class Clock(BaseModel):
    timezone: str
    datetime: str
    is_dst: bool


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncGenerator[Open, None]:
    async with opening(tmp_path) as make:
        yield make


class TestContracts:
    async def test_real_servers_describe_themselves(self, opened: Open, tmp_path: Path) -> None:
        await anyio.run_process(["git", "init", "-q", str(tmp_path / "repo")])
        git = {"command": sys.executable, "args": ["-m", "mcp_server_git"]}
        servers = opened(data={"mcpServers": {"git": git}})
        tools = {str(tool.spec.name): tool for tool in await servers.tools("git")}
        specs = {name: (tool.spec.requires, tool.spec.effect) for name, tool in tools.items()}
        assert specs["git_status"] == (("repo_path",), "read")
        assert specs["git_add"] == (("repo_path", "files"), "idempotent")
        assert specs["git_commit"] == (("repo_path", "message"), "once")
        assert {tool.spec.provider for tool in tools.values()} == {"git"}
        assert "No commits yet" in await value(tools["git_status"], repo_path=str(tmp_path / "repo"))
        error = await failure(tools["git_status"], repo_path=str(tmp_path))
        assert error.kind == "permanent"

    async def test_structured_answers_become_models(self, opened: Open) -> None:
        server = {"command": sys.executable, "args": ["-m", "mcp_server_time"]}
        servers = opened(data={"mcpServers": {"time": server}})
        zone = Annotated[str, Artifact("zone")]
        now = servers.tool("time", "get_current_time", takes={"timezone": zone}, returns=Clock, effect="read")
        outputs = await now.call({ArtifactId("zone"): "Asia/Tokyo"})
        clock = now.types[ArtifactId("Clock")].validate(outputs[ArtifactId("Clock")])
        assert clock.timezone == "Asia/Tokyo"
        assert (await failure(now, zone="Nowhere/Land")).kind == "permanent"

    async def test_a_declared_effect_wins_over_hints(self, opened: Open) -> None:
        servers = opened()
        before = servers.tool("tiny", "add", takes={"a": "a", "b": "b"})
        await servers.connect("tiny")
        after = servers.tool("tiny", "add")
        declared = servers.tool("tiny", "add", effect="idempotent")
        assert [tool.spec.effect for tool in (before, after, declared)] == ["once", "read", "idempotent"]
        assert servers.tool("tiny", "put").spec.effect == "idempotent"
        assert servers.tool("tiny", "note").spec.effect == "once"

    async def test_what_is_wrong_is_said_when_the_tool_is_defined(self, opened: Open) -> None:
        servers = opened()
        with pytest.raises(ConfigurationError, match="no MCP server 'tin'"):
            servers.tool("tin", "add", takes={})
        with pytest.raises(DefinitionError, match=r"say what it takes=, or call `await servers.connect\('tiny'\)`"):
            servers.tool("tiny", "add")
        with pytest.raises(DefinitionError, match="path is both fixed and taken"):
            servers.tool("tiny", "note", takes={"path": "path"}, fixed={"path": "/"})
        await servers.connect()
        with pytest.raises(DefinitionError, match="has no tool 'subtract'; it has: add"):
            servers.tool("tiny", "subtract")
        with pytest.raises(DefinitionError, match="has no parameter c; it has: a, b"):
            servers.tool("tiny", "add", takes={"a": "a", "b": "b", "c": "c"})

    async def test_fixed_optional_and_joined_arguments(self, opened: Open, tmp_path: Path) -> None:
        servers = opened()
        path = tmp_path / "notes"
        tool = servers.tool("tiny", "note", takes={"line": Line | None}, fixed={"path": str(path)})
        assert (tool.spec.requires, tool.spec.optional) == ((), ("line",))
        await tool.call({})
        await tool.call({ArtifactId("line"): "said"})
        assert path.read_text() == "noted\nsaid\n"
        joined = servers.tool("tiny", "note", takes={"path": AtLeast(1, of=["p", "q"])})
        assert "is not of type 'string'" in str(await failure(joined, p="x"))

    async def test_a_document_binds_a_tool(self, opened: Open) -> None:
        spec = ToolSpec(
            ToolId("sum"), (ArtifactId("left"), ArtifactId("right")), (ArtifactId("result"),), effect="read"
        )
        servers = opened()
        tool = servers.bind(spec, "tiny", "add", arguments={"a": "left", "b": "right"})
        assert tool.spec is spec
        assert await value(tool, left=1, right=2) == 3
        with pytest.raises(DefinitionError, match="argument 'b' asks for 'middle', which the tool does not require"):
            servers.bind(spec, "tiny", "add", arguments={"a": "left", "b": "middle"})
        same = ToolSpec(ToolId("sum"), (ArtifactId("a"), ArtifactId("b")), (ArtifactId("result"),))
        assert await value(servers.bind(same, "tiny", "add"), a=1, b=2) == 3

    async def test_several_artifacts_from_one_answer(self, opened: Open) -> None:
        n, unit = Annotated[int, Artifact("n")], Annotated[str, Artifact("unit")]
        tool = opened().tool("tiny", "json", takes={}, returns=tuple[n, unit], parse=json.loads)
        assert await tool.call({}) == {"n": 3, "unit": "s"}
        other = Annotated[str, Artifact("other")]
        tool = opened().tool("tiny", "json", takes={}, returns=tuple[n, other], parse=json.loads)
        error = await failure(tool)
        assert (error.kind, str(error)) == ("contract", "json answered without other")


class TestAnswers:
    async def test_text_json_and_pictures(self, opened: Open) -> None:
        servers = opened()
        assert await value(servers.tool("tiny", "json", takes={}, effect="read")) == '{"n": 3, "unit": "s"}'
        reading = servers.tool("tiny", "json", takes={}, returns=Reading, effect="read")
        assert await value(reading) == Reading(n=3, unit="s")
        picture = servers.tool("tiny", "picture", takes={}, effect="read")
        assert await value(picture) == [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]

    async def test_a_wrapped_result_is_unwrapped_unless_the_type_has_it(self, opened: Open) -> None:
        class Sum(BaseModel):
            result: int

        servers = opened()
        assert await value(add(servers), a=1, b=2) == 3
        assert await value(add(servers, returns=Annotated[int, Artifact("sum")]), a=1, b=2) == 3
        assert await value(add(servers, returns=Sum), a=1, b=2) == {"result": 3}

    async def test_parse_reads_the_text(self, opened: Open) -> None:
        servers = opened()
        parsed = servers.tool("tiny", "json", takes={}, parse=lambda text: json.loads(text)["n"], effect="read")
        assert await value(parsed) == 3
        broken = servers.tool("tiny", "json", takes={}, parse=lambda text: json.loads(text)["m"], effect="read")
        error = await failure(broken)
        assert error.kind == "contract"
        assert "KeyError('m')" in str(error)

    async def test_nothing_there_is_no_artifact(self, opened: Open) -> None:
        servers = opened()
        found = servers.tool("tiny", "json", takes={}, returns=Reading | None, parse=lambda _: None, effect="read")
        assert await found.call({}) == {}

    @pytest.mark.parametrize(
        ("tool", "said"), [("wrong", "'many' is not of type 'integer'"), ("unstructured", "did not return structured")]
    )
    async def test_an_answer_against_its_output_schema_breaks_the_contract(
        self, opened: Open, tool: str, said: str
    ) -> None:
        error = await failure(opened().tool("tiny", tool, takes={}))
        assert error.kind == "contract"
        assert said in str(error)

    async def test_a_tool_that_says_it_failed(self, opened: Open) -> None:
        servers = opened()
        kinds: dict[Effect, str] = {}
        for effect in ("read", "idempotent", "once"):
            error = await failure(servers.tool("tiny", "fail", takes={}, effect=effect))
            assert str(error) == "MCP tool tiny/fail failed: the disk is full"
            kinds[effect] = error.kind
        assert kinds == {"read": "permanent", "idempotent": "ambiguous", "once": "ambiguous"}
        harmless = servers.tool("tiny", "fail", takes={}, effect="once", errors_mean="permanent")
        assert (await failure(harmless)).kind == "permanent"


class TestNothingIsSent:
    async def test_a_tool_that_is_not_there(self, opened: Open) -> None:
        error = await failure(opened().tool("tiny", "subtract", takes={}))
        assert error.kind == "permanent"
        assert str(error).startswith("MCP server 'tiny' has no tool 'subtract'; it has: add, die")

    async def test_arguments_that_do_not_fit(self, opened: Open, tmp_path: Path) -> None:
        servers = opened()
        path = tmp_path / "notes"
        error = await failure(servers.tool("tiny", "note", takes={"path": "p", "line": "l"}), p=str(path), l=5)
        assert (error.kind, str(error)) == (
            "permanent",
            "MCP tool note does not take these arguments: $.line: 5 is not of type 'string'",
        )
        error = await failure(servers.tool("tiny", "note", takes={"path": "p", "lines": "l"}), p=str(path), l="x")
        assert str(error) == "MCP tool note has no parameter lines; it has: path, line"
        assert not path.exists()

    async def test_a_tool_that_came_later_is_found(self, opened: Open) -> None:
        servers = opened()
        await servers.connect("tiny")
        await servers.tool("tiny", "grow").call({})
        grown = McpTool(servers, "tiny", "grown", servers.tool("tiny", "grow").contract)
        assert await value(grown) == "grown"


def test_types_of_a_document_reach_the_tool() -> None:
    kind = ArtifactType(ArtifactId("result"), int)
    servers = McpServers.from_dict(configuration(), log_folder=None)
    spec = ToolSpec(ToolId("sum"), (ArtifactId("a"), ArtifactId("b")), (ArtifactId("result"),))
    assert servers.bind(spec, "tiny", "add", types={kind.id: kind}).contract.result_type == kind
