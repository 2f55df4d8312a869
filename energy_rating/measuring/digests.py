"""Digests of what is not to be read: the same for the same, and no way back.

Python's own, and not OpenSSL's, which ``hashlib`` and ``hmac`` load: that takes three milliseconds, for which the first ``with`` would wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

_BLOCK = 64  # bytes of a block of SHA-256 (FIPS 180-4)


def keyed(text: bytes, key: bytes, size: int) -> str:
    """BLAKE2b (RFC 7693) of a text with a key, in hexadecimal digits of so many bytes."""
    try:
        from _blake2 import blake2b
    except ImportError:  # another Python than CPython
        from hashlib import blake2b
    return blake2b(text, key=key, digest_size=size).hexdigest()


def hmac_sha256(key: bytes, text: bytes) -> str:
    """HMAC with SHA-256 (RFC 2104) of a text, in hexadecimal digits; the key is at most a block long."""
    sha256 = _sha256()
    padded = key.ljust(_BLOCK, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in padded) + text).digest()
    digits: str = sha256(bytes(byte ^ 0x5C for byte in padded) + inner).hexdigest()
    return digits


def _sha256() -> Callable[[bytes], Any]:
    for module in ("_sha2", "_sha256"):  # since Python 3.12, and before
        with contextlib.suppress(ImportError):
            found: Callable[[bytes], Any] = __import__(module).sha256
            return found
    from hashlib import sha256

    return sha256
