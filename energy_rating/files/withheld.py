"""What is not shown or kept, wherever it came from: passwords, keys, tokens, and the user's own command line.

Of a command only the program's name is let through, and of an address that is asked something only host and port: what else stands
in them is anybody's guess. Where a text is somebody else's, such as an error, what is known to be secret is taken out of it.

**One gate.** Whatever text gets into a journal, and so into a record and all that is made of it, goes through ``kept``, where the
journal is written: names of models, tasks and windows, sources of figures, places, findings, whoever gave them and in which way.
There an address keeps its path, since it may be the page that a figure comes from, but for the parts that look like a key. What is
written in percent signs (``api_key%3DX``, also several times over) or in base64 is looked at as what it says.
"""

from __future__ import annotations

import binascii
import functools
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

HIDDEN = "…"

# Names after which a secret comes: api_key, --hf-token, AWS_SECRET_ACCESS_KEY_2, but not max_tokens, tokenizer or compat.
_NAMES = (
    r"(?i)(?:(?:(?<![a-z])|api|auth|access|secret|private)[_-]?keys?|key[_-]?id|token|(?:api|auth|access|secret|hf)[_-]?tokens"
    r"|secrets?(?:[_-]value)?|passw(?:or)?ds?(?:[_-]stdin)?|passphrase|credentials?|auth(?:orization|[_-]header)?|cookies?|bearer"
    r"|(?<![a-z])pat|pwd)(?:[_-]?\d+)?$"
)
# One of these is in each such name, whatever the case of its letters.
_IN_NAMES = ("key", "token", "secret", "pass", "credent", "auth", "cook", "bearer", "pat", "pwd")

# Of those, what tokenizers call pieces of text, and keys that lock nothing: hidden, two runs would look the same that are not.
_HARMLESS = (
    r"(?i)(?<![a-z])(?:(?:bos|eos|pad|unk|sep|cls|mask|stop|start|end|image|video|audio)_token"
    r"|(?:cache|kv|sort|primary|foreign|input|output|column|public)_keys?)$"
)

# NAME=VALUE, NAME: VALUE and "NAME": "VALUE" within a text; the value is looked for only behind the name of a secret.
_NAMED = r"""(?<![\w.-])(?P<name>[\w.-]+)["']?\s*[:=]\s*"""
_VALUE = r"""(?P<quote>\\?["'])?(?P<value>(?(quote)(?:(?!(?P=quote)).)+|[^\s"',;&}]+))"""

# --api-key X. What begins with a dash is the next option; an amount of tokens is none.
_FLAG = r"(?<!\S)--?(?P<name>[A-Za-z][\w-]*)[ \t]+(?P<value>[^\s-]\S*)"

# What hubs and clouds give out, by how it begins (GitHub's secret scanning lists such patterns): Hugging Face, OpenAI and Anthropic,
# GitHub, GitLab, Slack, AWS, Google; and a JSON Web Token (RFC 7519).
_SHAPES = r"\b(?:hf_|api_org_|sk-(?=[\w-]{0,200}\d)|gh[opusr]_|github_pat_|glpat-|xox[abeoprs]-|AKIA|AIza|ya29\.|nvapi-|eyJ[\w-]{8,2000}\.)[\w.~+/=-]{6,}"
_BEGINNINGS = (
    *("hf_", "api_org_", "sk-", "gho_", "ghp_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox"),
    *("AKIA", "AIza", "ya29.", "nvapi-", "eyJ"),
)
# RFC 7617 and 6750. A word of small letters alone is one of a language.
_BEARER = r"\b([Bb]earer|[Bb]asic|BEARER|BASIC)\s+(?=[\w.~+/-]{0,200}(?:[\d=+/_~]|[a-z][A-Z]))[\w.~+/=-]{6,}"

# A URL's parts as far as they matter here (RFC 3986, 3): scheme, user and password, host and port, the rest. Taken for a path, it has
# one slash less.
_URL = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}(?=://)|https?(?=:/)):/{1,2}(?P<user>[^/?#\s'\"]*@)?(?P<host>[^/?#\s'\"@]*)(?P<rest>[^\s'\"]*)"

# What stands before a path or a port: a name, an address of four numbers, or one of eight in brackets.
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^:]*)(?::\d*)?"

# A user and a password, and a query, without a scheme before them.
_USER = r"(?<![^\s/@:'\"=])([^\s/@:'\"=]+:[^\s/@'\"]+)@(?=[\w\[])(?!sha256:)"
_QUERY = r"(?<=[\w/])\?[\w.%-]+=[^\s'\"]*"

# What has to stand in a text before one of these patterns can be found there. Most texts have none of it, and no pattern is then even made:
# to make all of them takes ten milliseconds, for which the first line of a journal would wait.
_NEEDS: Mapping[str, Callable[[str], bool]] = {
    _URL: lambda text: ":/" in text,
    _USER: lambda text: "@" in text and ":" in text,
    _QUERY: lambda text: "?" in text and "=" in text,
    _BEARER: lambda text: any(word in text for word in ("earer", "asic", "BEARER", "BASIC")),
    _SHAPES: lambda text: any(beginning in text for beginning in _BEGINNINGS),
    _FLAG: lambda text: "-" in text and (" " in text or "\t" in text),
}

# A part of a path that is no word, no number and no hash of a commit or a file: letters and digits mixed, as long as keys are.
_KEY_IN_PATH = r"(?=[A-Za-z_+~%=-]*\d)(?=[\d_+~%=-]*[A-Za-z])[A-Za-z0-9_+~%=]{16,}"
_HASH = r"(?:[0-9a-f]{40}|[0-9a-f]{64})"

# A word in which something is written in percent signs (RFC 3986, 2.1), and one that may be base64 (RFC 4648, 4 and 5). Eight bytes are the
# shortest secret with a name.
_WORD = r"""[^\s'"<>]+"""
SHORTEST_BASE64 = 11
_BASE64 = (
    r"(?<![\w+/-])[A-Za-z0-9+/_-]{11,}={0,2}(?![\w+/-])",
    r"(?<![\w+-])[A-Za-z0-9+_-]{11,}={0,2}(?![\w+-])",  # a part of a path
)

# Letters of a word, and of a text. A path of Linux has 4,096 bytes at most, its parts 255.
LONGEST_WORD, LONGEST_TEXT = 2048, 1 << 16

# Whoever writes a percent sign over so often has something to hide.
MOST_TIMES_OVER = 16

# What signs an address, so that whoever has it may read what it leads to (S3, Azure, Google Cloud).
_SIGNED = r"(?i)(?:^|[-_])(?:sig|signature|credential|policy)$"

# Work is counted in tokens (``token=512``): a name that ends so and has a number is an amount.
_AMOUNT = r"(?i)(?:\d[\d_,]{0,18}(?:\.\d{0,6})?(?:e\d{1,2})?|N|…)"

# Texts that are looked at again and again, such as the names of windows, are looked at once.
REMEMBERED = 1024

# Shorter ones would be found in any text.
SHORTEST_SECRET = 4

# By so much of it a secret is known that was cut short.
BEGINNING = 8

# Options of ``benchmark`` that name a file or a folder.
_PATHS = ("items", "random_weights", "quality_from", "output_dir")


def is_secret(name: str) -> bool:
    """Whether what is called so is a secret."""
    folded = name.casefold()
    return (
        any(part in folded for part in _IN_NAMES)
        and re.search(_NAMES, name) is not None
        and re.search(_HARMLESS, name) is None
    )


def shown(name: str, value: object) -> str:
    """The value of an option of ``benchmark`` as others may see it. Different values may look the same."""
    text = str(value)
    if name == "command":
        words = _words(text)
        program = next((word for word in words if not _assigned(word)), "")
        return PurePath(program).name
    if name in _PATHS:
        return PurePath(text).name
    if name == "option":
        inner, equals, given = text.partition("=")
        return f"{inner}={shown(inner, given)}" if equals else cleaned(text)
    if text and is_secret(name):
        return HIDDEN
    return cleaned(text)


def cleaned(text: str) -> str:
    """A text without users, passwords and queries of addresses, and without what looks like a token."""
    return _as_it_says(
        text,
        lambda one: _cleaned(
            _replaced(_URL, lambda found: f"{found['scheme']}://{_host(found['host'])}", one)
        ),
    )


@functools.lru_cache(REMEMBERED)
def without_secrets(text: str) -> str:
    """The same, but an address keeps its path, without what looks like a key in it."""
    return _as_it_says(text, lambda one: _cleaned(_replaced(_URL, _page, one)))


def kept(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is written of an entry of a journal: all texts in it, keys too, without secrets."""
    return {without_secrets(key): _kept(value) for key, value in entry.items()}


def _kept(value: Any) -> Any:
    kind = type(value)
    if kind is float or kind is int:  # most are; a line is written at every edge of a window
        return value
    if isinstance(value, str):
        return without_secrets(value)
    if kind is dict or isinstance(value, Mapping):
        return kept(value)
    return [_kept(one) for one in value] if isinstance(value, list | tuple) else value


def _page(found: re.Match[str]) -> str:
    host = _host(found["host"])
    # A port and an @ behind it: a user and a password with a / in it.
    if host == HIDDEN or (":" in host and not found["user"] and "@" in found["rest"]):
        return f"{found['scheme']}://{HIDDEN}"
    path, _, part = found["rest"].partition("#")
    parts = (HIDDEN if _is_key(one) else one for one in path.partition("?")[0].split("/"))
    named = re.fullmatch(r"[\w-]{1,60}", part) is not None and not _is_key(part)
    return f"{found['scheme']}://{host}{'/'.join(parts)}{f'#{part}' if named else ''}"


def opens_something(address: str) -> bool:
    """Whether an address holds a user, a password or a key: whoever reads it where it is published could use them."""
    parts = urllib.parse.urlsplit(address)
    pairs = urllib.parse.parse_qsl(f"{parts.query}&{parts.fragment}")
    return (
        "@" in parts.netloc
        or any(
            is_secret(name) or re.search(_SIGNED, name) is not None or _is_key(value) for name, value in pairs
        )
        or without_secrets(parts.path) != parts.path
    )


def _is_key(part: str) -> bool:
    return any(
        re.fullmatch(_KEY_IN_PATH, word) is not None and re.fullmatch(_HASH, word) is None
        for word in re.split(r"[\s.:;,@()-]", urllib.parse.unquote(part))
    )


def _cleaned(text: str) -> str:
    text = _replaced(_USER, f"{HIDDEN}@", text)
    text = _replaced(_QUERY, "", text)
    text = _replaced(_BEARER, rf"\1 {HIDDEN}", text)
    text = _replaced(_SHAPES, HIDDEN, text)
    text = _replaced(_FLAG, _unflagged, text)
    told, since = [], 0
    for start, end in _named(text):
        told.append(f"{text[since:start]}{HIDDEN}")
        since = end
    return "".join((*told, text[since:]))


def _replaced(pattern: str, by: str | Callable[[re.Match[str]], str], text: str) -> str:
    return re.sub(pattern, by, text) if _NEEDS[pattern](text) else text


def _of_sensible_length(text: str) -> str:
    """Some patterns take the square of a word's length, and no sensible text has a word so long: it is withheld, and the end of a text as well.

    Half of a pair of surrogates, as JSON may hold it, is no letter, and could not be written: it is replaced.
    """
    if not text.isascii():
        text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]} {HIDDEN}"
    return re.sub(rf"\S{{{LONGEST_WORD},}}", HIDDEN, text) if len(text) >= LONGEST_WORD else text


def _as_it_says(text: str, gate: Callable[[str], str]) -> str:
    """What goes through a gate, where also what is written in percent signs or base64 is looked at; what hides nothing stays as it is."""
    text = _of_sensible_length(text)
    if "%" in text:
        # Word by word: a pattern that looks for a percent sign within a word looks through the word again from each of its letters.
        text = re.sub(
            _WORD,
            lambda found: (
                _unless_it_hides(found[0], _written_out(found[0]), gate) if "%" in found[0] else found[0]
            ),
            text,
        )
    if len(text) >= SHORTEST_BASE64:
        for words in _BASE64:
            text = re.sub(words, lambda found: _unless_it_hides(found[0], _of_base64(found[0]), gate), text)
    return gate(text)


def _unless_it_hides(word: str, said: str | None, gate: Callable[[str], str]) -> str:
    """The word itself; if what it says would not go through as it is, what goes through of that."""
    if said is None:
        return HIDDEN
    through = gate(said)
    if through == said:
        return word
    # Blanks and quotes that were written so would make several words of one.
    return through if through.isprintable() and not re.search(r"[\s'\"%]", through) else HIDDEN


def _written_out(word: str) -> str | None:
    """What percent signs stand for; None where they are written over too often."""
    for _ in range(MOST_TIMES_OVER):
        said = urllib.parse.unquote(word)
        if said == word:
            return said
        word = said
    return None


def _of_base64(word: str) -> str:
    """What a word says in base64, if that is a text; else the word."""
    digits = word.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        said = binascii.a2b_base64(digits + "=" * (-len(digits) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return word
    return said if said.isprintable() else word


def _unflagged(found: re.Match[str]) -> str:
    if not is_secret(found["name"]) or _is_amount(found["name"], found["value"]):
        return found[0]
    return f"{found[0][: found.start('value') - found.start()]}{HIDDEN}"


def _named(text: str) -> Iterator[tuple[int, int]]:
    """Where the values of secrets stand that are called by a name, also in another such pair (``error: api_key=X``)."""
    at = 0
    if ":" not in text and "=" not in text:
        return
    while (found := re.compile(_NAMED).search(text, at)) is not None:
        at = found.end()
        value = re.compile(_VALUE).match(text, at) if is_secret(found["name"]) else None
        if (
            value is not None
            and not _is_scheme(value["value"])
            and not _is_amount(found["name"], value["value"])
        ):
            yield value.span("value")
            at = value.end()


def _host(text: str) -> str:
    """Host and port; what is neither is the beginning of a password with a / in it, say."""
    return text if re.fullmatch(_HOST, text) else HIDDEN


def _is_amount(name: str, value: str) -> bool:
    return name.lower().endswith("token") and re.fullmatch(_AMOUNT, value) is not None


def _is_scheme(word: str) -> bool:
    """Whether it only says what kind of secret comes (``Authorization: Bearer X``)."""
    return word.lower() in ("bearer", "basic", "token", "digest")


def secrets_of(options: Mapping[str, object]) -> tuple[str, ...]:
    """The secrets in the options of ``benchmark``, as far as they can be told: what is not to be seen in any text. Longest first."""
    found: set[str] = set()
    for name, value in options.items():
        for one in value if isinstance(value, tuple | list) else (value,):
            text = str(one)
            if name == "option":
                inner, _, given = text.partition("=")
                found |= set(_secrets_in_words([f"--{inner}={given}"]))
            elif name == "command":
                found |= {text, *_secrets_in_words(_words(text))}
            elif is_secret(name):
                found.add(text)
            found |= set(_secrets_in_addresses(text))
            found |= {text[start:end] for start, end in _named(text)}
            found |= {part for pair in re.findall(_USER, text) for part in pair.split(":")}
    # Whoever complains of an address has taken it apart.
    found |= {urllib.parse.unquote(one) for one in found}
    return tuple(
        sorted(
            (one for one in found if len(one) >= SHORTEST_SECRET and not _is_scheme(one)),
            key=lambda one: (-len(one), one),
        )
    )


def without(text: str, secrets: tuple[str, ...]) -> str:
    """A text without these secrets, nor the beginnings of them where a quote was cut short, and cleaned."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
        if len(secret) > BEGINNING and " " not in secret:
            text = re.sub(re.escape(secret[:BEGINNING]) + r"[^\s'\"]*", HIDDEN, text)
    return cleaned(text)


def _words(command: str) -> list[str]:
    try:
        import shlex  # a journal's first line does not wait for it

        return shlex.split(command)
    except ValueError:  # a quote that is not closed
        return command.split()


def _assigned(word: str) -> bool:
    """Whether it sets a variable: NAME=VALUE before a program."""
    return re.match(r"[A-Za-z_]\w*=", word) is not None


def _secrets_in_words(words: list[str]) -> Iterator[str]:
    after = False
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if after:
            yield from (word, *word.split(), *word.split(":"))
        elif equals and is_secret(name):
            yield from (value, *value.split())
        # -H "Authorization: Bearer X"
        header, colon, said = word.partition(":")
        if colon and is_secret(header.strip()):
            yield from (said.strip(), *said.split())
            yield from (part.partition("=")[2] for part in re.split(r"[\s;,]+", said))
        # sh -c "run --api-key X"
        elif not after and len(inner := _words(word)) > 1:
            yield from _secrets_in_words(inner)
        # curl -u USER:PASSWORD
        after = word in ("-u", "--user") or (word.startswith("-") and not equals and is_secret(name))


def _secrets_in_addresses(text: str) -> Iterator[str]:
    for found in re.finditer(_URL, text):
        user, _, password = (found["user"] or "").rstrip("@").partition(":")
        yield from (part for part in (user, password) if part)
        if not re.fullmatch(_HOST, found["host"]):
            yield from re.split(r"[:/?#@]", found["host"] + found["rest"].rpartition("@")[0])
    for query in re.findall(r"[?#]([^\s'\"]+)", text):
        yield from (pair.partition("=")[2] for pair in re.split(r"[&#?]", query) if "=" in pair)
