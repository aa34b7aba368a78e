"""URLs with places to be filled in, which no value can turn into another URL."""

import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from agentroute.errors import DefinitionError, ToolError

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class UrlTemplate:
    """A URL with ``{name}`` in its path or query.

    Args:
        template: The URL. Scheme, host and port cannot be filled in.
        subject: Whose URL this is, for error messages.

    Raises:
        DefinitionError: It is not one.

    Example:
        >>> UrlTemplate("https://api.example.com/users/{user}?full={full}", "tool").fill({"user": "a/b", "full": True})
        'https://api.example.com/users/a%2Fb?full=true'
    """

    def __init__(self, template: str, subject: str) -> None:
        self.names = tuple(_PLACE.findall(template))
        self._template = template
        self._subject = subject
        scheme, _, rest = template.partition("://")
        host = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if scheme not in {"http", "https"} or not host or "{" in host:
            why = "must start with http:// or https:// and a host that is written out"
            raise DefinitionError(subject, f"{template!r} {why}")
        if re.search(r"[{}]", _PLACE.sub("", template)):
            raise DefinitionError(subject, f"{template!r} has a brace that belongs to no {{name}}")
        if "#" in template:
            raise DefinitionError(subject, f"{template!r} has a fragment, which is never sent")
        self.host = urlsplit(template).hostname or host

    def beside(self, path: str) -> str:
        """Return another path on the same server.

        Raises:
            DefinitionError: It is none.
        """
        if not path.startswith("/") or path.startswith("//") or not path.isprintable() or " " in path:
            raise DefinitionError(self._subject, f"probe must be a path like '/health', not {path!r}")
        scheme, _, rest = self._template.partition("://")
        return f"{scheme}://{re.split(r'[/?#]', rest, maxsplit=1)[0]}{path}"

    def fill(self, values: Mapping[str, Any]) -> str:
        """Put plain JSON values in, escaped.

        Raises:
            ToolError: A value cannot stand in a URL, or would lead to another path. Permanent: nothing was sent.
        """
        path, mark, query = self._template.partition("?")
        filled = [self._segment(segment, values) for segment in path.split("/")]
        return "/".join(filled) + mark + self._put(query, values)

    def _segment(self, segment: str, values: Mapping[str, Any]) -> str:
        """Fill a segment of the path; an empty one or one of dots would lead to another path."""
        filled = self._put(segment, values)
        if filled != segment and filled in {"", ".", ".."}:
            raise ToolError(f"{filled!r} would change the path of {self._template!r}", kind="permanent")
        return filled

    def _put(self, part: str, values: Mapping[str, Any]) -> str:
        return _PLACE.sub(lambda match: quote(self._text(match[1], values), safe=""), part)

    def _text(self, name: str, values: Mapping[str, Any]) -> str:
        text = as_text(values.get(name))
        if text is None:
            why = f"{name!r} cannot stand in the URL {self._template!r}; it must be text or a number"
            raise ToolError(why, kind="permanent")
        return text


def as_text(value: Any) -> str | None:
    """Write a plain value as it is usual in URLs; None if it is nothing that can be written so."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def with_query(url: str, values: Mapping[str, Any]) -> str:
    """Add JSON values to the query of a URL: objects by their fields, lists by repetition; null is left out.

    Raises:
        ToolError: A value is nested too deeply for a query. Permanent: nothing was sent.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {name: value}
        for key, field in fields.items():
            items = cast("list[Any]", field) if isinstance(field, list) else [] if field is None else [field]
            for item in items:
                text = as_text(item)
                if text is None:
                    raise ToolError(f"{key!r} is too deep for a query; send it in a body", kind="permanent")
                pairs.append((key, text))
    return url + ("&" if "?" in url else "?") + urlencode(pairs) if pairs else url
