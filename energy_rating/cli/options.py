"""Options that several commands share, and what has to hold of their values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from energy_rating.nouns.choices import COMPONENTS, RELATIONS
from energy_rating.nouns.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from energy_rating.benchmarking.options import Declared, Known
    from energy_rating.files.reading import Journal
    from energy_rating.nouns.choices import Relation
    from energy_rating.nouns.records import Lineage, Place

F = TypeVar("F", bound="Callable[..., Any]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text.")
output_dir_option = click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    help="Folder of the run. Default: one under the state folder.",
)
scheme_option = click.option("--scheme", help="Scheme to rate under. Default: the newest.")
provisional_option = click.option(
    "--provisional",
    is_flag=True,
    help="Where only a better measurement is missing, say what the stars would be. It stays not rated.",
)


WHERE_IT_RUNS = (
    "Where it runs: a country (FRA), a part of one (US-CA, CAN/quebec) or a cloud's region (aws:eu-west-3). "
    "Goes into the record, and its carbon factor is used. Without it no carbon is told."
)


def zone_option(text: str = WHERE_IT_RUNS) -> Callable[[F], F]:
    """A country; what it is for differs, what it looks like does not."""
    return click.option("--zone", metavar="FRA", help=text)


# What nobody but the user knows of a run: where it is, what it is for, what its model comes from.
_TOLD = (
    click.option(
        "--region",
        metavar="europe-west9",
        help="Region as the cloud calls it: goes into the record, as it is said.",
    ),
    click.option("--provider", metavar="gcp", help="Whose cloud it is: goes into the record, as it is said."),
    click.option(
        "--role",
        metavar="final",
        help="What the run is for: final, failed, ablation, search, evaluation or another word. All runs count.",
    ),
    click.option("--base", metavar="ORG/NAME", help="The model that this one is made from."),
    click.option(
        "--relation", type=click.Choice(RELATIONS), help="What is made of the base model (with --base)."
    ),
)


def told_options(function: F) -> F:
    """Region, provider, role, base and relation: they go into the record, as they are said."""
    for option in reversed(_TOLD):
        function = option(function)
    return function


def place_of(zone: str | None, region: str | None, provider: str | None) -> Place | None:
    """Where it runs, as far as that was said."""
    if zone is None and region is None and provider is None:
        return None
    from energy_rating.nouns.records import Place

    try:
        return Place(zone=zone, region=region, provider=provider)
    except ValueError as error:
        raise BadInput(
            str(error), "Say it as the cloud does, such as --region europe-west9 --provider gcp"
        ) from None


def lineage_of(base: str | None, relation: Relation | None) -> Lineage | None:
    """What the model comes from, as far as that was said."""
    if base is None and relation is None:
        return None
    from energy_rating.nouns.records import Lineage

    try:
        return Lineage(base_model=base, relation=relation)
    except ValueError as error:
        raise BadInput(str(error), "Name the base model, such as --base org/base") from None


# What commands that hold two records against each other take.
_TWO_RECORDS = (
    click.argument("a", type=click.Path(path_type=Path)),
    click.argument("b", type=click.Path(path_type=Path)),
    click.option("--unit", help="Unit of work to compare by. Default: the one that the task is rated by."),
    click.option(
        "--component",
        type=click.Choice(COMPONENTS),
        help="Whose energy. Default: the first that both measured.",
    ),
)

# What a footprint can be asked for, beside the place: the names are those of ``judging.footprint.carbon.Choices``.
_FOOTPRINT = (
    click.option(
        "--factors", metavar="VINTAGE", help="Which published factors, such as electricity-maps-2025."
    ),
    click.option(
        "--intensity",
        metavar="53@SOURCE",
        help="The grid's carbon intensity in g/kWh, in place of a stored factor.",
    ),
    click.option(
        "--pue",
        metavar="1.2@SOURCE",
        help="PUE of the site, applied once; 'published': what the cloud says of the region.",
    ),
    click.option(
        "--pue-in-energy",
        metavar="WHY",
        help="The energy holds the PUE already, and is not multiplied again.",
    ),
    click.option(
        "--wue", metavar="0.2@SOURCE", help="Litres at the site per kWh of the equipment; or 'published'."
    ),
    click.option(
        "--market", metavar="0@SOURCE", help="Market-based factor in g/kWh: a second figure, apart."
    ),
    click.option(
        "--offset",
        "offsets",
        multiple=True,
        metavar="1.2kg@SOURCE",
        help="Offset: told apart, never subtracted.",
    ),
    click.option(
        "--capture", "captures", multiple=True, metavar="1.2kg@SOURCE", help="Captured carbon: told apart."
    ),
    click.option(
        "--certificate", "certificates", multiple=True, metavar="5kWh@SOURCE", help="Certificate: told apart."
    ),
    click.option("--price", metavar="0.25EUR", help="Price of a kWh with its currency (ISO 4217)."),
    click.option(
        "--lifetime",
        metavar="4@SOURCE",
        help="Years that the hardware is used. Default: the published range.",
    ),
    click.option(
        "--server", metavar="1300kg@SOURCE", help="What making the host emitted, without its accelerators."
    ),
    click.option(
        "--per", metavar="UNIT", help="Carbon per unit of work, such as request, token, image, parameter."
    ),
    click.option("--because", metavar="TEXT", help="Why this unit: a standard's name (SCI) asks for it."),
    click.option(
        "--counting", type=click.Choice(["gross", "effective"]), help="What the amount of units is."
    ),
    click.option("--equivalents", is_flag=True, help="Also as kilometres in a car and charges of a phone."),
)


def footprint_options(function: F) -> F:
    """The figures that a user brings to a footprint, each with its source."""
    return _with(_FOOTPRINT, function)


def two_records(function: F) -> F:
    """Two records, and what of them is compared."""
    return _with(_TWO_RECORDS, function)


def _with(parameters: Sequence[Callable[[F], F]], function: F) -> F:
    """As decorators one below the other, so that help tells them in this order."""
    for parameter in reversed(parameters):
        function = parameter(function)
    return function


def strict_option(text: str) -> Callable[[F], F]:
    """To fail where the result is not good enough for a build; ``text`` says when."""
    return click.option("--strict", is_flag=True, help=text)


def declared_options(*kinds: type[Declared]) -> Callable[[F], F]:
    """Options of a command from the classes that declare them. None, where nothing was given: nothing is asked for."""

    from energy_rating.benchmarking.options import known  # here: the commands that measure do without

    def with_options(function: F) -> F:
        for one in reversed([one for kind in kinds for one in known(kind).values() if one.option.help]):
            function = _option(one)(function)
        return function

    return with_options


def _option(one: Known) -> Callable[[F], F]:
    if one.kind is bool:
        flag = f"{one.flag}/--no-{one.flag[2:]}" if one.is_switch else one.flag
        return click.option(flag, one.name, is_flag=True, default=None, help=one.option.help)
    kind: Any = one.kind
    bounds = one.option
    if one.kind is int:
        kind = click.INT
        if (bounds.at_least, bounds.at_most) != (None, None):
            low, high = (None if bound is None else int(bound) for bound in (bounds.at_least, bounds.at_most))
            kind = click.IntRange(low, high)
    elif one.kind is float:
        low_bound = bounds.at_least if bounds.above is None else bounds.above
        kind = click.FloatRange(low_bound, bounds.at_most, min_open=bounds.above is not None)
    elif one.kind is Path:
        kind = click.Path(path_type=Path)
    return click.option(one.flag, one.name, type=kind, metavar=bounds.metavar, help=bounds.help)


look_option = click.option(
    "--look",
    type=click.Choice(("light", "dark", "print")),
    default="light",
    show_default=True,
    help="For a light or a dark page, or for print in black alone.",
)


def link_options(function: F) -> F:
    """The addresses that whoever publishes a label or a card gives with it. None is made up."""
    for name, text in (
        ("--meaning-url", "Address where it is told what the stars mean. Default: the name of our page."),
        (
            "--journal-url",
            "Address where the run's journal can be had. Without it the label says that none is given.",
        ),
    ):
        function = click.option(name, metavar="URL", help=text)(function)
    return function


def beside(run: Path, name: str) -> Path:
    """Where a file goes that is made of a run and has no place of its own: beside what it was made from."""
    return (run if run.is_dir() else run.parent) / name


def output_beside(run: Path, output: Path | None, *names: str) -> Path:
    """Where a command writes what it draws: the file that was named, else the first of these names beside the run.

    Raises:
        BadInput: the file ends as none of these names does.
    """
    endings = [Path(name).suffix for name in names]
    output = beside(run, names[0]) if output is None else output
    if output.suffix not in endings:
        raise BadInput(
            f"must end in {' or '.join(endings)}", f"Name the file {' or '.join(names)}", place=output
        )
    return output


def refuse_a_file(folder: Path | None) -> None:
    if folder is not None and folder.exists() and not folder.is_dir():
        raise BadInput("is a file, not a folder", "Name a folder for the run", place=folder)


def journal_beside(path: Path) -> Journal | None:
    """The journal of a run's folder, or beside a record; None where there is none."""
    from energy_rating.files.journal import JOURNAL_NAMES
    from energy_rating.files.reading import read_journal

    folder = path if path.is_dir() else path.parent
    if not any((folder / name).is_file() for name in JOURNAL_NAMES):
        return None
    return read_journal(folder)


# ------------------------------------------------------------------------------------------------ a service that is planned


_SIZES = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}


def _number(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, bool] | None:
    """An amount such as ``10M``, and whether it is one of each month: ``10M/month``."""
    if value is None:
        return None
    text, slash, each = value.strip().partition("/")
    size = _SIZES.get(text[-1:], 1.0)
    try:
        amount = float(text[:-1] if size != 1.0 else text) * size
    except ValueError:
        amount = -1.0
    if not 0 < amount < 1e18 or (slash and each.strip() != "month"):
        raise click.BadParameter(f"must be a number such as 10M or 10M/month; got {value[:40]!r}", ctx, param)
    return amount, bool(slash)


_PLANNING = (
    click.option(
        "--requests",
        callback=_number,
        metavar="10M[/month]",
        help="Spread what went before use over so many, and plan a service of them.",
    ),
    click.option(
        "--tokens",
        type=click.FloatRange(min=0, min_open=True),
        help="Tokens in each answer of the service.",
    ),
    click.option(
        "--months",
        type=click.FloatRange(min=0, min_open=True),
        help="How long the service runs (--requests N/month).",
    ),
)


def planning_options(function: F) -> F:
    """How many requests, how long each, for how long."""
    for option in reversed(_PLANNING):
        function = option(function)
    return function


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A service that is asked for. ``months`` None: ``requests`` are all of them, and not each month's."""

    requests: float
    tokens: float | None
    months: float | None

    @property
    def number(self) -> float:
        """How many requests in all."""
        return self.requests * (self.months if self.months is not None else 1.0)


def plan_of(
    requests: tuple[float, bool] | None, tokens: float | None, months: float | None
) -> Planned | None:
    """What these options ask for; None where no service is planned."""
    if requests is None:
        if tokens is not None or months is not None:
            raise click.UsageError("'--tokens' and '--months' plan a service: name '--requests' too.")
        return None
    amount, monthly = requests
    if monthly and months is None:
        raise click.UsageError("'--requests N/month' needs '--months': for how long.")
    return Planned(requests=amount, tokens=tokens, months=months if monthly else None)


def runs_below(path: Path) -> Iterator[Path]:
    """The runs that a path leads to: itself, or the runs below a folder that is none."""
    from energy_rating.files.record import RECORD_NAME

    if not path.is_dir() or (path / RECORD_NAME).exists():
        yield path
        return
    below = sorted(one.parent for one in (*path.glob(f"*/{RECORD_NAME}"), *path.glob(f"*/*/{RECORD_NAME}")))
    if not below:
        yield path  # says what is missing
    yield from below
