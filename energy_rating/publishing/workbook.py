"""A spreadsheet file (Office Open XML, ECMA-376) of plain tables: texts stay texts, numbers numbers, and the same tables give the same bytes."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

Cell = str | int | float | bool | None
Table = tuple[str, Sequence[str], Iterable[Sequence[Cell]]]

# What a sheet holds at most (ECMA-376, and what programs that read it take).
MOST_ROWS = 1_048_576
LONGEST_CELL = 32_767
LONGEST_NAME = 31

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# The first day that the format of the container can tell: no file says when it was made.
_EPOCH = (1980, 1, 1, 0, 0, 0)

# Two styles: as it is, and bold for heads.
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="1"><fill><patternFill patternType="none"/></fill></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="2"><xf fontId="0"/><xf fontId="1" applyFont="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" '
    'builtinId="0"/></cellStyles></styleSheet>'
)


def workbook(tables: Sequence[Table]) -> bytes:
    """The bytes of a workbook with a sheet a table: its name, its head, its rows.

    Raises:
        ValueError: a table has more rows than a sheet may have.
    """
    names = _sheet_names([name for name, _, _ in tables])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as container:

        def put(name: str, content: str) -> None:
            about = zipfile.ZipInfo(name, _EPOCH)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = 0o644 << 16
            container.writestr(about, _HEAD + content)

        sheets = range(1, len(tables) + 1)
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
            for number in sheets
        )
        put(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>{parts}</Types>',
        )
        put(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        links = "".join(
            f'<Relationship Id="rId{number}" Type="{_DOCUMENT}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in sheets
        )
        put(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">{links}<Relationship Id="rId{len(tables) + 1}" '
            f'Type="{_DOCUMENT}/styles" Target="styles.xml"/></Relationships>',
        )
        named = "".join(
            f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"/>'
            for number, name in zip(sheets, names, strict=True)
        )
        put(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}"><sheets>{named}</sheets></workbook>',
        )
        put("xl/styles.xml", _STYLES)
        for number, (_, head, rows) in zip(sheets, tables, strict=True):
            put(f"xl/worksheets/sheet{number}.xml", _sheet(head, rows))
    return file.getvalue()


def _sheet(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    parts = [
        f'<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" '
        'activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>',
        f"<row>{''.join(_cell(name, bold=True) for name in head)}</row>",
    ]
    for number, row in enumerate(rows, start=2):
        if number > MOST_ROWS:
            raise ValueError(f"a sheet has at most {MOST_ROWS:,} rows; take csv or parquet")
        parts.append(f"<row>{''.join(map(_cell, row))}</row>")
    parts.append("</sheetData></worksheet>")
    return "".join(parts)


def _cell(value: Cell, *, bold: bool = False) -> str:
    style = ' s="1"' if bold else ""
    if value is None or value == "":
        return f"<c{style}/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value!r}</v></c>" if math.isfinite(value) else "<c/>"
    return f'<c t="inlineStr"{style}><is><t xml:space="preserve">{escape(_text(value))}</t></is></c>'


def _text(value: str) -> str:
    """What XML can hold of it."""
    kept = (char if char in "\t\n" or _is_of_xml(char) else " " for char in value[:LONGEST_CELL])
    return "".join(kept)


def _is_of_xml(char: str) -> bool:
    return " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char > "\uffff"


def _sheet_names(names: Sequence[str]) -> list[str]:
    """Without what a sheet's name may not hold."""
    return ["".join(" " if char in "[]:*?/\\" else char for char in name)[:LONGEST_NAME] for name in names]
