"""NVIDIA GPUs through NVML: energy counters and power of every GPU that the process can see. Reads, and judges nothing.

Which GPUs CUDA shows is ``visible_devices``' matter; when to read, and what the readings are worth, the meter's and the
judging half's. What a GPU can tell is found by asking it, never from its architecture: a counter is missing on cards before
Volta, but on many virtual GPUs of later ones too.

Energy is the GPU board's. Superchips (Grace Hopper, Grace Blackwell) tell the whole module's beside it, as a component of its own
that is never added to its parts; there the plain counter may be the module's too, and is compared before it is called a GPU's.

A laptop's GPU that sleeps is never woken to be looked at, which would cost half a second and 10 W: what sysfs calls
``suspended`` is left alone, and where all GPUs sleep NVML is not even initialised.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from energy_rating.measuring import processes
from energy_rating.measuring.sensors import Detection
from energy_rating.measuring.sensors.nvml.binding import (
    ACCURACY,
    NEW_DRIVER,
    Query,
    Reason,
    described,
    explain,
    load_pynvml,
)
from energy_rating.measuring.sensors.nvml.gpu import NvmlGpu
from energy_rating.measuring.sensors.nvml.library import ASLEEP, held_by_driver
from energy_rating.measuring.sensors.nvml.probing import AVERAGED_PERIOD_S, INSTANT_PERIOD_S, Module, Probing
from energy_rating.measuring.sensors.nvml.said import about_the_list, none_visible, not_measured
from energy_rating.measuring.visible_devices import PresentGpu, visible_gpus
from energy_rating.nouns.entries import Channel, Component, Device, Finding, Method
from energy_rating.nouns.errors import SensorUnavailable

COMPONENTS = ("gpu",)

# A gain is not all: NVIDIA's manuals give ±5 W for boards of Fermi (nvidia-smi and NVML of those years), taken as limits of a uniform law; for
# later ones they give nothing. On a consumer card of 2022 the register is within 2 % of a meter under load, and at idle 25 % low: some 18 W,
# 4 % of its limit, which is taken for two standard deviations. No such trace is known of a card for data centres.
OFFSET_W = 5 / 3**0.5
CONSUMER, CONSUMER_OFFSET = "GeForce", 0.02

# Where the kernel tells of PCI devices and of the drivers that hold them (Documentation/ABI/testing/sysfs-bus-pci).
PCI = Path("/sys/bus/pci")


def detect(
    environ: Mapping[str, str] = os.environ,
    load: Callable[[], ModuleType] = load_pynvml,
    *,
    pci: Path = PCI,
    proc: Path = processes.PROC,
) -> Detection:
    """One sensor for each physical GPU that CUDA shows to a process with this environment.

    Channels are ``gpu{n}.energy`` and ``gpu{n}.power``, n being the place among the visible GPUs; on a superchip also
    ``module{n}.energy`` and ``module{n}.power``, once for each module. A GPU that tells nothing gets a finding and no sensor.

    Raises:
        SensorUnavailable: no driver, no GPU, none visible to this process, or all of them sleep.
    """
    held = held_by_driver(pci)
    asleep = {address for address, status in held.items() if status == "suspended"}
    if asleep and len(asleep) == len(held):
        raise SensorUnavailable(
            "the GPU sleeps, and is not woken to be measured" if len(held) == 1 else "all GPUs sleep",
            "Start the GPU's work before the measurement, or keep it awake meanwhile: "
            f"echo on | sudo tee /sys/bus/pci/devices/{min(asleep)}/power/control",
        )
    driver = _Opening(load(), environ=environ, pci=pci, proc=proc)
    try:
        if asleep:
            present, unanswered, count = driver.present_at(held)
        else:
            present, unanswered, count = driver.present()
        visible = visible_gpus(environ, present)
        if not visible.uuids:
            raise none_visible(environ, visible, unanswered, count)
        gpus = {gpu.uuid: gpu for gpu in present}
        driver.know(present)
        found = [driver.open(number, gpus[uuid]) for number, uuid in enumerate(visible.uuids)]
    except BaseException:
        driver.shut_down()
        raise
    sensors = tuple(gpu.sensor for gpu in found if gpu.sensor is not None)
    if not sensors:
        driver.shut_down()
    said = [finding for gpu in found for finding in gpu.findings]
    return Detection(
        sensors=sensors,
        devices=tuple(device for gpu in found for device in gpu.devices),
        findings=(*about_the_list(environ, visible, unanswered), *said),
    )


class _Found(NamedTuple):
    """What became of one visible GPU. ``devices`` are itself, where something is known of it, and the module that it stands for."""

    sensor: NvmlGpu | None
    devices: tuple[Device, ...]
    findings: tuple[Finding, ...]


class _Opening(Probing):
    """The same, opening the sensor of one GPU after the other."""

    def know(self, present: Sequence[PresentGpu]) -> None:
        """These are there now; others that are seen later came later."""
        self._known = {gpu.uuid for gpu in present}

    def open(self, number: int, gpu: PresentGpu) -> _Found:
        """The sensor of that GPU, what it is, and what has to be said about it."""
        label = f"GPU {number} ({gpu.name})"
        if gpu.uuid.startswith(ASLEEP):
            asleep = Finding(
                code="gpu-asleep",
                message=f"GPU {number} sleeps and was not woken; should it wake later, it is not measured",
                remedy="Start its work before the measurement",
            )
            return _Found(sensor=None, devices=(), findings=(asleep,))
        try:
            # From here on by UUID: places may change while we look.
            if gpu.uuid in self._handles:
                handle = self._handles[gpu.uuid]
            elif gpu.uuid in self._addresses:
                handle = self.nvml.nvmlDeviceGetHandleByPciBusId(self._addresses[gpu.uuid])
            else:
                handle = self.nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        except self.nvml.NVMLError as error:
            device = Device(id=gpu.uuid, name=gpu.name, mig=gpu.mig)
            return _Found(
                sensor=None, devices=(device,), findings=(not_measured(label, explain(error.value)),)
            )
        device = self._device(handle, gpu)
        unreadable = self._unreadable.get(gpu.uuid, [])
        findings: list[Finding] = []
        if unreadable:
            findings.append(
                Finding(
                    code="gpu-described-unreadably",
                    message=f"the {' and the '.join(unreadable)} of GPU {number}, as the driver tells, is not UTF-8; "
                    "something else stands in the record",
                    remedy=NEW_DRIVER,
                )
            )
        found = self._probe(handle, device)
        energy_id, power_id = f"gpu{number}.energy", f"gpu{number}.power"
        momentary = not isinstance(found.instant, Reason)
        channels: list[Channel] = []
        sources: dict[str, Query] = {}
        if not isinstance(found.counter, Reason):
            # How often a counter is refreshed stands nowhere (20 to 100 ms); it is learned from the trace.
            channels.append(_channel(energy_id, gpu, "counter", None, limit_w=device.power_limit_w))
            sources[energy_id] = found.counter
        if not isinstance(found.power, Reason):
            period_s = INSTANT_PERIOD_S if momentary else AVERAGED_PERIOD_S
            channels.append(_channel(power_id, gpu, "power", period_s, limit_w=device.power_limit_w))
            sources[power_id] = found.power
        own = tuple(channels)
        if found.module is not None and self._is_new_module(handle):
            findings += self._module_channels(number, gpu, found.module, channels, sources, alone=not own)
        if not channels:
            assert isinstance(found.power, Reason)
            return _Found(
                sensor=None, devices=(device,), findings=(*findings, not_measured(label, found.power))
            )
        if not own:
            pass  # the module's finding says it
        elif isinstance(found.counter, Reason):
            kind = "momentary power" if momentary else "power averaged over 1 s"
            findings.append(
                Finding(
                    code="no-energy-counter",
                    message=f"{label} has no energy counter ({found.counter.message}); its {kind} is summed up",
                    remedy=found.counter.remedy,
                    channel=power_id,
                )
            )
        if not own:
            pass
        elif isinstance(found.power, Reason):
            findings.append(
                Finding(
                    code="no-power-reading",
                    message=f"{label} tells no power ({found.power.message}), so that its counter goes unchecked",
                    remedy=found.power.remedy,
                    channel=energy_id,
                )
            )
        elif isinstance(found.instant, Reason):
            findings.append(
                Finding(
                    code="averaged-power",
                    message=f"{label} tells only its power averaged over 1 s ({found.instant.message})",
                    remedy=NEW_DRIVER,
                    # With a counter the power serves the edges of windows and the cross-check only.
                    severity="degrades" if isinstance(found.counter, Reason) else "note",
                    channel=power_id,
                )
            )
        if gpu.mig:
            # NVML knows energy and power of the whole GPU only; splitting it among slices would be a model.
            findings.append(
                Finding(
                    code="mig-shared",
                    message=f"{label} is divided by MIG; the energy is the whole GPU's, shared with other slices",
                    remedy="Measure on a GPU that is not divided",
                    severity="disqualifies",
                    channel=channels[0].id,
                )
            )
        elif gpu.mig is None:
            findings.append(
                Finding(
                    code="mig-unknown",
                    message=f"the driver does not say whether {label} is divided by MIG",
                    severity="degrades",
                    channel=channels[0].id,
                )
            )
        answering = {
            **{name: described(source) for name, source in sources.items()},
            **found.answering,
        }
        sensor = NvmlGpu(self, handle, f"gpu{number}", gpu.uuid, tuple(channels), sources, answering)
        devices = [device]
        if len(own) < len(channels):
            devices.append(Device(id=channels[-1].device, name=f"{gpu.name} module", driver=device.driver))
        return _Found(sensor=sensor, devices=tuple(devices), findings=tuple(findings))

    def _module_channels(
        self,
        number: int,
        gpu: PresentGpu,
        module: Module,
        channels: list[Channel],
        sources: dict[str, Query],
        *,
        alone: bool,
    ) -> Iterator[Finding]:
        """Adds the module's channels to those of its GPU, and says what they are."""
        names: list[str] = []
        both: tuple[tuple[Method, Query | Reason, float | None], ...] = (
            ("counter", module.counter, None),
            ("power", module.power, module.power_period_s),
        )
        for method, source, period_s in both:
            if not isinstance(source, Reason):
                names.append(f"module{number}.{'energy' if method == 'counter' else 'power'}")
                channels.append(_channel(names[-1], gpu, method, period_s, "module"))
                sources[names[-1]] = source
        about = "its energy and power are the whole module's: GPU, CPU and memory together"
        if alone:
            message = f"GPU {number} ({gpu.name}) tells nothing of its own; {about}"
        elif module.took_counter:
            message = (
                f"the energy counter of GPU {number} ({gpu.name}) is the whole module's, and counts as such"
            )
        elif module.took_counter is None:
            message = (
                f"whether the energy counter of GPU {number} ({gpu.name}) is its own or the whole module's could not "
                "be told; it counts as the module's"
            )
        else:
            return
        yield Finding(
            code="module-scope",
            message=message,
            remedy="Take the module's figure as what it is",
            channel=names[0],
        )

    def _is_new_module(self, handle: Any) -> bool:
        """Whether no other GPU of this module has its channels yet.

        Every GPU on a superchip reports the same module (two Blackwells share a Grace); PCI devices of one NUMA node are on one.
        Where the kernel does not say which, one module is taken to be all there is: too little is the smaller harm.
        """
        node = ""
        with contextlib.suppress(self.nvml.NVMLError, OSError):
            info = self.nvml.nvmlDeviceGetPciInfo(handle)
            # sysfs writes addresses in lower case, with four digits for the domain.
            address = f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0"
            node = (self._pci / "devices" / address / "numa_node").read_text().strip()
        if node in self._modules:
            return False
        self._modules.add(node)
        return True


def _channel(
    name: str,
    gpu: PresentGpu,
    method: Method,
    period_s: float | None,
    component: Component = "gpu",
    *,
    limit_w: float | None = None,
) -> Channel:
    share = CONSUMER_OFFSET if CONSUMER in gpu.name else 0.0
    return Channel(
        id=name,
        component=component,
        device=gpu.uuid if component == "gpu" else f"{gpu.uuid}:{component}",
        method=method,
        accuracy=ACCURACY,
        period_s=period_s,
        accuracy_w=round(max(OFFSET_W, share * (limit_w or 0.0)), 2),
    )
