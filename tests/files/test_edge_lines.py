"""Lines of windows taken many at a time are those taken one by one."""

from __future__ import annotations

import io
import json
import random
import zlib
from typing import Any

import pytest

from energy_rating.files import edge_lines, reading
from energy_rating.files.journal import decoded, encoded
from energy_rating.files.reading import read_journal_from
from energy_rating.nouns.errors import BadInput


def header(schema: str) -> dict[str, Any]:
    return {
        "schema": schema,
        "run_id": "20260101T000000Z-0000",
        "stage": "other",
        "model": None,
        "task": None,
        "load": None,
        "channels": [],
        "environment": {"devices": [], "software": {}},
        "started": "2026-01-01T00:00:00Z",
    }


NAMES = ["step", "step", "step", "évaluation", 'a "name" \\ of 3', "1e5", "run"]


def lines_of_windows(chance: random.Random) -> list[bytes]:
    """A session's lines: windows one after the other, now and then nested, interleaved, counted into, noted late or told wrongly."""
    schema = chance.choice(["energy-rating/journal/1", "energy-rating/journal/2", "energy-rating/journal/2"])
    lines: list[Any] = [header(schema), {"open": 0, "name": "run", "t": 0.0}]
    wild = chance.choice([0.0, 0.01, 0.05, 0.3])
    t, key, done, open_now = 0.0, 1, 0, [0]
    names = chance.sample(NAMES, chance.choice([1, 2, 4]))
    for _ in range(chance.choice([30, 300])):
        t = round(t + chance.choice([0.0, 1e-6, 0.01]), 6)
        close = {
            "close": key,
            "t": t,
            "work": chance.choice([{"token": 1}, {"token": 1}, {"request": 0.5}, {}]),
        }
        if chance.random() < wild:
            what = chance.choice(
                [
                    "nested",
                    "count",
                    "early",
                    "again",
                    "unknown",
                    "large",
                    "late",
                    "tiny",
                    "float key",
                    "minus",
                    "raw",
                ]
            )
            if what == "nested":
                lines.append({"open": key, "name": "epoch", "t": t})
                open_now.append(key)
            elif what == "count":
                lines.append({"count": open_now[-1], "t": t, "work": {"token": done}})
            elif what == "early":
                lines.append({"open": key, "name": "noted", "t": max(t - 1, 0.0)})
                lines.append({"close": key, "t": t, "work": {}})
            elif what == "again":
                lines.append({"open": max(key - 1, 1), "name": "again", "t": t})
            elif what == "unknown":
                lines.append({"close": 9999, "t": t, "work": {}})
            elif what == "raw":
                body = chance.choice(
                    [
                        b'{"open":%d,"open":%d,"name":"x","t":1.0' % (key, key),
                        b'{"close":%d ,"t":1,"work":{}' % key,
                        b'{"t":1,"open":%d,"name":"x"' % key,
                        b'{"open":-0,"name":"x","t":1E1',
                        b'{"open":%d,"name":"x\\ud800","t":1.0' % key,
                        b'{"close":%d,"t":1e400,"work":{}' % key,
                    ]
                )
                lines.append(body + b',"crc":"%08x"}\n' % zlib.crc32(body + b"}"))
            else:
                amount = {"large": 1 << 60, "tiny": 1e-12, "minus": -1}.get(what, 1)
                lines.append({"open": float(key) if what == "float key" else key, "name": "w", "t": t})
                if what == "late":
                    t -= 0.5
                lines.append({"close": key, "t": t, "work": {"token": amount}})
            key += 1
            continue
        lines.append({"open": key, "name": chance.choice(names), "t": t})
        t = round(t + chance.choice([0.0, 1e-5, 0.02]), 6)
        close |= {"close": key, "t": t}
        if schema.endswith("2") and len(open_now) == 1 and close["work"] and chance.random() < 0.95:
            done += close["work"].get("token", 0)
            told = done - chance.choice([0, 0, 0, 0, 3]) if chance.random() < wild else done
            close["run"] = {"token": told, **({"loss": 0.5 * key} if chance.random() < wild else {})}
        lines.append(close)
        key += 1
        if len(open_now) > 1 and chance.random() < 0.1:
            lines.append({"close": open_now.pop(), "t": t, "work": {"token": 5}})
    if chance.random() < 0.6:
        lines += [{"close": 0, "t": t + 1, "work": {"token": done}}, {"end": t + 1}]
    content = [line if isinstance(line, bytes) else encoded(line) for line in lines]
    if chance.random() < wild * 3:
        place = chance.randrange(1, len(content))
        content[place] = (
            content[place].replace(b'"t"', b'"u"') if chance.random() < 0.5 else content[place][:-9]
        )
    return content


def told(content: bytes) -> Any:
    try:
        journal = read_journal_from(io.BytesIO(content), place="journal")
    except BadInput as error:
        return str(error)
    return journal.damage, [
        (
            [(span, [*map(type, span.work.values())]) for span in session.spans],
            session.counted,
            session.last_s,
            session.ended,
        )
        for session in journal.sessions
    ]


@pytest.mark.parametrize("seed", range(150))
def test_windows_taken_together_are_those_taken_one_by_one(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    content = b"".join(lines_of_windows(chance))
    monkeypatch.setattr(reading, "TOGETHER_FROM", 1 << 60)
    singly = told(content)
    monkeypatch.setattr(reading, "TOGETHER_FROM", 1)
    for fewest, of_pairs in ((1, 1), (1, 3), (1, 1 << 60), (64, 8)):
        monkeypatch.setattr(edge_lines, "FEWEST", fewest)
        monkeypatch.setattr(edge_lines, "FEWEST_PAIRS", of_pairs)
        assert told(content) == singly


def test_windows_that_follow_each_other_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Any] = [header("energy-rating/journal/2"), {"open": 0, "name": "run", "t": 0.0}]
    for key in range(1, 3001):
        lines.append({"open": key, "name": "step", "t": key / 10})
        lines.append({"close": key, "t": key / 10 + 0.05, "work": {"token": 2}, "run": {"token": 2 * key}})
    parsed = []

    def noted(line: bytes, place: str) -> dict[str, Any]:
        parsed.append(json.loads(line))
        return decoded(line, place=place)

    monkeypatch.setattr(reading, "decoded", noted)
    content = b"".join(map(encoded, lines))
    (session,) = read_journal_from(io.BytesIO(content), place="journal").sessions
    assert len(parsed) < 20
    assert len(session.spans) == 3001
    assert session.spans[0].work == {"token": 6000}, "what the last of them told is the run's"
    assert not session.counted
