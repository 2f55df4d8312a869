"""Many records as a spreadsheet (Office Open XML): one row a record, units in the heads, what is known and what is estimated in columns apart.

Written by hand, so that no library is needed and the same records give the same bytes. All texts are texts, never formulas; all numbers are
numbers; what was not measured is an empty cell. A second sheet says what each column is.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from energy_rating.nouns.records import COMPONENTS
from energy_rating.publishing.names import NAMES
from energy_rating.publishing.overview import hardware
from energy_rating.publishing.strangers import for_plain_text
from energy_rating.publishing.subject import JOULES_PER_KWH, Exported, FormGap, Subject
from energy_rating.version import __version__

VARIANTS = ("xlsx",)
MANY = True

Cell = str | float | None

LONGEST_CELL = 32_767  # characters (Excel's own limit)
# Cells of a text longer than this are cut: names and findings are anybody's.
LONGEST_TEXT = 1000
# The first date that ZIP knows: no clock gets into the bytes.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetColumn:
    """A column: its head with its unit, and what it is."""

    head: str
    about: str


def columns() -> tuple[SheetColumn, ...]:
    """The columns, which are the same for all records."""
    told = [
        SheetColumn(head="Run", about="the run's own name"),
        SheetColumn(head="Model", about="as whoever ran it named it"),
        SheetColumn(head="Stage", about="pre-training, fine-tuning, inference or other"),
        SheetColumn(head="Role", about="what the run was for: final, search, ablation …"),
        SheetColumn(head="Task", about="the task"),
        SheetColumn(head="Origin", about="measured here, imported from another tool, or merged from several"),
        SheetColumn(head="Example", about="yes: the device does not exist"),
        SheetColumn(head="Started (UTC)", about="when the run began"),
        SheetColumn(head="Hardware", about="devices, alike ones together"),
        SheetColumn(
            head="Measurement",
            about="what the figures are of: of a training the run, else the windows that stand for it",
        ),
        SheetColumn(head="Duration (s)", about="how long that took"),
    ]
    for component in COMPONENTS:
        name = NAMES[component]
        name = f"{name[0].upper()}{name[1:]}"
        told += [
            SheetColumn(head=f"{name}, measured (kWh)", about="energy that a sensor told"),
            SheetColumn(head=f"{name}, estimated (kWh)", about="energy by a model, in a sensor's place"),
            SheetColumn(head=f"{name}, imported (kWh)", about="energy that another tool's file tells"),
            SheetColumn(head=f"{name}, ± 95 % (kWh)", about="half the 95 % interval of it"),
        ]
    return (
        *told,
        SheetColumn(
            head="Energy (kWh)", about="the whole machine where it was seen, else the sum of its parts"
        ),
        SheetColumn(head="Energy, ± 95 % (kWh)", about="half the 95 % interval of it"),
        SheetColumn(head="Energy, how", about="the least direct way that a part of it was had"),
        SheetColumn(head="Energy, not in it", about="parts of the machine that were not measured"),
        SheetColumn(head="Unit of work", about="what the energy is divided by"),
        SheetColumn(head="Work (units)", about="how many of them"),
        SheetColumn(head="Energy per unit (J)", about="energy over work"),
        SheetColumn(head="Energy per unit, ± 95 % (J)", about="half the 95 % interval of it"),
        SheetColumn(head="Zone", about="where it ran"),
        SheetColumn(head="Grid intensity (g CO2e/kWh)", about="location-based"),
        SheetColumn(head="PUE", about="empty: cooling is not in it"),
        SheetColumn(head="Carbon (g CO2e)", about="of the electricity, location-based"),
        SheetColumn(head="Carbon, ± 95 % (g CO2e)", about="half the 95 % interval of it"),
        SheetColumn(head="Carbon, how", about="known or estimated"),
        SheetColumn(head="Validity", about="valid, degraded (usable) or invalid (leave it out of sums)"),
        SheetColumn(head="Findings", about="codes of what is to be held against the figures"),
        SheetColumn(head="Journal SHA-256", about="of the uncompressed journal; empty: there is none"),
    )


def export(subjects: Sequence[Subject], variant: str) -> Exported:  # noqa: ARG001
    """The workbook, as bytes."""
    gaps: list[FormGap] = []
    heads = columns()
    rows: list[list[Cell]] = [
        [column.head for column in heads],
        *(row(subject, gaps) for subject in subjects),
    ]
    about: list[list[Cell]] = [["Column", "What it is"]]
    about += [[column.head, column.about] for column in heads]
    about.append(
        [
            "",
            f"Made by energy-rating {__version__}. An empty cell was not measured or is not known; 0 is zero.",
        ]
    )
    return Exported(content=_workbook({"Runs": rows, "About": about}), gaps=tuple(gaps))


def row(subject: Subject, gaps: list[FormGap]) -> list[Cell]:
    """The cells of one record, in the order of ``columns``."""
    record, measurement, drawn, impact = subject.record, subject.measurement, subject.energy, subject.impact
    run = for_plain_text(record.run_id, 120)
    if drawn is None:
        gaps.append(FormGap(field="Energy (kWh)", fill=f"an energy: none was measured in run {run}"))
    if impact is None:
        gaps.append(FormGap(field="Carbon (g CO2e)", fill=f"{subject.why_no_impact} (run {run})"))
    unit = subject.unit
    amount = measurement.work.divisor(unit) if measurement is not None and unit is not None else None
    each = drawn.joules.times(1 / float(amount)) if drawn is not None and amount is not None else None
    told: list[Cell] = [
        run,
        subject.name,
        record.stage,
        record.role,
        record.task.name if record.task is not None else None,
        record.origin,
        "yes" if subject.facts.example else "no",
        subject.started.strftime("%Y-%m-%d %H:%M:%S") if subject.started is not None else None,
        hardware(subject.facts.machine) or None,
        measurement.name if measurement is not None else None,
        measurement.duration_s if measurement is not None else None,
    ]
    shown = next((one for one in subject.facts.rows if one.measurement is measurement), None)
    for component in COMPONENTS:
        part = shown.part(component) if shown is not None else None
        kwh = part.energy_j.value / JOULES_PER_KWH if part is not None else None
        told += [
            kwh if part is not None and part.origin == origin else None
            for origin in ("measured", "estimated", "imported")
        ]
        told.append(part.energy_j.half_width() / JOULES_PER_KWH if part is not None else None)
    told += [
        drawn.kwh if drawn is not None else None,
        drawn.joules.half_width() / JOULES_PER_KWH if drawn is not None else None,
        drawn.origin if drawn is not None else None,
        ", ".join(NAMES[name] for name in drawn.missing) if drawn is not None else None,
        unit if amount is not None else None,
        float(amount) if amount is not None else None,
        each.value if each is not None else None,
        each.half_width() if each is not None else None,
        impact.zone if impact is not None else None,
        impact.intensity_g_per_kwh if impact is not None else None,
        impact.pue if impact is not None else None,
        impact.carbon_g.value if impact is not None else None,
        impact.carbon_g.half_width() if impact is not None else None,
        (impact.known.get("carbon_g", "estimated") if impact is not None else None),
        subject.validity,
        " ".join(dict.fromkeys(finding.code for finding in subject.facts.findings)),
        None if record.origin == "imported" else record.provenance.journal_sha256,
    ]
    return told


# ---------------------------------------------------------------------------------------------------------- the workbook

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
# What XML 1.0 has no place for.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Excel reads _x0041_ as an A (ECMA-376, ST_Xstring).
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def _workbook(sheets: dict[str, list[list[Cell]]]) -> bytes:
    """ECMA-376, the least that Excel, LibreOffice and their likes open: a workbook, a style for heads, sheets with texts inline."""
    names = list(sheets)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbers = range(1, len(names) + 1)
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{kind}.worksheet+xml"/>'
        for number in numbers
    )
    parts = {
        "[Content_Types].xml": (
            f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>{overrides}</Types>'
        ),
        "_rels/.rels": (
            f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
        ),
        "xl/workbook.xml": (
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
            + "".join(
                f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>'
                for number, name in enumerate(names, start=1)
            )
            + "</sheets></workbook>"
        ),
        "xl/_rels/workbook.xml.rels": (
            f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
            + "".join(
                f'<Relationship Id="rId{number}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{number}.xml"/>'
                for number in numbers
            )
            + f'<Relationship Id="rId{len(names) + 1}" Type="{_RELATIONS}/styles" Target="styles.xml"/></Relationships>'
        ),
        "xl/styles.xml": (
            f'{_HEAD}<styleSheet xmlns="{_MAIN}"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
            '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
            '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
            '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
            '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
            '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
            '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
            '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
        ),
        **{
            f"xl/worksheets/sheet{number}.xml": "".join(_sheet(rows))
            for number, rows in enumerate(sheets.values(), start=1)
        },
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, text in parts.items():
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text.encode())
    return file.getvalue()


def _sheet(rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    """A sheet whose first line is its head, and stays in sight."""
    widths = [
        min(max(len(str(cell)) for cell in column if cell is not None) + 2, 60) if any(column) else 10
        for column in zip(*rows, strict=True)
    ]
    yield f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    yield '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols>'
    for number, width in enumerate(widths, start=1):
        yield f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
    yield "</cols><sheetData>"
    for number, cells in enumerate(rows, start=1):
        yield f'<row r="{number}">'
        for place, cell in enumerate(cells):
            yield _cell(f"{_letters(place)}{number}", cell, head=number == 1)
        yield "</row>"
    yield "</sheetData></worksheet>"


def _cell(place: str, cell: Cell, *, head: bool) -> str:
    style = ' s="1"' if head else ""
    if cell is None or cell == "":
        return ""
    if isinstance(cell, str):
        text = _ESCAPE.sub("_x005F_", _NOT_XML.sub("", for_plain_text(cell, LONGEST_TEXT)))
        return f'<c r="{place}" t="inlineStr"{style}><is><t xml:space="preserve">{escape(text)}</t></is></c>'
    return f'<c r="{place}"{style}><v>{cell!r}</v></c>' if math.isfinite(cell) else ""


def _letters(place: int) -> str:
    """A column's name, from 0: A … Z, AA …"""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = f"{chr(ord('A') + rest)}{name}"
    return name
