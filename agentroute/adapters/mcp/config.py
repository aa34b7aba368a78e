"""Which MCP servers there are: the ``mcpServers`` JSON that people already have for other clients.

A file may name servers that this program never uses. So what is wrong with the document is refused when it is
read, while a server that is switched off, is of an unknown kind, or lacks an environment variable is refused when
it is asked for.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentroute.adapters.mcp.json_positions import Located, read_json
from agentroute.adapters.mcp.json_positions import Path as JsonPath
from agentroute.adapters.mcp.variables import Filler, Refuse
from agentroute.errors import ConfigurationError, DefinitionError, DocumentError
from agentroute.graph.artifact import check_name

LARGEST_FILE = 1_000_000
"""Bytes of a configuration file."""

MOST_SERVERS = 200
"""Servers in one file."""

HTTP_TYPES = ("http", "streamable-http", "streamable_http", "streamableHttp")
"""What clients call the streamable HTTP transport."""


class _Entry(BaseModel):
    """What every kind of server has. Keys that only other clients know do not disturb."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    disabled: bool = False


class StdioEntry(_Entry):
    """A server that is started as a child process and spoken to over its standard input and output."""

    command: str = Field(min_length=1)
    args: list[str] = Field(default=[], repr=False)
    env: dict[str, str] = Field(default={}, repr=False)
    cwd: str | None = None


class HttpEntry(_Entry):
    """A server that runs elsewhere, spoken to over streamable HTTP."""

    url: str = Field(min_length=1, repr=False)
    headers: dict[str, str] = Field(default={}, repr=False)


class UnsupportedEntry(_Entry):
    """A server of a kind that agentroute does not speak, such as ``sse``."""

    type: str


Entry: TypeAlias = StdioEntry | HttpEntry | UnsupportedEntry


@dataclass(frozen=True, slots=True)
class StdioLaunch:
    """How to start a server, with every variable filled in. No log may show any of `secrets`."""

    name: str
    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """Where to reach a server, with every variable filled in. No log may show any of `secrets`."""

    name: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


Launch: TypeAlias = StdioLaunch | HttpEndpoint


@dataclass(frozen=True, slots=True)
class McpConfig:
    """The servers of one configuration.

    Attributes:
        servers: By name, as written.
        ignored: Keys that mean nothing here (other clients have more of them), as ``server.key``.
        folder: What a relative ``cwd`` starts from.
        document: Where the values stand, if they came from a file.
    """

    servers: Mapping[str, Entry]
    ignored: tuple[str, ...] = ()
    folder: Path | None = None
    document: Located | None = field(default=None, repr=False)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "McpConfig":
        """Read a file such as ``.mcp.json`` or ``claude_desktop_config.json``.

        Raises:
            DocumentError: It is refused, with ``file:line:column``.
            ConfigurationError: It cannot be read at all.
        """
        document = read_json(str(path), _read_text(Path(path)))
        return cls(*_read(document.data, document.refuse), Path(path).resolve().parent, document)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "McpConfig":
        """Read the same structure from Python.

        Raises:
            DefinitionError: It is refused, with the path of what is wrong.
        """

        def refuse(path: JsonPath, why: str) -> NoReturn:
            raise DefinitionError(".".join(map(str, path)) or "mcpServers", why)

        return cls(*_read(data, refuse))

    def launch(self, name: str, variables: Mapping[str, str] | None = None) -> Launch:
        """Say how to reach server `name`, with ``${VARIABLE}`` filled in.

        Args:
            name: As in the file.
            variables: Looked up before the environment.

        Raises:
            ConfigurationError: There is no such server, it is disabled or of a kind that is not supported,
                or a variable is not set.
        """
        entry = self._entry(name)
        fill = Filler(variables or {}, lambda path, why: self._refuse((name, *path), why))
        if isinstance(entry, UnsupportedEntry):
            supported = "a command (stdio), or a url of type 'http' (streamable HTTP)"
            self._refuse((name, "type"), f"transport {entry.type!r} is not supported; use {supported}")
        if isinstance(entry, StdioEntry):
            return self._child(name, entry, fill)
        return self._endpoint(name, entry, fill)

    def _child(self, name: str, entry: StdioEntry, fill: Filler) -> StdioLaunch:
        args, env = fill.each(entry.args, "args"), fill.named(entry.env, "env")
        command = os.path.expanduser(fill.text(entry.command, "command"))  # noqa: PTH111  # often no path but a name
        cwd = None
        if entry.cwd is not None:
            cwd = str((self.folder or Path.cwd()) / Path(fill.text(entry.cwd, "cwd")).expanduser())
        return StdioLaunch(name, command, args, env, cwd, fill.secrets)

    def _endpoint(self, name: str, entry: HttpEntry, fill: Filler) -> HttpEndpoint:
        url, headers = fill.text(entry.url, "url"), fill.named(entry.headers, "headers")
        if not _is_http(url):
            self._refuse((name, "url"), "must be an http:// or https:// address")
        return HttpEndpoint(name, url, headers, fill.secrets)

    def _entry(self, name: str) -> Entry:
        entry = self.servers.get(name)
        if entry is None:
            known = ", ".join(sorted(self.servers)) or "none"
            source = "the mcpServers given" if self.document is None else self.document.file
            raise ConfigurationError(f"no MCP server {name!r} in {source}; there is: {known}")
        if entry.disabled:
            self._refuse((name, "disabled"), f"MCP server {name!r} is disabled here")
        return entry

    def _refuse(self, path: JsonPath, why: str) -> NoReturn:
        if self.document is None:
            raise ConfigurationError(f"mcpServers.{'.'.join(map(str, path))}: {why}")
        line, column = self.document.place(("mcpServers", *path))
        raise ConfigurationError(f"{self.document.file}:{line}:{column}: {why}")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        why = f"{path}: {error.strerror}; pass the path of an mcpServers JSON file"
        raise ConfigurationError(why) from error
    if len(raw) > LARGEST_FILE:
        raise DocumentError(str(path), 1, 1, f"larger than {LARGEST_FILE:,} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(str(path), raw.count(b"\n", 0, error.start) + 1, 1, "not UTF-8") from error


def _read(data: Any, refuse: Refuse) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """Read the document from its top."""
    top = _object(data, (), refuse, 'must be an object {"mcpServers": {...}}')
    if "mcpServers" not in top:
        refuse((), 'needs "mcpServers": {"name": {"command": ...}} at its top')
    entries = _object(top["mcpServers"], ("mcpServers",), refuse, "must be an object of servers by name")
    if len(entries) > MOST_SERVERS:
        refuse(("mcpServers",), f"names more than {MOST_SERVERS} servers")
    servers: dict[str, Entry] = {}
    ignored: list[str] = []
    for name, value in entries.items():
        path = ("mcpServers", name)
        try:
            check_name("MCP server", name)
        except DefinitionError as error:
            refuse(path, str(error))
        raw = _object(value, path, refuse, "must be an object with a command or a url")
        servers[name] = entry = _read_entry(raw, path, refuse)
        if not isinstance(entry, UnsupportedEntry):
            ignored += [f"{name}.{key}" for key in raw if key not in {*type(entry).model_fields, "type"}]
    return servers, tuple(ignored)


def _object(data: Any, path: JsonPath, refuse: Refuse, why: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        refuse(path, why)
    return {str(key): value for key, value in cast("Mapping[Any, Any]", data).items()}


def _read_entry(raw: dict[str, Any], path: JsonPath, refuse: Refuse) -> Entry:
    model = _kind(raw, path, refuse)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        missing = f"{first['loc'][-1]!r} is missing"
        refuse((*path, *first["loc"]), missing if first["type"] == "missing" else first["msg"])


def _kind(raw: dict[str, Any], path: JsonPath, refuse: Refuse) -> type[StdioEntry | HttpEntry | UnsupportedEntry]:
    """Which kind of server an entry describes: by its type, else by what it has."""
    if "type" in raw:
        return StdioEntry if raw["type"] == "stdio" else HttpEntry if raw["type"] in HTTP_TYPES else UnsupportedEntry
    if ("command" in raw) == ("url" in raw):
        refuse(path, "needs either a command (stdio) or a url (streamable HTTP)")
    return StdioEntry if "command" in raw else HttpEntry
