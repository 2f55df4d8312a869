"""All errors that a room of this package lets out, each with its reason and its remedy in one line.

EnergyRatingError
├── BadInput                a file, an option or an argument is wrong; says where
│   ├── CutShort            a line of a journal that ends before it is over
│   ├── LineMissing         a line of a journal that rests upon one that is not there
│   └── UnpacksTooFar       a packed file that grows as no journal does
├── NotMeasured             a figure was asked for that the record does not hold
├── NoRoom                  neither a disk nor memory has room for what is kept while a long journal is read
├── SensorUnavailable       a kind of sensor cannot be used on this machine
│   └── HardwareAbsent      nor is there anything here that it could measure
├── SensorFailed            a sensor did not answer this time
│   └── SensorLost          a device is gone and will not come back in this run
├── DriverRefused           a device's driver did not do what it was asked to; says what it returned
├── DatasetFailed           a data set could not be fetched or read
├── HubFailed               a hub of models did not answer, not in time, or not as it should
│   └── HubChanged          what is on it was changed by somebody else meanwhile
├── WorkloadFailed          what was to be measured broke off
│   ├── ModelFailed         a model could not be loaded or broke off, or its process did
│   │   ├── PipelineFailed  a pipeline of diffusers
│   │   ├── EngineFailed    an engine that serves many requests at once
│   │   └── ServerFailed    a server of our own; it is stopped
│   ├── EndpointFailed      somebody's server did not answer, not in time, or not as it should
│   └── CommandFailed       a program ended with an error, or not in time
└── NotOnDevice             what was to be measured runs elsewhere than on the device that is measured

Whatever a caller can do something about stands here, so that he finds it by its kind. Exceptions by which a room leaves its own
loops have names with an underscore and never leave the file that they stand in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

LONGEST_PLACE, LONGEST_MESSAGE, LONGEST_QUOTE = 400, 1200, 200

# What is told of an error that says nothing, where its kind is told already.
SILENT = "it does not say why"

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


class CutShort(BadInput):
    """A line of a journal that ends before it is over, as a killed process leaves its last one."""


class LineMissing(BadInput):
    """A line of a journal rests upon one that is not there."""


class UnpacksTooFar(BadInput):
    """A packed file that is not worth unpacking to its end: it grows as no journal does."""


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


class DriverRefused(EnergyRatingError):
    """A device's driver did not do what it was asked to; ``value`` is what it returned."""

    def __init__(self, value: int) -> None:
        super().__init__(f"the driver returned {value}")
        self.value = value


class DatasetFailed(EnergyRatingError):
    """The data set could not be fetched or read."""


class HubFailed(EnergyRatingError):
    """A hub of models did not answer, not in time, or not as it should; or it refused what was asked of it."""


class HubChanged(HubFailed):
    """What is on the hub was changed by somebody else since it was read. Nothing was sent."""


class WorkloadFailed(EnergyRatingError):
    """What was to be measured broke off. What was measured until then is in the run's folder, marked."""


class ModelFailed(WorkloadFailed):
    """The model could not be loaded, or broke off; or the process in which it runs ended or said nothing sensible.

    It stays loaded if it was; where its process ended, ``load()`` starts another.
    """


class PipelineFailed(ModelFailed):
    """The pipeline could not be loaded, or broke off. It stays loaded if it was."""


class EngineFailed(ModelFailed):
    """The engine could not be started, or broke off."""


class ServerFailed(ModelFailed):
    """The model's server could not be started, died, or did not answer. It is stopped; ``load()`` starts another."""


class EndpointFailed(WorkloadFailed):
    """The server did not answer, not in time, or not in a way that can be understood."""


class CommandFailed(WorkloadFailed):
    """The program ended with an error, or did not end in time. Nothing of it is left running."""


class NotOnDevice(EnergyRatingError):
    """What was to be measured runs elsewhere than on the device that is measured: trying on is of no use before that is mended."""


def first_line(error: BaseException, otherwise: str | None = None) -> str:
    """The first line of what an error says that is not empty; where it says nothing, ``otherwise``, by default its kind."""
    lines = (line.strip() for line in str(error).splitlines())
    silent = type(error).__name__ if otherwise is None else otherwise
    return next((line for line in lines if line), silent)[:LONGEST_QUOTE]


def kind_of(error: EnergyRatingError) -> str:
    """The name in the tree above of an error, or of what a stranger's error was derived from: what ``of_kind`` takes."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind in _TREE.values())


def of_kind(kind: str, message: str, remedy: str = "", *, place: str = "") -> EnergyRatingError:
    """The error of that name; an ``EnergyRatingError`` where the tree has none, as of another version."""
    found = _TREE.get(kind, EnergyRatingError)
    return found(message, remedy, place=place) if issubclass(found, BadInput) else found(message, remedy)


def _below(kind: type[EnergyRatingError]) -> Iterator[type[EnergyRatingError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _below(one)


# Made here, where all that exist are those above: one that a stranger derives later is none of the tree.
_TREE = {kind.__name__: kind for kind in _below(EnergyRatingError)}
