"""Why something is not rated, not converted to another device or not compared: values with a code, made from one table.

Programs go by the code, people read the sentence. Whether measuring the same once more, and better, takes a reason away belongs to its
code: only then can be said what the stars would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class ReasonKind(NamedTuple):
    """What all reasons of one code have in common: what it means, what to do where the reason itself does not say it better, and
    whether a better measurement of the same would mend it."""

    meaning: str
    remedy: str = ""
    mendable: bool = False


_SENSORS = "See what would measure it here with: energy-rating sensors"
_BENCHMARK = "Measure with: energy-rating benchmark MODEL"
_AGAIN = "Measure again with this version"
_WHOLE = "Measure on a whole one"

# By the question that they answer.
REASON_SUBJECTS: Mapping[str, Mapping[str, ReasonKind]] = {
    "The measurement": {
        "only-estimated": ReasonKind(
            "It is only an estimate: no sensor measured anything, and estimates are not rated.", _SENSORS
        ),
        "imported": ReasonKind(
            "It was taken over from a file without a journal; only what energy-rating measured itself is rated or converted.",
            "Measure it: energy-rating benchmark MODEL, or energy-rating measure -- COMMAND",
        ),
        "estimated": ReasonKind(
            "The energy of this component is a model's estimate, not a measurement.", _SENSORS
        ),
        "component-not-measured": ReasonKind(
            "The component whose energy counts (mostly the GPU) was not measured.", _SENSORS
        ),
        "not-benchmarked": ReasonKind(
            "Only a benchmark can be rated; this run was measured as a whole.", _BENCHMARK
        ),
        "no-run": ReasonKind(
            "The record holds no measurement of the whole run.", "Summarise the journal again"
        ),
        "no-energy": ReasonKind(
            "A sensor told an energy of zero or less.",
            "Look at the sensor with: energy-rating sensors; measure again",
        ),
        "too-brief": ReasonKind("The measurement is too short.", "Measure longer", mendable=True),
        "too-few-samples": ReasonKind(
            "The sensor refreshed too few times within the measurement.", "Measure longer", mendable=True
        ),
        "too-few-repeats": ReasonKind("There are too few repeats.", "Repeat more often", mendable=True),
        "partly-measured": ReasonKind(
            "The sensors saw nearly all of the time, but not enough of it.", "Measure again", mendable=True
        ),
        "hardly-measured": ReasonKind(
            "The sensors missed so much of the time that the figure does not stand for it.",
            "See the findings of the record; measure again",
        ),
        "period-unknown": ReasonKind(
            "How often the sensor refreshes could not be told from its readings.",
            "Other programs that keep the processors busy cause this: measure again with a core left free, for a minute or longer",
        ),
        "sensors-changed": ReasonKind(
            "The energy of one device comes from several sensors, because the run was resumed with others.",
            "Measure again in one go",
        ),
        "degraded": ReasonKind(
            "A finding degrades the measurement.",
            "See the findings of the record; measure again",
            mendable=True,
        ),
        "invalid": ReasonKind(
            "A finding disqualifies the measurement.", "See the findings of the record; measure again"
        ),
        "marked-without-a-finding": ReasonKind(
            "The record marks its measurement as worse than its findings say.",
            "Make the record again from its journal: energy-rating summarise",
        ),
        "shared": ReasonKind("Others used the device at the same time.", "Measure when the device is free"),
        "too-uncertain": ReasonKind(
            "The uncertainty spans too many classes of stars.",
            "Measure longer, or with a better sensor",
            mendable=True,
        ),
    },
    "The work that was counted": {
        "nothing-counted": ReasonKind(
            "The unit that is rated was not counted.", "Count it: window.count(UNIT=…), or --count UNIT=N"
        ),
        "counted-in-parts": ReasonKind(
            "The work of a training was counted in windows that do not cover the run.",
            "Count it for the whole run: run.count(UNIT=…)",
        ),
        "unit-unknown": ReasonKind("It is not known which unit of work is meant.", "Name one with --unit"),
        "parameters-unknown": ReasonKind(
            "How many parameters the model has is not known, and its operations follow from that.",
            "Name them: measure(model=Model(id=…, parameters=…)); or count the operations: run.count(flop=…)",
        ),
        "not-all-items": ReasonKind(
            "The repeats did not take all items the same number of times.", "Let each repeat take all items"
        ),
        "answers-not-counted": ReasonKind(
            "The tokens of the answers were not counted, and the protocol asks for their length.",
            "Measure with a workload or a server that counts tokens",
        ),
        "answer-length": ReasonKind(
            "The answers are longer or shorter than the protocol asks for.",
            "Measure at the settings of the protocol",
        ),
        "too-much-work": ReasonKind(
            "More work was counted than the devices can do.",
            "See that only the work of the devices that were measured is counted",
        ),
        "no-figure": ReasonKind(
            "The figure is so small, large or uncertain that it says nothing.", "Measure again"
        ),
    },
    "Protocol, class and settings": {
        "no-task": ReasonKind(
            "The record names no task and no protocol, and only runs of one protocol can be compared.",
            _BENCHMARK,
        ),
        "no-protocol": ReasonKind(
            "The record names no protocol, and only runs of one protocol can be compared.",
            "Name one: energy-rating benchmark MODEL --protocol NAME",
        ),
        "protocol-unknown": ReasonKind(
            "The scheme does not know the protocol.", "See those that it knows with: energy-rating schemes"
        ),
        "never-rated": ReasonKind(
            "The scheme says of this protocol or class that it is not rated (yet), and why."
        ),
        "stage-not-rated": ReasonKind("The scheme has no classes for this stage of a model's life."),
        "task-not-rated": ReasonKind(
            "The scheme has no class for this task under this protocol.",
            "See those that it has with: energy-rating schemes",
        ),
        "class-unknown": ReasonKind(
            "The record does not say what decides its class, such as the size of the model.",
            "Measure with a workload that tells the model's parameters and format",
        ),
        "setting-unknown": ReasonKind(
            "The record does not say a setting that the protocol fixes.",
            "Measure with: energy-rating benchmark",
        ),
        "setting-outside": ReasonKind(
            "A setting is not the one of the protocol.", "Measure at the settings of the protocol"
        ),
        "setting-added": ReasonKind(
            "A setting was used that makes other work of it than the protocol's.", "Leave it out"
        ),
        "reasoning": ReasonKind(
            "Whether the model was asked to think first does not fit the class.",
            "Use --reasoning or --no-reasoning",
        ),
        "own-items-elsewhere": ReasonKind(
            "It ran neither on the protocol's items nor on the reference device; one of both is needed.",
            "Take the protocol's items (--download) without options of the engine's own",
            mendable=True,
        ),
    },
    "The device": {
        "device-unknown": ReasonKind("The record does not say what a device is.", _AGAIN),
        "device-count": ReasonKind("The protocol asks for another number of devices."),
        "mixed-devices": ReasonKind(
            "It was measured on devices of more than one kind.", "Measure each kind alone"
        ),
        "device-divided": ReasonKind("The GPU was divided (MIG), and a part of it is not the whole.", _WHOLE),
        "perhaps-divided": ReasonKind("The record does not say whether the whole device was used.", _AGAIN),
        "power-limit": ReasonKind(
            "The device was limited to another power than the reference device.",
            "Measure at the reference's power limit",
        ),
        "other-device": ReasonKind(
            "It was measured on another device than the reference, and this scheme rates no converted figures."
        ),
        "other-memory": ReasonKind("The device is a variant of the reference with another memory.", _WHOLE),
        "peak-unknown": ReasonKind(
            "No hardware profile says how many operations the device can do, so that the count cannot be checked.",
            "Add a profile: docs/adding-a-device-or-vintage.md",
        ),
        "no-profile": ReasonKind(
            "No hardware profile names the device.",
            "Add one to hardware_profiles/: docs/adding-a-device-or-vintage.md",
        ),
        "memory-unknown": ReasonKind(
            "The device may be one of several, and the record does not say its memory.",
            "Measure where the driver tells it",
        ),
        "variant": ReasonKind("The device is a part or a variant of the one in the profile.", _WHOLE),
        "devices-differ": ReasonKind("The devices differ in memory or power limit.", "Measure on equal ones"),
        "limit-changed": ReasonKind(
            "The power limit changed between the sessions of the run.", "Measure again in one session"
        ),
    },
    "Converting to another device": {
        "training-not-converted": ReasonKind(
            "Factors between devices were measured on inference, not on training.",
            "Compare runs of one device",
        ),
        "gpu-alone": ReasonKind(
            "The GPU alone was not measured, and factors between GPUs hold for nothing else.",
            "Measure with a sensor of the GPU",
        ),
        "limit-unknown": ReasonKind(
            "The power limit is not known, and without it not how much the device was used.",
            "Measure where the driver tells it",
        ),
        "power-unknown": ReasonKind(
            "The mean power is not known, because the sensors saw no time.", "Measure again"
        ),
        "used-too-little": ReasonKind(
            "The GPU was used so little that the rest of the machine sets the pace.",
            "Give the GPU more to do at once",
        ),
        "used-too-much": ReasonKind(
            "The GPU drew more of its power limit than the factors were measured at.",
            "Look at the limit, or take fewer requests at once",
        ),
        "format-unknown": ReasonKind(
            "The record does not say the number format of the weights, and one of the devices emulates some.",
            "Measure with a workload that tells it",
        ),
        "format-emulated": ReasonKind(
            "One of the devices has no units for the number format and emulates it.",
            "Measure in a format that both devices compute in",
        ),
        "memory-filled": ReasonKind(
            "The weights fill the memory of one of the two devices and not of the other, so that other numbers of requests run at once.",
            "Measure with a model that leaves a fifth of the memory free, or over more devices",
        ),
        "task-unknown": ReasonKind(
            "The task belongs to no class of workloads, so that no factor can be chosen.",
            "Measure with --task",
        ),
        "in-flight-unknown": ReasonKind(
            "How many requests ran at once is not known, and the factor of a language model depends on it.",
            _BENCHMARK,
        ),
        "example-device": ReasonKind("The device does not exist; the record is an example."),
        "no-data": ReasonKind(
            "There are no data between the two devices.",
            "Calibrate it with models whose energy on the other is published: energy-rating calibrate",
        ),
        "profile-incomplete": ReasonKind(
            "A hardware profile lacks a figure that is needed.", "Add it to the profile, with its source"
        ),
        "tier-not-rated": ReasonKind(
            "The conversion rests on so little that the scheme does not rate it.",
            "Calibrate the device: energy-rating calibrate",
        ),
        "not-converted": ReasonKind("Converting failed because of a file that is wrong."),
    },
    "Calibrating": {
        "no-gpu": ReasonKind("No GPU with a sensor is there to be calibrated.", _SENSORS),
        "no-reference-energies": ReasonKind(
            "The reference device was not measured under this protocol yet, so that no factor can be told.",
            "Run energy-rating calibrate --as-reference on that device",
        ),
        "no-sound-point": ReasonKind(
            "No point of the calibration was good enough to be kept.",
            "See why each was left out; run it again",
        ),
    },
    "Comparing": {
        "unlike-work": ReasonKind(
            "The two runs did different work, or it is not known what they did.",
            "Count the work of both in one unit",
        ),
        "estimated-side": ReasonKind(
            "One of the two is estimated by a model; the ratio does not tell which one really needs less.",
            _SENSORS,
        ),
        "invalid-side": ReasonKind("One of the two is invalid.", "See its findings; measure it again"),
    },
}

REASONS: Mapping[str, ReasonKind] = {
    code: kind for kinds in REASON_SUBJECTS.values() for code, kind in kinds.items()
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why not. ``str()`` of it is one text: ``message. remedy``.

    ``mendable``: measuring the same once more, and better, takes it away.
    """

    code: str
    message: str
    remedy: str = ""
    mendable: bool = False

    @classmethod
    def of(cls, code: str, message: str, remedy: str | None = None) -> Reason:
        """A reason of a code that the table knows. ``remedy``: where there is a better one than the table's.

        Raises:
            ValueError: the table does not know the code.
        """
        kind = REASONS.get(code)
        if kind is None:
            raise ValueError(f"code must be one of nouns/reasons.py; got {code!r}")
        return cls(
            code=code,
            message=message,
            remedy=kind.remedy if remedy is None else remedy,
            mendable=kind.mendable,
        )

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


def codes(reasons: Iterable[Reason]) -> tuple[str, ...]:
    """Their codes, one for each, in the same order."""
    return tuple(reason.code for reason in reasons)
