"""Whose work it is: counts go into the windows of this thread or task, reach the run once, and never twice."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from one_gpu import codes, ended, run_on_one_gpu, state_apart  # noqa: F401  fixtures

from energy_rating import measure


def in_a_thread(function, *arguments):
    """Runs in a plain thread and hands on what it raises."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


# ---------------------------------------------------------------------------------------------- whose windows


def test_tasks_count_into_their_own_windows(run):
    async def request(name):
        with run.window(name):
            await asyncio.sleep(0)
            run.count(request=1)
            await asyncio.sleep(0)

    async def all_of_them():
        await asyncio.gather(*(request(name) for name in "aaabb"))

    asyncio.run(all_of_them())
    record = ended(run)
    assert record["a"].work == {"request": 3}
    assert record["b"].work == {"request": 2}
    assert record["run"].work == {"request": 5}
    assert "counted-into-the-run" not in codes(record)


def test_a_task_without_a_window_counts_into_those_open_where_it_was_started(run):
    async def helper():
        run.count(token=1)

    async def main():
        with run.window("epoch"):
            await asyncio.gather(helper(), helper())
            await asyncio.to_thread(run.count, token=10)
        await helper()

    asyncio.run(main())
    record = ended(run)
    assert record["epoch"].work == {"token": 12}
    assert record["run"].work == {"token": 13}
    assert "counted-into-the-run" not in codes(record)


def test_threads_count_into_their_own_windows(run):
    together = threading.Barrier(8)

    def request(number):
        with run.window("even" if number % 2 == 0 else "odd"):
            together.wait()
            run.count(request=1, token=number)
            together.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(request, range(8)))
    record = ended(run)
    assert record["even"].work == {"request": 4, "token": 0 + 2 + 4 + 6}
    assert record["odd"].work == {"request": 4, "token": 1 + 3 + 5 + 7}
    assert record["run"].work == {"request": 8, "token": 28}
    assert "counted-into-the-run" not in codes(record)


def test_a_plain_thread_without_a_window_counts_into_the_run_and_that_is_told_once(run):
    batches: queue.Queue[int | None] = queue.Queue()

    def pin():
        while (tokens := batches.get()) is not None:
            run.count(token=tokens)

    loader = threading.Thread(target=pin)
    loader.start()
    with run.window("epoch") as window:
        for _ in range(3):
            batches.put(7)
        batches.put(None)
        loader.join()
        window.count(step=3)
    record = ended(run)
    assert record["run"].work == {"token": 21, "step": 3}
    assert record["epoch"].work == {"step": 3}
    assert codes(record).count("counted-into-the-run") == 1
    assert record["run"].validity == "valid", (
        "what is told is where the work is, and nothing is wrong with it"
    )


def test_a_plain_thread_counts_into_the_run_without_a_word_where_no_window_is_open(run):
    in_a_thread(lambda: run.count(token=3))
    record = ended(run)
    assert record["run"].work == {"token": 3}
    assert not record.findings or "counted-into-the-run" not in codes(record)


def test_a_thread_that_was_given_the_context_counts_where_it_was_started(run):
    with run.window("epoch"):
        context = contextvars.copy_context()
        in_a_thread(context.run, lambda: run.count(token=3))
    assert ended(run)["epoch"].work == {"token": 3}


def test_a_window_left_in_another_thread_or_task_is_over_everywhere(run):
    left_elsewhere = run.window("a")
    left_elsewhere.__enter__()
    in_a_thread(left_elsewhere.__exit__, None, None, None)
    run.count(token=1)

    async def leaves(window):
        window.__exit__(None, None, None)

    async def main():
        window = run.window("b")
        window.__enter__()
        await asyncio.create_task(leaves(window))
        run.count(token=10)
        with run.window("c"):
            run.count(token=100)

    asyncio.run(main())
    record = ended(run)
    assert record["run"].work == {"token": 111}
    assert record["a"].work == record["b"].work == {}
    assert record["c"].work == {"token": 100}
    assert "count-refused" not in codes(record)


def test_windows_in_generators_are_open_where_they_are_driven(run):
    def stream(name):
        with run.window(name):
            for number in range(3):
                run.count(token=1)
                yield number

    async def async_stream():
        with run.window("async"):
            for number in range(3):
                run.count(token=1)
                yield number

    async def main():
        async for _ in async_stream():
            pass

    list(stream("whole"))
    first = stream("given up")
    next(first)
    first.close()
    asyncio.run(main())
    run.count(token=1)
    record = ended(run)
    assert record["whole"].work == record["async"].work == {"token": 3}
    assert record["given up"].work == {"token": 1}
    assert record["run"].work == {"token": 8}


def test_of_windows_of_one_name_inside_each_other_the_innermost_is_counted_into(run):
    def recursion(depth):
        with run.window("call"):
            run.count(call=1)
            if depth:
                recursion(depth - 1)

    with run.window("job"):
        recursion(3)
    record = ended(run)
    assert record["call"].work == {"call": 4}
    assert record["job"].work == {"call": 4}
    assert record["run"].work == {"call": 4}


def test_of_windows_of_one_name_inside_each_other_each_reaches_the_run(run):
    def recursion(depth):
        with run.window("call") as window:
            window.count(call=1)
            if depth:
                recursion(depth - 1)

    recursion(3)
    record = ended(run)
    assert record["call"].work == record["run"].work == {"call": 4}


def test_two_runs_do_not_share_their_windows(run, tmp_path):
    inner = measure("other", output_dir=tmp_path / "inner", sensors=[], clock=run.settings.clock, report=None)
    with inner, run.window("outer's"), inner.window("inner's"):
        run.count(token=1)
        inner.count(token=10)
    assert inner.record["run"].work == inner.record["inner's"].work == {"token": 10}
    record = ended(run)
    assert record["run"].work == record["outer's"].work == {"token": 1}


def test_nothing_is_lost_where_threads_count_into_one_window(run):
    def count(window):
        for _ in range(20_000):
            window.count(token=1)

    with run.window("shared") as window:
        threads = [threading.Thread(target=count, args=(window,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ended(run)["shared"].work == {"token": 80_000}


# --------------------------------------------------------------------------------------- what reaches the run


def test_what_is_counted_in_windows_reaches_the_run(run):
    for tokens in (10, 20, 30):
        with run.window("step") as window:
            window.count(token=tokens)
    record = ended(run)
    assert record["run"].work == record["step"].work == {"token": 60}
    assert record["run"].energy_per("token").value > 0
    assert "counts-disagree" not in codes(record)


def test_of_windows_inside_each_other_the_outer_ones_count_stands(run):
    with run.window("epoch") as epoch:
        for _ in range(4):
            with run.window("step") as step:
                step.count(token=5, example=1)
        epoch.count(token=20)
    record = ended(run)
    # Examples were counted in the steps alone: they are those of the epoch, and of the run.
    assert record["run"].work == record["epoch"].work == {"token": 20, "example": 4}
    assert record["step"].work == {"token": 20, "example": 4}
    assert "counts-disagree" not in codes(record)


def test_what_was_counted_at_the_run_stands_and_agreeing_is_no_finding(run):
    for _ in range(4):
        with run.window("step") as step:
            step.count(token=5)
    run.count(token=20)
    record = ended(run)
    assert record["run"].work == {"token": 20}
    assert "counts-disagree" not in codes(record)


@pytest.mark.parametrize("way", ["run.count", "window.count"])
def test_a_count_that_is_refused_in_a_window_is_missed_by_the_run_as_well(run, way):
    with run.window("step") as window:
        window.count(token=5)
        (run if way == "run.count" else window).count(token=-1)
    record = ended(run)
    refused = [one.measurement for one in record.findings if one.code == "count-refused"]
    assert sorted(refused) == ["run", "step"]
    assert record["run"].work == {"token": 5}


def test_counts_that_disagree_are_told_and_those_at_the_run_stand(run):
    for _ in range(4):
        with run.window("step") as step:
            run.settings.clock.sleep(1)
            step.count(token=5)
    run.count(token=25)
    record = ended(run)
    assert record["run"].work == {"token": 25}
    (finding,) = [finding for finding in record.findings if finding.code == "counts-disagree"]
    assert finding.severity == "degrades"
    assert finding.measurement == "run"
    assert "token: 25 at the run itself, 20 in its windows" in finding.message
    assert record["run"].validity == "degraded"
    assert record["step"].validity == "valid"


def test_both_ways_of_counting_add_up(run):
    run.count(token=1)
    with run.window("a"):
        run.count(token=2)
    with run.window("b") as window:
        window.count(example=4)
        run.count(example=1)
    record = ended(run)
    assert record["run"].work == {"token": 3, "example": 5}
    assert "counts-disagree" not in codes(record)


def test_fractions_that_were_counted_either_way_leave_no_rest(run):
    with run.window("a") as window:
        for _ in range(1000):
            run.count(hour=0.1)
            window.count(page=0.7)
    record = ended(run)
    assert record["run"].work["hour"] == pytest.approx(100)
    assert record["run"].work["page"] == pytest.approx(700)


def test_work_that_main_and_its_threads_tell_alike_counts_once(run):
    def request():
        with run.window("request") as window:
            window.count(request=1)

    with run.window("serving") as serving, ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(request) for _ in range(12)]:
            future.result()
        serving.count(request=12)
    record = ended(run)
    assert record["run"].work == {"request": 12}
    assert "counts-disagree" not in codes(record)


def test_work_of_threads_inside_a_window_that_counts_nothing_reaches_the_run(run):
    def request():
        with run.window("request") as window:
            window.count(request=1)

    with run.window("serving"), ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(request) for _ in range(12)]:
            future.result()
    assert ended(run)["run"].work == {"request": 12}


def test_a_window_that_is_noted_afterwards_does_not_count_twice(run):
    with run.window("serving") as window:
        run.settings.clock.sleep(2)
        window.count(request=4)
    now = run.settings.clock.now()
    run.note("steady", now - 1, now, {"request": 2})
    assert ended(run)["run"].work == {"request": 4}


def test_a_killed_run_knows_the_work_of_its_windows(run):
    from energy_rating.files.reading import read_journal_from
    from energy_rating.judging.summary import summarise_journal

    with run.window("step") as window:
        window.count(token=5)
    with run.window("step") as window:
        window.count(token=7)
        run.settings.clock.sleep(3)  # the sampler writes down what has been counted so far
        with run._journal_file.stream() as stream:
            record = summarise_journal(read_journal_from(stream, place="the journal"))
    assert record["run"].work == {"token": 12}


def test_an_edge_that_is_disturbed_leaves_no_window_behind(run):
    with contextlib.suppress(ZeroDivisionError), run.window("a"):
        raise ZeroDivisionError
    run.count(token=1)
    assert ended(run)["a"].work == {}


# -------------------------------------------------------------------------------------------- nothing lost, nothing twice


def test_what_is_counted_inside_a_window_reaches_the_run_beside_windows_that_count_the_same_unit(run):
    with run.window("train"):
        for _ in range(10):
            with run.window("step") as step:
                run.settings.clock.sleep(1)
                step.count(token=10)
    with run.window("eval") as evaluation:
        run.settings.clock.sleep(2)
        evaluation.count(token=5)
    record = ended(run)
    assert record["run"].work == {"token": 105}
    assert record["train"].work == record["step"].work == {"token": 100}
    assert record["eval"].work == {"token": 5}
    assert not record.findings


def test_at_every_level_the_work_of_inner_windows_stands_for_units_that_nothing_counted_there(run):
    with run.window("job"), run.window("epoch") as epoch:
        for _ in range(3):
            with run.window("step"), run.window("part") as part:
                part.count(token=2, example=1)
        epoch.count(token=6)
    record = ended(run)
    for name in ("run", "job", "epoch", "step", "part"):
        assert record[name].work == {"token": 6, "example": 3}, name


def test_a_window_that_counts_less_than_those_inside_it_is_told(run):
    with run.window("epoch") as epoch:
        with run.window("step") as step:
            run.settings.clock.sleep(2)
            step.count(token=8)
        epoch.count(token=5)
    record = ended(run)
    assert record["run"].work == {"token": 8}
    (finding,) = [one for one in record.findings if one.code == "counts-disagree"]
    assert "token: 5 in a window 'epoch', 8 in windows inside it" in finding.message


def test_windows_of_one_name_around_others_show_no_work_twice(run):
    with run.window("a"), run.window("b"), run.window("a"), run.window("c") as inmost:
        inmost.count(token=5)
    with run.window("a"), run.window("a") as inner:
        inner.count(token=2)
    record = ended(run)
    assert record["run"].work == record["a"].work == {"token": 7}
    assert record["b"].work == record["c"].work == {"token": 5}


def test_a_window_that_outlives_the_one_around_it_still_reaches_the_run(run):
    outer, inner = run.window("outer"), run.window("inner")
    outer.__enter__()
    opened = inner.__enter__()
    opened.count(token=1)
    outer.__exit__(None, None, None)
    assert run._work_of_run()[0] == {"token": 1}
    opened.count(token=2)
    inner.__exit__(None, None, None)
    assert ended(run)["run"].work == {"token": 3}


def test_the_work_of_a_run_does_not_fall_where_its_total_is_told_at_the_end(run):
    with run.window("warm-up") as window:
        run.settings.clock.sleep(2)
        window.count(token=5)
    with run.window("measured") as window:
        run.settings.clock.sleep(4)
        window.count(token=30)
    run.settings.clock.sleep(2)
    run.count(token=30)
    record = ended(run)
    assert record["run"].work == {"token": 35}
    assert codes(record) == ["counts-disagree"]
    assert record["run"].validity == "degraded"


def test_threads_are_held_against_the_windows_of_their_own_time_alone(run):
    def request():
        with run.window("request") as window:
            window.count(token=20)

    for _ in range(2):
        with run.window("load"), ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(request) for _ in range(30)]:
                future.result()
        with run.window("summary") as window:
            run.settings.clock.sleep(1)
            window.count(token=7)
    record = ended(run)
    assert record["run"].work == {"token": 2 * (30 * 20 + 7)}
    assert not {"counts-disagree", "counts-contradict"} & set(codes(record))


def test_work_that_threads_and_the_windows_of_their_time_tell_differently_is_told(run):
    def request():
        with run.window("request") as window:
            window.count(token=20)

    with run.window("load") as load:
        in_a_thread(request)
        run.settings.clock.sleep(2)
        load.count(token=15)
    with run.window("load") as load:
        load.count(token=9)
    record = ended(run)
    assert record["run"].work == {"token": 20 + 9}
    (finding,) = [one for one in record.findings if one.code == "counts-disagree"]
    assert "token: 15 in windows, 20 in threads beside them" in finding.message


@pytest.mark.parametrize("seed", range(60))
def test_the_work_of_a_run_never_falls_and_each_count_is_in_it_once(run, seed):
    """However windows lie: the run's work is never more than what was counted, and just that where it was counted in one place."""
    dice = random.Random(seed)
    contexts = [contextvars.copy_context() for _ in range(3)]
    opened: list[tuple] = []
    counted: dict[str, float] = {}
    before: dict[str, float] = {}

    def count(into, unit):
        amount = dice.choice([1, 3, 10, 0.1])
        counted[unit] = counted.get(unit, 0) + amount
        into.count(**{unit: amount})

    def leaf():
        with run.window(dice.choice(["leaf", "leaf-2"])) as window:
            count(window, "leaf")
            count(window, "anywhere")

    def of_thread():
        with run.window("thread") as window:
            count(window, "thread")
            count(window, "anywhere")
            if dice.random() < 0.5:
                leaf_of_thread = run.window("thread-leaf")
                with leaf_of_thread as inner:
                    count(inner, "anywhere")

    def open_one():
        context = dice.choice(contexts)
        use = run.window(dice.choice("abc"))
        opened.append((use, context.run(use.__enter__), context))

    for _ in range(dice.randint(20, 80)):
        match dice.choice(
            ["open", "open", "leave", "leave", "count", "run", "through", "leaf", "thread", "sleep"]
        ):
            case "open":
                open_one()
            case "leave" if opened:
                use, _, context = opened.pop(dice.choice([0, -1, -1]))
                context.run(use.__exit__, None, None, None)
            case "count" if opened:
                count(dice.choice(opened)[1], "anywhere")
            case "run":
                count(run, dice.choice(["at-run", "anywhere"]))
            case "through":
                dice.choice(contexts).run(count, run, dice.choice(["at-run", "anywhere"]))
            case "leaf":
                dice.choice(contexts).run(leaf)
            case "thread":
                in_a_thread(of_thread)
            case "sleep":
                run.settings.clock.sleep(dice.choice([0.01, 0.4, 1.2]))
        work, _ = run._work_of_run()
        for unit, total in counted.items():
            assert work.get(unit, 0) <= total * (1 + 1e-12)
            assert work.get(unit, 0) >= before.get(unit, 0) * (1 - 1e-12)
            if unit != "anywhere":
                assert work[unit] == pytest.approx(total), unit
        before = work
    record = ended(run)
    for unit, amount in before.items():
        assert record["run"].work[unit] == pytest.approx(amount)
    assert "counts-contradict" not in codes(record)
    assert not run._rising


def test_a_window_that_is_noted_wholly_outside_the_run_is_in_no_figure(run):
    now = run.settings.clock.now()
    run.note("request", now - 3, now - 1, {"token": 3})
    run.note("request", now - 60, now - 50, {"token": 3})
    run.note("request", now + 50, now + 60, {"token": 3})
    record = ended(run)
    assert record["request"].work == {"token": 3}
    assert record["request"].duration_s == pytest.approx(2)
    assert record["request"].validity == "valid"
    assert codes(record) == ["noted-outside-the-run"]
