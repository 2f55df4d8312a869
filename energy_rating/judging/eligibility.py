"""Whether a measurement may be rated at all, and every reason why not. What it is compared with is left to ``classes``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from energy_rating.judging.checks import HELD_NOTHING, LEAST_COVERAGE, ONLY_ESTIMATED
from energy_rating.judging.items import OF_DATASETS, OWN, names_of_items
from energy_rating.judging.profiles import EXAMPLE_DEVICE, Profile, is_same_limit, load_profile, profile_for
from energy_rating.judging.schemes import ProtocolRule, RatingClass, Scheme
from energy_rating.nouns.quantities import significant
from energy_rating.nouns.reasons import Reason
from energy_rating.nouns.records import (
    Basis,
    Channel,
    Device,
    Finding,
    Measurement,
    Record,
    Validity,
    validity,
    worst_method,
)

WORST_LAST: tuple[Validity, ...] = ("valid", "degraded", "invalid")

# How a record's settings call the engine's own options (``--option NAME=VALUE``).
ENGINES_OWN = "option."

# How a component is called in a sentence.
NAMED: Mapping[str, str] = {
    "gpu": "GPU",
    "cpu": "CPU",
    "dram": "memory",
    "module": "module",
    "host": "whole machine",
    "wall": "machine at the wall",
}

# What a finding calls a device that others used at the same time: the energy is not the model's alone, however much that was.
NOT_ALONE = ("shared-gpu",)


# ------------------------------------------------------------------------------------------------- what was measured


def of_origin(record: Record) -> Iterator[Reason]:
    """That it was taken over from somebody else's file: no journal can say what happened."""
    if record.origin == "imported":
        yield Reason.of(
            "imported", "it was taken over from another file (imported), and no journal stands behind it"
        )


def of_measurement(record: Record, measurement: Measurement, scheme: Scheme) -> Iterator[Reason]:
    """What is wrong with the measurement itself."""
    component, rules = scheme.component, scheme.rules
    channels = record.channels_of(measurement, component)
    energy = measurement.energy_j.get(component)
    if energy is None or not channels:
        had = ", ".join(
            _told(record, measurement, item) for item in measurement.energy_j if item != component
        )
        yield Reason.of(
            "component-not-measured",
            f"the energy of the {NAMED[component]} must be measured for {scheme.name}; measured was: {had or 'nothing'}",
        )
    else:
        if is_estimated(record, measurement, component):
            yield Reason.of(
                "estimated",
                f"the energy of the {NAMED[component]} is only an estimate: a model's, not a measurement's",
            )
        if energy.value <= 0:
            yield Reason.of(
                "no-energy",
                f"the energy of the {NAMED[component]} must be above 0 J; its sensor told {energy.value:g} J",
            )
        share = measurement.coverage.get(component, 0.0)
        if share < rules.least_coverage:
            yield Reason.of(
                "partly-measured" if share >= LEAST_COVERAGE else "hardly-measured",
                f"the sensors saw {_percent(share)} of the time; {_percent(rules.least_coverage)} are needed",
            )
        yield from _of_sampling(
            measurement, channels, rules.fewest_samples, "GPUs" if component == "gpu" else "sensors"
        )
        yield from _of_several_channels(channels)
    yield from _of_validity(record, measurement, component, rules.bears)
    if measurement.duration_s < rules.shortest_s:
        yield Reason.of(
            "too-brief",
            f"{int(measurement.duration_s * 100) / 100:.2f} s were measured; {rules.shortest_s:.0f} s are needed",
        )


def of_how_many(names: Sequence[str], every: int, kind: str) -> str:
    """Whom a reason is about: the one by its name, of several the number; of a few of them the names too."""
    if len(names) == 1:
        return names[0]
    if len(names) == every:
        return f"all {every:,} {kind}"
    return f"{len(names):,} of {every:,} {kind} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"


def _of_sampling(
    measurement: Measurement, channels: Sequence[Channel], fewest: int, kind: str
) -> Iterator[Reason]:
    """Whether the sensors refreshed often enough, as far as it is known how often they do."""
    sensors = [channel for channel in channels if channel.method != "model"]
    unknown = [channel.id for channel in sensors if channel.period_s is None]
    if unknown:
        yield Reason.of(
            "period-unknown",
            f"{of_how_many(unknown, len(sensors), kind)}: the readings came too late or too seldom to tell how often the sensor "
            "refreshes",
        )
    few = {
        channel.id: int(measurement.duration_s / channel.period_s)
        for channel in sensors
        if channel.period_s is not None and measurement.duration_s / channel.period_s < fewest
    }
    if few:
        low, high = min(few.values()), max(few.values())
        yield Reason.of(
            "too-few-samples",
            f"{of_how_many(list(few), len(sensors), kind)}: about {low if low == high else f'{low} to {high}'} samples; "
            f"{fewest} are needed",
        )


def _of_several_channels(channels: Sequence[Channel]) -> Iterator[Reason]:
    devices: dict[str, list[str]] = {}
    for channel in channels:
        devices.setdefault(channel.device, []).append(channel.id)
    several = [ids for ids in devices.values() if len(ids) > 1]
    if several:
        more = f", and so for {len(several) - 1:,} more" if len(several) > 1 else ""
        yield Reason.of(
            "sensors-changed",
            f"the energy of one device comes from several sensors: {', '.join(several[0])}{more}",
        )


def _of_validity(
    record: Record, measurement: Measurement, component: str, bears: Sequence[str] = ()
) -> Iterator[Reason]:
    """What findings say of this component. What befell another component's sensors says nothing about its energy."""
    components = {channel.id: channel.component for channel in record.channels}
    own: list[Finding] = []
    others: list[Finding] = []
    for finding in record.findings_on(measurement.name):
        # A channel that the record does not know may have been this component's.
        concerned = component if finding.channel is None else components.get(finding.channel, component)
        (own if concerned == component else others).append(finding)
    found, stored = validity(own), measurement.validity
    worst = found
    if WORST_LAST.index(stored) > max(WORST_LAST.index(found), WORST_LAST.index(validity(others))):
        worst = stored
    by_code: dict[str, list[Finding]] = {}
    for finding in own:
        # That it is an estimate is a reason of its own, which measuring longer does not take away.
        told_apart = finding.code == ONLY_ESTIMATED and finding.severity == "degrades"
        borne = finding.severity == "degrades" and finding.code in bears
        if finding.code in NOT_ALONE or (finding.severity != "note" and not told_apart and not borne):
            by_code.setdefault(finding.code, []).append(finding)
    for code, several in by_code.items():
        grave = validity(several)
        finding = next(item for item in several if validity([item]) == grave)
        more = f", and {len(several) - 1:,} more of it" if len(several) > 1 else ""
        if code in NOT_ALONE:  # whatever it weighs
            yield Reason.of(
                "shared",
                f"others used the device at the same time ({code}{more}): {finding.message}",
                finding.remedy or None,
            )
            continue
        yield Reason.of(
            "invalid" if grave == "invalid" else "degraded",
            f"the measurement is {grave} ({code}{more}): {finding.message}",
            finding.remedy or None,
        )
    if worst != found:
        yield Reason.of(
            "marked-without-a-finding", f"the measurement is marked {worst}, and no finding says why"
        )


def of_repeats(measurement: Measurement, scheme: Scheme) -> Iterator[Reason]:
    if measurement.n < scheme.rules.fewest_repeats:
        yield Reason.of(
            "too-few-repeats",
            f"{'1 repeat was' if measurement.n == 1 else f'{measurement.n} repeats were'} measured; {scheme.rules.fewest_repeats} are needed",
            f"Repeat more often: --repeats {scheme.rules.fewest_repeats}",
        )


def of_devices(
    record: Record, measurement: Measurement, scheme: Scheme, known: Sequence[Profile]
) -> tuple[list[Reason], list[Device], Basis]:
    """What is wrong with what it was measured on; the devices that are not the reference; and what the rating would rest on."""
    names = dict.fromkeys(channel.device for channel in record.channels_of(measurement, scheme.component))
    described = {device.id for device in record.environment.devices}
    reasons = list(of_unknown_devices([name for name in names if name not in described], len(names)))
    # A resumed run may describe one device twice, the second time with another limit: all that it says must hold.
    devices = [device for device in record.environment.devices if device.id in names]
    protocol = protocol_of(record, scheme)
    if protocol is not None and protocol.devices is not None and len(names) not in (0, protocol.devices):
        reasons.append(
            Reason.of(
                "device-count",
                f"the number of devices must be {protocol.devices} under {protocol.name}; got {len(names)}",
                f"Measure on {protocol.devices} device{'s' if protocol.devices > 1 else ''}",
            )
        )
    kinds = list(dict.fromkeys(device.name for device in devices))
    if len(kinds) > 1:
        reasons.append(
            Reason.of(
                "mixed-devices", f"it was measured on devices of more than one kind: {', '.join(kinds)}"
            )
        )
    basis: Basis = "measured"
    elsewhere: list[Device] = []
    for device in devices:
        profile = profile_for(device.name, device.memory_gb, among=known)
        if device.name == EXAMPLE_DEVICE:
            basis = "indicative"
        elif profile is None or profile.key != scheme.reference_device:
            elsewhere.append(device)
        else:
            is_free = scheme.limit_must_bind and limit_held_nothing(record, measurement)
            reasons += _of_reference(device, profile, is_free=is_free)
    return reasons, elsewhere, basis


def of_unknown_devices(names: Sequence[str], every: int) -> Iterator[Reason]:
    """That the record does not describe devices that it has energy of."""
    if names:
        whom = of_how_many([f"device {name!r}" for name in names], every, "devices")
        yield Reason.of(
            "device-unknown", f"the record does not say what {whom} {'is' if len(names) == 1 else 'are'}"
        )


# What a finding says of another power limit than the profile's that held no clocks down.
HELD_DOWN = "throttled"


def limit_held_nothing(record: Record, measurement: Measurement) -> bool:
    """Whether it is known that no power limit held clocks down while this was measured: such a limit changes nothing.

    An RTX 4090 drew the same 246 W at the same speed under every limit from 280 to 530 W (noonghunna/club-3090, issues 697 and 698).
    """
    found = {finding.code for finding in record.findings_on(measurement.name)}
    return HELD_NOTHING in found and HELD_DOWN not in found


def _of_reference(device: Device, profile: Profile, *, is_free: bool) -> Iterator[Reason]:
    """What keeps a device that is called like the reference from being the reference."""
    if device.mig:
        yield Reason.of(
            "device-divided",
            f"{device.name} was divided (MIG), and a part of the reference device is not the whole",
        )
    if device.mig is None and device.memory_gb is None:
        yield Reason.of(
            "perhaps-divided", f"{device.name}: the record does not say whether the whole device was used"
        )
    limit = profile.figures.power_limit_w
    if device.power_limit_w is None or limit is None:
        return
    if not is_free and not is_same_limit(device.power_limit_w, limit.value):
        yield Reason.of(
            "power-limit",
            f"the power limit of {device.name} must be that of the reference, {significant(limit.value, 3)} W; "
            f"got {significant(device.power_limit_w, 3)} W",
        )


def protocol_of(record: Record, scheme: Scheme) -> ProtocolRule | None:
    name = record.task.protocol if record.task is not None else None
    return next((item for item in scheme.protocols if item.name == name), None)


def not_the_reference(device: Device, scheme: Scheme, known: Sequence[Profile]) -> Reason:
    """That it was measured on another device, where the scheme takes only what was measured on the reference."""
    reference = next((item for item in known if item.key == scheme.reference_device), None)
    reference = reference or load_profile(scheme.reference_device)
    memory = reference.figures.memory_gb
    if device.name in reference.driver.names and device.memory_gb is not None and memory is not None:
        return Reason.of(
            "other-memory",
            f"the reference device of {scheme.name}, {reference.name}, has {memory.value:g} GB of memory; "
            f"got {device.name} with {significant(device.memory_gb, 3)} GB",
        )
    return Reason.of(
        "other-device",
        f"the device must be the reference of {scheme.name}, {reference.name}; got {device.name}, and {scheme.name} rates no "
        "converted figures",
    )


def is_estimated(record: Record, measurement: Measurement, component: str) -> bool:
    return worst_method(channel.method for channel in record.channels_of(measurement, component)) == "model"


def _told(record: Record, measurement: Measurement, component: str) -> str:
    return f"{component} (only estimated)" if is_estimated(record, measurement, component) else component


def _percent(share: float) -> str:
    # Rounded down: 98.96 % must not read as the 99 % that it misses.
    return f"{int(share * 1000) / 10:g} %"


def of_work(
    record: Record, measurement: Measurement, rated: RatingClass, *, whole_rounds: bool
) -> Iterator[Reason]:
    """Whether what was counted is what the protocol does: every item, in every repeat, and answers of its length."""
    n, items = measurement.n, record.load.items if record.load is not None else None
    amount = measurement.work.get(rated.unit)
    if whole_rounds and amount and items is not None and n and (amount < n * items or amount % (n * items)):
        yield Reason.of(
            "not-all-items",
            f"each repeat must take all {items:,} items under {rated.protocol}; {count_to_text(amount)} {rated.unit}s were counted in "
            f"{n} repeats",
        )
    requests, tokens = measurement.work.get("request"), measurement.work.get("token")
    if rated.tokens_per_request is None or not requests:
        return
    low, high = rated.tokens_per_request
    asked = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    if not tokens:
        yield Reason.of(
            "answers-not-counted",
            f"an answer must have {asked} tokens under {rated.protocol}; none were counted",
        )
    elif not low <= tokens / requests <= high:
        each = f"{tokens / requests:.4g}"
        yield Reason.of(
            "answer-length",
            f"an answer must have {asked} tokens under {rated.protocol}; got {each} on average",
        )


def count_to_text(amount: float) -> str:
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,}"


def has_options(record: Record) -> bool:
    """Whether the engine was given options of its own, of which nobody knows whether they change the work."""
    settings = record.load.settings if record.load is not None else {}
    return any(name.startswith(ENGINES_OWN) for name in settings)


def knows_items(record: Record, rated: RatingClass) -> bool:
    """Whether it ran on the protocol's items, or on some that ship with the package; anybody's own lines are not those.

    What the record calls so and is not, ``items`` says of every record, with a finding.
    """
    files = record.provenance.files
    hashes = {
        name: sha256 for name, sha256 in names_of_items(files).items() if not name.startswith(OF_DATASETS)
    }
    if rated.items_sha256 is not None:
        return bool(hashes) and set(hashes.values()) == {rated.items_sha256}
    if rated.dataset is not None:
        return not hashes and f"{OF_DATASETS}{rated.dataset}" in files
    return bool(hashes) and OWN not in hashes
