"""The ``mcpServers`` JSON: what is read, what is tolerated, and where an error is said to be."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.adapters.mcp.config import LARGEST_FILE, HttpEndpoint, HttpEntry, McpConfig, StdioEntry, StdioLaunch
from agentroute.adapters.mcp.json_positions import read_json
from agentroute.errors import ConfigurationError, DefinitionError, DocumentError

KNOWN_CLIENTS = """{
  "globalShortcut": "Ctrl+Space",
  "mcpServers": {
    "git": {"command": "uvx", "args": ["mcp-server-git"], "env": {"GIT_TOKEN": "${GIT_TOKEN}"}, "cwd": "work"},
    "search": {"type": "http", "url": "https://example.com/mcp", "headers": {"Authorization": "Bearer ${KEY:-none}"}},
    "old": {"type": "sse", "url": "https://example.com/sse"},
    "off": {"command": "x", "disabled": true},
    "mine": {"type": "stdio", "command": "y", "autoApprove": ["a"], "alwaysAllow": []}
  }
}"""


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "mcp.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(tmp_path: Path, text: str | bytes) -> str:
    """The message with which a file is refused, from its line on."""
    path = write(tmp_path, text)
    with pytest.raises(DocumentError) as caught:
        McpConfig.from_file(path)
    return str(caught.value).removeprefix(f"{path}:")


class TestReading:
    def test_files_of_other_clients_are_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GIT_TOKEN", "t0ken-t0ken")
        config = McpConfig.from_file(write(tmp_path, KNOWN_CLIENTS))
        git = config.launch("git")
        assert git == StdioLaunch(
            "git",
            "uvx",
            ("mcp-server-git",),
            {"GIT_TOKEN": "t0ken-t0ken"},
            str(tmp_path / "work"),
            frozenset({"t0ken-t0ken"}),
        )
        search = config.launch("search")
        assert isinstance(search, HttpEndpoint)
        assert search.headers == {"Authorization": "Bearer none"}
        assert isinstance(config.servers["mine"], StdioEntry)

    def test_keys_of_other_clients_are_tolerated_and_named(self, tmp_path: Path) -> None:
        assert McpConfig.from_file(write(tmp_path, KNOWN_CLIENTS)).ignored == ("mine.autoApprove", "mine.alwaysAllow")

    @pytest.mark.parametrize("kind", ["http", "streamable-http", "streamable_http", "streamableHttp"])
    def test_every_name_of_streamable_http(self, kind: str) -> None:
        entry = McpConfig.from_dict({"mcpServers": {"a": {"type": kind, "url": "http://127.0.0.1:1/mcp"}}}).servers["a"]
        assert isinstance(entry, HttpEntry)

    def test_a_byte_order_mark_does_no_harm(self, tmp_path: Path) -> None:
        assert McpConfig.from_file(write(tmp_path, b'\xef\xbb\xbf{"mcpServers": {}}')).servers == {}

    def test_without_a_cwd_the_server_starts_where_we_are(self) -> None:
        launch = McpConfig.from_dict({"mcpServers": {"a": {"command": "x"}}}).launch("a")
        assert isinstance(launch, StdioLaunch)
        assert launch.cwd is None


class TestRefusedWhenRead:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"mcpServers": {}\n', "2:1: not JSON: Expecting ',' delimiter"),
            ("[]", '1:1: must be an object {"mcpServers": {...}}'),
            ('{"servers": {}}', '1:1: needs "mcpServers": {"name": {"command": ...}} at its top'),
            ('{"mcpServers": []}', "1:16: must be an object of servers by name"),
            ('{"mcpServers": {\n  "a": "uvx"}}', "2:8: must be an object with a command or a url"),
            (
                '{"mcpServers": {\n  "a": {"args": []}}}',
                "2:8: needs either a command (stdio) or a url",
            ),
            ('{"mcpServers": {"a": {"command": "x", "url": "http://h"}}}', "1:22: needs either a command"),
            ('{"mcpServers": {"a": {"type": "stdio"}}}', "1:22: 'command' is missing"),
            ('{"mcpServers": {"a": {"command": "x",\n "args": [\n1]}}}', "3:1: Input should be a valid string"),
            ('{"mcpServers": {"a": {"command": "x", "env": {"PORT": 1}}}}', "1:55: Input should be a valid string"),
            ('{"mcpServers": {"a": {"type": 5}}}', "1:31: Input should be a valid string"),
            ('{"mcpServers": {"a": {"command": ""}}}', "1:34: String should have at least 1 character"),
            ('{"mcpServers": {"a": {"command": "x", "disabled": "no"}}}', "1:51: Input should be a valid boolean"),
            ('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}', "1:40: the key 'a' stands twice"),
            ('{"mcpServers": {" ": {"command": "x"}}}', "1:22: MCP server ' ': a name is"),
        ],
    )
    def test_where_it_is_wrong(self, tmp_path: Path, text: str, message: str) -> None:
        assert refused(tmp_path, text).startswith(message)

    def test_files_that_are_no_configuration_at_all(self, tmp_path: Path) -> None:
        assert refused(tmp_path, b'{\n"\xff": 1}') == "2:1: not UTF-8"
        assert refused(tmp_path, " " * (LARGEST_FILE + 1)).startswith("1:1: larger than 1,000,000 bytes")
        assert refused(tmp_path, '{"a":' * 100_000) == "1:1: nested too deeply"
        many = {"mcpServers": {f"s{i}": {"command": "x"} for i in range(201)}}
        assert "more than 200 servers" in refused(tmp_path, json.dumps(many))

    def test_a_missing_file_says_what_was_expected(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="No such file or directory; pass the path of an mcpServers JSON"):
            McpConfig.from_file(tmp_path / "nowhere.json")

    def test_values_never_appear_in_a_message(self, tmp_path: Path) -> None:
        assert "hunter2" not in refused(tmp_path, '{"mcpServers": {"a": {"command": "x", "env": ["hunter2"]}}}')

    def test_from_python_the_path_is_named(self) -> None:
        with pytest.raises(DefinitionError, match=r"mcpServers\.a\.args: Input should be a valid list"):
            McpConfig.from_dict({"mcpServers": {"a": {"command": "x", "args": "y"}}})


class TestRefusedWhenAskedFor:
    def config(self, entry: dict[str, Any]) -> McpConfig:
        return McpConfig.from_dict({"mcpServers": {"a": entry, "fine": {"command": "x"}}})

    def test_only_the_server_that_lacks_a_variable_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("GIT_TOKEN", raising=False)
        path = write(tmp_path, KNOWN_CLIENTS)
        config = McpConfig.from_file(path)
        with pytest.raises(ConfigurationError) as caught:
            config.launch("git")
        assert str(caught.value) == (
            f"{path}:4:80: the environment variable GIT_TOKEN is not set; set it, or write ${{GIT_TOKEN:-default}}"
        )
        config.launch("mine")

    def test_what_is_off_or_unknown_or_unsupported(self, tmp_path: Path) -> None:
        config = McpConfig.from_file(write(tmp_path, KNOWN_CLIENTS))
        with pytest.raises(ConfigurationError, match=r"mcp\.json:7:41: MCP server 'off' is disabled here"):
            config.launch("off")
        with pytest.raises(ConfigurationError, match=r"6:21: transport 'sse' is not supported; use a command"):
            config.launch("old")
        with pytest.raises(ConfigurationError, match="there is: git, mine, off, old, search"):
            config.launch("nope")

    @pytest.mark.parametrize("url", ["ftp://h/mcp", "example.com/mcp", "http://", "http://[::1/mcp"])
    def test_only_web_addresses(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="must be an http:// or https:// address"):
            self.config({"url": url}).launch("a")

    def test_references_of_another_kind_are_not_passed_on_as_text(self) -> None:
        with pytest.raises(ConfigurationError, match=r"\$\{input:token\} is not understood"):
            self.config({"command": "x", "env": {"T": "${input:token}"}}).launch("a")


class TestVariables:
    def test_they_are_filled_in_everywhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("CMD", "ARG", "VALUE", "DIR"):
            monkeypatch.setenv(name, f"<{name}>")
        entry = {"command": "${CMD}", "args": ["-${env:ARG}-", "$HOME"], "env": {"V": "${VALUE}"}, "cwd": "/srv/${DIR}"}
        launch = McpConfig.from_dict({"mcpServers": {"a": entry}}).launch("a")
        assert launch == StdioLaunch("a", "<CMD>", ("-<ARG>-", "$HOME"), {"V": "<VALUE>"}, "/srv/<DIR>")

    def test_given_ones_come_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CMD", "from the environment")
        launch = McpConfig.from_dict({"mcpServers": {"a": {"command": "${CMD}"}}}).launch("a", {"CMD": "given"})
        assert isinstance(launch, StdioLaunch)
        assert launch.command == "given"

    def test_a_value_is_not_filled_in_again(self) -> None:
        config = McpConfig.from_dict({"mcpServers": {"a": {"command": "x", "args": ["${A}"]}}})
        launch = config.launch("a", {"A": "${B}", "B": "never"})
        assert isinstance(launch, StdioLaunch)
        assert launch.args == ("${B}",)

    def test_secrets_are_known_and_shown_nowhere(self) -> None:
        headers = {"Authorization": "Bearer ${TOKEN}", "X-Trace": "yes"}
        config = McpConfig.from_dict({"mcpServers": {"a": {"url": "https://h/${TOKEN}", "headers": headers}}})
        launch = config.launch("a", {"TOKEN": "s3cret"})
        assert launch.secrets == {"s3cret", "Bearer s3cret"}
        assert "s3cret" not in repr(launch)
        stdio = {"command": "x", "args": ["--key=${API_KEY}"], "env": {"DB_PASSWORD": "plain"}}
        launch = McpConfig.from_dict({"mcpServers": {"a": stdio}}).launch("a", {"API_KEY": "k3y"})
        assert launch.secrets == {"k3y", "plain"}
        assert "k3y" not in repr(launch)
        assert "plain" not in repr(launch)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@given(data=JSON, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_the_place_of_a_value_is_where_it_stands(data: Any, indent: int | None, ascii_only: bool) -> None:  # noqa: FBT001
    """Reading JSON from the place named for a value gives that value, for every value of any document."""
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    located = read_json("f", text)
    lines = text.split("\n")
    starts = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    decoder = json.JSONDecoder()
    seen = 0
    for path, (line, column) in located.places.items():
        value = data
        for key in path:
            value = value[key]
        found, _ = decoder.raw_decode(text, starts[line - 1] + column - 1)
        assert found == value
        seen += 1
    assert seen == count(data)


def count(data: Any) -> int:
    """Values in a document, itself included."""
    match data:
        case dict():
            return 1 + sum(map(count, cast("dict[str, Any]", data).values()))
        case list():
            return 1 + sum(map(count, cast("list[Any]", data)))
        case _:
            return 1
