"""The codes of findings that speak against a published run: what no device can do, and what no sensor says. A part of ``findings``."""

from __future__ import annotations

from collections.abc import Mapping

from energy_rating.nouns.kinds import DEGRADES, DISQUALIFIES, NOTE, FindingKind

DOUBTS: Mapping[str, FindingKind] = {
    "start-is-no-time": FindingKind(
        DEGRADES, "The start that the journal tells is not a time with its time zone."
    ),
    "before-the-start": FindingKind(DEGRADES, "Readings are older than the run."),
    "time-goes-backwards": FindingKind(DEGRADES, "A reading is told to be older than the one before it."),
    "several-runs": FindingKind(DISQUALIFIES, "One session of the journal has several runs."),
    "window-outside-the-run": FindingKind(DISQUALIFIES, "A window lies outside the run."),
    "work-in-no-time": FindingKind(DISQUALIFIES, "Work was counted in a window without any duration."),
    "repeats-overlap": FindingKind(
        DISQUALIFIES,
        "A repeat began before the one before it had ended, so that energy would count twice.",
    ),
    "repeats-identical": FindingKind(
        NOTE, "All repeats used exactly the same energy.", "Real repeats differ in the third digit"
    ),
    "repeats-not-of-the-items": FindingKind(
        DEGRADES, "A repeat did not take all items, or not the same number of times."
    ),
    "work-between-repeats": FindingKind(
        DEGRADES,
        "The devices went on working where no repeat was: what they did there is in none.",
        "Let nobody else use the devices while measuring; a repeat that was made is told",
    ),
    "items-differ": FindingKind(
        DISQUALIFIES,
        "The items that were asked are not those that the run says.",
        "Items of one's own are given with --items FILE, and are named so",
    ),
    "counts-contradict": FindingKind(DISQUALIFIES, "A count became smaller, which counts do not."),
    "work-all-at-once": FindingKind(
        DEGRADES,
        "Much more work was counted at the end of a window than ever before.",
        "Count work when it is done",
    ),
    "more-tokens-than-asked": FindingKind(
        DISQUALIFIES, "More tokens were counted than the requests were allowed to have."
    ),
    "limit-above-the-data-sheet": FindingKind(
        DEGRADES, "The power limit that is told is above what the device's data sheet allows."
    ),
    "power-above-the-limit": FindingKind(
        DISQUALIFIES,
        "The mean power is above the device's power limit.",
        "Its sensor, or the limit that the driver tells, is wrong: update the driver, and compare with a wall meter",
    ),
    "reading-above-the-limit": FindingKind(DEGRADES, "Readings are above the device's power limit."),
    "step-above-the-limit": FindingKind(
        DISQUALIFIES, "A counter rose by more than the device can use in that time."
    ),
    "energy-under-idle": FindingKind(
        DISQUALIFIES, "The device is told to have used less at work than it draws when idle."
    ),
    "energy-under-its-own-idle": FindingKind(
        DEGRADES, "The device is told to have used less at work than in the run's own idle windows."
    ),
    "faster-than-memory": FindingKind(
        DISQUALIFIES,
        "More tokens were counted than the memory of the devices can serve.",
        "If tokens were guessed ahead and checked together, say so in the model's name or the protocol",
    ),
    "faster-than-arithmetic": FindingKind(
        DISQUALIFIES,
        "More tokens were counted than the devices can compute.",
        "See that each token is counted once, and that the model's parameters are told rightly",
    ),
    "more-work-than-power": FindingKind(
        DEGRADES,
        "More work was counted than the power that the devices drew is good for.",
        "Of a model of experts tell the active parameters; if tokens were guessed ahead and checked together, say so in the model's name",
    ),
    "hardly-any-power": FindingKind(
        DEGRADES,
        "A card for data centres drew at work less than such cards draw with nothing to do.",
        "See that the device is the one that computes, and what it is called: energy-rating sensors",
    ),
    "limit-under-the-data-sheet": FindingKind(
        DEGRADES,
        "The power limit that is told is below what the driver of such a device allows.",
        "See what the device is, and its limit: energy-rating sensors",
    ),
    "clock-above-the-data-sheet": FindingKind(
        DEGRADES,
        "The device is told to have run at a clock that devices of its name do not have.",
        "See what the device is: energy-rating sensors",
    ),
    "device-memory-differs": FindingKind(
        NOTE,
        "The device has another memory than the devices of its name that we know; nothing is known of it.",
        "See what the device is: energy-rating sensors; a device that is not known yet can have a profile of its own",
    ),
    "model-larger-than-memory": FindingKind(
        DEGRADES,
        "The weights of the model do not fit into the memory of the GPUs whose energy is told.",
        "Measure all devices that take part: energy-rating sensors; see that parameters and dtype are told rightly",
    ),
    "no-noise": FindingKind(
        NOTE, "All readings of a sensor are exactly the same.", "Real registers are never that still"
    ),
    "no-jitter": FindingKind(
        NOTE,
        "All readings are exactly equally far apart in time.",
        "A real scheduler is late by some microseconds, differently each time",
    ),
}
