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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from energy_rating.measuring import processes
from energy_rating.measuring.sensors import Detection
from energy_rating.measuring.sensors.nvml.binding import (
    ACCURACY,
    NoAnswer,
    Nvml,
    Query,
    described,
    explain,
    load_driver,
)
from energy_rating.measuring.sensors.nvml.gpu import NvmlGpu
from energy_rating.measuring.sensors.nvml.library import ASLEEP, held_by_driver
from energy_rating.measuring.sensors.nvml.probing import (
    AVERAGED_PERIOD_S,
    INSTANT_PERIOD_S,
    Module,
    Probe,
    Probing,
)
from energy_rating.measuring.sensors.nvml.said import (
    about_mig,
    about_module,
    about_own,
    about_the_list,
    asleep,
    described_unreadably,
    none_visible,
    not_measured,
)
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
    load: Callable[[], Nvml] = load_driver,
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
    sleeping = {address for address, status in held.items() if status == "suspended"}
    if sleeping and len(sleeping) == len(held):
        raise SensorUnavailable(
            "the GPU sleeps, and is not woken to be measured" if len(held) == 1 else "all GPUs sleep",
            "Start the GPU's work before the measurement, or keep it awake meanwhile: "
            f"echo on | sudo tee /sys/bus/pci/devices/{min(sleeping)}/power/control",
        )
    driver = _Opening(load(), environ=environ, pci=pci, proc=proc)
    try:
        if sleeping:
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


def detect_hidden(
    shown: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    load: Callable[[], Nvml] = load_driver,
    *,
    pci: Path = PCI,
    proc: Path = processes.PROC,
) -> Detection:
    """One sensor for each GPU that the driver tells of and that is none of those ``shown``: other ranks of a job may use them.

    Their channels are numbered on from those.

    Raises:
        SensorUnavailable: no driver, or no GPU.
    """
    held = held_by_driver(pci)
    sleeps = any(status == "suspended" for status in held.values())
    driver = _Opening(load(), environ=environ, pci=pci, proc=proc)
    try:
        present, _, _ = driver.present_at(held) if sleeps else driver.present()
        driver.know(present)
        for gpu in present:
            if gpu.uuid in shown:
                driver.leave_module_of(gpu)
        hidden = [gpu for gpu in present if gpu.uuid not in shown and not gpu.uuid.startswith(ASLEEP)]
        found = [driver.open(number, gpu) for number, gpu in enumerate(hidden, start=len(shown))]
    except BaseException:
        driver.shut_down()
        raise
    sensors = tuple(gpu.sensor for gpu in found if gpu.sensor is not None)
    if not sensors:
        driver.shut_down()
    return Detection(
        sensors=sensors,
        devices=tuple(device for gpu in found for device in gpu.devices),
        findings=tuple(finding for gpu in found for finding in gpu.findings),
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
            return _Found(sensor=None, devices=(), findings=(asleep(number),))
        try:
            handle = self._handle(gpu)
        except self.nvml.NVMLError as error:
            device = Device(id=gpu.uuid, name=gpu.name, mig=gpu.mig)
            refused = not_measured(label, explain(error.value))
            return _Found(sensor=None, devices=(device,), findings=(refused,))
        device = self._device(handle, gpu)
        found = self._probe(handle, device)
        own = _own_channels(number, gpu, found, device.power_limit_w)
        new_module = found.module if found.module is not None and self._is_new_module(handle) else None
        of_module = _module_channels(number, gpu, new_module) if new_module is not None else {}
        sources = {**own, **of_module}
        findings = [
            *described_unreadably(number, self._unreadable.get(gpu.uuid, ())),
            *about_module(number, gpu, new_module, tuple(of_module), alone=not own),
            *about_own(label, found, tuple(own)),
        ]
        if not sources:
            assert isinstance(found.power, NoAnswer)
            refused = not_measured(label, found.power)
            return _Found(sensor=None, devices=(device,), findings=(*findings, refused))
        channels = tuple(sources)
        findings += about_mig(label, gpu.mig, channels[0])
        by_id = {channel.id: source for channel, source in sources.items()}
        answering = {**{name: described(source) for name, source in by_id.items()}, **found.answering}
        sensor = NvmlGpu(self, handle, f"gpu{number}", channels, by_id, answering)
        devices = [device]
        if of_module:
            devices.append(Device(id=channels[-1].device, name=f"{gpu.name} module", driver=device.driver))
        return _Found(sensor=sensor, devices=tuple(devices), findings=tuple(findings))

    def _handle(self, gpu: PresentGpu) -> Any:
        """From here on by UUID: places may change while we look."""
        if gpu.uuid in self._handles:
            return self._handles[gpu.uuid]
        if gpu.uuid in self._addresses:
            return self.nvml.nvmlDeviceGetHandleByPciBusId(self._addresses[gpu.uuid])
        return self.nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)

    def leave_module_of(self, gpu: PresentGpu) -> None:
        """The module that this GPU is on has its channels already, of somebody else."""
        with contextlib.suppress(self.nvml.NVMLError):
            self._is_new_module(self._handle(gpu))

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


def _own_channels(number: int, gpu: PresentGpu, found: Probe, limit_w: float | None) -> dict[Channel, Query]:
    """The channels of a GPU itself, and where each is read."""
    channels: dict[Channel, Query] = {}
    if not isinstance(found.counter, NoAnswer):
        # How often a counter is refreshed stands nowhere (20 to 100 ms); it is learned from the trace.
        energy = _channel(f"gpu{number}.energy", gpu, "counter", None, limit_w=limit_w)
        channels[energy] = found.counter
    if not isinstance(found.power, NoAnswer):
        period_s = INSTANT_PERIOD_S if found.is_momentary else AVERAGED_PERIOD_S
        power = _channel(f"gpu{number}.power", gpu, "power", period_s, limit_w=limit_w)
        channels[power] = found.power
    return channels


def _module_channels(number: int, gpu: PresentGpu, module: Module) -> dict[Channel, Query]:
    """The channels of the module that a GPU is on, and where each is read."""
    channels: dict[Channel, Query] = {}
    if not isinstance(module.counter, NoAnswer):
        channels[_channel(f"module{number}.energy", gpu, "counter", None, "module")] = module.counter
    if not isinstance(module.power, NoAnswer):
        power = _channel(f"module{number}.power", gpu, "power", module.power_period_s, "module")
        channels[power] = module.power
    return channels


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
