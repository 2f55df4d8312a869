"""Readings that are told by how much they differ say the same as those that are told in full, one by one and many together."""

from __future__ import annotations

import io
import json
import random
import zlib
from collections import Counter

import pytest
import random_journals
from hypothesis import given
from hypothesis import strategies as st
from in_full import in_full
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure
from energy_rating.files import reading
from energy_rating.files.journal import JOURNAL_SCHEMA, JOURNAL_SCHEMAS, JournalFile, decoded, encoded
from energy_rating.files.packed import WAITS_S, Packer, packed, unpacked
from energy_rating.files.reading import read_journal_from
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Channel

CHANNELS = [
    Channel(
        id=f"gpu{gpu}.{kind}",
        component="gpu",
        device=f"GPU-{gpu}",
        method="counter" if kind == "energy" else "power",
        accuracy=0.04,
    )
    for gpu in range(3)
    for kind in ("energy", "power")
]


def header(schema=JOURNAL_SCHEMA, number=0):
    return random_journals.header(schema, number, CHANNELS)


def some_readings(seed, count=400):
    """Readings of changing sets of GPUs: close together and a second apart, with holes, wrap-around and digits that cannot be packed."""
    chance = random.Random(seed)
    t, joules = 0.0, [1e6 * (gpu + 1) for gpu in range(3)]
    for number in range(count):
        pace = 1.0 if number // 100 % 2 else 0.02
        t = round(t + pace * (0.9 + 0.2 * chance.random()) + (30 if chance.random() < 0.01 else 0), 6)
        gpus = range(3) if pace == 1.0 else chance.sample(range(3), chance.choice([1, 1, 2]))
        values = {}
        for gpu in gpus:
            joules[gpu] = round(joules[gpu] + 300 * pace * chance.random(), chance.choice([0, 3, 3, 6]))
            if chance.random() < 0.01:
                joules[gpu] = 0.0
            values[f"gpu{gpu}.energy"] = joules[gpu]
            if pace < 1.0:
                values[f"gpu{gpu}.power"] = (
                    chance.random() if chance.random() < 0.02 else round(300 * chance.random(), 3)
                )
        yield {"t": t, "dt": round(1e-4 * chance.random(), 6), "r": values}


def lines_of(entries):
    packer = Packer()
    lines = [line for entry in entries for line in packer.add(entry)]
    return [*lines, *packer.flush()]


def read_together(content, together_from):
    """The journal, read many lines at a time from so many bytes on."""
    before = reading.TOGETHER_FROM
    reading.TOGETHER_FROM = together_from
    try:
        return read_journal_from(io.BytesIO(content), place="journal")
    finally:
        reading.TOGETHER_FROM = before


def told(content, together_from=1):
    try:
        journal = read_together(content, together_from)
    except BadInput as error:
        return str(error)
    return journal.damage, [
        {name: (list(s.start_s), list(s.end_s), list(s.values)) for name, s in session.samples.items()}
        for session in journal.sessions
    ]


@given(st.lists(st.integers(-(1 << 53), 1 << 53)))
def test_whole_numbers_come_back_from_their_text(numbers):
    assert unpacked(packed(numbers)) == numbers


@pytest.mark.parametrize("text", ["g", "A!", "A=", "gggggggggggggggA", "é"])
def test_a_text_of_no_numbers_is_refused(text):
    with pytest.raises(ValueError, match="packed"):
        unpacked(text)


@pytest.mark.parametrize("seed", range(40))
def test_packed_readings_are_those_that_were_taken(seed):
    entries = list(some_readings(seed))
    full = b"".join(map(encoded, [header(), *entries]))
    lines = lines_of(entries)
    small = b"".join(map(encoded, [header(), *lines]))
    assert len(small) < len(full)
    assert told(small, 10**9) == told(full, 10**9)
    assert told(small) == told(full)
    # No set of channels is told by differences alone for longer than a minute.
    assert sum("n" in line for line in lines) >= (entries[-1]["t"] - entries[0]["t"]) // 60


@pytest.mark.parametrize("seed", range(40))
def test_damage_of_packed_readings_is_told_alike_one_by_one_and_together(seed):
    chance = random.Random(seed)
    lines = [encoded(line) for line in lines_of(some_readings(seed, 150))]
    for _ in range(8):
        some = list(lines)
        place = chance.randrange(len(some))
        what = chance.choice(["lost", "twice", "swapped", "changed", "cut"])
        if what == "lost":
            del some[place]
        elif what == "twice":
            some.insert(place, some[place])
        elif what == "swapped":
            some[place - 1], some[place] = some[place], some[place - 1]
        elif what == "changed":
            at = chance.randrange(len(some[place]))
            some[place] = some[place][:at] + bytes([some[place][at] ^ 1]) + some[place][at + 1 :]
        else:
            some[place] = some[place][: chance.randrange(len(some[place]))]
        content = encoded(header()) + b"".join(some)
        assert told(content) == told(content, 10**9), what
        is_packed = lines[place].startswith(b'{"d":') or b',"n":[' in lines[place]
        if what in ("lost", "twice") and is_packed and place < len(lines) - 1:
            assert told(content)[0] is not None, what


def test_the_first_schema_has_no_packed_readings():
    content = b"".join(map(encoded, [header(JOURNAL_SCHEMAS[0]), *lines_of(some_readings(0, 50))]))
    assert "kind of line" in told(content)[0]
    assert told(content) == told(content, 10**9)


@pytest.mark.parametrize("seed", range(10))
def test_what_follows_lines_that_the_writer_lost_is_read(seed):
    """A disk that is full: of many lines one is kept."""
    chance, packer, kept, lines = random.Random(seed), Packer(), [], [header()]
    for entry in some_readings(seed):
        if chance.random() < 0.05:
            packer.flush()
            packer.restart()
        else:
            kept.append(entry)
            lines += packer.add(entry)
            lines += packer.flush()
    small = b"".join(map(encoded, lines))
    assert told(small, 10**9) == told(small) == told(b"".join(map(encoded, [header(), *kept])))


def test_a_packer_that_was_broken_off_or_whose_lines_were_lost_tells_all_anew():
    packer = Packer()
    first, second, third = list(some_readings(3, 3))
    lines = packer.add(first)
    packer.restart()
    lines = packer.add(second) + packer.add(third)
    assert all("n" in line for line in lines if "r" in line)


# ------------------------------------------------------------------------------------------------- journals of chance


def everything(content, together_from):
    """All that a journal says, read many lines at a time from so many bytes on."""
    try:
        journal = read_together(content, together_from)
    except BadInput as error:
        return str(error)
    return (
        (journal.damage, journal.reads_on, journal.sha256),
        [
            (
                {name: (*map(list, (s.start_s, s.end_s, s.values)),) for name, s in session.samples.items()},
                [(span, [*map(type, span.work.values())]) for span in session.spans],
                (session.last_s, session.ended, session.conditions),
            )
            for session in journal.sessions
        ],
    )


@pytest.mark.parametrize("seed", range(100))
def test_journals_of_both_schemas_say_the_same_one_by_one_and_many_lines_at_a_time(seed):
    """Resumed, with wrap-around, holes, counters that begin anew, whole and damaged."""
    chance = random.Random(seed)
    is_packed = seed % 3 != 0
    lines = random_journals.lines_of(
        seed, schema=JOURNAL_SCHEMAS[1 if is_packed else seed % 2], is_packed=is_packed
    )
    plain_lines = random_journals.lines_of(seed, is_packed=False)
    whole = everything(b"".join(lines), 10**9)
    assert whole == everything(b"".join(lines), 1)
    if is_packed:
        assert whole[1] == everything(b"".join(plain_lines), 10**9)[1]
    for _ in range(3):
        content = random_journals.damaged(lines, chance)
        assert everything(content, 10**9) == everything(content, 1)


def small():
    """A journal of two sessions with all kinds of line, packed."""
    return b"".join(random_journals.lines_of(115, most=30))


def test_a_packed_journal_cut_or_changed_at_any_byte_tells_nothing_but_what_was_measured():
    content = small()
    assert content.count(b'{"d":') > 5
    assert content.count(b'"schema"') > 1

    def readings(journal):
        return Counter(
            (number, name, start, value)
            for number, session in enumerate(journal.sessions)
            for name, s in session.samples.items()
            for start, value in zip(s.start_s, s.values, strict=True)
        )

    whole = read_journal_from(io.BytesIO(content), place="journal")
    true = readings(whole)
    windows = Counter((span.name, span.start_s) for session in whole.sessions for span in session.spans)
    for at in range(content.index(b"\n") + 1, len(content)):
        if at % 5 == 0:
            cut = read_journal_from(io.BytesIO(content[:at]), place="journal")
            assert cut.damage is None
            assert not readings(cut) - true
        changed = read_journal_from(
            io.BytesIO(content[:at] + bytes([content[at] ^ 0x15]) + content[at + 1 :]), place="journal"
        )
        assert changed.damage is not None or at == len(content) - 1
        assert not readings(changed) - true, at
        assert (
            not Counter((span.name, span.start_s) for session in changed.sessions for span in session.spans)
            - windows
        )


def steady(minutes, window_s=20.0):
    """Readings once a second with windows beside each other."""
    yield {"open": 0, "name": "run", "t": 0.0}
    number = 0
    for second in range(int(minutes * 60)):
        if second % window_s == 0:
            if number:
                yield {"close": number, "t": float(second), "work": {"step": 1}}
            number += 1
            yield {"open": number, "name": "step", "t": float(second)}
        values = {f"gpu{gpu}.energy": 1e6 + 300.0 * second for gpu in range(3)}
        yield {"t": float(second), "dt": 0.0001, "r": values}
    end_s = 60.0 * minutes
    yield {"close": number, "t": end_s, "work": {"step": 1}}
    yield {"close": 0, "t": end_s, "work": {}}
    yield {"end": end_s}


def packed_lines(entries):
    packer, lines = Packer(), [header()]
    for entry in entries:
        lines += packer.add(entry) if "r" in entry else [*packer.flush(), entry]
    return [encoded(line) for line in [*lines, *packer.flush()]]


@pytest.mark.parametrize("how", ["changed", "missing"])
@pytest.mark.parametrize("seed", range(6))
def test_damage_costs_a_minute_of_readings_at_most_and_is_told(seed, how):
    lines = packed_lines(steady(10))
    place = random.Random(seed).choice([n for n, line in enumerate(lines[:-90]) if line.startswith(b'{"d"')])
    where_s = min(
        entry["t"] for line in lines[place:] if "t" in (entry := decoded(line, place="line")) and "r" in entry
    )
    if how == "changed":
        lines[place] = lines[place].replace(b'{"d":"', b'{"d":"C')
    else:
        del lines[place]
    for together_from in (1, 10**9):
        (damage, reads_on, _), [(samples, spans, (_, ended, _))] = everything(b"".join(lines), together_from)
        # A line that is missing is noticed by the next that is numbered.
        assert place + 1 <= int(damage.split()[1].rstrip(":")) <= place + 1 + 3 * (how == "missing")
        assert reads_on
        assert ended
        missing = sorted(set(range(600)) - {round(one) for one in samples["gpu0.energy"][0]})
        assert missing
        assert missing == [*range(missing[0], missing[-1] + 1)]
        assert len(missing) <= 60
        assert missing[-1] < where_s
        assert len(spans) == 31, "no window is lost"
        assert all(span.closed for span, _ in spans)


def test_a_window_whose_end_is_lost_ends_where_the_line_is_lost():
    lines = packed_lines(steady(10))
    place = next(n for n, line in enumerate(lines) if line.startswith(b'{"close":5,'))
    lines[place] = lines[place].replace(b"step", b"stop", 1)
    _, [(_, spans, _)] = everything(b"".join(lines), 1)
    lost = [span for span, _ in spans if not span.closed]
    assert [(span.name, span.start_s) for span in lost] == [("step", 80.0)]
    assert lost[0].end_s == pytest.approx(99, abs=1.1)
    assert len(spans) == 31


def test_a_window_whose_beginning_is_lost_is_lost_and_no_other():
    lines = packed_lines(steady(10))
    place = next(n for n, line in enumerate(lines) if line.startswith(b'{"open":5,'))
    lines[place] = lines[place].replace(b"step", b"stop", 1)
    _, [(_, spans, _)] = everything(b"".join(lines), 1)
    assert len(spans) == 30
    assert all(span.closed for span, _ in spans)


def test_of_a_session_whose_beginning_is_lost_nothing_is_taken_for_the_session_before():
    first, second = packed_lines(steady(3)), packed_lines(steady(3))
    # With the header of the second: there is a mark of one, or times go back.
    for lost in (second[0][:300] + b"x" + second[0][301:], b"x\n", b""):
        content = b"".join([*first[:-3], lost, *second[1:]])
        said = everything(content, 1)
        assert said == everything(content, 10**9)
        (damage, reads_on, _), sessions = said
        assert damage is not None
        assert not reads_on
        assert len(sessions) == 1
        assert max(sessions[0][0]["gpu0.energy"][0]) < 180


def test_numbers_and_sets_that_cannot_be_are_damage_where_they_stand():
    good = packed_lines(steady(0.2))
    entry = decoded(good[2], place="line") if b'"n"' in good[2] else decoded(good[3], place="line")
    for n in (
        [0],
        [0, 0, 3, 3, 3, 3],
        [0, -1, 1, 3, 3, 3],
        [0, 1024, 1, 3, 3, 3],
        [2000, 0, 1, 3, 3, 3],
        [0, 0, 1, 3, 3, 2],
        "n",
        [True, 0, 1, 3, 3, 3],
    ):
        content = b"".join([good[0], encoded(entry | {"n": n})])
        for together_from in (1, 10**9):
            assert "does not hold what it should" in everything(content, together_from)[0][0]


def test_a_reading_waits_no_longer_for_others_than_is_promised(tmp_path):
    """What a process that is killed now would lose: the file is looked at, and nothing is asked of the run."""
    clock = VirtualClock()
    power, energy = constant(300)
    heard = []
    gpus = [
        FakeDevice(
            clock=clock,
            power=power,
            energy=lambda t: round(energy(t), 3),
            device=f"GPU-{n}",
            number=n,
            phase_s=0.0123 * n,
        )
        for n in range(8)
    ]
    run = measure(output_dir=tmp_path / "run", sensors=gpus, clock=clock, report=None).start()
    run._sampler.heard = lambda channels, start, end, values: heard.append(end)
    path = tmp_path / "run" / "journal.jsonl"
    zero_s = clock.now()
    for _ in range(150):
        clock.sleep(0.0137)
        if not heard:
            continue
        lines = path.read_bytes().splitlines(keepends=True)
        last_s = max(entry["t"] + entry["dt"] for entry in in_full(lines) if "r" in entry)
        assert last_s >= min(heard[-1], clock.now() - WAITS_S) - zero_s - 0.02
    run.stop()
    assert any(line.startswith(b'{"d"') for line in path.read_bytes().splitlines())


@pytest.mark.parametrize("seed", range(20))
def test_lines_that_are_no_readings_are_lost_among_packed_ones_alike_one_by_one_and_together(seed):
    chance = random.Random(seed)
    lines = random_journals.lines_of(seed)
    others = [n for n, line in enumerate(lines) if line.startswith((b'{"open"', b'{"close"', b'{"cond'))]
    for place in chance.sample(others, min(len(others), 2)):
        lines[place] = lines[place].replace(b'"t":', b'"s":')
    content = b"".join(lines)
    assert everything(content, 10**9) == everything(content, 1)


def test_packed_numbers_are_no_secret_whatever_they_look_like(tmp_path):
    """Letters at random look like a path, or like a token, now and then."""
    journal = JournalFile(None, None)
    for text in (
        "sk/abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKL",
        "hf+AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
        "/home/someone/x",
    ):
        entries = [{"d": text}, {"open": 1, "name": "w", "t": 0.0}]
        for some in (entries[:1], entries):
            line = journal.block(*some).content.splitlines(keepends=True)[0]
            assert decoded(line, place="line") == {"d": text}


@pytest.mark.parametrize("seed", range(1, 12, 2))
def test_readings_that_somebody_else_wrote_in_another_way_stand_in_their_place(seed):
    """JSON allows blanks, and more."""
    chance = random.Random(seed)
    lines = random_journals.lines_of(seed, is_packed=seed % 3 != 0)
    for place in chance.sample(range(1, len(lines)), 5):
        entry = decoded(lines[place], place="line")
        text = (
            json.dumps(entry) if chance.random() < 0.5 else json.dumps(entry).replace("{", "{ ", 1)
        ).encode()
        lines[place] = text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text)
    content = b"".join(lines)
    assert everything(content, 10**9)[0][0] is None
    assert everything(content, 10**9) == everything(content, 1)
