"""Windows of hooks, of loops and of requests: each ends once, whatever the program does with it, and nothing is raised into it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from one_gpu import codes, ended, run_on_one_gpu, state_apart  # noqa: F401  fixtures
from virtual import FakeDevice, VirtualClock, steps

from energy_rating import NotMeasured, measure


def work(run, seconds=1.0):
    run.settings.clock.sleep(seconds)


# ---------------------------------------------------------------------------------------------------- begin and end hooks


class Callback:
    """As a framework's: one function is called where a step begins, and another where it ends."""

    def __init__(self, run):
        self.window = run.window("step")

    def on_step_begin(self):
        self.window.open()

    def on_step_end(self, tokens):
        self.window.close(token=tokens)


def test_hooks_open_and_close_windows(run):
    callback = Callback(run)
    for tokens in (100, 200, 300):
        callback.on_step_begin()
        work(run, 2)
        callback.on_step_end(tokens)
        work(run, 1)
    record = ended(run)
    assert record["step"].n == 3
    assert record["step"].work == {"token": 600}
    assert record["step"].energy_j["gpu"].value == pytest.approx(1800, rel=0.01)
    assert record["run"].work == {"token": 600}
    assert record["step"].validity == "valid"


def test_what_is_counted_at_the_run_between_two_hooks_is_in_the_window(run):
    window = run.window("epoch").open()
    work(run)
    run.count(token=7)
    window.count(batch=1)
    window.close(sample=2)
    run.count(token=1)
    record = ended(run)
    assert record["epoch"].work == {"token": 7, "batch": 1, "sample": 2}
    assert record["run"].work == {"token": 8, "batch": 1, "sample": 2}


def test_a_window_is_closed_from_another_thread_or_task_than_it_was_opened_in(run):
    window = run.window("a").open()
    work(run)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(window.close, token=5).result()
    other = run.window("b")

    async def both():
        await asyncio.create_task(asyncio.to_thread(other.open))
        work(run)
        await asyncio.to_thread(other.close, token=6)

    asyncio.run(both())
    run.count(sample=1)  # in none of them any more
    record = ended(run)
    assert record["a"].work == {"token": 5}
    assert record["b"].work == {"token": 6}
    assert record["run"].work == {"token": 11, "sample": 1}


def test_a_window_that_is_closed_twice_is_told_and_counts_once(run):
    window = run.window("step").open()
    work(run)
    window.close(token=5)
    work(run)
    window.close()
    window.close()
    record = ended(run)
    assert record["step"].energy_j["gpu"].value == pytest.approx(300, rel=0.01)
    assert record["step"].work == {"token": 5}
    assert codes(record).count("window-not-open") == 1
    assert record["step"].validity == "valid"


def test_work_that_comes_with_a_close_without_an_open_is_told_as_left_out(run):
    run.window("step").close(token=5)
    run.window("step").count(token=5)
    record = ended(run)
    assert "count-refused" in codes(record)
    assert record["run"].work == {}
    assert record["run"].validity == "degraded", "the figure per token lacks five of them"


def test_a_window_that_is_opened_twice_ends_where_it_is_opened_again(run):
    window = run.window("step").open()
    work(run, 1)
    window.open()
    work(run, 2)
    window.close(token=1)
    record = ended(run)
    assert record["step"].n == 2
    assert record["step"].duration_s == pytest.approx(3)
    assert "window-reopened" in codes(record)


def test_windows_that_are_never_closed_end_with_the_run_and_are_told_once(run):
    for _ in range(1000):
        run.window("step").open()
    work(run)
    record = ended(run)
    assert record["step"].n == 1000
    told = [finding for finding in record.findings if finding.code == "window-left-open"]
    assert len(told) == 1
    assert told[0].message.startswith("1000 windows 'step'")


def test_a_handle_goes_on_to_be_one_after_its_run(run):
    window = run.window("step").open()
    work(run)
    record = ended(run)
    window.close(token=1)
    window.open()
    window.close()
    window.close()
    assert record["step"].n == 1


def test_a_thousand_kinds_of_misuse_do_not_flood_the_record(run):
    for number in range(1000):
        run.window(f"step {number}").close()
    assert codes(ended(run)).count("window-not-open") <= 100


# --------------------------------------------------------------------------------------------------------------- steps


def test_a_loop_has_a_window_for_each_item_and_counts_its_work(run):
    seen = []
    for item in run.steps([[1, 2], [3], [4, 5, 6]], token=len, batch=1):
        seen.append(item)
        work(run, 2)
    record = ended(run)
    assert seen == [[1, 2], [3], [4, 5, 6]]
    assert record["step"].n == 3
    assert record["step"].work == {"token": 6, "batch": 3}
    assert record["step"].energy_j["gpu"].value == pytest.approx(1800, rel=0.01)
    assert record["run"].work == {"token": 6, "batch": 3}
    assert not {"window-left-open", "window-not-open", "windows-overlap"} & set(codes(record))


def test_the_wait_for_the_next_item_is_in_the_step_before(run):
    def loader():
        for number in range(4):
            work(run, 1)
            yield number

    for _ in run.steps(loader()):
        work(run, 2)
    record = ended(run)
    assert record["step"].n == 4
    assert record["step"].duration_s == pytest.approx(4 * 2 + 3 * 1)


def lines_of(run):
    return [json.loads(line) for line in run.journal.read_bytes().splitlines()]


def are_all_closed(run):
    lines = lines_of(run)
    opened = {line["open"] for line in lines if "open" in line} - {0}
    return opened == {line["close"] for line in lines if "close" in line}


def test_a_loop_that_is_left_by_break_has_closed_its_window(run):
    for number in run.steps(range(10), token=5):
        work(run)
        if number == 3:
            break
    assert are_all_closed(run)
    work(run, 5)
    record = ended(run)
    assert record["step"].n == 4
    assert record["step"].work == {"token": 20}
    assert record["step"].duration_s == pytest.approx(4)


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_loop_that_is_left_by_an_exception_has_closed_its_window(run, raised):
    def train():
        for number in run.steps(range(10)):
            work(run)
            if number == 3:
                raise raised("out of the loop")

    with pytest.raises(raised, match="out of the loop"):
        train()
    assert are_all_closed(run)
    assert ended(run)["step"].n == 4


def test_what_the_loader_raises_goes_on_to_the_program(run):
    def loader():
        yield 1
        raise OSError("the data are gone")

    with pytest.raises(OSError, match="the data are gone"):
        for _ in run.steps(loader()):
            work(run)
    assert are_all_closed(run)


def test_a_generator_that_is_closed_in_a_step_has_closed_its_window(run):
    def answers():
        for number in run.steps(range(10)):
            work(run)
            yield number

    stream = answers()
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()
    assert are_all_closed(run)
    assert ended(run)["step"].n == 2


def test_the_length_is_that_of_what_was_given():
    run = measure("other", report=None)
    assert len(run.steps(range(7))) == 7
    assert run.steps(range(7))
    assert not run.steps([])
    assert run.steps(iter(range(7)))
    with pytest.raises(TypeError):
        len(run.steps(iter(range(7))))
    assert list(run.steps(iter(range(3)))) == [0, 1, 2], "a run that has not begun loses no item"


def test_each_loop_over_the_steps_is_one_over_the_loader(run):
    loader = run.steps([1, 2], token=1)
    for _ in range(3):
        with run.window("epoch"):
            assert list(loader) == [1, 2]
            work(run)
    record = ended(run)
    assert record["step"].n == 6
    assert record["epoch"].work == {"token": 6}


def test_loops_inside_each_other_have_windows_of_their_own(run):
    for _ in run.steps(range(2), name="epoch"):
        for _ in run.steps(range(3), token=1):
            work(run)
    record = ended(run)
    assert record["epoch"].n == 2
    assert record["epoch"].work == {"token": 6}
    assert record["step"].n == 6


def test_a_function_that_cannot_count_an_item_is_told_and_the_loop_goes_on(run):
    seen = []
    for item in run.steps([[1], None, [1, 2]], token=len):
        seen.append(item)
        work(run)
    record = ended(run)
    assert seen == [[1], None, [1, 2]]
    assert record["step"].work == {"token": 3}
    assert codes(record).count("count-refused") == 1
    assert record["step"].n == 3


def test_work_is_asked_before_the_program_may_change_the_item(run):
    batches = [{"ids": [1, 2]}, {"ids": [3]}]
    for batch in run.steps(batches, token=lambda batch: len(batch["ids"])):
        batch.pop("ids")
        work(run)
    assert ended(run)["step"].work == {"token": 3}


def test_loops_in_threads_do_not_mix(run):
    together = threading.Barrier(4)

    def loop(number):
        for _ in run.steps(range(number), name=f"loop {number}", token=1):
            run.count(sample=1)
        together.wait()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(loop, range(1, 5)))
    record = ended(run)
    for number in range(1, 5):
        assert record[f"loop {number}"].work == {"token": number, "sample": number}


# ------------------------------------------------------------------------------------------------------------ requests


def test_requests_side_by_side_share_the_energy_of_the_time_in_which_any_was_under_way(run):
    first, second = run.request().open(), run.request()
    work(run, 2)
    second.open()
    work(run, 2)
    first.close(token=30)
    work(run, 2)
    second.close(token=10)
    record = ended(run)
    assert record["request"].work == {"request": 2, "token": 40}
    assert record["request"].energy_j["gpu"].value == pytest.approx(1800, rel=0.01)
    assert record["request"].energy_per("request").value == pytest.approx(900, rel=0.01)
    assert "windows-overlap" in codes(record)
    assert record["request"].energy_j["gpu"].value <= record["run"].energy_j["gpu"].value


def test_a_request_that_fails_is_in_the_energy_and_is_no_request(run):
    for answer in ("yes", "no", "yes"):
        with contextlib.suppress(RuntimeError), run.request(token=5) as request:
            work(run)
            if answer == "no":
                raise RuntimeError("no answer")
            request.count(token=1)
    run.request().open().failed()
    record = ended(run)
    assert record["request"].work == {"request": 2, "token": 12}
    assert record["request"].n == 4
    assert record["request"].energy_j["gpu"].value == pytest.approx(900, rel=0.02)


def test_requests_in_tasks_count_into_themselves(run):
    async def serve(tokens):
        with run.request():
            await asyncio.sleep(0)
            run.count(token=tokens)

    async def all_of_them():
        await asyncio.gather(*(serve(tokens) for tokens in range(10)))

    asyncio.run(all_of_them())
    record = ended(run)
    assert record["request"].work == {"request": 10, "token": 45}
    assert record["run"].work == {"request": 10, "token": 45}


def test_the_shares_of_requests_add_up_to_the_energy_of_their_union(run):
    """Alone for 2 s, two of them for 2 s, alone for 2 s, and one for itself: 900, 900 and 300 J of 2,100 at 300 W."""
    first, second = run.request().open(), run.request()
    work(run, 2)
    second.open()
    work(run, 2)
    first.close(token=30)
    work(run, 2)
    second.close(token=10)
    work(run, 3)
    with run.request():
        work(run, 1)
    record = ended(run)
    shares = run.shares()
    assert [one.energy_share_j["gpu"].value for one in shares] == pytest.approx([900, 900, 300], rel=0.01)
    assert sum(one.energy_share_j["gpu"].value for one in shares) == pytest.approx(
        record["request"].energy_j["gpu"].value
    )
    assert sum(one.share for one in shares) == pytest.approx(1)
    assert shares[0].work == {"request": 1, "token": 30}
    assert shares[0].duration_s == pytest.approx(4)


def test_shares_follow_the_power_at_each_moment(tmp_path):
    """100 W in the first second, 500 W in the next: who was there only in the second has half of that one alone."""
    clock = VirtualClock()
    power, energy = steps((-math.inf, 100.0), (1001.0, 500.0))
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure("inference", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        first, second = run.request().open(), run.request()
        clock.sleep(1)
        second.open()
        clock.sleep(1)
        first.close()
        second.close()
    assert [one.energy_share_j["gpu"].value for one in run.shares()] == pytest.approx([350, 250], rel=0.05)


def test_shares_of_what_was_not_opened_are_not_measured(run):
    ended(run)
    with pytest.raises(NotMeasured, match="no window 'request'"):
        run.shares()
