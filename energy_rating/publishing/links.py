"""Addresses that whoever publishes a label or a card gives with it: of the journal, and of what the stars mean. None is made up."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from energy_rating.files.withheld import opens_something
from energy_rating.nouns.errors import BadInput

LONGEST_ADDRESS = 300  # characters
MEANING = "docs/what-the-stars-mean.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Where the journal lies, and where it is told what stars mean; None: nobody gave an address, which is said.

    Raises:
        BadInput: one of them is no http(s) address, or holds what opens it.
    """

    journal: str | None = None
    meaning: str | None = None

    def __post_init__(self) -> None:
        for name, address in (("journal", self.journal), ("meaning", self.meaning)):
            if address is not None and not _is_address(address):
                raise BadInput(
                    f"the address of the {name} must begin with https:// or http:// and have at most {LONGEST_ADDRESS} characters "
                    f"and no spaces; got {address[:80]!r}",
                    "Give it as a browser shows it, such as https://example.org/run/journal.jsonl.gz",
                    place=f"--{name}-url",
                )
            if address is not None and opens_something(address):
                raise BadInput(
                    f"the address of the {name} holds a user, a password or a key, which everybody could read",
                    "Give one that everybody may open",
                    place=f"--{name}-url",
                )

    @property
    def journal_href(self) -> str | None:
        """The address as it is put into a link: nothing that could end it."""
        return None if self.journal is None else _href(self.journal)

    @property
    def meaning_href(self) -> str | None:
        return None if self.meaning is None else _href(self.meaning)


NO_LINKS = Links()


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    plain = text.isprintable() and not any(char.isspace() for char in text)
    return (
        parts.scheme in ("https", "http")
        and bool(parts.hostname)
        # Who follows it must see where it leads: a name before an @ is a login, or a trick.
        and "@" not in parts.netloc
        and plain
        and len(text) <= LONGEST_ADDRESS
    )


def _href(address: str) -> str:
    return quote(address, safe="/:%?=&+,;~@#.-_")
