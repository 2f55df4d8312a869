"""The command line: parse, call one function, print. Exit codes: 0 done, 1 an error in one line, 2 wrong usage."""

from __future__ import annotations

import importlib
import keyword
import pkgutil
import sys
from typing import TYPE_CHECKING

import click

from energy_rating.cli import commands
from energy_rating.cli.output import let_go_of_output, tell
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Commands(click.Group):
    """The files of ``commands``: each is read when its command is asked for, or its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(module.name.rstrip("_") for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        # A name that is a word of Python has a line behind it in its file's name.
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        found: click.Command = getattr(importlib.import_module(f"{commands.__name__}.{name}"), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and names the nearest command where there is none of that name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib  # here, where something went wrong

            near = difflib.get_close_matches(args[0].lower(), self.list_commands(ctx), n=1)
            see = f"Did you mean: {near[0]}" if near else "See all with: energy-rating --help"
            raise click.UsageError(f"there is no command {args[0][:80]!r}. {see}", ctx) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96})
@click.version_option(__version__, prog_name="energy-rating")
def cli() -> None:
    """Measures what AI models cost in energy, and says how sure it is.

    \b
    First steps:
      energy-rating sensors                       what can be measured on this machine
      energy-rating measure -- python train.py    measure any program
      energy-rating benchmark model.gguf          measure and rate a model
      energy-rating card README.md RUN            put the result into a model card
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and exits."""
    try:
        cli.main(args=None if argv is None else list(argv), prog_name="energy-rating", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        _show(error)
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        _show(error)
        sys.exit(1)
    except EnergyRatingError as error:
        error.__traceback__ = None  # as for want of memory
        tell(f"error: {error}")
        sys.exit(1)
    except MemoryError as error:
        error.__traceback__ = None  # lets go of what was half read, and leaves room to say so
        tell("error: there is not enough memory. Use a machine with more, or see what limits it: ulimit -v")
        sys.exit(1)
    except (ArithmeticError, ValueError) as error:
        # A figure that nobody thought of: the type tells whoever mends it where to look.
        said = " ".join(str(error).split())[:300]
        tell(f"error: unexpected {type(error).__name__}: {said or 'no more is known'}. Please report it")
        sys.exit(1)
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, and nothing more can be said.
        let_go_of_output()
        sys.exit(0)
    except OSError as error:
        written = error.filename is None and _is_of_click(error)
        let_go_of_output()
        why = error.strerror or type(error).__name__
        if written:  # click itself has printed: --help, --version
            tell(f"error: standard output cannot be written to: {why}. Make room, or write elsewhere")
        elif error.filename:
            tell(f"error: {error.filename}: {why}. See whether it has room, and may be used")
        else:
            tell(f"error: a file could not be read or written: {why}. See whether its disk has room")
        sys.exit(1)


def _show(error: click.ClickException) -> None:
    """What click says of an option, which quotes its value."""
    from energy_rating.files.withheld import without_secrets

    formatted = error.format_message
    error.format_message = lambda: without_secrets(formatted())  # type: ignore[method-assign]
    error.show()


def _is_of_click(error: OSError) -> bool:
    """Whether it was raised where click prints."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return str(module).partition(".")[0] == "click"
