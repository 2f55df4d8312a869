"""Under which names the browser finds things: the shard of a model, and the shards in which words of names are looked up.

Both follow from a name alone, so that no list of all has to be loaded first. ``site.js`` reckons the same; a test holds them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# So many names are in one file at most; of more, the first are told, and the rest is a letter further.
MOST_TOGETHER, MOST_FIRST = 1_000, 200
ROOT = "-"
# Runs in a shard of models, about.
RUNS_TOGETHER = 200

Name = tuple[str, int]


def fnv1a(text: str) -> int:
    """FNV-1a of 32 bits over UTF-8 (Fowler, Noll, Vo; draft-eastlake-fnv)."""
    found = 0x811C9DC5
    for byte in text.encode(errors="replace"):
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found


def shards_for(runs: int) -> int:
    """How many files the models are spread over: a power of two."""
    return 1 << max(0, (max(runs, 1) // RUNS_TOGETHER).bit_length())


def shard_of(model: str, shards: int) -> str:
    """The name of the shard that a model is in."""
    return f"{fnv1a(model) % shards:05x}"


def words_of(name: str) -> list[str]:
    """What a name is found by: runs of letters and digits, in lower case."""
    return list(dict.fromkeys(re.findall(r"[^\W_]+", name.lower())))


def file_name(prefix: str) -> str:
    """The name of the file of a beginning of a word: what is no plain letter or digit is written by its number."""
    return "".join(char if char in _PLAIN else f"_{ord(char):x}_" for char in prefix)


_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"


def search_files(names: Sequence[Name]) -> Iterator[tuple[str, dict[str, object]]]:
    """The files of the search: for each beginning of a word, the names that hold such a word, the most measured first.

    The first is called ``-``. ``more`` are the letters that lead to a file of their own (asked for is none that is not there); ``pages`` how many further files of the same word there are, which
    are called ``WORD-1`` and so on.
    """
    entries = sorted((word, -count, name) for name, count in names for word in words_of(name))
    yield from _files("", entries)


def _files(prefix: str, entries: Sequence[tuple[str, int, str]]) -> Iterator[tuple[str, dict[str, object]]]:
    found: dict[str, int] = {}
    for _, count, name in sorted(entries, key=lambda one: (one[1], one[2])):
        found.setdefault(name, -count)
    every = list(found.items())
    if prefix and len(every) <= MOST_TOGETHER:
        yield file_name(prefix), {"names": every, "more": "", "pages": 0}
        return
    further: dict[str, list[tuple[str, int, str]]] = {}
    own: list[tuple[str, int, str]] = []
    for one in entries:
        if len(one[0]) == len(prefix):
            own.append(one)
        else:
            further.setdefault(one[0][len(prefix)], []).append(one)
    more = "".join(sorted(further))
    if not prefix:
        yield ROOT, {"names": every[:MOST_FIRST], "more": more, "pages": 0}
    else:
        # Names of this very word: of so many, page by page.
        whole = [(name, -count) for _, count, name in sorted(own, key=lambda one: (one[1], one[2]))]
        pages = [whole[start : start + MOST_TOGETHER] for start in range(0, len(whole), MOST_TOGETHER)]
        yield file_name(prefix), {"names": every[:MOST_FIRST], "more": more, "pages": len(pages)}
        for number, some in enumerate(pages, start=1):
            yield f"{file_name(prefix)}-{number}", {"names": some, "more": "", "pages": 0}
    for letter in sorted(further):
        yield from _files(prefix + letter, further[letter])
