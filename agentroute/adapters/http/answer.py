"""What an HTTP answer means: a value, or an error that says what is known."""

import json
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin

import httpx
from pydantic import ValidationError

from agentroute.errors import ToolError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.tool import Effect

LONGEST_COMPLAINT = 300
"""Characters kept of what a server says about an error."""


def refusal(response: httpx.Response, body: bytes) -> httpx.HTTPStatusError:
    """Return the error of a status from 400 up, with the beginning of what the server said."""
    said = " ".join(body.decode("utf-8", "replace").split())[:LONGEST_COMPLAINT]
    status = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    return httpx.HTTPStatusError(f"{status}: {said}" if said else status, request=response.request, response=response)


def redirected(response: httpx.Response, effect: Effect) -> ToolError:
    """Return the error of a redirect that is not followed.

    307 and 308 ask for the request to be made again elsewhere: nothing has happened here. After other redirects of
    a request that changes something, it may have (a form that was sent is answered with 303).
    """
    target = response.headers.get("location", "nowhere")[:LONGEST_COMPLAINT]
    known = effect == "read" or response.status_code in {307, 308}
    message = f"HTTP {response.status_code}: redirected to {target}, which is not followed; use that URL if it is right"
    return ToolError(message, kind="permanent" if known else "ambiguous")


def read_value(
    body: bytes, response: httpx.Response, kind: ArtifactType | None, parse: Callable[[str], Any] | None
) -> Any:
    """Read a body as its declared type: text as it is, bytes as they are, anything else as JSON.

    Args:
        body: All of it.
        response: Whose headers say how text is encoded.
        kind: Declared type, if there is one.
        parse: The user's reading of the text.

    Raises:
        ToolError: It is not what the contract promises.
    """
    if parse is not None:
        try:
            return parse(_text(body, response))
        except Exception as error:
            why = f"the answer cannot be parsed: {error!r}"[:LONGEST_COMPLAINT]
            raise ToolError(why, kind="contract") from error
    if kind is None:
        return _guess(body, response)
    base = _base(kind.annotation)
    if base is bytes:
        return body
    if base is str:
        return _text(body, response)
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        # Without the values that do not fit: an answer is no business of an error message.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise ToolError(f"not a {kind.id}: {place}: {first['msg']}", kind="contract") from None


def _base(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _text(body: bytes, response: httpx.Response) -> str:
    try:
        return body.decode(response.charset_encoding or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _guess(body: bytes, response: httpx.Response) -> Any:
    """Read a body of which nothing is declared by what the server calls it."""
    if "json" not in response.headers.get("content-type", ""):
        return _text(body, response)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"the answer is not JSON: {error}"[:LONGEST_COMPLAINT], kind="contract") from error
