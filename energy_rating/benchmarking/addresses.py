"""Whether a network address is this machine's, and which process answers at it. Reads ``/proc``; standard library only.

Energy is measured where the sensors are. What is asked over a network may be computed anywhere, so the address is looked at
first; and since a port of this machine may lead elsewhere through a tunnel, so is whoever listens at it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

# include/net/tcp_states.h: TCP_LISTEN, as proc(5) writes it.
LISTENING = "0A"

# Anything: a datagram socket that is connected sends nothing, it only asks the kernel which way it would go.
NO_PORT = 9


def is_here(address: str, scope: int = 0) -> bool:
    """Whether that IP address is one of this machine's own.

    Two signs must agree, since each alone can deceive: it can be bound to (also a foreign one can, with ``ip_nonlocal_bind``),
    and the way to it begins and ends at itself. What leads on from there, such as a tunnel, is not seen.

    Args:
        address: IPv4 or IPv6, as numbers.
        scope: of a link-local IPv6 address, the number of its interface.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    place = (str(ip),) if ip.version == 4 else (str(ip), 0, scope)
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as bound:
            bound.bind((place[0], 0, *place[1:]))
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((place[0], NO_PORT, *place[1:]))
            source = str(asking.getsockname()[0]).partition("%")[0]
    except OSError:
        return False
    return ipaddress.ip_address(source) == ip


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """Who listens at an address: the processes that hold the socket, and the name of the first. Empty: not told to this user."""

    pids: tuple[int, ...] = ()
    name: str = ""


def listener(address: str, port: int, *, proc: Path = PROC) -> Listener | None:
    """Who listens there; None where nobody of this network namespace does (a port that a container runtime redirects)."""
    inodes = _inodes(ipaddress.ip_address(address.partition("%")[0]), port, proc)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    pids = tuple(pid for pid in _processes(proc) if _holds(proc / str(pid) / "fd", wanted))
    name = ""
    for pid in pids[:1]:
        with contextlib.suppress(OSError):
            name = (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    return Listener(pids=pids, name=name)


def _inodes(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, proc: Path) -> list[str]:
    """Of the sockets that listen at exactly that address, or else at all of them."""
    exact, all_of_them = [], []
    for file in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / file).read_text(encoding="ascii", errors="replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] != LISTENING:
                continue
            host, _, hex_port = fields[1].partition(":")
            try:
                at, at_port = _address(host), int(hex_port, 16)
            except (ValueError, struct.error):
                continue
            if at_port != port:
                continue
            if at == ip or (at.is_unspecified and ip.is_unspecified):
                exact.append(fields[9])
            elif at.is_unspecified or ip.is_unspecified:
                all_of_them.append(fields[9])
    return exact or all_of_them


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as proc(5) writes it: words of 32 bits, each in the order of this machine's bytes."""
    content = bytes.fromhex(text)
    order = "<" if sys.byteorder == "little" else ">"
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    found = ipaddress.ip_address(struct.pack(f">{len(words)}I", *words))
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _processes(proc: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())


def _holds(folder: Path, wanted: set[str]) -> bool:
    """Whether one of the open files is one of these sockets; another user's process does not say."""
    try:
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()) in wanted:
                    return True
    except OSError:
        pass
    return False
