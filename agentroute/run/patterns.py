r"""Regular expressions over texts from outside, in time that grows no faster than the text.

`re` tries one way after the other, and a hostile text can make it try them for years. RE2 goes all ways at once
(Thompson, "Regular expression search algorithm", 1968). Its classes ``\w``, ``\d``, ``\s`` and ``\b`` are of ASCII;
``\pL`` is any letter.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2  # pyright: ignore[reportMissingTypeStubs]

_re2: Any = re2  # it brings no types


class PatternError(ValueError):
    """A pattern is none, or has what RE2 does not know: look-arounds, references to groups, possessive repetitions."""


@lru_cache(maxsize=256)
def finder(pattern: str) -> Callable[[str], bool]:
    """What tells whether a pattern is found somewhere in a text; case does not matter.

    Raises:
        PatternError: It is no pattern that could be searched for in bounded time, with why.
    """
    options = _re2.Options()
    options.case_sensitive = options.log_errors = False
    try:
        compiled = _re2.compile(pattern, options)
    except _re2.error as error:
        raise PatternError(error.args[0].decode(errors="replace")) from None
    except UnicodeEncodeError:
        raise PatternError("half of a surrogate pair is no character") from None
    # Half of a surrogate pair is text to Python, and nothing that RE2 could read.
    return lambda text: compiled.search(text.encode(errors="replace").decode()) is not None
