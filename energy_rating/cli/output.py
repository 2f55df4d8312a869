"""What commands print, and where: records, JSON, lines to standard error. Nothing of a stranger's gets to a terminal as it is."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING

import click

from energy_rating.nouns.errors import EnergyRatingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from energy_rating.nouns.records import Record


def is_clean(record: Record) -> bool:
    return all(finding.severity == "note" for finding in record.findings)


def progress_line() -> Callable[[Any], None] | None:
    """A line on standard error that moves; none where that is no terminal."""
    if not sys.stderr.isatty():
        return None
    import shutil

    from energy_rating.benchmarking import progress

    width = max(min(shutil.get_terminal_size().columns, 80) - 2, 20)
    shown = ""

    def show(now: Any) -> None:
        nonlocal shown
        over = not now.phase or (now.phase == "idle-after" and now.share >= 1)
        line = "" if over else progress.progress_line(now, width)
        if line != shown:
            shown = line
            click.echo(f"\r{line:<{width}}" + ("" if line else "\r"), nl=False, err=True)

    return show


def print_record(record: Record) -> None:
    from energy_rating.files.record import record_to_json
    from energy_rating.publishing.strangers import in_json

    write(in_json(record_to_json(record)))


def as_json_text(value: object) -> str:
    from energy_rating.publishing.strangers import in_json

    return in_json(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """Prints to a terminal that may be anyone's: without control characters that strangers could have put into names."""
    from energy_rating.publishing.strangers import for_terminal

    write(for_terminal(text) + "\n")


def write(text: str) -> None:
    """Writes to standard output.

    Raises:
        BrokenPipeError: the reader went away.
        EnergyRatingError: it is closed or full.
    """
    if sys.stdout is None:
        raise EnergyRatingError("standard output is closed", "Leave it open, or name a file")
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        let_go_of_output()
        raise EnergyRatingError(
            f"standard output cannot be written to: {error.strerror or type(error).__name__}",
            "Make room, or write elsewhere",
        ) from error


@contextlib.contextmanager
def strays_apart() -> Iterator[None]:
    """What libraries print meanwhile, from Python or from C, goes to standard error: standard output is the command's answer."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # one of the streams is closed
            kept = os.dup(1)
            stack.callback(os.close, kept)
            os.dup2(2, 1)
            stack.callback(os.dup2, kept, 1)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


def let_go_of_output() -> None:
    """What could not be written would be tried once more at the very end, and fail with a traceback."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be closed, or no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(line: str) -> None:
    """Says a line on standard error. What is quoted in it of an option or a file may hold a secret, and logs are kept."""
    try:
        from energy_rating.files.withheld import without_secrets
        from energy_rating.publishing.strangers import for_terminal

        line = without_secrets(line)
    except (ImportError, MemoryError):
        # Where memory is short, not even this may load: the letters that harm no terminal.

        def for_terminal(text: str) -> str:
            return "".join(letter if " " <= letter <= "~" else "?" for letter in text)

    with contextlib.suppress(
        OSError
    ):  # standard error is full: then nothing can be said, and the exit code has to do
        click.echo(f"energy-rating: {for_terminal(line)}", err=True)
