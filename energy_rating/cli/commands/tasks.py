"""``energy-rating tasks``: the tasks that ship."""

from __future__ import annotations

import click

from energy_rating.cli.options import json_option
from energy_rating.cli.output import as_json_text, say


@click.command()
@click.argument("name", required=False)
@json_option
def tasks(name: str | None, as_json: bool) -> None:
    """The tasks that ship, with their protocols; with NAME, one of them in full."""
    from energy_rating.benchmarking.tasks import load_task
    from energy_rating.benchmarking.tasks import tasks as known
    from energy_rating.cli.texts import tasks
    from energy_rating.nouns.records import plain

    if name is not None:
        one = load_task(name)
        say(as_json_text(plain(one)) if as_json else tasks.task_to_text(one))
        return
    found = [load_task(key) for key in known()]
    say(as_json_text(plain(found)) if as_json else tasks.tasks_to_text(found))
