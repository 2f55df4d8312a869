"""Server-sent events taken apart as their bytes come (HTML standard, section 9.2, html.spec.whatwg.org): the data of each, as soon as it is whole.

Lines end with CR, LF or both, wherever the network cut them; a byte order mark may lead; data of several lines are one, joined by line ends;
comments and unknown fields are passed over. An event ends with an empty line. Servers that leave it out after a line of JSON, or after the
last event, are understood too, and no event waits for the next one: when a piece of an answer came is measured here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_MARK = b"\xef\xbb\xbf"
# A field's name, which may stand alone; anything else, or a longer one, is taken for no line of an event stream.
_FIELD = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,63}[ \t]*(?::|$)")


class EventStream:
    """Bytes in, data out. ``waiting``: how many bytes it holds of what is not whole. ``foreign``: a line was none of an event, and what
    comes after it is not looked at.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line whose end has not come: put together once it has
        self._data: list[bytes] = []
        self._after_cr = False
        self._first = True
        self.waiting = 0
        self.foreign = False

    def feed(self, part: bytes) -> Iterator[bytes]:
        """What is whole now."""
        if self._after_cr and part.startswith(b"\n"):
            part = part[1:]  # the second half of one line end
            self._after_cr = not part
        if part:
            self._after_cr = part.endswith(b"\r")
        if b"\r" in part:
            part = part.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, after = part.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest, self.waiting = [], sum(map(len, self._data))
        self._rest.append(after)
        self.waiting += len(after)
        for place, line in enumerate(lines):
            if self.foreign:
                return
            following = lines[place + 1] if place + 1 < len(lines) else None
            yield from self._line(line, following)

    def end(self) -> Iterator[bytes]:
        """What was not ended by its empty line when the stream was."""
        line, self._rest = b"".join(self._rest), []
        if line and not self.foreign:
            yield from self._line(line, b"")
        if not self.foreign:
            yield from self._event()

    def _line(self, line: bytes, following: bytes | None) -> Iterator[bytes]:
        if self._first:
            line, self._first = line.removeprefix(_MARK), False
        if not line.strip():
            yield from self._event()
        elif line.startswith(b"data:") or line == b"data":
            self._data.append(line[5:].removeprefix(b" "))
            self.waiting += len(line)
            # Before an empty line, as it mostly is, nothing has to be looked at; else an event of one line of JSON is whole as it is.
            if following is None or following.strip():
                yield from self._event(if_whole=True)
        elif not line.startswith(b":") and _FIELD.match(line) is None:
            self.foreign = True

    def _event(self, *, if_whole: bool = False) -> Iterator[bytes]:
        if not self._data:
            return
        data = b"\n".join(self._data).strip()
        if if_whole and data != b"[DONE]" and not _is_json(data):
            return
        self._data, self.waiting = [], 0
        if data:
            yield data


def _is_json(data: bytes) -> bool:
    if not data.endswith(b"}"):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
