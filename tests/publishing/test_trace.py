"""The trace: the power that was drawn, as a table and as a picture, and nothing where nothing is known."""

from __future__ import annotations

import io
import math
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from virtual import FakeDevice, VirtualClock, constant, steps

from energy_rating.files.reading import Journal, Session, read_journal
from energy_rating.files.windows import Span
from energy_rating.judging.integration.ticks import Tick, in_arrays
from energy_rating.meter import Run, measure
from energy_rating.nouns.errors import SensorFailed
from energy_rating.nouns.records import Channel, Environment, Model, Samples
from energy_rating.publishing import courses
from energy_rating.publishing.courses import Bins, PowerCourse, straightest
from energy_rating.publishing.trace import COLOURS, HEIGHT_PX, WIDTH_PX, plot, table

COLUMNS = ["time_s", "channel", "component", "device", "method", "value", "power_w"]


def a_run(
    folder: Path,
    devices: Callable[[VirtualClock], Sequence[FakeDevice]],
    body: Callable[[Run, VirtualClock], None] = lambda run, clock: clock.sleep(10),
    **options: object,
) -> Journal:
    clock = VirtualClock()
    sensors = devices(clock)
    with measure(
        "other", output_dir=folder / "run", sensors=sensors, clock=clock, report=None, **options
    ) as run:  # type: ignore[arg-type]
        body(run, clock)
    assert run.folder is not None
    return read_journal(run.folder)


def a_gpu(clock: VirtualClock, watts: float = 300.0, **options: object) -> FakeDevice:
    return FakeDevice(clock, *constant(watts), **options)  # type: ignore[arg-type]


def a_journal(
    channel: Channel,
    readings: Iterable[tuple[float, float]],
    spans: Iterable[Span] = (),
    *,
    last_s: float | None = None,
) -> Journal:
    """A journal of one channel, from times and values; each reading takes a millisecond."""
    times, values = zip(*readings, strict=True) if readings else ((), ())
    session = Session(
        started="2026-11-21T09:14:03Z",
        channels=(channel,),
        environment=Environment(),
        samples={channel.id: Samples(start_s=times, end_s=[t + 0.001 for t in times], values=values)},
        spans=tuple(spans),
        findings=(),
        last_s=max(times, default=0.0) + 0.001 if last_s is None else last_s,
        ended=True,
    )
    return Journal(
        run_id="20261121T091403Z-6f1c",
        stage="other",
        model=None,
        task=None,
        load=None,
        sessions=(session,),
        sha256="",
    )


COUNTER = Channel(
    id="gpu0.energy", component="gpu", device="GPU-0", method="counter", accuracy=0.04, period_s=0.1
)
REGISTER = replace(COUNTER, id="gpu0.power", method="power")


def the_image(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGB")


def pixels_of(image: Image.Image, colour: str, box: tuple[int, int, int, int] | None = None) -> int:
    wanted = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return sum(
        count
        for count, found in (image.crop(box) if box else image).getcolors(1 << 24) or ()
        if found == wanted
    )


# ---------------------------------------------------------------------------------------------------------- the table


def test_the_table_has_a_row_for_every_reading_in_the_order_of_time(tmp_path: Path) -> None:
    journal = a_run(tmp_path, lambda clock: [a_gpu(clock), a_gpu(clock, 100.0, number=1, device="GPU-1")])
    frame = table(journal)
    assert list(frame.columns) == COLUMNS
    assert len(frame) == sum(len(samples) for samples in journal.sessions[0].samples.values())
    assert frame.time_s.is_monotonic_increasing
    assert set(frame.channel) == {"gpu0.energy", "gpu0.power", "gpu1.energy", "gpu1.power"}
    assert set(frame.device) == {"GPU-fake", "GPU-1"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"phase_s": 0.037},
        {"known_period": True},
        {"wraps_at_j": 5e3},
        {"tick_s": 0.05},
        {"tick_s": 0.001, "known_period": True},
    ],
)
def test_a_constant_power_is_that_power_in_every_row(tmp_path: Path, options: dict[str, object]) -> None:
    def body(run: Run, clock: VirtualClock) -> None:
        clock.sleep(5)
        with run.window("w"):
            clock.sleep(1)
        clock.sleep(100)

    frame = table(a_run(tmp_path, lambda clock: [a_gpu(clock, **options)], body))
    known = frame.power_w.dropna()
    assert len(known) > 0.95 * len(frame)
    assert known.sub(300).abs().max() < 3


def test_a_step_of_power_is_where_it_was(tmp_path: Path) -> None:
    power, energy = steps((-math.inf, 50), (1004.0, 400))
    frame = table(a_run(tmp_path, lambda clock: [FakeDevice(clock, power, energy)]))
    counted = frame[frame.method == "counter"].dropna()
    assert counted[counted.time_s < 3.9].power_w.sub(50).abs().max() < 1
    assert counted[counted.time_s > 4.2].power_w.sub(400).abs().max() < 4


def test_the_first_reading_of_a_counter_tells_no_power_yet(tmp_path: Path) -> None:
    frame = table(a_run(tmp_path, lambda clock: [a_gpu(clock, has_register=False)]))
    assert math.isnan(frame.power_w[0])
    assert frame.value.notna().all()


def test_a_journal_without_readings_is_an_empty_table_with_its_columns(tmp_path: Path) -> None:
    frame = table(a_run(tmp_path, lambda clock: []))
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 0
    assert frame.power_w.dtype == "float64"


def test_sessions_are_told_apart(tmp_path: Path) -> None:
    for _ in range(2):
        clock = VirtualClock()
        with measure(
            "other",
            output_dir=tmp_path / "run",
            sensors=[a_gpu(clock)],
            clock=clock,
            report=None,
            resume=True,
        ):
            clock.sleep(3)
    frame = table(read_journal(tmp_path / "run"))
    assert list(frame.columns) == [*COLUMNS, "session"]
    assert set(frame.session) == {1, 2}
    assert frame.session.is_monotonic_increasing


def test_a_running_run_has_its_table_already() -> None:
    clock = VirtualClock()
    run = measure("other", sensors=[a_gpu(clock)], clock=clock, report=None)
    with run:
        clock.sleep(2)
        frame = run.trace()
        assert list(frame.columns) == COLUMNS
        assert len(frame) > 10


def test_a_reset_gives_no_power_that_was_not_drawn() -> None:
    readings = [(n / 10, (5e6 if n < 50 else 0.0) + 30.0 * n) for n in range(100)]
    frame = table(a_journal(COUNTER, readings))
    assert frame.power_w.dropna().between(295, 305).all()


def test_a_counter_that_stands_still_tells_no_power() -> None:
    readings = [(n / 10, 30.0 * min(n, 50)) for n in range(200)]
    frame = table(a_journal(COUNTER, readings))
    assert frame[frame.time_s < 4.8].power_w[1:].between(295, 305).all()
    assert frame[frame.time_s > 5.1].power_w.isna().all()


def test_a_power_that_no_device_can_draw_is_no_power() -> None:
    frame = table(a_journal(REGISTER, [(0.0, 300.0), (0.1, 1e6), (0.2, -1.0), (0.3, 310.0)]))
    assert frame.value.tolist() == [300.0, 1e6, -1.0, 310.0]
    assert frame.power_w.isna().tolist() == [False, True, True, False]


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1e7)), min_size=1, max_size=60),
    st.sampled_from([None, 1e6]),
    st.sampled_from([None, 0.1]),
)
@settings(max_examples=100, deadline=None)
def test_whatever_a_counter_says_no_power_is_negative_infinite_or_absurd(
    waits: list[tuple[float, float]], wraps_at_j: float | None, period_s: float | None
) -> None:
    time, readings = 0.0, []
    for wait, value in waits:
        time += wait + 0.002
        readings.append((time, value))
    channel = replace(COUNTER, wraps_at_j=wraps_at_j, period_s=period_s)
    frame = table(a_journal(channel, readings))
    assert frame.power_w.dropna().between(0, 2000).all()


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 0.99), st.floats(1, 1000)), min_size=3, max_size=80)
)
@settings(max_examples=200, deadline=None)
def test_every_tick_stays_in_its_bracket_and_the_order_is_kept(
    gaps: list[tuple[float, float, float]],
) -> None:
    ticks, now, energy = [], 0.0, 0.0
    for gap, share, joules in gaps:
        ticks.append(Tick(earliest_s=now + gap * share, latest_s=now + gap, energy_j=energy))
        now, energy = now + gap, energy + joules
    times = straightest(*in_arrays(ticks)).tolist()
    for tick, time in zip(ticks, times, strict=True):
        assert tick.earliest_s - 1e-6 <= time <= tick.latest_s + 1e-6
    assert times == sorted(times)


@given(
    st.lists(
        st.tuples(st.floats(0.05, 0.2), st.floats(0, 0.04), st.floats(0, 0.04)), min_size=4, max_size=100
    )
)
def test_ticks_that_one_power_explains_are_of_one_power(brackets: list[tuple[float, float, float]]) -> None:
    ticks, now = [], 0.0
    for gap, before, after in brackets:
        now += gap
        ticks.append(Tick(earliest_s=now - 0.001 - before, latest_s=now + 0.001 + after, energy_j=300 * now))
    # The course is begun in the middle of a bracket, so let that be where the tick was.
    ticks[1] = Tick(
        earliest_s=ticks[1].energy_j / 300 - 0.001,
        latest_s=ticks[1].energy_j / 300 + 0.001,
        energy_j=ticks[1].energy_j,
    )
    times = straightest(*in_arrays(ticks)).tolist()
    powers = [
        (b.energy_j - a.energy_j) / (to - since)
        for (a, b), (since, to) in zip(pairwise(ticks[1:]), pairwise(times[1:]), strict=True)
    ]
    assert max(powers) == pytest.approx(min(powers)), "one power explains them all, so there is no other"
    # How far it may be off follows from the last bracket alone.
    true_s, open_s = (ticks[-1].energy_j - ticks[1].energy_j) / 300, ticks[-1].width_s + 0.001
    if open_s < true_s:
        assert 300 * true_s / (true_s + open_s) <= powers[0] <= 300 * true_s / (true_s - open_s)


def string_by_definition(ticks: Sequence[Tick], slope: float | None) -> tuple[list[float], float | None]:
    """The string as it is defined, tick by tick: what ``courses`` reckons in blocks and arrays."""
    times = [tick.time_s for tick in ticks]
    first_slope: float | None = None
    at = 0
    while at < len(ticks) - 1:
        origin_s, origin_j = times[at], ticks[at].energy_j
        bounds = [(-math.inf, at), (math.inf, at)]
        end, bent = at, None
        for index in range(at + 1, min(at + 1 + courses.REACH, len(ticks))):
            joules = ticks[index].energy_j - origin_j
            if joules <= 0:
                break
            flattest = (ticks[index].earliest_s - origin_s) / joules
            steepest = (ticks[index].latest_s - origin_s) / joules
            outside = [flattest > bounds[1][0], steepest < bounds[0][0]]
            if any(outside):
                bent, end = bounds[1 if outside[0] else 0]
                break
            bounds = [
                (flattest, index) if flattest >= bounds[0][0] else bounds[0],
                (steepest, index) if steepest <= bounds[1][0] else bounds[1],
            ]
            end = index
        if end == at:
            at, slope = at + 1, None
            continue
        if bent is None:
            ahead = (times[end] - origin_s) / (ticks[end].energy_j - origin_j)
            bent = min(max(ahead if slope is None else slope, bounds[0][0]), bounds[1][0])
        slope = bent
        first_slope = slope if first_slope is None else first_slope
        for index in range(at + 1, end + 1):
            times[index] = origin_s + slope * (ticks[index].energy_j - origin_j)
        at = end
    return times, first_slope


def straightest_by_definition(ticks: Sequence[Tick]) -> list[float]:
    held = min(range(1, min(len(ticks), courses.HELD_WITHIN)), key=lambda index: ticks[index].width_s)
    if ticks[1].width_s <= 2 * ticks[held].width_s:
        held = 1
    ahead, slope = string_by_definition(ticks[held:], None)
    mirrored = [
        Tick(earliest_s=-tick.latest_s, latest_s=-tick.earliest_s, energy_j=-tick.energy_j)
        for tick in ticks[held::-1]
    ]
    behind, _ = string_by_definition(mirrored, slope)
    return [*(-time for time in reversed(behind[1:])), *ahead]


@pytest.mark.parametrize("seed", range(30))
def test_the_string_is_the_same_however_many_ticks_are_looked_at_together(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(courses, "AT_ONCE", chance.choice([1, 7, 64, 500, 1 << 15]))
    ticks, now, energy, watts = [], 0.0, 0.0, 300.0
    for _ in range(chance.choice([3, 20, 700])):
        gap = 0.1 * chance.choice([1, 1, 1, 1, 2, 7])
        watts = watts if chance.random() < 0.9 else chance.uniform(50, 600)
        now, energy = now + gap, energy + (0.0 if chance.random() < 0.02 else watts * gap)
        early, late = chance.uniform(0, 0.045), chance.uniform(0, 0.045)
        ticks.append(Tick(earliest_s=now - early, latest_s=now + late, energy_j=energy))
    assert straightest(*in_arrays(ticks)).tolist() == straightest_by_definition(ticks)


@pytest.mark.parametrize("seed", range(10))
def test_a_course_is_shared_out_over_bins_as_it_is_piece_by_piece(seed: int) -> None:
    chance = random.Random(seed)
    pieces, now = [], 0.0
    for _ in range(chance.choice([1, 50, 2000])):
        since = now + chance.choice([0.0, 0.0, 0.0, chance.uniform(0, 3)])
        now = since + chance.uniform(0.001, chance.choice([0.2, 5.0]))
        pieces.append((since, now, chance.uniform(0, 700)))
    bin_s, count = now / 40 * chance.choice([1.0, 0.7]), 40
    bins = Bins.of(PowerCourse(*(numpy.array(column) for column in zip(*pieces, strict=True))), bin_s, count)
    for number in range(count):
        seen = [
            (until - begin, watts)
            for since, to, watts in pieces
            if (until := min(to, (number + 1) * bin_s)) > (begin := max(since, number * bin_s))
        ]
        together_s = sum(seconds for seconds, _ in seen)
        assert bins.known[number] == (together_s >= bin_s / 2)
        if bins.known[number]:
            assert bins.means_w[number] == pytest.approx(sum(s * w for s, w in seen) / together_s, rel=1e-12)
            assert bins.lows_w[number] == min(watts for _, watts in seen)
            assert bins.highs_w[number] == max(watts for _, watts in seen)


# -------------------------------------------------------------------------------------------------------- the picture


def test_the_picture_is_a_png_of_its_size_and_the_same_each_time(tmp_path: Path) -> None:
    def body(run: Run, clock: VirtualClock) -> None:
        for _ in range(3):
            with run.window("epoch"), run.window("step"):
                clock.sleep(2)

    journal = a_run(tmp_path, lambda clock: [a_gpu(clock)], body)
    png = plot(journal)
    assert png == plot(journal)
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.size == (WIDTH_PX, HEIGHT_PX)
        assert set(image.info) <= {"dpi"}


def test_measured_is_solid_and_modelled_is_dashed() -> None:
    readings = [(float(n), 100.0) for n in range(60)]
    drawn = {}
    for method in ("power", "model"):
        channel = Channel(id="c", component="cpu", device="cpu", method=method, accuracy=0.5, period_s=1.0)
        drawn[method] = pixels_of(
            the_image(plot(a_journal(channel, readings))), COLOURS["cpu"], (84, 80, 1176, 500)
        )
    assert drawn["power"] > 1000
    assert 0 < drawn["model"] < 0.75 * drawn["power"]


def test_nothing_is_drawn_over_a_gap() -> None:
    readings = [(n / 10, 300.0) for n in range(100) if not 30 <= n < 80]
    image = the_image(plot(a_journal(REGISTER, readings)))
    assert pixels_of(image, COLOURS["gpu"], (84, 90, 380, 500)) > 200
    assert pixels_of(image, COLOURS["gpu"], (440, 90, 920, 500)) == 0


def test_windows_are_shaded_and_the_run_is_not() -> None:
    readings = [(n / 10, 300.0) for n in range(101)]
    run = Span(name="run", start_s=0.0, end_s=10.0)
    bare = the_image(plot(a_journal(REGISTER, readings, [run], last_s=10.0)))
    shaded = the_image(
        plot(a_journal(REGISTER, readings, [run, replace(run, name="w", end_s=5.0)], last_s=10.0))
    )
    assert bare.getpixel((200, 400)) == (255, 255, 255)
    assert shaded.getpixel((200, 400)) != (255, 255, 255)
    assert shaded.getpixel((1000, 400)) == (255, 255, 255)


def test_a_run_without_readings_says_so_and_a_dead_sensor_too(tmp_path: Path) -> None:
    nothing = plot(a_run(tmp_path, lambda clock: []))
    failing = plot(
        a_run(
            tmp_path / "2",
            lambda clock: [a_gpu(clock, fault=lambda t, kind: SensorFailed("it does not answer"))],
        )
    )
    for png in (nothing, failing):
        assert pixels_of(the_image(png), COLOURS["gpu"]) == 0
        assert pixels_of(the_image(png), "#57606a") > 100


def test_a_counter_alone_that_never_ticked_is_no_power_of_zero() -> None:
    png = plot(a_journal(COUNTER, [(n / 10, 5.0) for n in range(5)]))
    assert pixels_of(the_image(png), COLOURS["gpu"]) == 0


@pytest.mark.parametrize(
    "name", ["$x$", "$\\frac{1}", "a_b^c{", "日本語 🚀", "<b>&amp;</b>", "two\nlines", "x" * 10_000]
)
def test_names_are_drawn_as_they_are_written(name: str) -> None:
    journal = a_journal(REGISTER, [(0.0, 1.0), (1.0, 1.0)], [Span(name=name, start_s=0.0, end_s=0.5)])
    assert plot(replace(journal, model=Model(id=name)), title=name).startswith(b"\x89PNG")


def test_markup_is_not_taken_for_mathematics() -> None:
    journal = a_journal(REGISTER, [(0.0, 1.0), (1.0, 1.0)])
    assert plot(journal, title="$x$") != plot(journal, title="x")
    # The dollar signs take their room: the picture of the text is wider than of the letter.
    title = (84, 10, 600, 48)
    dark = {
        name: sum(
            1
            for pixel in the_image(plot(journal, title=name)).crop(title).convert("L").tobytes()
            if pixel < 128
        )
        for name in ("$x$", "x")
    }
    assert dark["$x$"] > 2 * dark["x"]


@pytest.mark.parametrize("count", [1, 8, 9, 20])
def test_any_number_of_devices_can_be_drawn(tmp_path: Path, count: int) -> None:
    journal = a_run(
        tmp_path,
        lambda clock: [a_gpu(clock, 100.0 + n, number=n, device=f"GPU-{n}") for n in range(count)],
        lambda run, clock: clock.sleep(3),
    )
    assert pixels_of(the_image(plot(journal)), COLOURS["gpu"]) > 0


def test_the_sum_of_many_devices_is_not_known_where_one_is_not(tmp_path: Path) -> None:
    def devices(clock: VirtualClock) -> list[FakeDevice]:
        def fault(t: float, kind: str) -> SensorFailed | None:
            return SensorFailed("no answer") if t > 1010 else None

        return [
            a_gpu(
                clock, number=n, device=f"GPU-{n}", has_counter=False, **({"fault": fault} if n == 0 else {})
            )
            for n in range(9)
        ]

    image = the_image(plot(a_run(tmp_path, devices, lambda run, clock: clock.sleep(20))))
    assert pixels_of(image, COLOURS["gpu"], (84, 90, 600, 500)) > 200
    assert pixels_of(image, COLOURS["gpu"], (680, 90, 1176, 500)) == 0


def test_thousands_of_windows_and_hours_of_readings_are_drawn_in_a_moment() -> None:
    spans = [Span(name="request", start_s=3 * n, end_s=3 * n + 1) for n in range(5000)]
    names = [Span(name=f"batch {n}", start_s=30 * n, end_s=30 * n + 30) for n in range(500)]
    journal = a_journal(REGISTER, [(n / 2, 200.0 + n % 7) for n in range(30_000)], [*spans, *names])
    assert pixels_of(the_image(plot(journal)), COLOURS["gpu"]) > 500


@pytest.mark.parametrize("last_s", [0.0, 1e-6, 0.05, 59.0, 3600.0, 1e6])
def test_runs_of_any_length_can_be_drawn(last_s: float) -> None:
    assert plot(a_journal(REGISTER, [(0.0, 100.0), (last_s / 2, 100.0)], last_s=last_s)).startswith(
        b"\x89PNG"
    )


def test_the_users_own_figures_and_settings_are_left_alone() -> None:
    import matplotlib

    journal = a_journal(REGISTER, [(0.0, 1.0), (1.0, 1.0)])
    usual = plot(journal)
    settings_before = dict(matplotlib.rcParams)
    with matplotlib.rc_context(
        {"font.size": 30, "font.family": "serif", "lines.linewidth": 9, "figure.facecolor": "k"}
    ):
        assert plot(journal) == usual
    assert dict(matplotlib.rcParams) == settings_before


def test_the_package_does_not_load_what_only_pictures_need() -> None:
    code = (
        "import sys, energy_rating, energy_rating.publishing.exports.csv, energy_rating.publishing.trace, energy_rating.meter\n"
        "assert not {'pandas', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "from energy_rating.publishing.trace import plot\n"
        "from energy_rating.files.reading import Journal, Session\n"
        "from energy_rating.nouns.records import Environment\n"
        "s = Session(started='', channels=(), environment=Environment(), samples={}, spans=(), findings=(), last_s=0.0, ended=True)\n"
        "plot(Journal(run_id='', stage='other', model=None, task=None, load=None, sessions=(s,), sha256=''))\n"
        "assert not {'matplotlib.pyplot', 'matplotlib.figure', 'matplotlib.axes'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
