"""``energy-rating explain``: why two runs differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energy_rating.cli.commands.rate import print_unchecked
from energy_rating.cli.options import journal_beside, json_option, two_records
from energy_rating.cli.output import as_json_text, say, tell

if TYPE_CHECKING:
    from energy_rating.nouns.records import Component


@click.command()
@two_records
@click.option(
    "--plot",
    "output",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Draw the power of both on one scale.",
)
@json_option
def explain(
    a: Path, b: Path, unit: str | None, component: Component | None, output: Path | None, as_json: bool
) -> None:
    """Why two runs differ: time times power, clocks, temperature, throttling, others on the card; a paragraph for a colleague.

    A and B are the folders of runs, of the same task; records alone do not hold clocks and temperatures.
    """
    import textwrap

    from energy_rating.files.whole import write_whole
    from energy_rating.judging.evidence import load
    from energy_rating.judging.explanation import explain as explained
    from energy_rating.nouns.records import plain
    from energy_rating.publishing import explanation as shown

    read = load(a), load(b)
    found = explained(*read, (journal_beside(a), journal_beside(b)), unit=unit, component=component)
    if output is not None:
        write_whole(output, shown.plot(found).encode())
    if as_json:
        entry = plain(found)
        del entry["comparison"]["why_not"]
        say(as_json_text({**entry, "paragraph": shown.paragraph(found)}))
    else:
        table = [("", "A", "B"), *shown.rows(found)]
        widths = [max(len(row[place]) for row in table) for place in range(3)]
        lines = textwrap.wrap(shown.paragraph(found), 80, break_on_hyphens=False)
        lines += [
            "",
            *(
                "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
                for row in table
            ),
        ]
        say("\n".join(lines))
        for letter, record in zip("AB", read, strict=True):
            print_unchecked(record, f"{letter}: ")
    if output is not None:
        tell(f"drawn: {output}")
