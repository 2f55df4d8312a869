"""Functions and blocks that are tracked: each call is one, with a tracker of its own or as a task of another's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from energy_rating.integrations.codecarbon.arguments import NOT_GIVEN, OutputMethod, given
from energy_rating.integrations.codecarbon.tracker import BaseEmissionsTracker, EmissionsTracker

F = TypeVar("F", bound=Callable[..., Any])


class TaskEmissionsTracker:
    """A task as a ``with`` block: ``with TaskEmissionsTracker("search", tracker=tracker):``."""

    def __init__(self, task_name: str, tracker: BaseEmissionsTracker | None = None) -> None:
        self.is_default_tracker = tracker is None
        self.tracker = EmissionsTracker() if tracker is None else tracker
        self.task_name = task_name

    def __enter__(self) -> Self:
        self.tracker.start_task(self.task_name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tracker.stop_task()
        if self.is_default_tracker:
            self.tracker._stop(raised)


def track_emissions(
    fn: Callable[..., Any] | None = None,
    project_name: str | None = NOT_GIVEN,
    measure_power_secs: float | None = NOT_GIVEN,
    api_call_interval: int | None = NOT_GIVEN,
    api_endpoint: str | None = NOT_GIVEN,
    api_key: str | None = NOT_GIVEN,
    output_dir: str | None = NOT_GIVEN,
    output_file: str | None = NOT_GIVEN,
    output_methods: Sequence[OutputMethod] | str | None = NOT_GIVEN,
    save_to_file: bool | None = NOT_GIVEN,
    save_to_api: bool | None = NOT_GIVEN,
    save_to_logger: bool | None = NOT_GIVEN,
    logging_logger: Any = NOT_GIVEN,
    save_to_prometheus: bool | None = NOT_GIVEN,
    save_to_logfire: bool | None = NOT_GIVEN,
    prometheus_url: str | None = NOT_GIVEN,
    output_handlers: Sequence[Any] | None = NOT_GIVEN,
    gpu_ids: Sequence[int | str] | str | None = NOT_GIVEN,
    emissions_endpoint: str | None = NOT_GIVEN,
    experiment_id: str | None = NOT_GIVEN,
    experiment_name: str | None = NOT_GIVEN,
    electricitymaps_api_token: str | None = NOT_GIVEN,
    co2_signal_api_token: str | None = NOT_GIVEN,
    tracking_mode: str | None = NOT_GIVEN,
    log_level: int | str | None = NOT_GIVEN,
    on_csv_write: str | None = NOT_GIVEN,
    logger_preamble: str | None = NOT_GIVEN,
    offline: bool | None = NOT_GIVEN,
    country_iso_code: str | None = NOT_GIVEN,
    region: str | None = NOT_GIVEN,
    cloud_provider: str | None = NOT_GIVEN,
    cloud_region: str | None = NOT_GIVEN,
    country_2letter_iso_code: str | None = NOT_GIVEN,
    force_cpu_power: float | None = NOT_GIVEN,
    force_ram_power: float | None = NOT_GIVEN,
    pue: float | None = NOT_GIVEN,
    wue: float | None = NOT_GIVEN,
    force_carbon_intensity_g_co2e_kwh: float | None = NOT_GIVEN,
    allow_multiple_runs: bool | None = NOT_GIVEN,
    rapl_include_dram: bool | None = NOT_GIVEN,
    rapl_prefer_psys: bool | None = NOT_GIVEN,
    **others: Any,
) -> Any:
    """A decorator: each call of the function is tracked. The arguments are CodeCarbon's; coroutines and generators are measured until they end."""
    told = dict(locals())
    for name in ("fn", "others", "offline"):
        told.pop(name)
    settings = {**given(**told), **others}

    def begun() -> BaseEmissionsTracker:
        tracker = EmissionsTracker(**settings)  # a country that is named counts in either
        tracker.start()
        return tracker

    def decorate(function: F) -> F:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def tracked_async(*args: Any, **kwargs: Any) -> Any:
                with _Ending(begun()):
                    return await function(*args, **kwargs)

            return tracked_async  # type: ignore[return-value]

        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def tracked_stream(*args: Any, **kwargs: Any) -> Any:
                with _Ending(begun()):
                    async for item in function(*args, **kwargs):
                        yield item

            return tracked_stream  # type: ignore[return-value]

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def tracked_generator(*args: Any, **kwargs: Any) -> Any:
                with _Ending(begun()):
                    return (yield from function(*args, **kwargs))

            return tracked_generator  # type: ignore[return-value]

        @functools.wraps(function)
        def tracked(*args: Any, **kwargs: Any) -> Any:
            with _Ending(begun()):
                return function(*args, **kwargs)

        return tracked  # type: ignore[return-value]

    return decorate(fn) if fn is not None else decorate


def track_task_emissions(
    fn: Callable[..., Any] | None = None, tracker: BaseEmissionsTracker | None = None, task_name: str = ""
) -> Any:
    """A decorator: each call of the function is a task of the tracker, or of one of its own."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def tracked(*args: Any, **kwargs: Any) -> Any:
            with TaskEmissionsTracker(task_name, tracker):
                return function(*args, **kwargs)

        return tracked  # type: ignore[return-value]

    return decorate(fn) if fn is not None else decorate


class _Ending:
    """Ends a tracker that has begun, with what the block raised."""

    def __init__(self, tracker: BaseEmissionsTracker) -> None:
        self._tracker = tracker

    def __enter__(self) -> BaseEmissionsTracker:
        return self._tracker

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        self._tracker._stop(raised)
