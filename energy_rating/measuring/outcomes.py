"""How a program ended, from what its block raised."""

from __future__ import annotations

from energy_rating.nouns.entries import Outcome


def outcome_of(raised: BaseException | None) -> Outcome:
    """How a block ended, by what it raised. A generator that is closed early has done what it should."""
    if raised is None or isinstance(raised, GeneratorExit):
        return Outcome()
    if isinstance(raised, SystemExit):
        # As the interpreter does it: nothing is 0, a text is printed and is 1; the kernel keeps eight bits.
        code = raised.code
        return Outcome(exit_code=0 if code is None else code & 0xFF if isinstance(code, int) else 1)
    try:
        return Outcome(exception=type(raised).__name__)
    except ValueError:  # a name that somebody made up
        return Outcome(exception="Exception")
