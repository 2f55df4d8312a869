"""Every code that a finding of this package may have: how grave it is, what it means, and what to do about it.

``Finding.of`` takes from here what its caller does not say, and refuses a code that is not here; ``docs/findings.md`` is made from
it. What a journal or a record of another version, or of somebody else, says is read as it stands, whatever its codes.

*note*: good to know. *degrades*: the figure can be used, and is marked. *disqualifies*: the figure is shown and never rated.
"""

from __future__ import annotations

from collections.abc import Mapping

from energy_rating.nouns.choices import Severity
from energy_rating.nouns.doubts import DOUBTS
from energy_rating.nouns.kinds import DEGRADES, DISQUALIFIES, NOTE, NOTE_OR_DEGRADES, SEE, FindingKind

# What is said of a component without a sensor of its own, and of one that a model of the chip or of CodeCarbon estimates.
NOT_MEASURED: Mapping[str, str] = {
    "gpu": "gpu-not-measured",
    "cpu": "cpu-not-measured",
    "dram": "dram-not-measured",
    "module": "module-not-measured",
    "wall": "wall-not-measured",
}
ESTIMATED: Mapping[str, str] = {
    "gpu": "gpu-estimated",
    "cpu": "cpu-estimated",
    "dram": "dram-estimated",
    "module": "module-estimated",
}

_HOW_STARTED = "Look at how the other tool was started"
_CALIBRATE_WALL = "Compare with a wall meter"

# By the subject, in the order in which a newcomer would ask.
SUBJECTS: Mapping[str, Mapping[str, FindingKind]] = {
    "What was measured at all": {
        "nothing-measured": FindingKind(DISQUALIFIES, "No sensor gave any energy.", SEE),
        "estimated-only": FindingKind(
            DEGRADES,
            "No sensor measured anything: every figure is a model's estimate.",
            "See what would measure it here with: energy-rating sensors",
        ),
        "gpu-not-measured": FindingKind(
            ("note", "degrades", "disqualifies"),
            "A graphics card is there, or was asked for, and its energy is not in the figures.",
            SEE,
            "note: no sensor of this kind can be used here, or the card was not chosen; degrades: a card that belongs to the run is "
            "missing; disqualifies: its energy is told by a part of the card that this process cannot see",
        ),
        "cpu-not-measured": FindingKind(
            NOTE, "No sensor measures the processor here; the reason is told.", SEE
        ),
        "dram-not-measured": FindingKind(
            NOTE, "No sensor measures the main memory here; the reason is told.", SEE
        ),
        "module-not-measured": FindingKind(
            NOTE, "No sensor measures the whole module (GPU, CPU and memory together) here.", SEE
        ),
        "wall-not-measured": FindingKind(NOTE, "The wall meter that was named gave no readings.", SEE),
        "gpu-estimated": FindingKind(
            NOTE, "The power of the GPU is a model's estimate, not a measurement.", "A wall meter measures"
        ),
        "cpu-estimated": FindingKind(
            NOTE,
            "The power of the processor is a model's estimate, not a measurement.",
            "Where there are RAPL counters, let them be read: energy-rating sensors",
        ),
        "dram-estimated": FindingKind(
            NOTE,
            "The power of the main memory is a model's estimate, not a measurement.",
            "Where there are RAPL counters, let them be read: energy-rating sensors",
        ),
        "module-estimated": FindingKind(
            NOTE,
            "The power of the whole module (GPU, CPU and memory) is a model's estimate, not a measurement.",
            "A wall meter measures",
        ),
        "cpu-not-estimated": FindingKind(
            NOTE,
            "Not even an estimate of the processor was possible, because the system does not tell its load.",
            "Measure outside of the sandbox, or update it",
        ),
        "models-failed": FindingKind(
            NOTE,
            "The models that estimate what no sensor measures could not be started.",
            "Please report this",
        ),
        "partly-measured": FindingKind(
            ("note", "degrades", "disqualifies"),
            "The sensors of a component saw only a part of the time; the energy is that of this part.",
            "Look for the findings sensors-late, sensor-lost and counter-reset; measure again",
            "note: the component is only estimated, and another is measured; degrades: less than 99 % of the time was seen; "
            "disqualifies: less than 90 %",
        ),
    },
    "Sensors and devices": {
        "sensors-late": FindingKind(
            NOTE,
            "Sensors answered only after the run had begun; what they missed is not in the figures.",
            "See what answers, and how soon, with: energy-rating sensors",
        ),
        "sensor-untried": FindingKind(
            NOTE,
            "This kind of sensor was built from documents and has not yet been tried on the hardware.",
            "Compare its figures with an external meter before you rely on them",
        ),
        "sensor-lost": FindingKind(
            NOTE_OR_DEGRADES,
            "A sensor stopped answering for good during the run.",
            "See the kernel log for messages of the driver; measure again",
            "note: it was a model that only estimates; degrades: it measured",
        ),
        "reading-failed": FindingKind(
            NOTE, "Single readings of a sensor failed; later ones succeeded or may succeed."
        ),
        "sampler-failed": FindingKind(
            DISQUALIFIES, "Measuring stopped because of an error in this package.", "Please report this"
        ),
        "condition-failed": FindingKind(
            NOTE_OR_DEGRADES,
            "The state of a device, or who else used it, could not be found out.",
            "Please report this",
            "note: its state (clocks, temperature); degrades: who else used it",
        ),
        "driver-hangs": FindingKind(
            DEGRADES,
            "A device did not answer at the end of the run, so that its last readings are missing.",
            "See the kernel log for messages of the driver",
        ),
        "device-appeared": FindingKind(
            DEGRADES,
            "A device came up during the run and was not measured.",
            "Start the measurement once all devices are there, and measure again",
        ),
        "device-told-twice": FindingKind(
            DEGRADES,
            "Two channels name the same device; it is counted once.",
            "See what the driver lists, with: energy-rating sensors",
        ),
        "gpu-asleep": FindingKind(
            NOTE,
            "A GPU was asleep and was not woken for the measurement.",
            "Start its work before the measurement",
        ),
        "gpu-described-unreadably": FindingKind(
            NOTE,
            "The driver tells a name or an identity of a GPU that is not valid text; something else stands in the record.",
            "Update the driver",
        ),
        "gpu-list-cut-short": FindingKind(
            NOTE,
            "CUDA_VISIBLE_DEVICES holds an entry that names no GPU here; CUDA stops there.",
            "Correct the entry",
        ),
        "gpu-list-unknown": FindingKind(
            DEGRADES,
            "Which GPUs the program sees cannot be found out, so that all of them are counted.",
            "Take energy_by_channel_j of the GPUs that were used",
        ),
        "gpu-order-uncertain": FindingKind(
            DEGRADES,
            "GPUs are chosen by number, and they differ or one of them does not answer; which number is which GPU was assumed.",
            "Name the GPUs by their UUID",
        ),
        "mig-shared": FindingKind(
            DISQUALIFIES,
            "The GPU is divided into slices (MIG), and its energy is that of all slices together.",
            "Measure on a GPU that is not divided",
        ),
        "mig-unknown": FindingKind(
            DEGRADES,
            "The driver does not say whether the GPU is divided into slices (MIG).",
            "Update the driver",
        ),
        "module-scope": FindingKind(
            NOTE,
            "What the driver tells of this GPU is the energy of its whole module: GPU, CPU and memory.",
            "Take the module's figure as what it is",
        ),
        "two-dies-one-meter": FindingKind(
            NOTE_OR_DEGRADES,
            "Two dies share one card and one meter; the first one tells the energy of both.",
            "Make both dies of a card visible, and let nobody else use the other",
            "note: both are visible; degrades: not all of them are visible here",
        ),
        "no-energy-counter": FindingKind(
            NOTE,
            "The GPU has no energy counter that can be used; its power readings are added up instead.",
            "Update the driver",
        ),
        "no-power-reading": FindingKind(
            NOTE, "The GPU tells no power, so that nothing checks its energy counter."
        ),
        "averaged-power": FindingKind(
            NOTE_OR_DEGRADES,
            "The GPU tells only its mean power over one second, not the power at the moment.",
            "Update the driver",
            "note: there is an energy counter beside it; degrades: there is none",
        ),
        "intel-package-only": FindingKind(
            DEGRADES,
            "This Intel GPU counts only its chip, not the card's memory and regulators.",
            _CALIBRATE_WALL,
        ),
        "intel-scope-unknown": FindingKind(
            DEGRADES,
            "Whether this Intel GPU counts its whole card or only its chip is not known: its driver is of the first that did not say.",
            "Update the kernel; or compare with a wall meter",
        ),
        "jetson-gpu-shared": FindingKind(
            NOTE,
            "No power rail of this Jetson feeds the GPU alone; the energy is that of the module.",
            "Ask for the component module",
        ),
        "jetson-rail-unreadable": FindingKind(NOTE, "A power rail of this Jetson cannot be read.", SEE),
        "grace-meter-unreadable": FindingKind(
            NOTE_OR_DEGRADES,
            "A power meter of this Grace processor cannot be read.",
            SEE,
            "note: no other meter of its kind is read; degrades: some are, and this one is missing",
        ),
        "cray-counter-unreadable": FindingKind(
            NOTE_OR_DEGRADES,
            "A power counter of this Cray node cannot be read.",
            SEE,
            "note: another counter tells the same, or all of its component is missing, which is told; degrades: one of several accelerators is missing",
        ),
        "controller-restarted": FindingKind(
            DEGRADES,
            "What measures the node was started again during the run, so that its counters may have missed some time.",
            "Measure again, and compare",
        ),
        "grace-rails-only": FindingKind(
            NOTE,
            "The firmware tells no power of the whole Grace socket; its rails are added up, without memory.",
        ),
        "rapl-mirrored": FindingKind(
            NOTE, "A processor counter shows the same number as another; it is counted once."
        ),
        "rapl-range-unknown": FindingKind(
            NOTE, "When a processor's counter starts again at zero is not known; if it does, there is a gap."
        ),
        "rapl-zone-unreadable": FindingKind(
            NOTE_OR_DEGRADES,
            "A processor's energy counter is there and cannot be read.",
            SEE,
            "note: no counter of its kind is read; degrades: some are, and this one is missing",
        ),
        "wall-accuracy-assumed": FindingKind(
            NOTE,
            "How exact the wall meter is was not told, and a value was assumed.",
            "Put a line such as # accuracy=0.01 before the header of its file",
        ),
        "energy-holds-pue": FindingKind(
            NOTE,
            "The energy holds what the data centre adds for cooling and losses (PUE) already; a footprint does not multiply it again.",
        ),
        "wall-added-afterwards": FindingKind(
            NOTE,
            "The readings of a wall meter were added after the run, and placed by their times.",
            "Name the file before the run",
        ),
    },
    "Counters and readings": {
        "counter-reset": FindingKind(
            DEGRADES,
            "An energy counter started again or jumped during the run.",
            "Keep persistence mode on while measuring; measure again, and compare",
        ),
        "counter-stuck": FindingKind(
            DEGRADES, "An energy counter stood still while the device drew power.", "Reload the driver"
        ),
        "counter-disagrees-with-power": FindingKind(
            ("degrades", "disqualifies"),
            "The energy counter of a device and its power readings tell different energies.",
            "Neither can be trusted to better than this; compare with a wall meter",
            "degrades: they differ by more than both leave open; disqualifies: by so much that one of them is wrong",
        ),
        "counter-not-used": FindingKind(
            ("degrades", "disqualifies"),
            "The energy counter of a device cannot be true, or its power readings speak against it; the figure is theirs.",
            "Update the driver, and compare with a wall meter",
            "degrades: the power readings stand in; disqualifies: there are none, and so there is no figure",
        ),
        "summed-from-power": FindingKind(
            DEGRADES,
            "The energy is added up from power readings, which see only a part of the time.",
            "A GPU and driver with an energy counter see all of it",
        ),
        "implausible-readings": FindingKind(
            NOTE_OR_DEGRADES,
            "Readings that no device can draw were left out.",
            "Update the driver",
            "note: up to 1 % of the readings, or of an estimate beside what is measured; degrades: more",
        ),
        "gain-corrected": FindingKind(
            NOTE,
            "The readings of a card were corrected by a calibration against a meter.",
            "Without --calibration the record is that of the sensor as it is",
        ),
        "in-step": FindingKind(
            NOTE_OR_DEGRADES,
            "The steps of the program keep time with the sensor, which may see the same part of each of them.",
            "Change the batch size or add a short pause of varying length, and compare",
            "note: the device has a counter; degrades: its power readings are added up",
        ),
    },
    "Windows, repeats and uncertainty": {
        "doubtful": FindingKind(
            DEGRADES,
            "The random uncertainty alone is more than 20 % of the figure.",
            "Measure longer, or repeat",
        ),
        "window-too-short": FindingKind(
            ("note", "degrades", "disqualifies"),
            "Windows are too short for the sensor to tell their energy well.",
            "Put more work into one window",
            "note: together they are known well; degrades: at least as long as the sensor's step, or one after the other; "
            "disqualifies: shorter than that",
        ),
        "windows-overlap": FindingKind(
            NOTE,
            "Windows of one name were open at the same time; the energy is that of the time in which any was open.",
            "What a single one costs is told only by windows that do not overlap",
        ),
        "not-steady": FindingKind(
            DEGRADES,
            "Repeats of the same work did not take the same energy, or warming up did not end in a steady state.",
            "See that nothing else runs on the machine, warm up longer, repeat more often",
        ),
        "not-cooled": FindingKind(
            NOTE,
            "The device was still warm when the next repeat began.",
            "Allow more time with --cooldown (and --budget), or warm up longer",
        ),
        "no-steady-part": FindingKind(
            DEGRADES,
            "No part of the run could be told in which the server was kept full; the figure is that of the whole.",
            "Give at least four times as many items as requests at once",
        ),
        "budget-spent": FindingKind(
            DEGRADES, "The time that was allowed was over before all repeats were done.", "Raise --budget"
        ),
        "window-failed": FindingKind(
            DEGRADES,
            "A window could not be noted because of an error; it is in no figure.",
            "Please report this",
        ),
        "hook-failed": FindingKind(
            DEGRADES,
            "What a framework calls at the steps of a training failed in here; the training went on, and counts or windows may be missing.",
            "Please report this, with the framework's version",
        ),
        "window-left-open": FindingKind(
            NOTE, "A window was still open when the run ended.", "Leave every window before the run"
        ),
        "window-not-open": FindingKind(
            NOTE,
            "A window was closed that was not open: it was closed twice, or never opened.",
            "Close each window once, by what open() gave",
        ),
        "window-reopened": FindingKind(
            NOTE,
            "A window was opened again before it was closed; the first one ended there.",
            "Close a window before it is opened again, or open another: run.window(name).open()",
        ),
        "window-renamed": FindingKind(
            NOTE, "A window's name could not be kept as it was given.", "Give it a short printable name"
        ),
        "noted-outside-the-run": FindingKind(
            NOTE,
            "A window was noted afterwards that lies outside the run; it is in no figure.",
            "Give its times by time.monotonic() of this machine",
        ),
        "work-still-queued": FindingKind(
            NOTE_OR_DEGRADES,
            "The devices still had work of a window after it was closed; its energy is counted where it was drawn.",
            "Let windows wait for the devices: measure(sync=True), or run.window(name, sync=True)",
            "note: for up to 5 % of a window, or of windows that follow upon each other; degrades: longer",
        ),
        "sync-failed": FindingKind(
            DEGRADES,
            "Waiting for the device's work at a window's edge failed; work may lie on the wrong side of the edge.",
            "See that the framework works on its own: torch.cuda.synchronize()",
        ),
    },
    "Counted work": {
        "quality-refused": FindingKind(
            NOTE,
            "The file that was to say how good the answers were could not be read.",
            "Name results of lm-evaluation-harness, or an agent's log that says of each task whether it was solved",
        ),
        "count-refused": FindingKind(
            DEGRADES,
            "Counts were left out: a count must be a finite number of at least 0, and come before the end of its window.",
            "Count finite numbers of at least 0, while the window is open",
        ),
        "counted-in-a-fork": FindingKind(
            DEGRADES,
            "Work was counted in a forked process, and is in no figure.",
            "Count in the process that measures, such as what the workers return",
        ),
        "counted-into-the-run": FindingKind(
            NOTE,
            "Work was counted by a thread without a window of its own; it is in the run's work alone.",
            "Count into the window itself (window.count), or open one in that thread",
        ),
        "framework-flop-refused": FindingKind(
            NOTE,
            "A framework counts operations of its own, which are not those that are rated; they were not taken.",
            "Count the tokens, or the operations: window.count(flop=…)",
        ),
        "padding-counted": FindingKind(
            NOTE,
            "Padding could not be told from tokens, and counts as such.",
            "Give the model an attention mask, or the tokenizer a token for padding",
        ),
        "counted-zero": FindingKind(
            NOTE,
            "Work of a unit was counted, and came to 0 in the whole run.",
            "See that what is counted is counted: the Trainer of transformers has no tokens unless include_num_input_tokens_seen says so",
        ),
        "counts-disagree": FindingKind(
            DEGRADES,
            "The same unit was counted in two places, with different results.",
            "Count each unit in one place: at the run, in its outermost windows, or in those inside them",
        ),
        "work-unfinished": FindingKind(
            DEGRADES,
            "A window was broken off before its work was counted: its energy is in the figure, its work is not.",
            "Count the work as it is done, in steps; or leave this run out of what is told per unit",
        ),
        "work-lost": FindingKind(
            NOTE,
            "The run was broken off and went on from a checkpoint: what it had done after that is lost, and told apart.",
            "Write checkpoints more often, if that is much",
        ),
        "lost-work-unknown": FindingKind(
            NOTE_OR_DEGRADES,
            "The run was broken off and went on, and no checkpoint says how much of its work was done twice.",
            "Call run.checkpoint(step=…) where the program writes one",
            "note: in a run that is no training; degrades: in a training, whose work may be counted twice",
        ),
        "requests-not-answered": FindingKind(
            ("degrades", "disqualifies"),
            "Requests were not answered: they are in the energy, and are no requests.",
            "Look at the server's log; measure again when it answers",
            "degrades: up to 1 % of them; disqualifies: more",
        ),
        "answers-empty": FindingKind(
            ("note", "degrades", "disqualifies"),
            "Answers had no text: the model ended at once, or the server shows nothing of what it did.",
            "See that the chat template fits the model, and let the server show thoughts too",
            "note: up to 1 % of the requests; degrades: up to 10 %; disqualifies: more",
        ),
        "answer-left-out": FindingKind(
            NOTE,
            "An answer was broken off by the server or came to nothing; it is counted as not answered.",
            "Look at the server's log",
        ),
        "finish-reason-unknown": FindingKind(
            DEGRADES,
            "The server ended answers for a reason that does not stand for a whole answer; they count as requests.",
            "Look in the server's documentation what it means",
        ),
        "steady-part-uneven": FindingKind(
            DEGRADES,
            "Answers at the edges of a stream had fewer tokens than those inside, so that the steady part counts as more requests than it held.",
            "Give more items; see that the server counts all answers in the same way",
        ),
        "answers-from-a-cache": FindingKind(
            DEGRADES,
            "Items took ten times as long when they were asked for the first time as later: a cache of whole answers may have answered.",
            "Switch the cache of answers off, or make every prompt begin differently: --option unique_prefix=true",
        ),
        "answers-alike": FindingKind(
            DEGRADES,
            "All items were answered with the same text; nothing shows that a model has read them.",
            "Look at what the server answers, and at its log",
        ),
        "several-models": FindingKind(
            DEGRADES,
            "The server says of its answers that several models gave them.",
            "Ask the server of one model itself, and no router",
        ),
        "usage-contradicts": FindingKind(
            DEGRADES,
            "What the server says of its tokens cannot all be true.",
            "Update the server; take the figure per request rather than per token",
        ),
        "tokens-without-text": FindingKind(
            DEGRADES,
            "The server tells of more tokens than can be in the text that it sent.",
            "Let the server show thoughts and marks too, or take the figure per request",
        ),
        "answers-cut-short": FindingKind(
            DEGRADES,
            "The server ended answers for their length before they had the tokens that they were allowed.",
            "Start it with a longer context, or without a limit of its own",
        ),
        "input-tokens-untold": FindingKind(
            NOTE,
            "The server does not say how many tokens the prompts had; nothing is told per input token.",
            "Update the server",
        ),
        "no-usage": FindingKind(
            NOTE,
            "The server does not say how many tokens there were, so that nothing is told per token.",
            "Take a version that has stream_options.include_usage, or --no-streaming",
        ),
    },
    "How the run went": {
        "interrupted": FindingKind(
            ("note", "degrades", "disqualifies"),
            "The program ended before the run was over.",
            "Run it again",
            "note: after the run had been left, or where it was resumed; degrades: while a window was open, which counts up to there; "
            "disqualifies: before the run had opened",
        ),
        "program-failed": FindingKind(
            NOTE,
            "The measured program ended with an error.",
            "The figures are those of what was done until then",
        ),
        "still-running": FindingKind(
            NOTE,
            "The record was made while the run was still going on.",
            "Make the record again when it has ended",
        ),
        "suspended": FindingKind(
            ("degrades", "disqualifies"),
            "The machine was suspended during the run.",
            "Keep the machine awake while it measures",
            "degrades: outside of any window; disqualifies: the windows in which it happened",
        ),
        "workload-failed": FindingKind(
            DISQUALIFIES,
            "The benchmark's model failed before the end.",
            "Look at what it said, and run it again",
        ),
        "cancelled": FindingKind(
            DISQUALIFIES, "Somebody ended the benchmark before its end.", "Run it again"
        ),
        "journal-damaged": FindingKind(
            ("degrades", "disqualifies"),
            "The journal is damaged: it was read up to there, or without a minute of readings; or what another rank wrote is missing.",
            "Take the figures for a part of the run",
            "degrades: in a record; disqualifies: where a published run is checked, or a rank's file is missing",
        ),
        "journal-in-memory": FindingKind(
            DEGRADES,
            "No folder could be written to; the journal is kept in memory and is lost with the process.",
            "Name a folder that can be written to",
        ),
        "disk-refuses": FindingKind(
            NOTE_OR_DEGRADES,
            "The journal could not be written for a time.",
            "Free some space, or name another folder",
            "note: nothing was lost; degrades: readings were lost",
        ),
        "descriptor-closed": FindingKind(
            NOTE,
            "The program closed the journal's file; it was opened again.",
            "Close each descriptor once (os.close, os.closerange, os.dup2)",
        ),
        "folder-gone": FindingKind(
            NOTE,
            "The folder of the run was deleted, moved or replaced while it was measured.",
            "Leave the folder alone until the run has ended",
        ),
        "folder-occupied": FindingKind(
            NOTE,
            "The folder that was asked for holds another run; this one is in a folder beside it.",
            "Name another folder (--output-dir); a run of measure goes on in its own with --resume, or resume=True",
        ),
        "folder-refused": FindingKind(
            NOTE, "The folder that was asked for could not be used.", "Name a folder that can be written to"
        ),
        "other-ranks-count-apart": FindingKind(
            DEGRADES,
            "The energy is that of all processes of the job on this machine, and what some of them counted is not in the work.",
            'Call measure() and count in every process, each its own work; or say measure(counts="all-ranks") where what is counted here '
            "is that of all",
        ),
        "ranks-unmet": FindingKind(
            DEGRADES,
            "What other processes of the job do, or which GPUs they use, could not be found out.",
            "Let all processes reach the run's folder, and measure again",
        ),
        "rank-unfinished": FindingKind(
            NOTE_OR_DEGRADES,
            "Another process of the job was killed, or still counted, when the run ended.",
            "End the run in all processes together",
            "note: what may be missing is less than 1 % of the time; degrades: more",
        ),
        "rank-unmeasured": FindingKind(
            NOTE_OR_DEGRADES,
            "Another process of the job worked while the one that measures had not begun yet, or had ended.",
            "Begin and end the run in all processes together",
            "note: it was less than 1 % of its work; degrades: more",
        ),
    },
    "Several hosts": {
        "hosts-missing": FindingKind(
            DISQUALIFIES,
            "Hosts of the job have no record among those that were merged: the sum is not that of the job.",
            "Name the folders of all hosts, or make their records with: energy-rating summarise",
        ),
        "host-cut-short": FindingKind(
            DEGRADES,
            "A host of the job was killed, or failed, before the others ended.",
            "The coverage tells how much of the time is missing",
        ),
        "on-some-hosts": FindingKind(
            NOTE_OR_DEGRADES,
            "A component was measured on some hosts of the job only, or a window was open on some of them only.",
            SEE,
            "note: a processor or memory; degrades: a GPU, a module or a whole machine",
        ),
        "measured-twice": FindingKind(NOTE, "Several hosts measured one device; it counts once."),
        "hosts-differ": FindingKind(
            NOTE_OR_DEGRADES,
            "The hosts of a job tell different things of what should be one.",
            "",
            "note: versions or places; degrades: the model's parameters, or what was counted",
        ),
        "clocks-compared": FindingKind(
            NOTE, "How far the clock of this host was before that of the first one."
        ),
        "clocks-differ": FindingKind(NOTE, "The clocks of the hosts differ; no energy changes by it."),
    },
    "The state of the device": {
        "shared-gpu": FindingKind(
            DISQUALIFIES,
            "Another program used the GPU at the same time, and the energy is that of both.",
            "See who it is with nvidia-smi, and measure when the GPU is free",
        ),
        "throttled": FindingKind(
            NOTE_OR_DEGRADES,
            "The clocks of the device were held down.",
            "See to its cooling and its power supply, and measure again",
            "note: by its power limit, which belongs to the device; degrades: by heat or the hardware",
        ),
        "power-limit-held-nothing": FindingKind(
            NOTE,
            "The power limit is not that of the device's data sheet, and never held its clocks down: it changed nothing.",
            "Nothing is to be done",
        ),
        "power-limit-changed": FindingKind(
            DEGRADES,
            "The power limit of the device was changed during the run.",
            "Let nobody set limits while measuring",
        ),
        "clocks-changed": FindingKind(
            DEGRADES,
            "Somebody set the clocks of the device during the run.",
            "Let nobody set clocks while measuring",
        ),
        "temperature-drift": FindingKind(
            NOTE,
            "The device became more than 10 °C warmer or colder while it was measured.",
            "Warm up longer",
        ),
    },
    "What the benchmark ran": {
        "earlier-runs": FindingKind(
            NOTE,
            "Other runs of the same model, task and settings lay beside this one when it began; those that were deleted or lie elsewhere are not told.",
            "Publish them too, or say why this one is shown",
        ),
        "items-fetched": FindingKind(
            NOTE, "The items came from a data set on the Hub; its name and commit are told."
        ),
        "items-stand-in": FindingKind(
            NOTE,
            "Items that ship with this package stand in for the protocol's data set.",
            "Give the data set's own with --items FILE, or allow fetching them with --download",
        ),
        "items-synthetic": FindingKind(
            NOTE,
            "The items were drawn by a random generator and show nothing real.",
            "Give real ones with --items",
        ),
        "items-repeated": FindingKind(
            NOTE,
            "The items were asked several times each to keep the server full.",
            "Give more items; see that nothing answers from a cache",
        ),
        "input-cut": FindingKind(
            NOTE,
            "Inputs were longer than allowed and were cut.",
            "Take a model with a longer context, or shorter items",
        ),
        "inputs-not-cut": FindingKind(
            NOTE,
            "Inputs should have been cut, and this server cannot be told to.",
            "Give items that are short enough",
        ),
        "random-weights": FindingKind(
            DEGRADES,
            "The model was built with random weights: the energy is that of its architecture.",
            "Its answers mean nothing and no quality is told; name a trained model for a figure of one",
        ),
        "gguf-dequantised": FindingKind(
            NOTE,
            "The engine computes with the file's weights converted back to a larger format.",
            "For the energy of the quantised model take the workload llama_cpp",
        ),
        "dtype-not-as-asked": FindingKind(
            DEGRADES,
            "The server runs the model in another number format than was asked for, or does not say which.",
            "The type is chosen when the server is started",
        ),
        "operating-point": FindingKind(
            NOTE,
            "How the engine says it ran: its version, its attention, how many requests really ran at once.",
            "Compare only with figures of the same operating point: energy-rating compare A B names what differs",
        ),
        "metrics-silent": FindingKind(
            NOTE, "The server's metrics did not answer at some of the times that they were asked."
        ),
        "server-served-others": FindingKind(
            DISQUALIFIES,
            "By its own counters the server answered requests of others while it was measured; their energy is in the figure.",
            "Measure while nobody else uses the server",
        ),
        "served-by": FindingKind(
            NOTE,
            "The model was run by a server; all devices that are visible here were measured.",
            "Where others are at work too, name the server's GPUs in CUDA_VISIBLE_DEVICES",
        ),
        "models-not-listed": FindingKind(
            NOTE,
            "The server cannot say which models it has, and answers requests all the same.",
            "Tell what is known of the model with --parameters and --dtype",
        ),
        "server-may-be-elsewhere": FindingKind(
            DEGRADES,
            "What answers passes the requests on, or neither holds a GPU nor keeps a processor busy meanwhile; the model may run elsewhere.",
            "Name the server's own address, or the process that computes with --option server_pid=NUMBER",
        ),
        "server-process-unknown": FindingKind(
            DEGRADES,
            "Which process answers, or what it does meanwhile, cannot be seen; the model may run elsewhere, and its work counts as a stranger's.",
            "Run this as the user of the server, or name the process that computes with --option server_pid=NUMBER",
        ),
        "server-without-gpu": FindingKind(
            DEGRADES,
            "The server works on the processor, and GPUs beside it are not at work for it.",
            "Take the figures of cpu and dram; name the process that computes with --option server_pid=NUMBER if it is another",
        ),
        "server-queues": FindingKind(
            NOTE,
            "The server works on fewer requests at once than were sent.",
            "Start it with more slots, such as --parallel N",
        ),
        "requests-sent-late": FindingKind(
            NOTE,
            "Requests were sent later than planned because this machine was busy.",
            "Lower --request-rate, or leave more processor time to this command",
        ),
        "answers-too-short": FindingKind(
            DEGRADES,
            "Answers had fewer tokens than were asked for at least.",
            "See that the server heeds ignore_eos and min_tokens, and that its context is long enough",
        ),
        "suffix-left-out": FindingKind(
            NOTE,
            "The items say what comes after the answer, and this server cannot be told.",
            "SGLang and Ollama can",
        ),
        "prompt-cache": FindingKind(
            NOTE,
            "Prefix caching was on: what was computed for one prompt could serve another.",
            "Measure without --prompt-cache for figures that do not depend on the prompts' order",
        ),
        "prompt-cache-used": FindingKind(
            DEGRADES, "A part of the input tokens came from the server's cache and was not computed."
        ),
        "prompt-cache-unknown": FindingKind(
            NOTE, "The server does not say whether input tokens came from a cache."
        ),
        "unique-prefix": FindingKind(
            NOTE, "Every prompt began with a number of its own, so that no cache could answer it."
        ),
    },
    "What was taken over from others' files": {
        "imported": FindingKind(
            DEGRADES,
            "The record was made from another tool's file: it is shown, added up and compared with that mark, and never rated.",
            "To have it rated, measure it: energy-rating benchmark MODEL, or energy-rating measure -- COMMAND",
        ),
        "imported-doubt": FindingKind(
            NOTE, "The uncertainty is by a rule, and wide: nobody here saw the sensor."
        ),
        "imported-scope": FindingKind(
            NOTE, "Which devices, processes and time the energy covers.", _HOW_STARTED
        ),
        "imported-batch": FindingKind(
            NOTE, "The batches that really ran are not told, only what was asked for."
        ),
        "imported-converted": FindingKind(
            NOTE, "The figure is not as the file has it, such as without its PUE."
        ),
        "imported-not-taken": FindingKind(NOTE, "Something in the file was left there, such as emissions."),
        "imported-place": FindingKind(
            NOTE,
            "The tool writes this place when it does not know.",
            "Say where it ran: import FILE --zone FRA",
        ),
        "imported-incomplete": FindingKind(
            ("degrades", "disqualifies"),
            "The file does not tell the whole run, or contradicts itself.",
            "Look at the file, and at what ran",
            "degrades: what is told can be used; disqualifies: energy and work are not of the same thing",
        ),
    },
    "What speaks against a published run": DOUBTS,
}

FINDINGS: Mapping[str, FindingKind] = {
    code: kind for kinds in SUBJECTS.values() for code, kind in kinds.items()
}


def severity_of(code: str, severity: Severity | None = None) -> Severity:
    """How grave a finding of this code is; ``severity`` says which of several, where the table has several.

    Raises:
        ValueError: the code is not in the table, or the severity is none of those that it has.
    """
    kind = FINDINGS.get(code)
    if kind is None:
        raise ValueError(f"code must be one of nouns/findings.py; got {code!r}")
    if severity is None and len(kind.severities) == 1:
        return kind.severities[0]
    if severity is None or severity not in kind.severities:
        raise ValueError(
            f"severity of {code!r} must be one of {', '.join(kind.severities)}; got {severity!r}"
        )
    return severity
