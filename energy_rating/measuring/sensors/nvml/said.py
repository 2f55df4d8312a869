"""What is said of GPUs that are not measured, or not as asked. Asks the driver nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from energy_rating.measuring.sensors.nvml.binding import NEW_DRIVER, NO_PERMISSION, NoAnswer, explain
from energy_rating.measuring.sensors.nvml.probing import Module, Probe
from energy_rating.measuring.visible_devices import PresentGpu, VisibleGpus
from energy_rating.nouns.entries import Channel, Finding
from energy_rating.nouns.errors import SensorUnavailable


def not_measured(label: str, reason: NoAnswer) -> Finding:
    return Finding.of(
        "gpu-not-measured",
        f"{label} is not measured: {reason.message}",
        remedy=reason.remedy or "Measure on a GPU that tells its energy or power",
        severity="degrades",
    )


def asleep(number: int) -> Finding:
    return Finding.of(
        "gpu-asleep",
        f"GPU {number} sleeps and was not woken; should it wake later, it is not measured",
    )


def described_unreadably(number: int, what: Sequence[str]) -> Iterator[Finding]:
    if what:
        yield Finding.of(
            "gpu-described-unreadably",
            f"the {' and the '.join(what)} of GPU {number}, as the driver tells, is not UTF-8; "
            "something else stands in the record",
            remedy=NEW_DRIVER,
        )


def about_own(label: str, found: Probe, own: Sequence[Channel]) -> Iterator[Finding]:
    """What a GPU that has channels of its own lacks; of one that has none its module's finding says it."""
    if not own:
        return
    first, last = own[0].id, own[-1].id  # its energy and its power, or the one of both that there is
    if isinstance(found.counter, NoAnswer):
        kind = "momentary power" if found.is_momentary else "power averaged over 1 s"
        yield Finding.of(
            "no-energy-counter",
            f"{label} has no energy counter ({found.counter.message}); its {kind} is summed up",
            remedy=found.counter.remedy or None,
            channel=last,
        )
    if isinstance(found.power, NoAnswer):
        yield Finding.of(
            "no-power-reading",
            f"{label} tells no power ({found.power.message}), so that its counter goes unchecked",
            remedy=found.power.remedy or None,
            channel=first,
        )
    elif isinstance(found.instant, NoAnswer):
        yield Finding.of(
            "averaged-power",
            f"{label} tells only its power averaged over 1 s ({found.instant.message})",
            remedy=NEW_DRIVER,
            # With a counter the power serves the edges of windows and the cross-check only.
            severity="degrades" if isinstance(found.counter, NoAnswer) else "note",
            channel=last,
        )


def about_module(
    number: int, gpu: PresentGpu, module: Module | None, channels: Sequence[Channel], *, alone: bool
) -> Iterator[Finding]:
    """What the module's channels are. ``alone``: its GPU has none of its own."""
    if module is None:
        return
    about = "its energy and power are the whole module's: GPU, CPU and memory together"
    if alone:
        message = f"GPU {number} ({gpu.name}) tells nothing of its own; {about}"
    elif module.took_counter:
        message = f"the energy counter of GPU {number} ({gpu.name}) is the whole module's, and counts as such"
    elif module.took_counter is None:
        message = (
            f"whether the energy counter of GPU {number} ({gpu.name}) is its own or the whole module's could not "
            "be told; it counts as the module's"
        )
    else:
        return
    yield Finding.of(
        "module-scope",
        message,
        channel=channels[0].id,
    )


def about_mig(label: str, mig: bool | None, channel: Channel) -> Iterator[Finding]:
    if mig:
        # NVML knows energy and power of the whole GPU only; splitting it among slices would be a model.
        yield Finding.of(
            "mig-shared",
            f"{label} is divided by MIG; the energy is the whole GPU's, shared with other slices",
            channel=channel.id,
        )
    elif mig is None:
        yield Finding.of(
            "mig-unknown",
            f"the driver does not say whether {label} is divided by MIG",
            channel=channel.id,
        )


def none_visible(
    environ: Mapping[str, str], visible: VisibleGpus, unanswered: Sequence[tuple[int, int]], count: int
) -> SensorUnavailable:
    if count == 0:
        return SensorUnavailable(
            "the NVIDIA driver finds no GPU",
            "Run on the GPU machine (in a container: start it with --gpus all)",
        )
    present = f"({count} {'is' if count == 1 else 'are'} present)"
    if len(unanswered) == count:
        message, remedy = explain(unanswered[0][1])
        return SensorUnavailable(f"no GPU is visible to this process {present}: {message}", remedy)
    dead = [(place, code) for place, code in unanswered if code != NO_PERMISSION]
    if dead and visible.invalid_entry is not None:
        place, code = dead[0]
        return SensorUnavailable(
            f"no GPU is visible to this process {present}: the one at place {place} of the driver's list does not answer "
            f"({explain(code).message}), and CUDA_VISIBLE_DEVICES names none of the others",
            "Name the GPUs by UUID: CUDA may go on counting the one that does not answer",
        )
    if visible.repeated:
        return SensorUnavailable(
            f"no GPU is visible to this process {present}: CUDA_VISIBLE_DEVICES names one twice",
            "Name each GPU once",
        )
    set_to = "is empty" if not environ.get("CUDA_VISIBLE_DEVICES", "").strip() else "names none of them"
    return SensorUnavailable(
        f"no GPU is visible to this process {present}: CUDA_VISIBLE_DEVICES {set_to}",
        "Unset CUDA_VISIBLE_DEVICES, or set it to the GPUs to use",
    )


def about_the_list(
    environ: Mapping[str, str], visible: VisibleGpus, unanswered: Sequence[tuple[int, int]]
) -> list[Finding]:
    findings = []
    if visible.order_uncertain:
        findings.append(
            Finding.of(
                "gpu-order-uncertain",
                "the GPUs differ and CUDA_VISIBLE_DEVICES counts them in CUDA's order; PCI order was assumed",
                remedy="Set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPUs by UUID",
            )
        )
    if visible.invalid_entry is not None:
        findings.append(
            Finding.of(
                "gpu-list-cut-short",
                f"entry {visible.invalid_entry} of CUDA_VISIBLE_DEVICES names no GPU here; CUDA stops there",
            )
        )
    # A GPU that is not this process's to use is not counted by anybody; any other may still be by CUDA, and then numbers above its own
    # (of an order that is not known: any number) mean another GPU.
    in_order = environ.get("CUDA_DEVICE_ORDER", "").strip() == "PCI_BUS_ID"
    highest = visible.highest_index
    dead = [(place, code) for place, code in unanswered if code != NO_PERMISSION]
    if visible.uuids and highest is not None and dead and (not in_order or dead[0][0] <= highest):
        place, code = dead[0]
        findings.append(
            Finding.of(
                "gpu-order-uncertain",
                f"the GPU at place {place} of the driver's list does not answer ({explain(code).message}); CUDA may go on counting it, and "
                "CUDA_VISIBLE_DEVICES chooses by number: those that answer were counted",
                remedy="Name the GPUs by UUID",
            )
        )
    chosen = "CUDA_VISIBLE_DEVICES" in environ
    for place, code in unanswered:
        # A GPU that is not this process's to use is not visible to it.
        if code != NO_PERMISSION:
            message, remedy = explain(code)
            findings.append(
                Finding.of(
                    "gpu-not-measured",
                    f"the GPU at place {place} of the driver's list is not measured: {message}",
                    remedy=remedy or None,
                    # Whether it is among the chosen ones cannot be told without its UUID.
                    severity="note" if chosen else "degrades",
                )
            )
    return findings
