"""How far a benchmark has come, in one line. Where it is printed is left to others."""

from __future__ import annotations

from dataclasses import dataclass

from energy_rating.nouns.quantities import scaled


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a benchmark is: the phase, how much of it is done (0 to 1), and since when it runs.

    ``energy_j`` is what the ``component`` that does the work has taken so far, roughly; ``left_s`` how long it will still take.
    ``requests``: how many of a stream of them are answered, and how many there are. None: nobody knows. An empty ``phase``: it
    broke off.
    """

    phase: str
    share: float
    elapsed_s: float
    task: str = ""
    model: str = ""
    energy_j: float | None = None
    component: str = ""
    left_s: float | None = None
    requests: tuple[int, int] | None = None


def progress_line(now: Progress, width: int) -> str:
    """Where a benchmark is, in one line: task, model, phase, energy so far, time passed and time left."""
    passed = _clock(now.elapsed_s)
    energy = "" if now.energy_j is None else f"{now.component} {scaled(now.energy_j, 'J')}"
    left = "" if now.left_s is None else f"{_clock(now.left_s)} left"
    answered = "" if now.requests is None else f"{now.requests[0]:,}/{now.requests[1]:,}"
    # On a narrow terminal the bar goes first, then the time that has passed where the other is known; half a figure is a wrong one.
    for bar, parts in (
        (12, (answered, passed, energy, left)),
        (0, (answered, passed, energy, left)),
        (0, (answered, "" if left else passed, energy, left)),
        (0, (answered, "" if left else passed, left)),
        (0, (left or passed,)),
        (0, ()),
    ):
        drawn = f" [{'#' * round(bar * now.share):<{bar}}]" if bar else ""
        line = " · ".join([f"{now.phase}{drawn} {now.share:4.0%}", *filter(None, parts)])
        if len(line) <= width:
            break
    about = " · ".join(part for part in (now.task, now.model.rpartition("/")[2]) if part)
    room = width - len(line) - 2
    if room < 8:
        return line[:width]
    return f"{about if len(about) <= room else about[: room - 1] + '…'}  {line}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
