"""Nothing of ours is raised into a training: what a hook of ours fails with is told, and the framework goes on as if it were not there.

What the program itself raises while it is in a hook (Ctrl-C, a timeout of its own) is the program's and goes on to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from energy_rating.nouns.errors import first_line
from energy_rating.nouns.interruptions import pass_on

P = ParamSpec("P")
R = TypeVar("R")

MOST_TOLD = 20  # hooks of which it is told that they failed


class Guard:
    """Calls what is ours where a framework calls us.

    Args:
        tell: what says that a hook failed, in one sentence; it is told once of each hook.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._report = tell
        self._told: set[str] = set()

    def call(self, name: str, work: Callable[..., R], /, *args: Any, **kwargs: Any) -> R | None:
        """What the work returns; None where it fails, which is told of this name.

        Raises:
            BaseException: of the program, whatever it was that came to it meanwhile.
        """
        try:
            return work(*args, **kwargs)
        except Exception as error:
            # In here are functions of frameworks, and of the program (a data collator, a logger): what they fail with on our account is ours.
            pass_on(error, called=None)
            self._failed(name, error)
            return None

    def _failed(self, name: str, error: Exception) -> None:
        if name in self._told or len(self._told) >= MOST_TOLD:
            return
        self._told.add(name)
        try:
            self._report(
                f"{name} failed ({type(error).__name__}: {first_line(error, 'it does not say why')})"
            )
        except Exception as untold:  # what cannot even be told is no reason to end a training
            pass_on(untold, called=None)


def hook(method: Callable[P, R]) -> Callable[P, R | None]:
    """A method that a framework calls, of an object with a ``guard``: where it fails it returns None, and the framework goes on.

    What it guards is its ``__wrapped__``.
    """

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
        guard: Guard = args[0].guard  # type: ignore[attr-defined]
        return guard.call(method.__name__, guarded.__wrapped__, *args, **kwargs)

    return guarded
