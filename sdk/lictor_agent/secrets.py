"""What secrets, payment data and personal data look like. Every pattern is bounded, so that no text takes long.

A rule has words of which one must be in the text before its pattern is tried at all: most texts hold none.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """What it finds is named `kind`. The group `value` of a match is what is hidden, else the whole."""

    kind: str
    words: tuple[str, ...]
    """One at least is in the text; none: tried wherever there is a digit."""
    pattern: "re.Pattern[str]"
    is_one: Callable[[str], bool] = lambda _: True
    plain: Callable[[str], str] = lambda text: text
    """The form in which two spellings of the same value are equal."""
    any_case: bool = False
    """The words are in lower case, and meant in any."""


def _compact(text: str) -> str:
    return re.sub(r"[ -]", "", text).upper()


def luhn(text: str) -> bool:
    """Tell whether digits (13 to 19, with spaces or dashes) pass the check of card numbers."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0  # noqa: PLR2004


def mod97(text: str) -> bool:
    """Tell whether a text passes the check of IBANs."""
    compact = _compact(text)
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(letter, 36)) for letter in moved)) % 97 == 1  # noqa: PLR2004


_TOKENS: Final = (
    ("aws_key", ("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("google_key", ("AIza",), r"\bAIza[0-9A-Za-z_-]{35}"),
    ("google_token", ("ya29.",), r"\bya29\.[0-9A-Za-z_-]{20,300}"),
    ("github_token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[0-9A-Za-z]{36,255}"),
    ("github_token", ("github_pat_",), r"\bgithub_pat_[0-9A-Za-z_]{22,255}"),
    ("gitlab_token", ("glpat-",), r"\bglpat-[0-9A-Za-z_-]{20,64}"),
    ("slack_token", ("xox",), r"\bxox[abeprs]-[0-9A-Za-z-]{10,250}"),
    ("stripe_key", ("sk_", "rk_"), r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{10,250}"),
    ("model_key", ("sk-",), r"\bsk-(?:ant-|proj-|svcacct-)?[0-9A-Za-z_-]{20,250}"),
    ("npm_token", ("npm_",), r"\bnpm_[0-9A-Za-z]{36}\b"),
    ("pypi_token", ("pypi-",), r"\bpypi-[0-9A-Za-z_-]{50,400}"),
    ("huggingface_token", ("hf_",), r"\bhf_[0-9A-Za-z]{30,60}"),
    ("sendgrid_key", ("SG.",), r"\bSG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{32,64}"),
    ("twilio_key", ("AC", "SK"), r"\b(?:AC|SK)[0-9a-f]{32}\b"),
    ("jwt", ("eyJ",), r"\beyJ[0-9A-Za-z_-]{8,4000}\.[0-9A-Za-z_-]{8,8000}\.[0-9A-Za-z_-]{0,2000}"),
    (
        "private_key",
        ("PRIVATE KEY-----",),
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?",
    ),
)
_HEADER: Final = r"(?i:\b(?:bearer|basic)\s{1,3})(?P<value>[0-9A-Za-z+/=_.~-]{12,4000})"
_BORN: Final = (
    r"(?i:\b(?:date of birth|birth ?date|born(?: on)?|dob)\b\W{0,4})"
    r"(?P<value>[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4})"
)
_NAMED: Final = (
    r"(?i:\b[\w-]{0,30}(?:password|passwd|passphrase|pwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|token)"
    r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?P<value>(?!https?://)[^\s\"',;&(){}\[\]<>]{6,400})"
)

SECRETS: Final = (
    *(Rule(kind, words, re.compile(pattern)) for kind, words, pattern in _TOKENS),
    Rule("authorization", ("bearer", "basic"), re.compile(_HEADER), any_case=True),
    Rule("url_password", ("://",), re.compile(r"://[^/\s:@]{0,100}:(?P<value>[^@/\s]{1,200})@")),
    Rule("secret", ("passw", "passphrase", "pwd", "secret", "key", "token"), re.compile(_NAMED), any_case=True),
)
PAYMENT: Final = (
    Rule("card", (), re.compile(r"(?<![0-9.-])[0-9](?:[ -]?[0-9]){12,18}(?![0-9.-])"), luhn, _compact),
    Rule("iban", (), re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,4})?\b"), mod97, _compact),
)
PERSONAL: Final = (
    Rule(
        "email",
        ("@",),
        re.compile(r"(?P<value>[0-9A-Za-z._%+-]{1,64})(?=@[0-9A-Za-z-]{1,63}(?:\.[0-9A-Za-z-]{1,63}){1,8})"),
        plain=str.lower,
    ),
    Rule("phone", ("+",), re.compile(r"(?<![0-9A-Za-z])\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}(?![0-9])"), plain=_compact),
    Rule("ssn", ("-",), re.compile(r"(?<![0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-])")),
    Rule("birth_date", ("birth", "born", "dob"), re.compile(_BORN), any_case=True),
)
BY_NAME: Final = {"secrets": SECRETS, "payment": PAYMENT, "personal": PERSONAL}

_DIGITS: Final = re.compile("[0-9]")
_NAMES: Final = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "accesskey", "secretkey", "privatekey",
     "authorization", "cookie", "setcookie", "clientsecret", "pin", "cvv", "cvc", "otp"}
)  # fmt: skip
_ENDINGS: Final = ("password", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey")


def is_secret_name(name: str) -> bool:
    """Tell whether a value of this name is a secret whatever it looks like: `password`, `apiKey`, `Set-Cookie`."""
    plain = name.lower().replace("_", "").replace("-", "").replace(" ", "")
    return plain in _NAMES or plain.endswith(_ENDINGS)


class Finder:
    """Rules made ready: which of them to try at all is told by the words that are in the text."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._exact = tuple((word, rule) for rule in rules if not rule.any_case for word in rule.words)
        self._any_case = tuple((word, rule) for rule in rules if rule.any_case for word in rule.words)
        self._digits = tuple(rule for rule in rules if not rule.words)

    def find(self, text: str) -> list[tuple[int, int, Rule]]:
        """Return where a text holds what the rules look for: start, end, rule."""
        tried = [rule for word, rule in self._exact if word in text]
        if self._any_case:
            low = text.lower()
            tried += [rule for word, rule in self._any_case if word in low]
        if self._digits and _DIGITS.search(text) is not None:
            tried += self._digits
        return [place for rule in dict.fromkeys(tried) for place in _places(text, rule)] if tried else []


def _places(text: str, rule: Rule) -> Iterator[tuple[int, int, Rule]]:
    group = "value" if "value" in rule.pattern.groupindex else 0
    for match in rule.pattern.finditer(text):
        if rule.is_one(match[group]):
            yield match.start(group), match.end(group), rule
