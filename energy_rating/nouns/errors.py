"""The errors, each with its reason and its remedy in one line.

EnergyRatingError
├── BadInput             a file, an option or an argument is wrong; says where
├── NotMeasured          a figure was asked for that the record does not hold
├── NoRoom               neither a disk nor memory has room for what is kept while a long journal is read
├── SensorUnavailable    a kind of sensor cannot be used on this machine
│   └── HardwareAbsent   nor is there anything here that it could measure
└── SensorFailed         a sensor did not answer this time
    └── SensorLost       a device is gone and will not come back in this run
"""

from __future__ import annotations

from pathlib import Path

LONGEST_PLACE, LONGEST_MESSAGE = 400, 1200

# How files are read into values, by pydantic in ``files.strict``: without it, a dataclass takes unknown keys in silence.
STRICT = {"extra": "forbid", "allow_inf_nan": False}


class EnergyRatingError(Exception):
    """What went wrong, and what to do about it.

    ``str()`` of it is one line: ``message. remedy`` (no line breaks, whatever the message holds).
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        text = self.message.rstrip(".")
        line = " ".join((f"{text}. {self.remedy}" if self.remedy else text).split())
        return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}…"


class BadInput(EnergyRatingError, ValueError):
    """Input that cannot be taken. ``place`` names the file, and the line or key in it."""

    def __init__(self, message: str, remedy: str = "", *, place: str | Path = "") -> None:
        super().__init__(message, remedy)
        self.place = str(place)

    def __str__(self) -> str:
        line = super().__str__()
        # Keys of strangers' files are part of a place, and may be anything.
        place = " ".join(self.place.split())
        place = place if len(place) <= LONGEST_PLACE else f"{place[:LONGEST_PLACE]}…"
        return f"{place}: {line}" if place else line


class NotMeasured(EnergyRatingError, LookupError):
    """The record does not hold this figure; the message names what it does hold."""


class NoRoom(EnergyRatingError):
    """There is neither a disk nor memory for what has to be kept while a long journal is read."""


class SensorUnavailable(EnergyRatingError):
    """This kind of sensor cannot be used here. Other kinds may."""


class HardwareAbsent(SensorUnavailable):
    """There is no hardware of this kind here, nor a sign of it: nothing that a record needs to tell."""


class SensorFailed(EnergyRatingError):
    """A reading failed. The next one may succeed."""


class SensorLost(SensorFailed):
    """The device is gone (fallen off the bus, driver reloaded); reading on is pointless."""
