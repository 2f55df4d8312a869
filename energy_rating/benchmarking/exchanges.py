"""Requests to a server, many at once, none of which outlives its time. HTTP and threads; what is asked and answered is others'.

Standard library only. A server is a stranger: what it says is bounded in size and in time, and is never printed as it came.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from energy_rating.benchmarking.event_stream import EventStream
from energy_rating.nouns.errors import BadInput, EndpointFailed, EnergyRatingError
from energy_rating.nouns.records import Finding

Answer = TypeVar("Answer")

# On one machine it takes a millisecond, unless more come at once than the server's queue holds (5 in cpp-httplib, llama.cpp's):
# then the kernel tries again after 1, 3, 7, 15 and 31 s (tcp(7), tcp_syn_retries).
CONNECT_S = 60.0

# What a server may say at most. 32,768 tokens are some 12 MB of events; 64 vectors of 8,192 numbers are 12 MB too.
LARGEST_REPLY = 64 << 20

LARGEST_EVENT = 1 << 20

# More requests than that at once are a server that does not keep up with the rate that was asked for.
MOST_AT_ONCE = 4096

# A thread that was cut off ends at once; one that does not is left behind and does not hold up the end.
LETS_GO_S = 5.0

LONGEST_QUOTE = 200

# How often whoever wants to know is told how many are answered.
TELLS_EVERY_S = 0.5

LOOK = "Look at the server's log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server on this machine: where, and what is to be said of that.

    ``base`` is the path under which its interface is, ``pids`` the processes that listen there; empty where that is not told.
    """

    host: str
    port: int
    base: str
    secure: bool = False
    places: tuple[tuple[Any, ...], ...] = ()
    key: str | None = field(default=None, repr=False)
    findings: tuple[Finding, ...] = ()
    pids: tuple[int, ...] = ()

    @property
    def root(self) -> str:
        """The path above the interface, where servers tell about themselves."""
        return self.base.rpartition("/")[0]


def quoted(said: object, key: str | None) -> str:
    """A stranger's words, fit to be printed: short, escaped, and without our key."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    if key:
        text = text.replace(key, "…")
    return repr(text[:LONGEST_QUOTE])


class Stream(Generic[Answer]):
    """So many exchanges, of which ``width`` are under way at once, or which begin at given times. One failure ends them all.

    The thread that calls ``go`` talks to nobody: it waits, and cuts off whatever takes too long. So neither a server that is
    slow to the byte nor Ctrl-C leaves anything behind.
    """

    def __init__(
        self,
        ask: Callable[[int, Exchange], Answer],
        n: int,
        *,
        width: int = 1,
        times: Sequence[float] | None = None,
        silence_s: float,
        answer_s: float,
        tell: Callable[[int], None] | None = None,
        tells_every_s: float = TELLS_EVERY_S,
    ) -> None:
        """``tell`` is called now and then, by the thread that calls ``go``, with how many are answered."""
        self._tells_every_s = tells_every_s
        self._ask = ask
        self._tell = tell
        self._told_s = time.monotonic()
        self._replies: list[Answer | None] = [None] * n
        self._width = min(width, n)
        self._times = times
        self._silence_s = silence_s
        self._answer_s = answer_s
        self._changed = threading.Condition()
        self._next = 0
        self._left = n
        self._ended = False
        self._failure: BaseException | None = None
        self._under_way: dict[Exchange, float] = {}
        self._threads: list[threading.Thread] = []
        self.late_s: list[float] = []

    def go(self) -> list[Answer]:
        """All of them, in their order. Raises what the first that failed raised; then no thread is left."""
        try:
            if self._times is None:
                for _ in range(self._width):
                    self._start(self._one_after_the_other)
            else:
                self._start_in_time(self._times)
            self._wait(lambda: self._left == 0, math.inf)
        finally:
            self._end()
        if self._failure is not None:
            raise self._failure
        return [reply for reply in self._replies if reply is not None]

    def _start(self, work: Callable[..., None], *args: int) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True, name="energy-rating-request")
        self._threads.append(thread)
        thread.start()

    def _start_in_time(self, times: Sequence[float]) -> None:
        begun_s = time.monotonic()
        for number, at_s in enumerate(times):
            if self._wait(lambda: False, begun_s + at_s):
                return
            with self._changed:
                too_many = len(self._under_way) >= MOST_AT_ONCE
            if too_many:
                raise EndpointFailed(
                    f"{MOST_AT_ONCE} requests are under way: the server answers fewer than --request-rate asks for",
                    "Lower --request-rate",
                )
            self.late_s.append(max(0.0, time.monotonic() - begun_s - at_s))
            self._start(self._only, number)

    def _wait(self, done: Callable[[], bool], until_s: float) -> bool:
        """Waits for that, for a failure (then True), or for the time; meanwhile cuts off what takes too long, and tells how far it is."""
        if self._tell is None:
            return self._wait_in_silence(done, until_s)
        while True:
            if self._wait_in_silence(done, min(until_s, self._told_s + self._tells_every_s)):
                return True
            now = time.monotonic()
            with self._changed:
                over, answered = done() or now >= until_s, len(self._replies) - self._left
            if now >= self._told_s + self._tells_every_s:
                self._told_s = now
                self._tell(answered)
            if over:
                return False

    def _wait_in_silence(self, done: Callable[[], bool], until_s: float) -> bool:
        with self._changed:
            while self._failure is None and not done():
                now = time.monotonic()
                if now >= until_s:
                    return False
                first_s = min(self._under_way.values(), default=math.inf)
                if first_s <= now:
                    for exchange, limit_s in list(self._under_way.items()):
                        if limit_s <= now:
                            self._under_way[exchange] = math.inf
                            exchange.cut(late=True)
                    continue
                wait_s = min(first_s, until_s) - now
                self._changed.wait(None if wait_s == math.inf else min(wait_s, threading.TIMEOUT_MAX))
            return self._failure is not None

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            for exchange in self._under_way:
                exchange.cut()
        until_s = time.monotonic() + LETS_GO_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    # -- in the threads

    def _one_after_the_other(self) -> None:
        while True:
            with self._changed:
                number = self._next
                if self._ended or self._failure is not None or number >= len(self._replies):
                    return
                self._next += 1
            self._only(number)

    def _only(self, number: int) -> None:
        exchange = Exchange(self._silence_s, self._answer_s)
        with self._changed:
            if self._ended:
                return
            self._under_way[exchange] = time.monotonic() + self._answer_s
            if len(self._under_way) == 1:
                self._changed.notify_all()  # whoever waits knows of no time limit yet
        failure: BaseException | None = None
        reply = None
        try:
            reply = self._ask(number, exchange)
        except BaseException as error:  # raised again by the thread that waits
            failure = error
        finally:
            exchange.close()
        with self._changed:
            del self._under_way[exchange]
            if failure is not None:
                if self._failure is None and not self._ended:
                    self._failure = failure
            else:
                self._replies[number] = reply
                self._left -= 1
            if self._failure is not None or self._left == 0:
                self._changed.notify_all()


class Exchange:
    """One request and its answer, over a connection of its own, which another thread may cut off.

    A connection each: servers drop idle ones in the moment they are used again, and one on this machine costs a tenth of a
    millisecond.
    """

    def __init__(self, silence_s: float, answer_s: float) -> None:
        self.name = "it"
        self._silence_s = silence_s
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._cut = self._late = False

    def cut(self, *, late: bool = False) -> None:
        """Breaks it off; the thread that waits for it gets an error."""
        with self._lock:
            self._late = self._late or late
            self._cut = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Lets go of the connection."""
        with self._lock:
            if self._response is not None:
                self._response.close()
            if self._connection is not None:
                self._connection.close()
            if self._socket is not None:
                self._socket.close()
            self._socket = None

    def asked(
        self, method: str, path: str, server: Server, content: bytes | None = None
    ) -> http.client.HTTPResponse:
        """Sends a request and returns the answer as soon as its head is there.

        Raises:
            BadInput: nobody answers.
            EndpointFailed: whoever does is silent, breaks off, or does not speak HTTP.
        """
        with self._told():
            connection = self._connected(server)
            headers = {"Accept": "application/json, text/event-stream", "Connection": "close"}
            if content is not None:
                headers["Content-Type"] = "application/json"
            if server.key is not None:
                headers["Authorization"] = f"Bearer {server.key}"
            connection.request(method, path, content, headers)
            self._response = connection.getresponse()
            return self._response

    def whole(self, response: http.client.HTTPResponse, most: int, *, cut: bool = False) -> bytes:
        """All of the answer; ``cut``: the beginning of it will do."""
        parts, size = [], 0
        with self._told():
            while size <= most and (part := response.read1(1 << 16)):
                parts.append(part)
                size += len(part)
        if size > most and not cut:
            raise EndpointFailed(f"the server answered {self.name} with more than {most >> 20} MiB", LOOK)
        if not cut:
            self._see_that_it_is_all(response)
        return b"".join(parts)

    def events(self, response: http.client.HTTPResponse) -> Iterator[tuple[bytes, float]]:
        """The data of each event, and when it came."""
        stream, size = EventStream(), 0
        while True:
            with self._told():
                part = response.read1(1 << 16)
            now = time.monotonic()
            size += len(part)
            for data in stream.feed(part) if part else stream.end():
                yield data, now
            if stream.foreign:
                raise EndpointFailed(
                    f"the server answered {self.name} with something other than a stream of events", LOOK
                )
            if stream.waiting > LARGEST_EVENT or size > LARGEST_REPLY:
                raise EndpointFailed(f"the server answered {self.name} with more than can be an answer", LOOK)
            if not part:
                self._see_that_it_is_all(response)
                return

    def _see_that_it_is_all(self, response: http.client.HTTPResponse) -> None:
        """Raises EndpointFailed where less came than the head of the answer said (``read1`` does not look)."""
        self._refuse_if_late()
        if response.length:
            raise EndpointFailed(f"the server ended or broke off at {self.name}", LOOK)

    def _connected(self, server: Server) -> http.client.HTTPConnection:
        failure: OSError | None = None
        for place in server.places:
            family = socket.AF_INET6 if ":" in str(place[0]) else socket.AF_INET
            found = socket.socket(family, socket.SOCK_STREAM)
            with self._lock:
                self._socket = found
                if self._cut:
                    raise OSError("cut off")
            found.settimeout(min(CONNECT_S, self._silence_s))
            try:
                found.connect(place)
            except OSError as error:
                failure = error
                found.close()
                continue
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found.settimeout(self._silence_s)
            if server.secure:
                found = ssl.create_default_context().wrap_socket(found, server_hostname=server.host)
                with self._lock:
                    self._socket = found
            connection = http.client.HTTPConnection(server.host, server.port)
            connection.sock = found
            with self._lock:
                self._connection = connection
            return connection
        reason = getattr(failure, "strerror", None) or type(failure).__name__
        raise BadInput(
            f"no server answers at {server.host[:80]}:{server.port} ({reason})",
            "Start it, or name the port that it listens at",
            place="--endpoint",
        )

    def _refuse_if_late(self) -> None:
        """Raises EndpointFailed where it was cut off for its time, whatever the half of an answer looks like."""
        if self._late:
            raise EndpointFailed(
                f"the server did not finish {self.name} within {self._answer_s:g} s",
                "Raise it with --option answer_timeout_s=SECONDS, or ask for fewer tokens",
            ) from None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What may befall a connection, in one line each."""
        try:
            yield
        except EnergyRatingError:
            raise
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # http.client raises the last two where its socket is closed under it.
            self._refuse_if_late()
            if isinstance(error, TimeoutError):
                raise EndpointFailed(
                    f"the server said nothing at {self.name} for {self._silence_s:g} s",
                    "Raise it with --option timeout_s=SECONDS, or ask for less at once",
                ) from None
            if isinstance(error, ssl.SSLError):
                raise BadInput(
                    f"the server's certificate is not accepted ({quoted(error.reason or error, None)})",
                    "Name it as its certificate does, or take http:// on this machine",
                    place="--endpoint",
                ) from None
            if isinstance(error, http.client.HTTPException) and not isinstance(
                error, http.client.IncompleteRead | http.client.RemoteDisconnected
            ):
                raise EndpointFailed(
                    f"the server does not speak HTTP as it should ({type(error).__name__}) at {self.name}",
                    LOOK,
                ) from None
            raise EndpointFailed(f"the server ended or broke off at {self.name}", LOOK) from None
