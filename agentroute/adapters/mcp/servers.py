"""Tools of MCP servers: bound to artifacts, or derived from what a server says about itself."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

import anyio
import anyio.to_thread

from agentroute.adapters.mcp.config import Launch, McpConfig
from agentroute.adapters.mcp.hub import McpHub
from agentroute.adapters.mcp.restart import Restart
from agentroute.adapters.mcp.settings import Settings
from agentroute.adapters.mcp.tool import McpTool
from agentroute.adapters.telemetry.provider import default_store
from agentroute.adapters.wire_contract import ToolOptions, bind_contract, read_contract
from agentroute.errors import DefinitionError, FailureKind
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import checked
from agentroute.graph.tool import Effect, ToolSpec, artifacts_of
from agentroute.ids import ArtifactId

if TYPE_CHECKING:
    from agentroute.adapters.mcp.answers import Answer
    from agentroute.adapters.mcp.listing import ListedTool

STARTUP_TIMEOUT_S = 30.0
"""Seconds that a server has, by default, from its start to its list of tools."""

PATIENCE = 0.8
"""Share of a tool's timeout that may be spent waiting for its server to start. Below 1, so that the attempt can still
say that nothing was sent, where a timeout would leave it in doubt."""


class ConnectionOptions(TypedDict, total=False):
    """How servers are started and kept.

    variables:
        Looked up before the environment, where the configuration says ``${NAME}``.
    startup_timeout_s:
        Seconds that a server has from its start to its list of tools.
    restart:
        When a server that died is started again.
    log_folder:
        Where the standard error of child processes goes, one file a server; None discards it. The default is
        ``mcp`` in the store's folder.
    chance:
        Draws numbers from 0 to 1, to spread restarts.
    probe_every_s:
        Seconds between two pings of each server that is in use, while an agent with its tools is open; None (the
        default) for none. While a server does not answer, runs avoid its tools.
    """

    variables: Mapping[str, str]
    startup_timeout_s: float
    restart: Restart
    log_folder: str | Path | None
    chance: Callable[[], float]
    probe_every_s: float | None


class McpServers:
    """The MCP servers of a configuration, each connected at first use and kept so until `aclose`.

    It can be used from any event loop, one after the other or several at once, with or without ``async with``:
    the connections live in a thread of their own, which ends with `aclose` or with the process. After `aclose`
    it can be used again.

    Example:
        >>> servers = McpServers.from_dict({"mcpServers": {"time": {"command": "mcp-server-time"}}})
        >>> now = servers.tool("time", "get_current_time", takes={"timezone": "timezone"}, returns="now", effect="read")
        >>> now.spec.requires, now.spec.produces, now.spec.provider
        (('timezone',), ('now',), 'time')
    """

    def __init__(self, config: McpConfig, **options: Unpack[ConnectionOptions]) -> None:
        """Nothing is started here.

        Raises:
            DefinitionError: ``probe_every_s`` is no number above 0.
        """
        every_s = options.get("probe_every_s")
        if every_s is not None and checked("MCP servers", "probe_every_s", every_s) == 0:
            raise DefinitionError("MCP servers", "probe_every_s must be above 0")
        self.probe_every_s: float | None = every_s
        folder = options.get("log_folder", default_store(os.environ) / "mcp")
        self._config = config
        self._variables = dict(options.get("variables", {}))
        self._settings = Settings(
            startup_timeout_s=options.get("startup_timeout_s", STARTUP_TIMEOUT_S),
            restart=options.get("restart", Restart()),
            chance=options.get("chance", SystemRandom().random),
            log_folder=None if folder is None else Path(folder),
        )
        self._launches: dict[str, Launch] = {}
        self._listings: dict[str, dict[str, ListedTool]] = {}
        self._hub = McpHub(self._settings)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **options: Unpack[ConnectionOptions]) -> Self:
        """Read a file such as ``.mcp.json`` or ``claude_desktop_config.json``.

        Raises:
            DocumentError: It is refused, with ``file:line:column``.
            ConfigurationError: It cannot be read at all.
        """
        return cls(McpConfig.from_file(path), **options)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **options: Unpack[ConnectionOptions]) -> Self:
        """Read the same structure from Python.

        Raises:
            DefinitionError: It is refused, with the path of what is wrong.
        """
        return cls(McpConfig.from_dict(data), **options)

    @property
    def names(self) -> tuple[str, ...]:
        """Servers of the configuration that are not switched off."""
        return tuple(name for name, entry in self._config.servers.items() if not entry.disabled)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Keys of the configuration that mean nothing here, as ``server.key``."""
        return self._config.ignored

    @property
    def is_open(self) -> bool:
        """Whether there is something to close: a server has been used since this was made or closed."""
        return self._hub.is_open

    @property
    def secrets(self) -> frozenset[str]:
        """What the servers asked for so far are given under secret-looking names; it belongs in no log."""
        return frozenset(secret for launch in self._launches.values() for secret in launch.secrets)

    async def connect(self, *servers: str) -> None:
        """Start servers (all, if none is named) and read their lists of tools.

        Tools defined afterwards can derive what is not declared.

        Raises:
            ConfigurationError: A server cannot be used as configured.
            ToolError: A server cannot be reached.
        """
        launches = [self._launch(name) for name in servers or self.names]
        errors: list[Exception] = []
        async with anyio.create_task_group() as tasks:
            for launch in launches:
                tasks.start_soon(self._read_listing, launch, errors)
        for error in errors:
            raise error

    async def tools(
        self,
        server: str,
        *,
        only: Iterable[str] | None = None,
        fixed: Mapping[str, Any] | None = None,
        **options: Unpack[ToolOptions],
    ) -> list[McpTool]:
        """Start a server, and make its tools ready for use with contracts derived from what it says about them.

        Required parameters become artifacts of the same name; the answer becomes an artifact with the name of the
        tool; hints become the effect. Declare tools one by one with `tool` where that is not what is meant.

        Args:
            server: Its name.
            only: Names of the tools wanted; all by default.
            fixed: Arguments that are the same in every call, for every tool that has such a parameter.
            **options: For every tool.

        Raises:
            ConfigurationError: The server cannot be used as configured.
            ToolError: It cannot be reached.
            DefinitionError: It has no tool of a name in `only`.
        """
        await self.connect(server)
        listing = self._listings[server]
        made: list[McpTool] = []
        for name in listing if only is None else only:
            known = listing[name].parameters if name in listing else ()
            same = {key: value for key, value in (fixed or {}).items() if key in known}
            made.append(self.tool(server, name, fixed=same, **options))
        return made

    def tool(
        self,
        server: str,
        tool: str,
        *,
        name: str | None = None,
        takes: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        returns: Any = ...,
        effect: Effect | None = None,
        parse: Callable[[str], Any] | None = None,
        errors_mean: FailureKind | None = None,
        **options: Unpack[ToolOptions],
    ) -> McpTool:
        """Make a tool of a server ready for use. Nothing is started here.

        Args:
            server: Its name in the configuration.
            tool: Its name on the server.
            name: Its name in the agent; the same by default.
            takes: Artifact of each parameter: a type, ``Annotated[..., Artifact(name)]``, an artifact's name,
                ``AtLeast(...)``, or ``X | None`` for one that is passed along if it is at hand. After `connect`,
                the default is an artifact of the same name for each required parameter.
            fixed: Arguments that are the same in every call.
            returns: Artifact of the answer, or ``tuple[A, B]`` for an object that holds several by name; by default
                one with the name of the tool. A verify tool returns ``X | None``.
            effect: What a second call would do. By default what the server's hints say after `connect`, and
                ``once`` before.
            parse: Makes the value from the text of the answer. By default the value is the structured content, or
                the text, read as JSON where the type asks for it.
            errors_mean: What it means if the server answers that the tool failed (``isError``). By default
                permanent for a read tool, and ambiguous otherwise, for the tool may have failed half-way. Say
                ``"permanent"`` if it then has changed nothing.
            **options: See `ToolOptions`. The provider is the server, unless given.

        Raises:
            ConfigurationError: The server cannot be used as configured.
            DefinitionError: The contract cannot be used, with the tool's name and why.
        """
        self._launch(server)
        label, same = name or tool, dict(fixed or {})
        listed = self._listed(server, tool, label)
        if takes is None:
            if listed is None:
                why = f"say what it takes=, or call `await servers.connect({server!r})` first to derive it"
                raise DefinitionError(f"tool {label!r}", why)
            takes = {part: part for part in listed.required if part not in same}
        options.setdefault("provider", server)
        effect = effect or (listed.effect if listed else "once")
        contract = read_contract(label, takes, tool if returns is ... else returns, effect, options)
        return self._checked(McpTool(self, server, tool, contract, same, parse, errors_mean))

    def bind(
        self,
        spec: ToolSpec,
        server: str,
        tool: str,
        *,
        arguments: Mapping[str, str] | None = None,
        fixed: Mapping[str, Any] | None = None,
        types: Mapping[ArtifactId, ArtifactType] | None = None,
        parse: Callable[[str], Any] | None = None,
        errors_mean: FailureKind | None = None,
    ) -> McpTool:
        """Use a tool of a server where a document says the contract.

        Args:
            spec: The contract; used as it is.
            server: Its name in the configuration.
            tool: Its name on the server.
            arguments: Artifact of each parameter; by default each artifact fills the parameter of its name.
            fixed: Arguments that are the same in every call.
            types: Types of the artifacts, as far as they are known.
            parse: See `tool`.
            errors_mean: See `tool`.

        Raises:
            ConfigurationError: The server cannot be used as configured.
            DefinitionError: An argument asks for an artifact that the tool does not require.
        """
        self._launch(server)
        if arguments is None:
            arguments = {part: part for part in (*artifacts_of(spec.requires), *spec.optional)}
        contract = bind_contract(spec, arguments, types or {})
        return self._checked(McpTool(self, server, tool, contract, dict(fixed or {}), parse, errors_mean))

    async def call(self, tool: McpTool, arguments: Mapping[str, Any]) -> "tuple[Answer, ListedTool]":
        """Call a tool with JSON arguments.

        Raises:
            ToolError: With what is known about the failure.
        """
        patience_s = PATIENCE * tool.spec.timeout_s
        return await self._hub.call(self._launch(tool.server), tool.remote, arguments, tool.spec.effect, patience_s)

    async def ping(self, server: str) -> object:
        """Ask a server that is in use for a sign of life. Starts none.

        Returns:
            True if it answered, and `agentroute.adapters.probes.UNKNOWN` if it is not in use.

        Raises:
            ConnectionError: It is down.
        """
        return await self._hub.ping(self._launch(server))

    async def aclose(self) -> None:
        """End all servers and connections. May be called twice; the next use starts anew."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._hub.close)

    async def __aenter__(self) -> Self:
        """Nothing is started here; servers start at first use."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all servers and connections."""
        await self.aclose()

    def _launch(self, server: str) -> Launch:
        if server not in self._launches:
            self._launches[server] = self._config.launch(server, self._variables)
        return self._launches[server]

    async def _read_listing(self, launch: Launch, errors: list[Exception]) -> None:
        try:
            listing = await self._hub.listing(launch, 2 * self._settings.startup_timeout_s)
        except Exception as error:  # noqa: BLE001  # raised by `connect`, without the group around it
            errors.append(error)
        else:
            self._listings[launch.name] = listing

    def _listed(self, server: str, tool: str, label: str) -> "ListedTool | None":
        listing = self._listings.get(server)
        if listing is None:
            return None
        if tool not in listing:
            known = ", ".join(sorted(listing)) or "none"
            raise DefinitionError(f"tool {label!r}", f"MCP server {server!r} has no tool {tool!r}; it has: {known}")
        return listing[tool]

    def _checked(self, tool: McpTool) -> McpTool:
        """Return `tool` if its arguments can be right."""
        if twice := sorted(set(tool.contract.parameters) & set(tool.fixed)):
            raise DefinitionError(f"tool {tool.spec.name!r}", f"{', '.join(twice)} is both fixed and taken")
        listed = self._listed(tool.server, tool.remote, tool.spec.name)
        if listed is not None and (unknown := listed.unknown((*tool.contract.parameters, *tool.fixed))):
            raise DefinitionError(f"tool {tool.spec.name!r}", unknown)
        return tool


def bind_spec(
    servers: McpServers, spec: ToolSpec, server: str, tool: str, arguments: Mapping[str, str] | None = None
) -> McpTool:
    """Use a tool of a server where a graph file says the contract (``mcp:``); see `McpServers.bind`.

    Raises:
        ConfigurationError: The server cannot be used as configured.
        DefinitionError: An argument asks for an artifact that the tool does not require.
    """
    return servers.bind(spec, server, tool, arguments=arguments or None)
