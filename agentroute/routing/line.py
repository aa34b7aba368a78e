"""Who waits for a tool: first come, first served, and nobody has to keep looking."""

from collections.abc import Callable, Container

from agentroute.ids import ToolId


class Line:
    """Runs that wait, each for some tool, in the order in which they began to.

    The first that waits for a tool is called when there may be a place; it takes it, leaves the line, and so calls the
    next. One that finds no place keeps its own, even if it comes to wait for another tool. So a tool that is back is
    told to as many as it has room for, one after the other, and what it costs to wait does not grow with their number.
    """

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: dict[object, tuple[ToolId, Callable[[], None]]] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def join(self, who: object, tool: ToolId, wake: Callable[[], None]) -> None:
        """Stand in line for a tool, behind all others; who is in it already keeps the place.

        Args:
            who: Whoever waits.
            tool: What for.
            wake: Called when there may be a place.
        """
        self._waiting[who] = tool, wake

    def leave(self, who: object) -> None:
        """Leave the line, whether or not a place was found, and call the next."""
        left = self._waiting.pop(who, None)
        if left is not None:
            self.call((left[0],))

    def before(self, who: object, tool: ToolId) -> int:
        """How many come before this one, who is in the line for a tool or would join it."""
        count = 0
        for other, (wanted, _) in self._waiting.items():
            if other == who:
                break
            count += wanted == tool
        return count

    def call(self, tools: Container[ToolId] | None = None) -> None:
        """Call the first that waits for any of these tools; the first for each tool, if none are named."""
        called: set[ToolId] = set()
        for tool, wake in list(self._waiting.values()):
            if tool in called or (tools is not None and tool not in tools):
                continue
            wake()
            if tools is not None:
                return
            called.add(tool)
