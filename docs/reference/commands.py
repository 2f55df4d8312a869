"""The commands of the command line, from what they say of themselves. Nothing here depends on a terminal."""

from __future__ import annotations

import inspect

import click

from energy_rating.cli import cli
from reference.markdown import cell, code, table

HEAD = """# The command line

Every command and every option, as `energy-rating COMMAND --help` tells them. `python -m energy_rating` is the same program;
`energy-rating --version` says which version it is.

> - To see what this machine can measure: [`sensors`](#energy-rating-sensors). To measure: [`measure`](#energy-rating-measure),
>   [`benchmark`](#energy-rating-benchmark).
> - To judge: [`summarise`](#energy-rating-summarise), [`rate`](#energy-rating-rate), [`compare`](#energy-rating-compare), [`explain`](#energy-rating-explain),
>   [`normalise`](#energy-rating-normalise), [`impact`](#energy-rating-impact), [`life`](#energy-rating-life).
> - To publish: [`report`](#energy-rating-report), [`label`](#energy-rating-label), [`badge`](#energy-rating-badge), [`card`](#energy-rating-card), [`trace`](#energy-rating-trace),
>   [`export`](#energy-rating-export). To check what others published: [`verify`](#energy-rating-verify).
> - The same as functions of Python: [the Python interface](api.md). Words: [glossary](glossary.md).

**Exit codes.** 0: done. 1: an error, told in one line with its remedy, or what a command's own text says (`verify`: it does not match; `--strict`,
`--fail-if-worse`). 2: wrong usage. 130: Ctrl-C. `measure` returns the exit code of the command that it measured.

**Where a run is written.** Without `--output-dir` under the state folder: `$XDG_STATE_HOME/energy-rating`, which is `~/.local/state/energy-rating`
where that variable is not set. A folder that holds another run is never overwritten: its sibling (`DIR-2`) is taken.

**Where a command takes a record**, it takes a `record.json` or the folder of a run, and holds the record against the journal beside it first.
"""


def names() -> list[str]:
    """The names of all commands."""
    return cli.list_commands(click.Context(cli))


def command(name: str) -> click.Command:
    """The command of that name."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None, name
    return found


def page() -> str:
    """The whole page."""
    rows = [
        (f"[`{name}`](#energy-rating-{name})", cell(first_sentence(text(command(name))))) for name in names()
    ]
    parts = [HEAD, table(("command", "what it does"), rows)]
    parts += [section(name) for name in names()]
    return "\n".join(parts)


def text(found: click.Command) -> str:
    """What a command says of itself, as Markdown: what stood in lines of its own (after a \\b) stays as it is."""
    blocks = []
    for block in inspect.cleandoc(found.help or "").split("\n\n"):
        if block.startswith("\b"):
            blocks.append("```text\n" + block.removeprefix("\b").strip("\n") + "\n```")
        else:
            blocks.append(" ".join(block.split()))
    return "\n\n".join(blocks)


def first_sentence(told: str) -> str:
    return told.split("\n\n")[0]


def section(name: str) -> str:
    """All that is known of one command."""
    found = command(name)
    arguments = [one for one in found.params if isinstance(one, click.Argument)]
    usage = " ".join(["energy-rating", name, "[OPTIONS]", *map(shown, arguments)])
    parts = [f"\n## energy-rating {name}\n", f"```text\n{usage}\n```\n", text(found), ""]
    rows = [(spelt(option), cell(meaning(option))) for option in options(found)]
    rows.append(("`-h`, `--help`", "Show this and exit."))
    parts.append(table(("option", "what it does"), rows))
    return "\n".join(parts)


def options(found: click.Command) -> list[click.Option]:
    return [one for one in found.params if isinstance(one, click.Option) and not one.hidden]


def shown(argument: click.Argument) -> str:
    name = (argument.metavar or argument.name or "").upper()
    name = f"{name}..." if argument.nargs != 1 and not name.endswith("...") else name
    return name if argument.required else f"[{name}]"


def spelt(option: click.Option) -> str:
    """The option as it is typed: its names, and what follows them."""
    names = [*option.opts]
    value = "" if option.is_flag else f" {placeholder(option)}"
    on = ", ".join(code(f"{name}{value}") for name in names)
    off = ", ".join(code(name) for name in option.secondary_opts)
    return f"{on} / {off}" if off else on


def placeholder(option: click.Option) -> str:
    kind = option.type
    if option.metavar:
        return option.metavar
    if isinstance(kind, click.Choice):
        return "|".join(str(choice) for choice in kind.choices)
    if isinstance(kind, click.types.IntParamType):
        return "N"
    if isinstance(kind, click.types.FloatParamType):
        return "NUMBER"
    return "PATH" if isinstance(kind, click.Path) else "TEXT"


def meaning(option: click.Option) -> str:
    """The help of an option, with its range, and its default where that is shown."""
    told = [" ".join((option.help or "").split())]
    told += [bounds] if (bounds := _bounds(option.type)) else []
    if option.show_default and option.default is not None:
        default = f"{option.default:g}" if isinstance(option.default, float) else option.default
        told.append(f"Default: {default}.")
    if option.required:
        told.append("Required.")
    if option.multiple and "be repeated" not in told[0]:
        told.append("May be repeated.")
    return " ".join(told)


def _bounds(kind: click.ParamType) -> str:
    """The range of a number, as a sentence; nothing where there is none."""
    if not isinstance(kind, click.IntRange | click.FloatRange) or (kind.min is None and kind.max is None):
        return ""
    if kind.min is not None and kind.max is not None and not (kind.min_open or kind.max_open):
        return f"{kind.min:g} to {kind.max:g}."
    low = "" if kind.min is None else f"{'above' if kind.min_open else 'at least'} {kind.min:g}"
    high = "" if kind.max is None else f"{'below' if kind.max_open else 'at most'} {kind.max:g}"
    told = " and ".join(part for part in (low, high) if part)
    return f"{told[0].upper()}{told[1:]}."
