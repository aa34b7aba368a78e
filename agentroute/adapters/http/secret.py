"""Values that are looked up when they are needed and shown nowhere."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from agentroute.errors import ToolError


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A header's value that comes from the environment or from a function, at each call.

    Attributes:
        source: Name of an environment variable, or a function that returns the value.
        form: What the value is put into.

    Example:
        >>> Secret("BOOKING_API_KEY", "Bearer {}")
        Secret('BOOKING_API_KEY')
    """

    source: str | Callable[[], str]
    form: str = "{}"

    def __repr__(self) -> str:
        """Say where the value comes from, not what it is."""
        return f"Secret({self.source!r})"

    def reveal(self) -> str:
        """Return the value.

        Raises:
            ToolError: The environment variable is not set, or its value cannot stand in a header. Permanent,
                because nothing has been sent.
        """
        value = os.environ.get(self.source) if isinstance(self.source, str) else self.source()
        if not value:
            raise ToolError(f"{self.source!r} gives no value; set the environment variable", kind="permanent")
        value = self.form.replace("{}", value.strip())
        if not value.isascii() or not value.isprintable():
            raise ToolError(f"the value of {self.source!r} cannot stand in a header", kind="permanent")
        return value
