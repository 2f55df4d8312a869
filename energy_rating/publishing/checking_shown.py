"""What is shown of a run held against its journal: label, its picture and the section of a card, each made again and compared.

By what each was made (scheme, country, addresses) stands in it as data. What this version made is compared whole, to the last letter of
the words that stand in for the picture. What another version made words things otherwise: of it the claims are compared (figures, stars,
what they rest on), and that its words were not is said. What 0.1.0 made holds no data; it is made again as that version made it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import cast, get_args
from urllib.parse import urlsplit
from xml.etree import ElementTree

from energy_rating.files.opening import read_beginning
from energy_rating.judging.footprint.carbon import Impact, footprint, zone_named
from energy_rating.judging.footprint.factors import FIRST
from energy_rating.judging.rating import rate
from energy_rating.nouns.errors import BadInput, EnergyRatingError
from energy_rating.nouns.records import TRAINING, Checked, Rating, Record
from energy_rating.publishing import card, data, dia, first_release, label, overview, splice, trainings
from energy_rating.publishing.checking import LARGEST_FILE, MOST_TOLD, Checking, kind_of
from energy_rating.publishing.data import FIRST_FORM, FORM, LabelData, RunData, SectionData
from energy_rating.publishing.facts import Facts, facts_of
from energy_rating.publishing.first_release import card as first_card
from energy_rating.publishing.first_release import words as first_words
from energy_rating.publishing.label import picture
from energy_rating.publishing.strangers import for_markdown, for_picture, for_plain_text

CARD_NAME, README_NAME, LABEL_NAME, PICTURE_NAME = "card.md", "README.md", "label.svg", "label.png"
MOST_WORDS = 1000  # of a label, which has some fifty


# ------------------------------------------------------------------------------------------------------------- the label


def check_label(checking: Checking) -> None:
    published = checking.text(LABEL_NAME)
    if published is not None:
        _check_label_of(checking, LABEL_NAME, published)


def _check_label_of(checking: Checking, name: str, published: str) -> None:
    try:
        tree = _tree(published)
        texts = _words(tree)
        made_with = data.label_data(tree.findtext(f"{_SVG}metadata") or "")
    except (ElementTree.ParseError, ValueError, RecursionError, BadInput) as error:
        checking.differs(name, "", f"is no label ({error})", "a label")
        return
    if made_with is None:
        scheme = _first_scheme(" ".join(texts))
        first_told = first_words.NO_RATING in " ".join(texts)
        rating = checking.rated(name, scheme, first_told)
        if rating is not None:
            _compare_label(checking, name, published, texts, first_release.svg(checking.record, rating))
        return
    if not _can_be_made_again(checking, name, made_with.form):
        return
    told = _told(checking, name, made_with.run)
    if not told:
        return
    drawn = list(_drawn_again(told, made_with))
    expected = published if published in drawn else drawn[0]
    _note_links(checking, made_with)
    if made_with.form == FORM:
        _compare_label(checking, name, published, texts, expected)
        return
    checking.not_checked.append(_of_other_form(name))
    _compare_claims(checking, name, _told_words(tree), _told_words(_tree(expected)))


def _drawn_again(told: Sequence[tuple[Record, Rating]], made_with: LabelData) -> Iterator[str]:
    for record, rating in told:
        yield label.svg(
            record,
            rating,
            made_with.links,
            made_with.beside,
            look=made_with.look,
            size=made_with.size,
        )


def _compare_label(checking: Checking, name: str, published: str, texts: list[str], expected: str) -> None:
    if published == expected:
        return
    again = _words(_tree(expected))
    if len(texts) > MOST_WORDS:
        checking.differs(name, "text", f"{len(texts)} texts", f"{len(again)} texts")
        return
    for was, now in _changes(texts, again):
        checking.differs(name, "text", " ".join(was) or None, " ".join(now) or None)
    if texts == again:
        checking.differs(name, "drawing", "drawn otherwise", "the same words")


_SVG = "{http://www.w3.org/2000/svg}"


def _tree(svg: str) -> ElementTree.Element:
    """An SVG.

    Raises:
        ParseError: it is none.
        ValueError: it has entities of its own, which could unfold without end.
    """
    if "<!" in re.sub(r"<!--.*?-->", "", svg, flags=re.S):
        raise ValueError("it declares a type or entities")
    return ElementTree.fromstring(svg)  # noqa: S314  without entities it is harmless


def _words(tree: ElementTree.Element) -> list[str]:
    """All texts of an SVG, in their order."""
    return [text for element in tree.iter() if (text := " ".join((element.text or "").split()))]


def _told_words(tree: ElementTree.Element) -> list[str]:
    """Those for people alone: the data of another form are another form's."""
    made_with = " ".join((tree.findtext(f"{_SVG}metadata") or "").split())
    return [text for text in _words(tree) if text != made_with]


# ----------------------------------------------------------------------------------------------------------- the picture


def check_picture(checking: Checking) -> None:
    content = checking.read(PICTURE_NAME)
    if content is not None:
        _check_picture_of(checking, PICTURE_NAME, content)


def _check_picture_of(checking: Checking, name: str, content: bytes) -> None:
    width = picture.png_width(content)
    if width is None or not picture.NARROWEST_PX <= width <= picture.WIDEST_PX:
        checking.differs(name, "", "is no PNG of a label's size", "a label")
        return
    texts = picture.texts(content)
    try:
        made_with = data.label_data(texts.get(picture.DATA, ""))
    except (ValueError, BadInput) as error:
        checking.differs(name, "text", f"data that cannot be read ({error})", "those of a label")
        return
    if made_with is None:
        _check_first_picture(checking, name, content, width)
        return
    if not _can_be_made_again(checking, name, made_with.form):
        return
    told = _told(checking, name, made_with.run)
    if not told:
        return
    if made_with.form != FORM:
        checking.checked.remove(name)
        checking.not_checked.append(f"{name}, which an earlier version drew")
        return
    drawn = list(_drawn_again(told, made_with))
    alike = [svg for svg in drawn if data_of(svg) == texts.get(picture.DATA)]
    again = picture.drawn(
        next((svg for svg in alike if words_of(svg) == texts.get(picture.WORDS)), drawn[0]), width_px=width
    )
    expected = picture.texts(again)
    for key in dict.fromkeys([*texts, *expected]):
        if texts.get(key) != expected.get(key):
            checking.differs(name, f"text {key[:40]}", texts.get(key), expected.get(key))
    if not picture.looks_like(content, again):
        checking.differs(name, "", "another picture", "the label that its own data tell of")


def data_of(svg: str) -> str | None:
    return _tree(svg).findtext(f"{_SVG}metadata")


def words_of(svg: str) -> str | None:
    return _tree(svg).findtext(f"{_SVG}desc")


def _check_first_picture(checking: Checking, name: str, content: bytes, width: int) -> None:
    """A picture of 0.1.0 cannot be asked for its scheme: it is that of the rating or of the label beside it."""
    schemes = _schemes_named(checking)
    for scheme in schemes:
        for provisional in (False, True):
            rating = checking.rated(name, scheme, provisional)
            if rating is None or picture.looks_like(
                content, picture.drawn_alone(first_release.svg(checking.record, rating), width_px=width)
            ):
                return
    named = " or ".join(schemes) or "a scheme that is named"
    checking.differs(name, "", "another picture", f"the label under {named}")


def _schemes_named(checking: Checking) -> tuple[str, ...]:
    found = []
    for name, pattern in (
        ("rating.json", r'"scheme": "([^"]*)"'),
        (LABEL_NAME, _FIRST_SCHEME),
        (CARD_NAME, r"^\| Scheme \| ([\w.-]+)"),
    ):
        found += re.findall(pattern, checking.contents.get(name, b"").decode(errors="replace"), re.M)[:1]
    return tuple(dict.fromkeys(found)) or (rate(checking.record).scheme,)


# The labels of 0.1.0 hold no data; their scheme stands in their words alone.
_FIRST_SCHEME = r"\bscheme ([\w.-]*\w)"


def _first_scheme(text: str) -> str | None:
    found = re.search(_FIRST_SCHEME, text)
    return found[1] if found else None


# -------------------------------------------------------------------------------------------------------------- the card


def check_cards(checking: Checking, readme: Path | None) -> None:
    """The section in ``card.md``, in a README.md beside the journal, and in the card that was named."""
    text = checking.text(CARD_NAME)
    if text is not None:
        check_section(checking, CARD_NAME, text, checking.folder)
    text = checking.text(README_NAME)
    if text is not None and not _check_readme(checking, README_NAME, text, checking.folder):
        checking.checked.remove(README_NAME)  # a card of somebody's own
        checking.not_checked.append(f"{README_NAME}, in which no section of ours stands")
    if readme is not None:
        name = readme.name if readme.name != README_NAME or text is None else str(readme)
        # Whoever names a card means what it leads to: in the Hub's cache each file is a link.
        there = readme.resolve()
        content = checking.read_at(there, name, kind_of(there))
        text = None if content is None else checking.decoded(name, content)
        if text is not None and not _check_readme(checking, name, text, readme.parent):
            checking.differs(name, "", None, f"a section between {splice.START} and {splice.END}")


def _check_readme(checking: Checking, name: str, text: str, beside: Path) -> bool:
    """The section and the metadata of a whole card; whether it has a section at all.

    The section is the one that ``card`` would write anew: a pair of markers that is only shown, as in a code block, is none, and two
    sections would be two claims of which one is read.
    """
    try:
        section = splice.section_of(text)
    except BadInput as error:
        checking.differs(name, "", f"has no one section ({error})", "one, between one pair of markers")
        return True
    if section is None:
        return False
    check_section(checking, name, section, beside)
    _check_metadata(checking, name, text, section)
    checking.not_checked.append(f"what {name} says outside of its section")
    return True


def between(text: str) -> str | None:
    """The section between our markers, if there is one."""
    _, start, rest = text.partition(splice.START)
    inside, end, _ = rest.partition(splice.END)
    return inside if start and end else None


def check_section(checking: Checking, name: str, text: str, beside: Path) -> None:
    """A section; ``beside`` is the folder that what it links is looked for in."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    try:
        made_with = data.section_data(text)
    except (ValueError, BadInput) as error:
        checking.differs(name, "data", f"cannot be read ({error})", "what the section was made with")
        return
    if made_with is None:
        _check_first_section(checking, name, text)
        return
    if not _can_be_made_again(checking, name, made_with.form):
        return
    run_id = for_plain_text(checking.record.run_id)
    numbers = [number for number, run in enumerate(made_with.runs) if run.run == run_id]
    if not numbers:
        told = ", ".join(run.run for run in made_with.runs)
        checking.differs(name, "Run", told[:200], run_id)
        return
    for number in numbers:
        _check_run_of(checking, name, text, made_with, number)
    _note_links(checking, made_with)
    if made_with.location is not None:
        given = f"that the run took place in {made_with.location[:80]!r}, as whoever wrote {name} says"
        checking.not_checked.append(given)
    if made_with.base is not None:
        checking.not_checked.append(f"what making {made_with.base.model} took, as its own card says")
    if made_with.label is not None:
        _check_shown(checking, name, beside, made_with.label, first=0 in numbers)


def _check_run_of(checking: Checking, name: str, text: str, made_with: SectionData, number: int) -> None:
    run = made_with.runs[number]
    told = _told(checking, name, run)
    if not told:
        return
    found: list[tuple[Facts, list[str]]] = []
    try:
        for record, rating in told:
            asked = made_with.footprint_of(number)
            told_again = card.footprinted_again(record, asked) if asked is not None else None
            impact, emissions_g = _emissions(checking, name, made_with, record, number)
            again = card.parts(
                [(record, None if run.scheme is None else rating)],
                label=made_with.label,
                heading=_heading(text),
                emissions_g=emissions_g,
                impact=impact,
                location=made_with.location,
                links=made_with.links,
                footprints=(told_again,),
                beside=(made_with.beside_of(number),),
                section_only=made_with.section_only,
                base=made_with.base,
            )
            found.append((facts_of(record, None if run.scheme is None else rating), again))
    except EnergyRatingError as error:
        made_of = "what the section was made with"
        checking.differs(name, "data", f"what no section is made with ({error})", made_of)
        return
    theirs = text.split("\n\n")
    pairs = [(theirs, ours) for _, ours in found]
    if len(made_with.runs) > 1:
        several = [
            _of_several(checking, name, theirs, ours, made_with, number, facts) for facts, ours in found
        ]
        pairs = [pair for pair in several if pair is not None]
        if not pairs:
            return
    theirs, ours = next((pair for pair in pairs if pair[0] == pair[1]), pairs[0])
    if made_with.form == FORM:
        for row, was, now in _rows_apart(theirs, ours):
            checking.differs(name, row, was, now)
        if theirs != ours and not any(found.file == name for found in checking.differences):
            checking.differs(name, "text", "in another order or form", "the section")
        return
    checking.not_checked.append(_of_other_form(name))
    # The data of another form are another form's; what of them counts was read.
    theirs, ours = ([part for part in parts if data.COMMENT not in part] for parts in (theirs, ours))
    names = tuple(for_markdown(one) for one in _names(checking.record))
    for row, was, now in _rows_apart(theirs, ours):
        if _claims(was or "", names) != _claims(now or "", names):
            checking.differs(name, row, was, now)


def _check_shown(checking: Checking, name: str, beside: Path, linked: str, *, first: bool) -> None:
    """The picture that a card shows, which is the first run's label: also one that has another name, or lies elsewhere below the card.

    What leads elsewhere is not looked for, and what is a link or too large not opened.
    """
    shown = linked.partition("#")[0].partition("?")[0]
    parts = PurePosixPath(shown).parts
    there = beside / shown.replace("\0", "")
    if urlsplit(linked).scheme or "\0" in shown or not parts or {"..", "/"} & set(parts):
        checking.not_checked.append(f"the picture that {name} shows: {linked[:300]}")
    elif not there.exists():
        checking.notes.append(f"{name} shows {linked[:80]}, which is not here")
    elif not first or kind_of(there) != "file" or there.suffix not in (".svg", ".png"):
        checking.not_checked.append(f"the picture that {name} shows: {linked[:300]}")
    elif not any(
        there.samefile(checking.folder / one) for one in (LABEL_NAME, PICTURE_NAME) if one in checking.present
    ):
        content = checking.read_at(there, shown, "file")
        if content is not None and there.suffix == ".png":
            _check_picture_of(checking, shown, content)
        elif content is not None and (text := checking.decoded(shown, content)) is not None:
            _check_label_of(checking, shown, text)


def _of_several(
    checking: Checking,
    name: str,
    theirs: list[str],
    ours: list[str],
    made_with: SectionData,
    number: int,
    facts: Facts,
) -> tuple[list[str], list[str]] | None:
    """Of a section of several runs what is this one's, and what holds of all; None, and said, where it has not the parts of one."""
    before = 1 + (made_with.label is not None)
    sums = before + 1  # after the table of all runs
    first = sums + (len(made_with.energies) > 1) + bool(made_with.trainings)
    # Of each run what opens it, its table, its footprint, how to check it, and what closes it.
    sizes = [4 + (made_with.footprint_of(one) is not None) for one in range(len(made_with.runs))]
    parts = first + sum(sizes) + 2
    if len(theirs) != parts:
        checking.differs(name, "text", f"{len(theirs)} parts", f"{parts} parts")
        return None
    checking.not_checked.append(f"the other runs that {name} tells of: verify each with its own folder")
    start = first + sum(sizes[:number])
    # The picture is the first run's. The data hold for all runs; of this one they are compared.
    shown = before if number == 0 else 1
    run, own = made_with.runs[number], data.of_run(facts.record, None)
    if run.journal_sha256 != own.journal_sha256:
        checking.differs(name, "data", run.journal_sha256, own.journal_sha256)
    if made_with.form == FORM:
        _check_sums(checking, name, theirs[sums:first], made_with, facts)
        if theirs[-1] != data.written_again(made_with):
            checking.differs(name, "data", "more than, or other than, the data", "a comment with the data")
        lines = theirs[before].split("\n")
        whole = lines[:2] == list(overview.TABLE) and len(lines) == 2 + len(made_with.runs)
        told = lines[2 + number] if whole else "another table"
        if told != (own_row := overview.row(number + 1, facts)):
            checking.differs(name, "table of all runs", told, own_row)
    return (
        [*theirs[:shown], *theirs[start : start + sizes[number]], theirs[-2]],
        [
            *ours[:shown],
            overview.opening(number + 1, facts),
            *ours[before:-2],
            overview.CLOSING,
            ours[-2],
        ],
    )


def _check_sums(
    checking: Checking, name: str, theirs: list[str], made_with: SectionData, facts: Facts
) -> None:
    """The sums over trainings, made again from the data; what of these is of this run is held against it."""
    again = []
    if len(made_with.energies) > 1:
        again.append(overview.sum_table(made_with.energies))
    if made_with.trainings:
        again.append(trainings.table(made_with.trainings))
    if theirs != again:
        checking.differs(name, "Trainings", "more than, or other than, the sum of the trainings", "their sum")
    run_id = for_plain_text(facts.record.run_id)
    of_this = next((one for one in made_with.energies if one.run == run_id), None)
    if of_this is not None and of_this != (own := overview.energy_of(facts)):
        checking.differs(name, "data.energies", str(of_this), str(own))


def _rows_apart(theirs: list[str], ours: list[str]) -> Iterator[tuple[str, str | None, str | None]]:
    """Where two sections differ: the rows of the table by their names, everything else as text."""
    if theirs == ours:
        return
    texts = ["\n".join(parts) for parts in (theirs, ours)]
    was, now = (found[0] if (found := tables_of(text)) else {} for text in texts)
    for key in dict.fromkeys([*was, *now]):
        if was.get(key) != now.get(key):
            yield key, was.get(key), now.get(key)
    lines = [_sentences(text) for text in texts]
    for gone, came in _changes(lines[0][:MOST_WORDS], lines[1]):
        yield "text", " ".join(gone) or None, " ".join(came) or None


def _heading(text: str) -> str:
    """The line that a section begins with, if it is one that sections begin with."""
    first = text.partition("\n")[0]
    return first if re.fullmatch(r"#{1,6} Energy", first) else card.HEADING


def _emissions(
    checking: Checking, name: str, made_with: SectionData, record: Record, number: int
) -> tuple[Impact | None, float | None]:
    """The carbon that a section tells, made again for the place in its data; grams that were given are taken as they are."""
    if record.stage not in TRAINING:
        return None, None
    told = next((one for one in made_with.trainings if one.run == made_with.runs[number].run), None)
    zone = made_with.zone if told is None else told.zone
    if zone is not None:
        if record.place is None or record.place.zone != zone:
            checking.not_checked.append(f"that the run took place in {zone}, as {name} says")
        asked = made_with.footprint_of(number)
        if asked is not None:
            impact = card.footprinted_again(record, asked).impact
        else:
            factors = made_with.factors if told is None else told.factors
            impact = footprint(record, zone=zone, factors=factors)
        if told is not None and told != (own := card.training_of(record, impact)):
            for key, was in asdict(told).items():
                if was != getattr(own, key):
                    checking.differs(name, f"data.trainings.{key}", was, getattr(own, key))
        return impact, None
    if made_with.emissions_g is not None:
        checking.notes.append(
            f"{name}: the emissions were given by whoever wrote the card; no journal tells them"
        )
    return None, made_with.emissions_g


def _check_metadata(checking: Checking, name: str, text: str, section: str) -> None:
    """``co2_eq_emissions`` in the front matter, where it is ours."""
    try:
        made_with = data.section_data(section)
        if made_with is None or made_with.form > FORM:
            return
        if splice.is_of_others(text, card.KEY):
            checking.not_checked.append(f"{card.KEY} of {name}, which somebody else wrote")
            return
        if made_with.section_only:
            return
        record = checking.record
        told = splice.value_of(text, card.KEY)
        if len(made_with.runs) > 1 and record.stage not in TRAINING:
            if told is not None:
                checking.not_checked.append(f"{card.KEY} of {name}, which is of another run")
            return
        run_id = for_plain_text(record.run_id)
        number = next((place for place, run in enumerate(made_with.runs) if run.run == run_id), 0)
        value: Mapping[str, str | float] | None
        if made_with.trainings:  # that this run's part of it is right is asked with the section
            value = trainings.metadata(made_with.trainings, made_with.location)
        else:
            impact, emissions_g = _emissions(checking, name, made_with, record, number)
            value = card.metadata(record, impact if impact is not None else emissions_g, made_with.location)
    except (EnergyRatingError, ValueError) as error:
        checking.differs(name, card.KEY, f"cannot be read ({error})", "what the run gives")
        return
    _compare_metadata(checking, name, value, told)
    _check_report(checking, name, text, made_with, number)


def _check_report(checking: Checking, name: str, text: str, made_with: SectionData, number: int) -> None:
    """A ``dia_report`` of ours: what one training took is made again; of several only whoever has all of them can."""
    told = splice.value_of(text, dia.KEY)
    if told is None:
        return
    if splice.is_of_others(text, dia.KEY):
        checking.not_checked.append(f"{dia.KEY} of {name}, which somebody else wrote")
        return
    if len(made_with.energies) > 1 or checking.record.stage not in TRAINING:
        checking.not_checked.append(f"{dia.KEY} of {name}, which is the sum of several runs")
        return
    impact, _ = _emissions(checking, name, made_with, checking.record, number)
    try:
        again: dict[str, str] | None = splice.as_told(dia.report([checking.record], [impact]))
    except EnergyRatingError:
        again = None
    if again != told:
        checking.differs(name, dia.KEY, told, again)


def _compare_metadata(
    checking: Checking,
    name: str,
    value: Mapping[str, str | float] | None,
    told: Mapping[str, str] | None,
) -> None:
    # Other programs write the front matter anew, with other quotes: it is compared by what it says.
    again = (
        None
        if value is None
        else {key: one if isinstance(one, str) else splice.decimal(one) for key, one in value.items()}
    )
    if again != told:
        checking.differs(name, card.KEY, told, again)


# ------------------------------------------------------------------------------------------------- the cards of 0.1.0


def _check_first_section(checking: Checking, name: str, text: str) -> None:
    """A section without data: one of 0.1.0, made again as it made it."""
    record = checking.record
    tables = [rows for rows in tables_of(text) if rows.get("Run", "").partition(",")[0] == _run_cell(record)]
    if not tables:
        checking.differs(name, "Run", None, record.run_id)
    lines = _sentences(text)
    linked = next((found for line in lines if (found := _FIRST_PICTURE.fullmatch(line))), None)
    for rows in tables:
        scheme = rows.get("Scheme", "").partition(",")[0] or None
        unrated = rows.get("Rating", "").endswith("no rating was made")
        told = first_words.NO_RATING in rows.get("Rating", "")
        rating = None if unrated else checking.rated(name, scheme, told)
        if rating is None and not unrated:
            continue
        impact = _first_impact(checking, name, rows.get("Emissions of the training"))
        section = first_card.section(
            record,
            rating,
            label=linked[1] if linked else None,
            heading=lines[0] if lines and re.fullmatch(r"#{1,6} Energy", lines[0]) else card.HEADING,
            impact=impact,
        )
        (again,) = tables_of(section)
        if impact is None:
            rows = {key: value for key, value in rows.items() if key != "Emissions of the training"}
        for key in dict.fromkeys([*rows, *again]):
            if rows.get(key) == again.get(key):
                continue
            if key == "Rating" and _only_reasons_differ(checking, rating, rows, again):
                told_by = f"the reasons that {name} gives, which its version worded in its own way"
                checking.not_checked.append(told_by)
                continue
            checking.differs(name, key, rows.get(key), again.get(key))
        _compare_first_sentences(checking, name, text, section)
    if (
        linked
        and not urlsplit(linked[1]).scheme
        and "/" not in linked[1]
        and linked[1] not in checking.present
    ):
        checking.notes.append(f"{name} shows {linked[1][:80]}, which is not here")
    sha256 = record.provenance.journal_sha256
    stated = re.findall(r"<code>([0-9a-f]{64})</code>", text)
    if sha256 not in stated:
        checking.differs(name, "SHA-256 of the journal", stated[0] if stated else None, sha256)


def _only_reasons_differ(
    checking: Checking, rating: Rating | None, was: Mapping[str, str], now: Mapping[str, str]
) -> bool:
    """Whether both say *not rated*, and only the reasons read otherwise: today's rules word them in their own way."""
    if rating is None or rating.stars is not None or not checking.other_version:
        return False
    cells = [row.get("Rating", "") for row in (was, now)]
    return all(cell.startswith("**not rated**: ") and not set("★☆") & set(cell) for cell in cells)


def _compare_first_sentences(checking: Checking, name: str, text: str, section: str) -> None:
    if len(tables_of(text)) > 1:
        checking.notes.append(
            f"{name} tells of several runs; of its sentences only the rows of this one's table were compared"
        )
        return
    for was, now in _changes(_sentences(text)[:MOST_WORDS], _sentences(section)):
        checking.differs(name, "text", " ".join(was) or None, " ".join(now) or None)


def _run_cell(record: Record) -> str:
    (rows,) = tables_of(first_card.section(record, None, label=None, heading=card.HEADING))
    return rows["Run"].partition(",")[0]


def _first_impact(checking: Checking, name: str, row: str | None) -> Impact | None:
    """The carbon of the training that a card of 0.1.0 tells, made again for the country that it names."""
    if row is None:
        return None
    named = re.search(r"; ([^;]+), \d+ g/kWh, mean of \d+", row)
    zone = zone_named(named[1]) if named else None
    if zone is None:
        checking.notes.append(
            f"{name}: the emissions were given by whoever wrote the card; no journal tells them"
        )
        return None
    try:
        return footprint(checking.record, zone=zone, factors=FIRST)
    except EnergyRatingError as error:
        checking.differs(name, "Emissions of the training", row, str(error))
        return None


_FIRST_PICTURE = re.compile(r"!\[.*\]\(([^()]*)\)")


# ------------------------------------------------------------------------------------------- what a label alone can say


def asks_for(path: Path) -> str:
    """Of a label or a card: which journal it was made from, and where that is said to be; nothing where it holds no such data."""
    if kind_of(path) != "file":
        return ""
    try:
        content = read_beginning(path, LARGEST_FILE)
        found: LabelData | SectionData | None
        if path.suffix == ".png":
            found = data.label_data(picture.texts(content).get(picture.DATA, ""))
        elif path.suffix == ".svg":
            found = data.label_data(_tree(content.decode()).findtext(f"{_SVG}metadata") or "")
        else:
            text = content.decode()
            found = data.section_data(between(text) or text)
    except (ValueError, ElementTree.ParseError, RecursionError, BadInput):
        return ""
    if found is None:
        return ""
    runs = (found.run,) if isinstance(found, LabelData) else found.runs
    told = ", ".join(f"run {run.run[:80]} (SHA-256 {run.journal_sha256[:64]})" for run in runs[:MOST_TOLD])
    where = f"at {found.links.journal}" if found.links.journal else "and does not say where that is"
    return f"{path.name} names the journal of {told} {where}"


# ------------------------------------------------------------------------------------------------------- what all share


def _told(checking: Checking, name: str, run: RunData) -> list[tuple[Record, Rating]]:
    """The record and the rating that the data of a label or a section tell of; none, and said, where there can be none.

    A record of another version may have been told as that version made it, or with what today's rules say besides: both are right.
    """
    found = []
    for today in (False, True):
        rating = checking.rated(name, run.scheme, run.would_be, today=today)
        if rating is None:
            return []
        record = checking.as_today if today else checking.record
        found.append((_as_told(record, run), rating))
    alike = [told for told in found if told[1].stars == run.stars or run.scheme is None]
    if not alike:
        checking.differs(name, "data.stars", run.stars, found[0][1].stars)
    return alike or found


def _as_told(record: Record, run: RunData) -> Record:
    """One that was told without its journal says so, and is none the less right."""
    checked = cast(Checked, run.checked) if run.checked in get_args(Checked) else None
    return replace(record, checked=checked)


def _note_links(checking: Checking, made_with: LabelData | SectionData) -> None:
    if made_with.links.journal or made_with.links.meaning:
        checking.not_checked.append("what lies at the addresses that are given")


def _can_be_made_again(checking: Checking, name: str, form: int) -> bool:
    """Whether a form is one that there was when this version was made. What a later version words, only that can word again."""
    if form < FIRST_FORM:
        checking.differs(name, "data.form", form, f"{FIRST_FORM} to {FORM}")
        return False
    if form > FORM:
        checking.checked.remove(name)
        checking.cannot = checking.cannot or (
            f"{name} says that a later version of energy-rating made it (form {form}; this one knows up to {FORM}); update, and verify again"
        )
        return False
    return True


def _of_other_form(name: str) -> str:
    return f"the words of {name}, which an earlier version made: only its names, figures and claims were compared"


def _changes(theirs: Sequence[str], ours: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    for what, start, end, again_start, again_end in SequenceMatcher(
        None, theirs, ours, autojunk=False
    ).get_opcodes():
        if what != "equal":
            yield theirs[start:end], ours[again_start:again_end]


def _compare_claims(checking: Checking, name: str, texts: Sequence[str], again: Sequence[str]) -> None:
    if len(texts) > MOST_WORDS:
        checking.differs(name, "text", f"{len(texts)} texts", f"{len(again)} texts")
        return
    names = tuple(for_picture(one) for one in _names(checking.record))
    for was, now in _changes(texts, again):
        published, recomputed = " ".join(was), " ".join(now)
        if _claims(published, names) != _claims(recomputed, names):
            checking.differs(name, "text", published or None, recomputed or None)
        elif len(checking.notes) < MOST_TOLD:
            checking.notes.append(
                f"{name} reads otherwise today: {recomputed[:300]!r}; published: {published[:300]!r}"
            )


def _names(record: Record) -> Iterator[str]:
    """What no version words in its own way: whose run it was, of what, on what, when and where."""
    yield record.run_id
    yield record.created[: len("2026-11-22")]
    if record.model is not None:
        yield from (one for one in (record.model.id, record.model.revision, record.model.dtype) if one)
    if record.task is not None:
        yield from (one for one in (record.task.name, record.task.protocol) if one)
    yield from dict.fromkeys(device.name for device in record.environment.devices)
    yield from (one for quality in record.quality for one in (quality.metric, quality.source))


def _claims(text: str, names: Sequence[str]) -> list[str]:
    """What a text claims, whatever its sentences: its numbers, the words that grade or turn a figure round, and the names in it."""
    told = re.findall(
        r"\d[\d.,]*|★+|\b(?:stars?|not rated|firm|provisional|measured|normalised|converted|indicative|estimated|certif\w*|accredit\w*"
        r"|less|more|fewer|valid|degraded|invalid|example|[gc]pu)\b",
        text.lower(),
    )
    return [*told, *(name for name in names if name in text)]


_ROW = re.compile(r"^\| (.+?) \| (.*) \|$")


def _sentences(text: str) -> list[str]:
    """The lines of a section that are neither empty nor of a table."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("|")]


def tables_of(text: str) -> list[dict[str, str]]:
    """The tables of a section: rows by their first cell. Rows of one name, such as several reservations, are counted.

    What a footprint's table tells stands with its run's, under names of its own.
    """
    tables: list[dict[str, str]] = []
    named: str | None = None  # what goes before the names of the table that is open; None where none is
    for line in text.splitlines():
        found = _ROW.match(line)
        if line == card.FOOTPRINT_TABLE[0] and tables:
            named = "Footprint, "
        elif line in (card.TABLE[1], card.FOOTPRINT_TABLE[1]):
            continue
        elif found is None:
            named = None
        elif found[1] == "What" and found[2] == "Value":
            tables.append({})
            named = ""
        elif named is not None:
            name, number = f"{named}{found[1]}", 2
            while name in tables[-1]:
                name = f"{named}{found[1]} #{number}"
                number += 1
            tables[-1][name] = found[2]
    return tables
