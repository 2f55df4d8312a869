"""AMD GPUs: energy counter and power through AMD SMI; without its library, power alone through hwmon. Reads only.

What AMD SMI tells (amdsmi 7.0.2, amdsmi_interface.py; https://rocm.docs.amd.com/projects/amdsmi, both 2026-11-22)::

    amdsmi_get_energy_count   energy_accumulator (before ROCm 6.2.1: power) times counter_resolution in µJ (15.3), and its own
                              timestamp in ns; not in guests of virtual machines                     -> amd0.energy
    amdsmi_get_power_info     socket_power; before it current_socket_power (MI300) or average_socket_power (Navi, MI200 and
                              older), in W; "N/A" or 65535 where there is none                       -> amd0.power

Known faults, and what is done about each:

- The counter stands still or creeps (MI100, github.com/ROCm/amdsmi/issues/38; within one process on MI210,
  github.com/ROCm/rocm_smi_lib/issues/180): over a fraction of a second of its own time it is compared with the power; a counter that
  tells less than half or more than double is left out, and the power is summed up. One that stops later is the judging half's to see.
- It goes back (github.com/ROCm/amdsmi/issues/115): a value older than one that was read already is no reading.
- Of a card with two dies (MI250) the first die carries the energy of both and the second tells nothing
  (github.com/mlco2/codecarbon/issues/1097): the second has no channel, and both say so.

``import amdsmi`` prints to the terminal where its library is missing, so that it is imported only where the kernel's driver and the
library are there. A sleeping GPU is not woken: where one sleeps, AMD SMI (which opens all) is left alone and hwmon is read instead.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from energy_rating.files.libraries import AMD_LIBRARIES, has_amd_library
from energy_rating.measuring.hwmon import (
    ASLEEP,
    HWMON,
    Attribute,
    HwmonSensor,
    Quantity,
    chips,
    number,
    sleeps,
    status_of,
    text,
    why_not,
)
from energy_rating.measuring.sensors import Detection, Reading, Sensor, device_appeared
from energy_rating.nouns.entries import Channel, Component, Device, Finding
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable

COMPONENTS: tuple[Component, ...] = ("gpu",)
WHAT = "AMD GPUs"
SIGNS = ("/sys/class/kfd",)
UNTRIED = True

KFD = Path("/sys/class/kfd")

# AMD states no accuracy. An assumption, 1 σ: that of NVIDIA's boards, whose 15 measured cards stray by 4.3 % rms, and somewhat more.
ACCURACY = 0.05

# "power1_average" and the averaged socket power are means of firmware; how long is not said. A second errs to the safe side, and is
# what NVIDIA's averages over.
AVERAGED_S = 1.0

# So long, twice, a counter is watched before it is believed; first briefly, and longer where it looks wrong.
PROBES_S = (0.1, 0.4)
# A power that averages lags behind a counter when the load has just changed; real faults are off by orders of magnitude.
AGREES = (0.5, 2.0)

MICROJOULES = 1e6
NANOSECONDS = 1e9
NOT_KNOWN = 0xFFFF
MAX_POWER_W = 10_000.0

TWO_DIES = ("MI250",)

REMEDY = "Install ROCm's amd-smi-lib and, of the same version: pip install amdsmi"


def load_amdsmi(libraries: Sequence[str] = AMD_LIBRARIES, environ: Mapping[str, str] = os.environ) -> Any:
    """AMD's binding.

    Raises:
        SensorUnavailable: it, or the library behind it, is not installed.
    """
    if not has_amd_library(libraries, environ):
        raise SensorUnavailable("AMD's library libamd_smi.so was not found", REMEDY)
    try:
        import amdsmi
    except Exception as error:  # a binding of another version than the library fails in many ways
        raise SensorUnavailable(f"amdsmi cannot be used ({type(error).__name__})", REMEDY) from error
    return amdsmi


def detect(
    kfd: Path = KFD,
    hwmon: Path = HWMON,
    *,
    load: Callable[[], Any] = load_amdsmi,
    environ: Mapping[str, str] = os.environ,
    sleep: Callable[[float], None] = time.sleep,
) -> Detection:
    """One sensor for each AMD GPU that ROCm shows to a process with this environment. Takes 0.1 to 0.5 s where there are any.

    Raises:
        HardwareAbsent: the kernel's compute driver for AMD GPUs is not loaded.
        SensorUnavailable: there are GPUs, and none can be read.
    """
    if not kfd.is_dir():
        raise HardwareAbsent("no AMD GPU with its compute driver (/sys/class/kfd) was found")
    cards = [chip for chip in chips(hwmon) if text(chip / "name") == "amdgpu"]
    if any(sleeps(card / "device") for card in cards):
        return _through_hwmon(cards, "a GPU sleeps, which AMD SMI would wake", environ)
    try:
        amdsmi = load()
    except SensorUnavailable as error:
        if not cards:
            raise
        return _through_hwmon(cards, error.message, environ, error.remedy)
    try:
        return _through_smi(amdsmi, environ, sleep)
    except SensorUnavailable as error:
        if not cards:
            raise
        return _through_hwmon(cards, error.message, environ, error.remedy)


class AmdGpu:
    """One GPU of AMD SMI."""

    def __init__(self, driver: _AmdSmi, handle: Any, channels: Sequence[Channel]) -> None:
        self._driver = driver
        self._handle = handle
        self._channels = tuple(channels)
        self._newest_s = -1.0
        self._closed = False
        driver.users += 1

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

    def read(self) -> Reading:
        """Joules and watts by channel, or why one did not answer.

        Raises:
            SensorLost: the sensor was closed, or belongs to the parent process.
        """
        if self._closed:
            raise SensorLost("the AMD sensor is closed")
        if os.getpid() != self._driver.pid:
            raise SensorLost(
                "the AMD sensor belongs to the parent process", "Measure in the process that started"
            )
        readings: dict[str, float | SensorFailed] = {}
        for channel in self._channels:
            try:
                readings[channel.id] = (
                    self._energy_j() if channel.method == "counter" else self._driver.power_w(self._handle)
                )
            except SensorFailed as error:
                readings[channel.id] = error
        return readings

    def appeared(self) -> Sequence[Finding]:
        """The GPUs that were not there when this one was found, told once for all GPUs of a detection."""
        if self._closed or os.getpid() != self._driver.pid:
            return ()
        return self._driver.appeared()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._driver.release()

    def _energy_j(self) -> float:
        energy_j, when_s = self._driver.energy(self._handle)
        if when_s < self._newest_s:
            raise SensorFailed("AMD SMI told an older value than before", "Update ROCm to version 7 or later")
        self._newest_s = when_s
        return energy_j


class _AmdSmi:
    """AMD SMI, initialised once for all sensors of one detection and shut down once, after the last of them."""

    def __init__(self, amdsmi: Any) -> None:
        self._smi = amdsmi
        self.pid = os.getpid()
        self.users = 0
        self._known: set[str] | None = (
            None  # the GPUs that were there when it began; None once they were counted again
        )
        try:
            amdsmi.amdsmi_init()
        except Exception as error:  # its own exceptions have several roots, by version
            raise SensorUnavailable(f"AMD SMI does not start: {_message_of(error)}", REMEDY) from error

    def release(self) -> None:
        self.users -= 1
        if self.users <= 0:
            self.shut_down()

    def shut_down(self) -> None:
        if os.getpid() == self.pid:
            self._ask(self._smi.amdsmi_shut_down)

    def handles(self) -> list[Any]:
        try:
            return list(self._smi.amdsmi_get_processor_handles())
        except Exception as error:  # as above
            raise SensorUnavailable(f"AMD SMI lists no GPUs: {_message_of(error)}", REMEDY) from error

    def know(self, devices: Sequence[Device], environ: Mapping[str, str]) -> None:
        """These are there now; others that are seen later came later."""
        self._known = {device.id for device in devices}
        self._environ = environ

    def appeared(self) -> list[Finding]:
        """The GPUs that are there now and were not in the beginning."""
        known, self._known = self._known, None
        if known is None:
            return []
        devices = [self.described(handle, place)[0] for place, handle in enumerate(self.handles())]
        visible = [devices[place] for place in _visible([device.id for device in devices], self._environ)]
        return [device_appeared(f"a GPU ({device.name})") for device in visible if device.id not in known]

    def described(self, handle: Any, place: int) -> tuple[Device, int | None]:
        """The GPU, and its place in HIP's order where that is told."""
        asic = self._ask(self._smi.amdsmi_get_gpu_asic_info, handle) or {}
        driver = self._ask(self._smi.amdsmi_get_gpu_driver_info, handle) or {}
        cap = self._ask(self._smi.amdsmi_get_power_cap_info, handle) or {}
        uuid = self._ask(self._smi.amdsmi_get_gpu_device_uuid, handle)
        order = self._ask(getattr(self._smi, "amdsmi_get_gpu_enumeration_info", None), handle) or {}
        limit = _number(cap.get("power_cap"))
        if limit is not None and limit > MAX_POWER_W:
            limit /= 1e6  # microwatts, as newer libraries have it
        hip = _number(order.get("hip_id"))
        name = str(asic.get("market_name") or "AMD GPU")
        return (
            Device(
                id=str(uuid) if uuid else f"amd-gpu-{place}",
                name=name if name.startswith("AMD") else f"AMD {name}",
                driver=str(driver.get("driver_version") or "") or None,
                power_limit_w=limit or None,
            ),
            None if hip is None else int(hip),
        )

    def energy(self, handle: Any) -> tuple[float, float]:
        """Joules, and the seconds of the counter's own clock at which they were reached."""
        told = self._needed(self._smi.amdsmi_get_energy_count, handle, "no energy counter")
        count = _number(told.get("energy_accumulator", told.get("power")))
        resolution = _number(told.get("counter_resolution"))
        when = _number(told.get("timestamp"))
        if count is None or resolution is None or when is None or resolution <= 0:
            raise SensorFailed("AMD SMI tells no energy of this GPU")
        return count * resolution / MICROJOULES, when / NANOSECONDS

    def power_w(self, handle: Any) -> float:
        told = self._needed(self._smi.amdsmi_get_power_info, handle, "no power")
        for key in ("socket_power", "current_socket_power", "average_socket_power"):
            watts = _number(told.get(key))
            # A GPU that answers draws something; the second die of a card tells 0.
            if watts is not None and 0 < watts <= MAX_POWER_W and watts != NOT_KNOWN:
                return watts
        raise SensorFailed("AMD SMI tells no power of this GPU")

    def _needed(self, call: Callable[..., Any], handle: Any, what: str) -> Mapping[str, Any]:
        try:
            told = call(handle)
        except Exception as error:  # its own exceptions have several roots, by version
            raise SensorFailed(f"AMD SMI tells {what}: {_message_of(error)}") from error
        return told if isinstance(told, Mapping) else {}

    def _ask(self, call: Callable[..., Any] | None, *arguments: Any) -> Any:
        """What is good to know and may be missing."""
        try:
            return call(*arguments) if call is not None else None
        except Exception:  # what is not told stays unknown in the record
            return None


def _through_smi(amdsmi: Any, environ: Mapping[str, str], sleep: Callable[[float], None]) -> Detection:
    driver = _AmdSmi(amdsmi)
    try:
        handles = driver.handles()
        if not handles:
            raise SensorUnavailable(
                "AMD SMI finds no GPU", "Run on the GPU machine, with /dev/kfd and /dev/dri let in"
            )
        found = [(handle, *driver.described(handle, place)) for place, handle in enumerate(handles)]
        driver.know([device for _, device, _ in found], environ)
        ordered = all(place is not None for _, _, place in found)
        if ordered:
            found.sort(key=lambda item: item[2] or 0)
        findings = []
        shown = _visible([device.id for _, device, _ in found], environ)
        if len(shown) < len(found) and not ordered and len({device.name for _, device, _ in found}) > 1:
            findings.append(_order_uncertain())
        sensors: list[Sensor] = []
        devices: list[Device] = []
        silent: list[int] = []
        refusal = ""
        verdicts = _compared(driver, [found[place][0] for place in shown], sleep)
        for n, (place, verdict) in enumerate(zip(shown, verdicts, strict=True)):
            handle, device, _ = found[place]
            devices.append(device)
            channels = [
                Channel(
                    id=f"amd{n}.{kind}",
                    component="gpu",
                    device=device.id,
                    method="counter" if kind == "energy" else "power",
                    accuracy=ACCURACY,
                    period_s=None if kind == "energy" else AVERAGED_S,
                )
                for kind in ("energy", "power")
                if kind not in verdict
            ]
            if not channels:
                refusal = refusal or verdict["power"]
                silent.append(n)
                if not _two_dies(device):
                    findings.append(_not_measured(n, device, verdict["power"]))
                continue
            if "energy" in verdict:
                findings.append(
                    Finding.of(
                        "no-energy-counter",
                        f"AMD GPU {n}: {verdict['energy']}; its power is summed up",
                        remedy="On some cards a reboot sets the counter going",
                        channel=f"amd{n}.power",
                    )
                )
            sensors.append(AmdGpu(driver, handle, channels))
        findings += _about_dies(devices, silent)
        if not sensors:
            raise SensorUnavailable(
                refusal or "no AMD GPU is visible to this process",
                "AMD SMI tells energy and power only outside of virtual machines"
                if refusal
                else "See ROCR_VISIBLE_DEVICES and HIP_VISIBLE_DEVICES",
            )
    except BaseException:
        driver.shut_down()
        raise
    return Detection(sensors=tuple(sensors), devices=tuple(devices), findings=tuple(findings))


def _compared(
    driver: _AmdSmi, handles: Sequence[Any], sleep: Callable[[float], None]
) -> list[dict[str, str]]:
    """For each GPU what it does not tell, or not in earnest, and why: by ``energy`` and ``power``. All wait at once."""
    verdicts: list[dict[str, str]] = [{} for _ in handles]
    before: dict[int, tuple[float, float]] = {}
    watts: dict[int, float] = {}
    for n, handle in enumerate(handles):
        try:
            watts[n] = driver.power_w(handle)
        except SensorFailed as error:
            verdicts[n]["power"] = error.message
        try:
            before[n] = driver.energy(handle)
        except SensorFailed as error:
            verdicts[n]["energy"] = error.message
    pending = set(before)
    for wait_s in PROBES_S:
        if not pending:
            break
        sleep(wait_s)
        for n in sorted(pending):
            reason = _disagreement(driver, handles[n], before[n], watts.get(n))
            if reason is None:
                pending.discard(n)
                verdicts[n].pop("energy", None)
            else:
                verdicts[n]["energy"] = reason
    return verdicts


def _disagreement(
    driver: _AmdSmi, handle: Any, before: tuple[float, float], watts: float | None
) -> str | None:
    """Why the counter is not to be believed; None where it is."""
    try:
        energy_j, when_s = driver.energy(handle)
        after_w = driver.power_w(handle) if watts is not None else None
    except SensorFailed as error:
        return error.message
    spent_s, spent_j = when_s - before[1], energy_j - before[0]
    if spent_s <= 0 or spent_j <= 0:
        return "its energy counter stands still"
    if watts is None or after_w is None:
        return None
    least, most = AGREES[0] * min(watts, after_w), AGREES[1] * max(watts, after_w)
    if not least <= spent_j / spent_s <= most:
        return f"its energy counter tells {spent_j / spent_s:.3g} W where the power is {after_w:.3g} W"
    return None


def _through_hwmon(
    cards: Sequence[Path], reason: str, environ: Mapping[str, str], remedy: str = ""
) -> Detection:
    """Power alone, of all GPUs that show it (``power1_average`` or ``power1_input`` in µW: Documentation/gpu/amdgpu/thermal.rst)."""
    ids = []
    for card in cards:
        unique = text(card / "device" / "unique_id")
        ids.append(f"GPU-{unique}" if unique else Path(os.path.realpath(card / "device")).name)
    sensors: list[Sensor] = []
    devices: list[Device] = []
    findings: list[Finding] = []
    refusals: list[str] = []
    for n, place in enumerate(_visible(ids, environ)):
        card = cards[place]
        limit_uw = None if sleeps(card / "device") else number(card / "power1_cap")
        name = text(card / "device" / "product_name") or f"AMD GPU {text(card / 'device' / 'device')}".strip()
        device = Device(
            id=ids[place],
            name=name if name.startswith("AMD") else f"AMD {name}",
            driver="amdgpu",
            power_limit_w=limit_uw / 1e6 if limit_uw and limit_uw > 0 else None,
        )
        devices.append(device)
        path = next((p for p in (card / "power1_average", card / "power1_input") if p.exists()), None)
        held: list[Attribute | Quantity] = []
        try:
            if path is None:
                raise SensorFailed("its driver shows no power")
            quantity = Quantity([[Attribute(path)]], positive=True)
            held.append(quantity)
            if status := status_of(card / "device"):
                held.append(status)
            if status is None or status.read() not in ASLEEP:
                quantity.read()
        except (OSError, SensorFailed) as error:
            for one in held:
                one.close()
            refusals.append(why_not(path or card, error))
            findings.append(_not_measured(n, device, refusals[-1]))
            continue
        channel = Channel(
            id=f"amd{n}.power",
            component="gpu",
            device=device.id,
            method="power",
            accuracy=ACCURACY,
            period_s=AVERAGED_S,
        )
        sensors.append(HwmonSensor([channel], {channel.id: quantity}, status))
        findings.append(
            Finding.of(
                "no-energy-counter",
                f"AMD GPU {n}: its energy counter is not read ({reason}); its power is summed up",
                remedy=remedy,
                channel=channel.id,
            )
        )
    if not sensors:
        raise SensorUnavailable(refusals[0] if refusals else "no AMD GPU is visible to this process", remedy)
    return Detection(sensors=tuple(sensors), devices=tuple(devices), findings=tuple(findings))


def _visible(ids: Sequence[str], environ: Mapping[str, str]) -> list[int]:
    """The places of the GPUs that ROCm shows, in its order.

    ROCR_VISIBLE_DEVICES takes places and UUIDs, then HIP_VISIBLE_DEVICES (or CUDA_VISIBLE_DEVICES) places among what is left
    (https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html, 2026-11-22). Both stop at the first entry that names no GPU.
    """
    places = list(range(len(ids)))
    first = environ.get("ROCR_VISIBLE_DEVICES")
    if first is not None:
        places = _named(first, places, ids)
    second = environ.get("HIP_VISIBLE_DEVICES", environ.get("CUDA_VISIBLE_DEVICES"))
    if second is not None:
        places = _named(second, places, ids)
    return places


def _named(entries: str, places: Sequence[int], ids: Sequence[str]) -> list[int]:
    found: list[int] = []
    for entry in (part.strip() for part in entries.split(",")):
        if entry.isdigit() and int(entry) < len(places):
            place = places[int(entry)]
        else:
            wanted = entry.lower().removeprefix("gpu-")
            named = [p for p in places if wanted and ids[p].lower().removeprefix("gpu-").startswith(wanted)]
            if entry.isdigit() or len(named) != 1:
                break
            place = named[0]
        if place not in found:
            found.append(place)
    return found


def _two_dies(device: Device) -> bool:
    return any(name in device.name for name in TWO_DIES)


def _about_dies(devices: Sequence[Device], silent: Sequence[int]) -> list[Finding]:
    """What is to be said of cards with two dies, of which one tells for both."""
    dies = [n for n, device in enumerate(devices) if _two_dies(device)]
    quiet = [n for n in silent if n in dies]
    findings = [
        Finding.of(
            "two-dies-one-meter",
            f"AMD GPU {n} ({devices[n].name}) tells nothing of its own: the first die of its card tells for both",
            severity="note",
        )
        for n in quiet
    ]
    telling = len(dies) - len(quiet)
    if telling > len(quiet):
        findings.append(
            Finding.of(
                "two-dies-one-meter",
                f"{telling} GPUs of a kind with two dies on a card tell the energy of both dies, of which not all are visible here",
                severity="degrades",
            )
        )
    elif quiet and telling < len(quiet):
        findings.append(
            Finding.of(
                "gpu-not-measured",
                "the energy of some dies is told by dies that are not visible to this process",
                remedy="Make both dies of a card visible (ROCR_VISIBLE_DEVICES)",
                severity="disqualifies",
            )
        )
    return findings


def _not_measured(n: int, device: Device, reason: str) -> Finding:
    return Finding.of(
        "gpu-not-measured",
        f"AMD GPU {n} ({device.name}) is not measured: {reason}",
        severity="degrades",
    )


def _order_uncertain() -> Finding:
    return Finding.of(
        "gpu-order-uncertain",
        "the AMD GPUs differ and are chosen by place; the order of AMD SMI was assumed to be that of ROCm",
        remedy="Name the GPUs by UUID in ROCR_VISIBLE_DEVICES",
    )


def _number(value: Any) -> float | None:
    """A finite number not below zero; None for "N/A" and what else a field may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < float("inf") else None


def _message_of(error: Exception) -> str:
    """What AMD SMI says of an error, in one line."""
    said = str(getattr(error, "err_info", "") or error) or type(error).__name__
    return " ".join(said.split())
