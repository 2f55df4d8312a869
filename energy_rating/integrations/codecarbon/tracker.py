"""The trackers: one measured run each, from ``start()`` to ``stop()``, and the row that comes of it."""

from __future__ import annotations

import functools
import inspect
import json
import os
import platform
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from energy_rating.integrations.codecarbon.arguments import (
    DOES_OTHERWISE,
    NOT_GIVEN,
    SECRET,
    OutputMethod,
    as_number,
    as_text,
    as_yes,
    configured,
    given,
    is_plain,
)
from energy_rating.integrations.codecarbon.places import Where, where
from energy_rating.integrations.guard import Guard, hook
from energy_rating.meter import Run, measure
from energy_rating.nouns.errors import NotMeasured
from energy_rating.nouns.interruptions import pass_on
from energy_rating.nouns.records import RUN, Record
from energy_rating.publishing import emissions_csv, emissions_files
from energy_rating.publishing.emissions_csv import (
    NOT_KNOWN,
    VERSION,
    EmissionsAssumed,
    EmissionsData,
    TaskEmissionsData,
)

# What codecarbon 3.3.2 takes where nothing is given (emissions_tracker.py).
DEFAULT_EXPERIMENT = "5b0fa12a-3dd7-45bb-9766-cc326314d9f1"
DEFAULT_ENDPOINT = "https://api.codecarbon.io"
DEFAULT_GATEWAY = "localhost:9091"
QUIET = ("error", "critical")


class BaseEmissionsTracker:
    """What both trackers do. Nothing in here raises into the program."""

    # Ours: countries come from the configuration, or from OfflineEmissionsTracker's argument.
    _country: str | None = None
    _where = Where(zone=None, region=None)

    def __init__(
        self,
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
        force_cpu_power: float | None = NOT_GIVEN,
        force_ram_power: float | None = NOT_GIVEN,
        pue: float | None = NOT_GIVEN,
        wue: float | None = NOT_GIVEN,
        force_carbon_intensity_g_co2e_kwh: float | None = NOT_GIVEN,
        force_mode_cpu_load: bool | None = NOT_GIVEN,
        allow_multiple_runs: bool | None = NOT_GIVEN,
        rapl_include_dram: bool | None = NOT_GIVEN,
        rapl_prefer_psys: bool | None = NOT_GIVEN,
        metadata: Mapping[str, Any] | str | None = NOT_GIVEN,
        **others: Any,
    ) -> None:
        """The arguments are CodeCarbon's: see its documentation, and docs/coming-from-other-tools.md for what each does here."""
        told = dict(locals())
        for name in ("self", "others", "__class__"):
            told.pop(name, None)
        told |= others
        self._given = {name: value for name, value in told.items() if value is not NOT_GIVEN}
        self._said: set[str] = set()
        self.guard = Guard(self._say)
        self.run: Run | None = None
        self.run_id: object = uuid.uuid4()
        self.final_emissions: float | None = None
        self.final_emissions_data: EmissionsData | None = None
        self._settings: dict[str, Any] = {}
        self._tasks: dict[str, TaskEmissionsData | None] = {}
        self._windows: dict[str, Any] = {}
        self._active_task: str | None = None
        self._handlers: list[Any] = []
        self._outputs = frozenset({"csv"})
        self._before: EmissionsData | None = None
        self._stat: tuple[int, int] | None = None
        self._quiet = False
        self._prepare()

    # -- what is asked for

    @hook
    def _prepare(self) -> None:
        stands = configured(self._say)
        self._settings = {**stands, **self._given}
        level = self._settings.get("log_level")
        self._quiet = str(level).lower() in QUIET or (isinstance(level, int) and level >= 40)
        known = _known_arguments()
        for name, value in self._settings.items():
            if name in DOES_OTHERWISE:
                self._say_what_it_would_have_done(name, value)
            elif name not in known and name in self._given:
                self._say(f"{name} is no argument of CodeCarbon 3.3.2: it does nothing")
        country = self._settings.get("country_iso_code")
        self._country = str(country).strip().upper() or None if country else None
        self._outputs = self._methods()
        for handler in self._settings.get("output_handlers") or ():
            self._handlers.append(handler)
        self._handlers += self._asked_for()

    def _say_what_it_would_have_done(self, name: str, value: object) -> None:
        default, there, here = DOES_OTHERWISE[name]
        if value is None or str(value).lower() == str(default).lower():
            return
        if isinstance(default, float) and as_number(value) == default:
            return
        told = name if name in SECRET else f"{name}={value!r:.60}"
        self._say(f"{told} {there} with CodeCarbon: {here}")

    def _methods(self) -> frozenset[str]:
        asked = self._settings.get("output_methods")
        if isinstance(asked, str):
            asked = asked.split(",")
        if asked is not None:
            return frozenset(str(getattr(method, "value", method)).strip().lower() for method in asked)
        found = {
            method
            for method, name in (
                ("api", "save_to_api"),
                ("logger", "save_to_logger"),
                ("prometheus", "save_to_prometheus"),
                ("logfire", "save_to_logfire"),
            )
            if as_yes(self._settings.get(name), False)
        }
        return frozenset(found | ({"csv"} if as_yes(self._settings.get("save_to_file"), True) else set()))

    def _asked_for(self) -> Iterator[Any]:
        """CodeCarbon's own outputs, where somebody asked for them: they send figures, and it is theirs to do so."""
        settings = self._settings
        if "logger" in self._outputs and settings.get("logging_logger") is not None:
            yield settings["logging_logger"]
        wanted = sorted(self._outputs & {"api", "prometheus", "logfire", "boamps"})
        if settings.get("emissions_endpoint"):
            wanted.append("http")
        for name in wanted:
            made = self.guard.call(f"the output {name!r}", self._output, name)
            if made is not None:
                yield made

    def _output(self, name: str) -> Any:
        settings = self._settings
        if name == "http":
            from codecarbon.output_methods.http import HTTPOutput

            return HTTPOutput(settings["emissions_endpoint"])
        if name == "api":
            from codecarbon.output_methods.http import CodeCarbonAPIOutput

            return CodeCarbonAPIOutput(
                endpoint_url=settings.get("api_endpoint") or DEFAULT_ENDPOINT,
                experiment_id=self._experiment_id(),
                api_key=settings.get("api_key") or "api_key",
                conf=self._machine(),
            )
        if name == "prometheus":
            from codecarbon.output_methods.metrics.prometheus import PrometheusOutput

            job = f"{self._project()}_{settings.get('experiment_name') or 'base'}"
            return PrometheusOutput(
                settings.get("prometheus_url") or DEFAULT_GATEWAY,
                job_name="".join(
                    one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in job
                ),
            )
        if name == "logfire":
            from codecarbon.output_methods.metrics.logfire import LogfireOutput

            return LogfireOutput()
        from codecarbon.output_methods.boamps import BoAmpsOutput

        metadata = settings.get("metadata")
        if isinstance(metadata, str) and metadata:
            metadata = json.loads(emissions_files.text_of(Path(metadata)))
        context = metadata.get("boamps", metadata) if isinstance(metadata, Mapping) else None
        if context:
            return BoAmpsOutput.from_dict(context, output_dir=str(self._folder()))
        return BoAmpsOutput(output_dir=str(self._folder()))

    def _project(self) -> str:
        return str(self._settings.get("project_name") or "codecarbon")

    def _experiment_id(self) -> str:
        return str(self._settings.get("experiment_id") or DEFAULT_EXPERIMENT)

    def _folder(self) -> Path:
        return Path(os.fspath(self._settings.get("output_dir") or "."))

    def _say(self, line: str) -> None:
        """Each line once, on standard error; nothing where ``log_level`` is error or critical."""
        if self._quiet or line in self._said or sys.stderr is None:
            return
        self._said.add(line)
        print(f"energy-rating: {line}", file=sys.stderr, flush=True)

    # -- life

    @hook
    def start(self) -> None:
        """Begins to measure."""
        if self.run is not None:
            self._say("Already started tracking" if self.final_emissions is None else _ENDED)
            return
        self._begin()

    def _begin(self) -> None:
        settings = self._settings
        self._where = where(
            self._country,
            as_text(settings.get("region"), str.lower),
            as_text(settings.get("cloud_provider")),
            as_text(settings.get("cloud_region")),
        )
        for line in self._where.said:
            self._say(line)
        zone = self._where.zone
        if zone is None and self._intensity() is None:
            self._say(
                "emissions are not known (nan), since nothing is asked of the network to find out where this is: name the country "
                "with country_iso_code in OfflineEmissionsTracker, in .codecarbon.config or in CODECARBON_COUNTRY_ISO_CODE, such as FRA"
            )
        self._stat = _cpu_times()
        quiet: dict[str, Any] = {"report": None} if self._quiet else {}
        self.run = measure("other", place=zone, **quiet)
        self.run.__enter__()
        self.run_id = self.run.run_id or self.run_id

    def _intensity(self) -> float | None:
        value = as_number(self._settings.get("force_carbon_intensity_g_co2e_kwh"))
        return value if value is not None and value >= 0 else None

    @hook
    def flush(self) -> float:
        """Writes what was measured so far, and goes on measuring. Kilograms of CO2e so far."""
        if self.run is None or self.final_emissions is not None:
            self._say("You first need to start the tracker." if self.run is None else _ENDED)
            return NOT_KNOWN
        total = self._row_so_far()
        if total is None:
            return NOT_KNOWN
        self._persist(total)
        return total.emissions

    def stop(self) -> float | None:
        """Ends it, and writes the row. Kilograms of CO2e; ``nan`` where that is not known; again, where it had ended."""
        self._stop(None)
        return self.final_emissions

    @hook
    def _stop(self, raised: BaseException | None) -> None:
        run = self.run
        if run is None or self.final_emissions is not None:
            self._say("Tracker already stopped or never started.")
            return
        self.final_emissions = NOT_KNOWN
        try:
            for name in tuple(self._windows):
                self._close(name)
        finally:
            run.stop(raised)
        if not self._is_asked():
            return
        record = run.record
        total = self._row(record)
        if total is None:
            return
        self.final_emissions, self.final_emissions_data = total.emissions, total
        for name, told in tuple(self._tasks.items()):
            if told is None and name in record:
                self._tasks[name] = self._task(name, record)
        self._persist(total)
        for handler in self._handlers:
            self.guard.call(f"{type(handler).__name__}.exit", handler.exit)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop(raised)

    def service_shutdown(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """A handler of signals that ends it."""
        self.stop()

    def __reduce__(self) -> tuple[type[BaseEmissionsTracker], tuple[()], dict[str, Any]]:
        """A copy, in a checkpoint or in another process, is one that has not begun; keys stay here."""
        plain = {name: value for name, value in self._given.items() if is_plain(value)}
        return type(self), (), {"given": {name: plain[name] for name in plain if name not in SECRET}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._given = dict(state["given"])
        self._handlers = []
        self._prepare()

    # -- tasks

    @hook
    def start_task(self, task_name: str | None = None) -> None:
        """Begins a task: a window of the run, which begins with it where it had not."""
        if self.final_emissions is not None:
            self._say(_ENDED)
            return
        if self._active_task:
            self._say("A task is already under measure")
            return
        if self.run is None:
            self._begin()
        name = str(task_name) if task_name else str(uuid.uuid4())
        if name in self._tasks:
            name += f"_{uuid.uuid4()}"
        self._tasks[name] = None
        self._active_task = name
        if self.run is not None:
            self._windows[name] = self.run.window(_window(name)).open()

    @hook
    def stop_task(self, task_name: str | None = None) -> EmissionsData | None:
        """Ends a task. What it took; None where there is no such task."""
        name = task_name or self._active_task
        if name is None or name not in self._windows or self.run is None:
            self._say("stop_task : No active task to stop.")
            return None
        self._close(name)
        told = self._task(name, self.run.so_far()) if self._is_asked() else None
        self._tasks[name] = told
        return told.row if told is not None else None

    def _close(self, name: str) -> None:
        window = self._windows.pop(name, None)
        if window is not None:
            window.close()
        if self._active_task == name:
            self._active_task = None

    def _task(self, name: str, record: Record) -> TaskEmissionsData | None:
        row = self._row(record, _window(name))
        return None if row is None else TaskEmissionsData(task_name=name, row=row)

    # -- figures

    def get_detected_hardware(self) -> dict[str, Any]:
        """What is measured here: known once it has begun."""
        row = self.final_emissions_data or self.guard.call("get_detected_hardware", self._row_so_far)
        return {
            "ram_total_size": _ram_gib(),
            "cpu_count": os.cpu_count(),
            "cpu_physical_count": None,
            "cpu_model": row.cpu_model if row is not None else None,
            "gpu_count": row.gpu_count if row is not None else None,
            "gpu_model": row.gpu_model if row is not None else None,
            "gpu_ids": self._settings.get("gpu_ids"),
        }

    def _row_so_far(self) -> EmissionsData | None:
        return self._row(self.run.so_far()) if self.run is not None and self._is_asked() else None

    def _is_asked(self) -> bool:
        """Whether figures are to be had in this process; of several on a host it is the first one that has them."""
        if self.run is None or self.run.makes_record:
            return True
        self._say(_ANOTHER_RANK)
        return False

    def _row(self, record: Record, measurement: str = RUN) -> EmissionsData | None:
        if (
            any(finding.code == "another-rank-measures" for finding in record.findings)
            and not record.channels
        ):
            self._say(_ANOTHER_RANK)
            return None
        pue, wue = as_number(self._settings.get("pue")), as_number(self._settings.get("wue"))
        try:
            return emissions_csv.emissions_of(
                record,
                EmissionsAssumed(
                    timestamp=f"{datetime.now():%Y-%m-%dT%H:%M:%S}",
                    project_name=self._project(),
                    run_id=str(self.run_id),
                    experiment_id=self._experiment_id(),
                    os=platform.platform(),
                    python_version=platform.python_version(),
                    cpu_count=os.cpu_count(),
                    ram_total_gib=_ram_gib(),
                    zone=self._where.zone,
                    region=self._where.region,
                    cloud_provider=as_text(self._settings.get("cloud_provider")),
                    cloud_region=as_text(self._settings.get("cloud_region")),
                    intensity_g_per_kwh=self._intensity(),
                    pue=pue if pue and pue > 0 else 1.0,
                    wue=wue if wue and wue > 0 else 0.0,
                    gpus=self._gpus(record),
                    cpu_utilization_percent=self._busy(),
                ),
                measurement,
            )
        except NotMeasured:
            return None

    def _gpus(self, record: Record) -> list[str] | None:
        """The GPUs that were asked for, by id: indices count as the driver counts them, texts are the beginning of an id."""
        asked = self._settings.get("gpu_ids")
        if asked is None:
            return None
        if isinstance(asked, str):
            asked = [part.strip() for part in asked.strip("[]() ").split(",")]
        shown = dict.fromkeys(channel.device for channel in record.channels if channel.component == "gpu")
        visible = (os.environ.get("CUDA_VISIBLE_DEVICES") or "").split(",")
        places = {entry.strip(): place for place, entry in enumerate(visible)}
        by_number = list(shown)
        found: list[str] = []
        for one in asked:
            text = str(one).strip().strip("'\"")
            if text.isdigit():
                place = places.get(text, -1) if places.keys() - {""} else int(text)
                found += by_number[place : place + 1] if place >= 0 else []
            elif text:
                found += [gpu for gpu in shown if gpu.startswith(text)]
        if shown and len(set(found)) < len([one for one in asked if str(one).strip()]):
            self._say(
                f"gpu_ids={asked!r:.60} names GPUs that are not measured here; measured are: {', '.join(shown)}"
            )
        return found

    def _busy(self) -> float:
        """The share of the CPUs' time that was not idle since the start, in percent."""
        now = _cpu_times()
        if now is None or self._stat is None or now[1] <= self._stat[1]:
            return NOT_KNOWN
        return round(100 * (now[0] - self._stat[0]) / (now[1] - self._stat[1]), 1)

    def _machine(self) -> dict[str, Any]:
        """What CodeCarbon's service is told of a machine."""
        return {
            "os": platform.platform(),
            "python_version": platform.python_version(),
            "codecarbon_version": VERSION,
            "cpu_count": os.cpu_count(),
            "cpu_model": None,
            "gpu_count": None,
            "gpu_model": None,
            "longitude": None,
            "latitude": None,
            "region": self._settings.get("cloud_region"),
            "provider": self._settings.get("cloud_provider"),
            "ram_total_size": _ram_gib(),
            "tracking_mode": "machine",
        }

    # -- where they go

    def _persist(self, total: EmissionsData) -> None:
        since = emissions_csv.between(self._before, total)
        self._before = total
        tasks = [task for task in self._tasks.values() if task is not None]
        name = str(self._settings.get("experiment_name") or "base")
        if "csv" in self._outputs:
            self.guard.call("writing emissions.csv", self._write, total, tasks, name)
        for handler in self._handlers:
            self.guard.call(f"{type(handler).__name__}.out", handler.out, total, since)
            if tasks:
                self.guard.call(f"{type(handler).__name__}.task_out", handler.task_out, tasks, name)

    def _write(self, total: EmissionsData, tasks: Sequence[TaskEmissionsData], experiment: str) -> None:
        folder = self._folder()
        path = folder / str(self._settings.get("output_file") or "emissions.csv")
        wanted = self._settings.get("on_csv_write") or "append"
        if wanted not in ("append", "update"):
            self._say(f"on_csv_write must be append or update; got {wanted!r:.40}: rows are appended")
        aside = emissions_files.put_row(path, total, update=wanted == "update")
        if aside is not None:
            self._say(f"{path.name} has other columns: it is {aside.name} now, and a new one is begun")
        if tasks:
            emissions_files.put_tasks(folder, tasks, experiment, total.run_id)


_ANOTHER_RANK = "this rank measures nothing and writes no row: the first one of this host does for all"
_ENDED = "this tracker has ended: make another one"


class EmissionsTracker(BaseEmissionsTracker):
    """CodeCarbon's tracker for a machine that would find out where it is. Here nothing is asked of the network: see the module."""


class OfflineEmissionsTracker(BaseEmissionsTracker):
    """CodeCarbon's tracker for a country that is named, by three letters."""

    def __init__(
        self,
        *args: Any,
        country_iso_code: str | None = NOT_GIVEN,
        region: str | None = NOT_GIVEN,
        cloud_provider: str | None = NOT_GIVEN,
        cloud_region: str | None = NOT_GIVEN,
        country_2letter_iso_code: str | None = NOT_GIVEN,
        **kwargs: Any,
    ) -> None:
        """The arguments are CodeCarbon's; those of ``EmissionsTracker`` besides."""
        place = given(
            country_iso_code=country_iso_code,
            region=region,
            cloud_provider=cloud_provider,
            cloud_region=cloud_region,
            country_2letter_iso_code=country_2letter_iso_code,
        )
        super().__init__(*args, **{**kwargs, **place})


@functools.cache
def _known_arguments() -> frozenset[str]:
    names = {*inspect.signature(BaseEmissionsTracker.__init__).parameters}
    names |= {*inspect.signature(OfflineEmissionsTracker.__init__).parameters}
    return frozenset(names - {"self", "args", "kwargs", "others"})


def _window(task: str) -> str:
    """The window of a task: names are short and printable, and none is called as the run itself."""
    name = "".join(one if one.isprintable() else " " for one in task)[:150].strip() or "task"
    return f"{name}-task" if name == RUN else name


def _ram_gib() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):
        return NOT_KNOWN


def _cpu_times() -> tuple[int, int] | None:
    """Busy and all time of the CPUs, in the kernel's ticks (proc(5)); None where it does not tell."""
    try:
        descriptor = os.open("/proc/stat", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            fields = os.read(descriptor, 256).partition(b"\n")[0].split()[1:9]
        finally:
            os.close(descriptor)
        times = [int(field) for field in fields]
    except (OSError, ValueError) as error:
        pass_on(error)
        return None
    if len(times) < 5 or not any(times):
        return None
    return sum(times) - times[3] - times[4], sum(times)
