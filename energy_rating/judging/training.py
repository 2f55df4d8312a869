"""The work of a training, and whether its devices could have done it. Stars are given in ``rating``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from energy_rating.judging.eligibility import count_to_text, of_unknown_devices
from energy_rating.judging.profiles import EXAMPLE_DEVICE, Profile, profile_for
from energy_rating.judging.schemes import Scheme
from energy_rating.judging.work import COVERS, Divisor, counted, percent
from energy_rating.nouns.reasons import Reason
from energy_rating.nouns.records import Basis, Measurement, Record

# Operations of a training, by parameter and token: two (a multiplication, an addition) forwards, two for the gradient of what
# flows through, two for that of the weight itself, which a frozen weight does not need. 6 N T in all; arXiv 2204.02311 (PaLM),
# appendix B, counts so, and leaves recomputation out. The operations of attention itself are left out here too.
FLOP_THROUGH, FLOP_TRAINED = 4, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingWork:
    """The work that the energy is divided by, how it was had, and what is missing where there is none."""

    amount: float | None = None
    method: str = ""
    reasons: Sequence[Reason] = field(default_factory=list)


def training_flop(record: Record, measurement: Measurement) -> TrainingWork:
    """The floating-point operations that the model's training needed: those counted as ``flop``, else from its tokens.

    (4 N + 2 N_trained) T, with N the active parameters: 6 N T where all are trained, 4 N T where next to none is (adapters).
    Where a fine-tuning does not say how many it trained, the fewest operations are taken, so that nobody gains by silence.
    """
    found = counted(record, measurement)
    whole = {unit: work for unit, work in found.items() if work.covers}
    if flop_counted := whole.get("flop"):
        by = "the run itself" if flop_counted.window is None else _inside(flop_counted)
        return TrainingWork(amount=float(flop_counted.amount), method=f"counted as 'flop' by {by}")
    tokens_counted = whole.get("token")
    tokens = tokens_counted.amount if tokens_counted is not None else None
    model = record.model
    active = (model.active_parameters or model.parameters) if model is not None else None
    reasons: list[Reason] = []
    if not tokens:
        inner = next((found[unit] for unit in ("flop", "token") if unit in found), None)
        reasons.append(
            Reason.of(
                "nothing-counted",
                "training is rated per floating-point operation, and neither 'token' nor 'flop' was counted in the run",
                "Count the tokens that are trained on: window.count(token=…), or --count token=N",
            )
            if inner is None
            else Reason.of(
                "counted-in-parts",
                f"the work of the whole run is needed; {inner} were counted, and windows count for the run that cover "
                f"{percent(COVERS)} of it",
                f"Count it for the whole run: run.count({inner.unit}=…)",
            )
        )
    if model is None or active is None:
        reasons.append(
            Reason.of(
                "parameters-unknown",
                "the record does not say how many parameters the model has, from which its operations would follow",
            )
        )
    if reasons or model is None or active is None or not tokens:
        return TrainingWork(reasons=reasons)
    if model.trainable_parameters is not None:
        trained = min(model.trainable_parameters, active)
        whose = "all trained" if trained == active else f"{trained:,} of them trained"
    elif record.stage == "fine-tuning":
        trained, whose = 0, "how many of them were trained is not said, so none is counted"
    else:
        trained, whose = active, "all trained"
    flop = (FLOP_THROUGH * active + FLOP_TRAINED * trained) * tokens
    formula = (
        f"{FLOP_THROUGH + FLOP_TRAINED} N T"
        if trained == active
        else f"({FLOP_THROUGH} N + {FLOP_TRAINED} N_trained) T"
    )
    return TrainingWork(
        amount=float(flop),
        method=f"{formula}: N = {active:,} parameters, {whose}; T = {count_to_text(tokens)} tokens"
        + (f", counted in {_inside(tokens_counted)}" if tokens_counted and tokens_counted.window else ""),
    )


def _inside(work: Divisor) -> str:
    return f"{work.window!r}, which covers {percent(work.share)} of the run"


def of_training_devices(
    record: Record, measurement: Measurement, scheme: Scheme, known: Sequence[Profile], flop: float | None
) -> tuple[list[Reason], Basis]:
    """What is wrong with the devices of a training run. Any may be used: the choice of the device is part of what is rated."""
    names = list(
        dict.fromkeys(channel.device for channel in record.channels_of(measurement, scheme.component))
    )
    devices = {device.id: device for device in record.environment.devices}
    reasons = list(of_unknown_devices([name for name in names if name not in devices], len(names)))
    divided: dict[str, int] = {}
    without_peak: list[str] = []
    basis: Basis = "measured"
    peak_flop_s = 0.0
    for device in (devices[name] for name in names if name in devices):
        if device.name == EXAMPLE_DEVICE:
            basis = "indicative"
        if device.mig:
            divided[device.name] = divided.get(device.name, 0) + 1
        profile = profile_for(device.name, device.memory_gb, among=known)
        figures = profile.figures if profile is not None else None
        peaks = (figures.bf16_tflops, figures.fp16_tflops, figures.fp8_tflops) if figures is not None else ()
        most = max((figure.value for figure in peaks if figure is not None), default=None)
        if most is None and basis == "measured":
            without_peak.append(device.name)
        peak_flop_s += 1e12 * (most or 0.0)
    reasons += [
        Reason.of(
            "device-divided",
            f"{name}{_times(count)} was divided (MIG), and its energy is not that of this run alone",
        )
        for name, count in divided.items()
    ]
    reasons += [
        Reason.of(
            "peak-unknown",
            f"no hardware profile says how many operations {name} can do, so that what was counted cannot be checked",
        )
        for name in dict.fromkeys(without_peak)
    ]
    if flop and not reasons and basis == "measured" and measurement.duration_s > 0:
        done_s = flop / measurement.duration_s
        if done_s > peak_flop_s:
            reasons.append(
                Reason.of(
                    "too-much-work",
                    f"the devices can do {peak_flop_s / 1e12:,.0f} TFLOP/s; what was counted would be {done_s / 1e12:,.0f}",
                )
            )
    return reasons, basis


def _times(count: int) -> str:
    return f" (× {count:,})" if count > 1 else ""
