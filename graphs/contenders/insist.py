"""What to do about a doubt, and where there is nobody else to ask."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import anyio
from pydantic import BaseModel

from graphs.contenders.call import CallError
from graphs.contenders.client import Client

PAUSE_S: Final = 0.2
"""Before the same provider is asked again, in seconds; longer each time."""

Made = TypeVar("Made", bound=BaseModel)
Result = TypeVar("Result")


async def insist(call: Callable[[], Awaitable[Result]], attempts: int = 3) -> Result:
    """Ask up to `attempts` times, unless asking again is no use.

    Raises:
        CallError: That of the last attempt.
    """
    for attempt in range(1, attempts):
        try:
            return await call()
        except CallError as error:
            if error.kind == "refused":
                raise
        await anyio.sleep(PAUSE_S * attempt)
    return await call()


async def make_once(client: Client, provider: str, table: str, kind: type[Made], **body: Any) -> Made:
    """Have something made that must not be made twice; where it is in doubt, look it up.

    Raises:
        CallError: It was not made; of kind ``doubt``: it may have been, and the provider does not say.
    """
    try:
        return await client.post(provider, f"/{table}", kind, **body)
    except CallError as error:
        if error.kind != "doubt":
            raise
    try:
        found = await insist(lambda: client.made(provider, table, kind))
    except CallError as error:
        what = f"neither an answer nor a way to look it up ({error})"
        raise CallError(provider, what, kind="doubt") from error
    if found is None:
        raise CallError(provider, "no answer, and a look-up found nothing", kind="busy")
    return found
