"""What is said of GPUs that are not measured, or not as asked. Asks the driver nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from energy_rating.measuring.sensors.nvml.binding import NO_PERMISSION, Reason, explain
from energy_rating.measuring.visible_devices import VisibleGpus
from energy_rating.nouns.entries import Finding
from energy_rating.nouns.errors import SensorUnavailable


def not_measured(label: str, reason: Reason) -> Finding:
    return Finding(
        code="gpu-not-measured",
        message=f"{label} is not measured: {reason.message}",
        remedy=reason.remedy or "Measure on a GPU that tells its energy or power",
        severity="degrades",
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
            Finding(
                code="gpu-order-uncertain",
                message="the GPUs differ and CUDA_VISIBLE_DEVICES counts them in CUDA's order; PCI order was assumed",
                remedy="Set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPUs by UUID",
                severity="degrades",
            )
        )
    if visible.invalid_entry is not None:
        findings.append(
            Finding(
                code="gpu-list-cut-short",
                message=f"entry {visible.invalid_entry} of CUDA_VISIBLE_DEVICES names no GPU here; CUDA stops there",
                remedy="Correct the entry",
            )
        )
    chosen = "CUDA_VISIBLE_DEVICES" in environ
    for place, code in unanswered:
        # A GPU that is not this process's to use is not visible to it.
        if code != NO_PERMISSION:
            message, remedy = explain(code)
            findings.append(
                Finding(
                    code="gpu-not-measured",
                    message=f"the GPU at place {place} of the driver's list is not measured: {message}",
                    remedy=remedy,
                    # Whether it is among the chosen ones cannot be told without its UUID.
                    severity="note" if chosen else "degrades",
                )
            )
    return findings
