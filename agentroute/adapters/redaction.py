"""Keeps secrets out of everything that is stored, logged or exported.

Three kinds are masked: values that the environment holds under a secret-looking name, strings in the formats that
providers give their keys, and strings the user registers. What cannot be known, a password nobody told us about in the
middle of a sentence, is not found.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus

MASK: Final = "[redacted]"

SHORTEST_SECRET: Final = 8
"""Characters below which a value of the environment is too likely to be an ordinary word."""

SHORTEST_PART: Final = 6
"""Characters of a secret that are masked where a text was cut through it."""

DEEPEST: Final = 50
"""Levels of nesting that are looked into; what lies deeper is masked as a whole."""

SECRET_WORDS: Final = frozenset({"KEY", "KEYS", "PASS", "PWD", "DSN", "AUTH", "AUTHORIZATION", "COOKIE", "HEADERS"})
"""Last word of a name that holds a secret (OPENAI_API_KEY, proxy-authorization)."""

SECRET_ENDINGS: Final = (
    "TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "APIKEY",
    "CREDENTIAL", "CREDENTIALS",
)  # fmt: skip
"""The same for words that are also written together with others (authtoken)."""

INNER_SECRET_WORDS: Final = frozenset({"SECRET", "PASSWORD", "PASSWD", "PRIVATE", "APIKEY", "TOKEN"})
"""Words that make a name a secret's wherever they stand in it (SECRET_VALUE) ..."""

POINTERS: Final = frozenset({"FILE", "PATH", "DIR", "SOCK", "TYPE", "NAME", "COUNT", "LIMIT", "URL", "EXPIRES", "TTL"})
"""... unless it ends in one of these: then it says where the secret is, or something about it."""

NOT_SECRET: Final = frozenset({"PWD", "OLDPWD", "KEY", "KEYS", "PASS"})
"""Names that are ordinary when they stand alone."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Each pattern is linear: no quantifier inside another, and a start that cannot succeed fails within a bounded distance.
_FORMATS = re.compile(
    r"""
      (?<![A-Za-z0-9]) (?: sk|pk|rk|whsec|hf|npm|pypi|gsk|xai|r8 ) [-_] [A-Za-z0-9_-]{16,}    # OpenAI, Stripe, others
    | gh[pousr]_ [A-Za-z0-9]{16,} | github_pat_ [A-Za-z0-9_]{16,} | glpat- [A-Za-z0-9_-]{16,} # GitHub, GitLab
    | (?: AKIA|ASIA|AGPA|AROA|AIDA ) [A-Z0-9]{16}                                             # AWS
    | AIza [A-Za-z0-9_-]{30,} | ya29\. [A-Za-z0-9_-]{16,}                                     # Google
    | xox[abeoprs]- [A-Za-z0-9-]{10,} | xapp- [A-Za-z0-9-]{10,}                               # Slack
    | (?<![A-Za-z]) SG\. [A-Za-z0-9_-]{16,} (?: \. [A-Za-z0-9_-]+ )?                          # SendGrid
    | (?<![A-Za-z]) eyJ [A-Za-z0-9_-]{10,} (?: \. [A-Za-z0-9_-]+ ){0,4}                       # JWT
    | -----BEGIN\ [A-Z ]{0,40}PRIVATE\ KEY----- (?s: .*? -----END\ [A-Z ]{0,40}PRIVATE\ KEY----- | .*\Z )
    """,
    re.VERBOSE,
)
_AFTER_NAME = re.compile(
    r"""
      (?P<scheme> (?i: bearer ) \s{1,4} )
      (?: [A-Za-z0-9._~+/=-]{20,} | (?= [^0-9\s]{0,20} [0-9] ) [A-Za-z0-9._~+/=-]{8,} )
    | (?P<header> (?i: authorization | api-key ) ["']? \s{0,4} [:=] \s{0,4} ["']?
        (?: (?i: bearer|basic|token|digest|apikey ) \s{1,4} )? )
      [^\s"',;]{4,}
    | (?P<cookie> (?i: cookie ) ["']? \s{0,4} [:=] \s{0,4} ["']? ) [^\r\n"']{4,}
    | (?P<pair>
        (?: (?i: api[_-]?key|access[_-]?key|token|secret|password|passwd|pwd|passphrase|signature )
          | [?&] (?: key|sig|auth ) )
        (?: = ["']? | ["'] \s{0,4} : \s{0,4} ["'] ) )
      [^\s"'&,;<>]{4,}
    | (?P<url> :// [^\s/:@?\#]{0,200} : ) [^\s/@]{1,500} (?= @ )
    """,
    re.VERBOSE,
)

# What every match of the patterns contains: a text without any of these needs no pattern at all.
_HINTS = (
    "sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "whsec", "hf_", "hf-", "npm_", "npm-", "pypi-", "pypi_", "xai-", "xai_",
    "r8_", "r8-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "AKIA", "ASIA", "AGPA", "AROA",
    "AIDA", "AIza", "ya29.", "xox", "xapp-", "SG.", "eyJ", "-----BEGIN", "://", "=", '":', "':", '" ', "' ", "earer",
    "EARER", "orization", "ORIZATION", "ey:", "EY:", "ey :", "EY :", "ookie", "OOKIE",
)  # fmt: skip


def looks_secret(name: str) -> bool:
    """Whether a variable, field or header of this name is expected to hold a secret."""
    words = [word.upper() for word in _WORDS.findall(name)]
    if not words or name.upper() in NOT_SECRET or words[-1] in POINTERS:
        return False
    return words[-1] in SECRET_WORDS or words[-1].endswith(SECRET_ENDINGS) or not INNER_SECRET_WORDS.isdisjoint(words)


class Redactor:
    """Masks secrets in strings and in nested data.

    Args:
        secrets: Strings to mask wherever they appear; the empty ones are ignored.

    Example:
        >>> Redactor(["hunter2hunter2"]).text("login failed for hunter2hunter2")
        'login failed for [redacted]'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Start with these secrets; `register` adds more."""
        self._secrets: set[str] = set()
        self._needles: tuple[str, ...] = ()
        self.register(*secrets)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> "Redactor":
        """Know the values of secret-looking variables of at least `SHORTEST_SECRET` characters."""
        found = (value for name, value in environ.items() if len(value) >= SHORTEST_SECRET and looks_secret(name))
        return cls((*found, *secrets))

    def register(self, *secrets: str) -> None:
        """Mask these from now on, also where they are written as JSON, in a URL or in base64."""
        self._secrets.update(secret for secret in secrets if secret and secret not in MASK)
        spellings = {spelling for secret in self._secrets for spelling in _spellings(secret)}
        # The longest first: a secret that contains another is masked as a whole.
        self._needles = tuple(sorted(spellings, key=lambda spelling: (-len(spelling), spelling)))

    def text(self, text: str) -> str:
        """Return `text` with secrets masked; the same object if there are none."""
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, MASK)
        if self._needles:
            text = self._without_cut_secrets(text)
        if any(hint in text for hint in _HINTS):
            text = _AFTER_NAME.sub(_mask_after_name, _FORMATS.sub(MASK, text))
        return text

    def data(self, value: Any, depth: int = 0) -> Any:
        """Return a copy of nested data with secrets masked; under a secret-looking name the whole value is.

        Mappings become dicts, other collections lists; objects of unknown types become their masked text.
        """
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(value)
            case bytes() | bytearray():
                return self.text(value.decode("utf-8", "replace"))
            case _ if depth >= DEEPEST:
                return MASK
            case Mapping():
                fields = cast("Mapping[Any, Any]", value)
                return {self.text(str(name)): self._field(str(name), held, depth + 1) for name, held in fields.items()}
            case Sequence() | AbstractSet():
                return [self.data(each, depth + 1) for each in cast("Iterable[Any]", value)]
            case _:
                return self.text(str(value))

    def _field(self, name: str, value: Any, depth: int) -> Any:
        if looks_secret(name) and not (value is None or isinstance(value, (bool, Mapping, list, tuple))):
            return MASK
        return self.data(value, depth)

    def _without_cut_secrets(self, text: str) -> str:
        """Mask a beginning of a secret at the end of the text, and an end of one at its beginning."""
        for needle in self._needles:
            if len(needle) <= SHORTEST_PART:
                continue
            head, tail = needle[:SHORTEST_PART], needle[-SHORTEST_PART:]
            at = text.find(head, max(0, len(text) - len(needle)))
            while at >= 0:
                if needle.startswith(text[at:]):
                    text = text[:at] + MASK
                    break
                at = text.find(head, at + 1)
            end = text.rfind(tail, 0, len(needle))
            while end >= 0:
                if needle.endswith(text[: end + SHORTEST_PART]):
                    text = MASK + text[end + SHORTEST_PART :]
                    break
                end = text.rfind(tail, 0, end + SHORTEST_PART - 1)
        return text


def _spellings(secret: str) -> set[str]:
    """The ways in which a secret is commonly written."""
    raw = secret.encode("utf-8", "surrogatepass")
    spellings = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
    }
    if len(raw) >= SHORTEST_SECRET:
        spellings |= {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    return spellings


def _mask_after_name(found: re.Match[str]) -> str:
    return f"{found[found.lastgroup or 0]}{MASK}"
