"""Whether a measurement may be rated at all, and every reason why not. What it is compared with is left to ``classes``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from energy_rating.judging.checks import LEAST_COVERAGE, ONLY_ESTIMATED
from energy_rating.judging.profiles import EXAMPLE_DEVICE, Profile, is_same_limit, load_profile, profile_for
from energy_rating.judging.schemes import ProtocolRule, RatingClass, Scheme
from energy_rating.nouns.quantities import significant
from energy_rating.nouns.records import (
    Basis,
    Device,
    Finding,
    Measurement,
    Record,
    Validity,
    validity,
    worst_method,
)

WORST_LAST: tuple[Validity, ...] = ("valid", "degraded", "invalid")

# How a record's provenance calls items that did not ship with the package.
OWN_ITEMS = "items"

# How a record's settings call the engine's own options (``--option NAME=VALUE``).
ENGINES_OWN = "option."

# And how it calls those of a data set.
DATASETS = "datasets/"

# What a finding calls a device that others used at the same time: the energy is not the model's alone, however much that was.
NOT_ALONE = ("shared-gpu",)


# ----------------------------------------------------------------------------------------------------------- rating


class Shortfall(str):
    """A reason that measuring the same once more, and better, takes away: what it would be can be said. Others cannot."""

    __slots__ = ()


# ------------------------------------------------------------------------------------------------- what was measured


def of_measurement(record: Record, measurement: Measurement, scheme: Scheme) -> Iterator[str]:
    """What is wrong with the measurement itself."""
    component, rules = scheme.component, scheme.rules
    channels = record.channels_of(measurement, component)
    energy = measurement.energy_j.get(component)
    if energy is None or not channels:
        had = ", ".join(
            _told(record, measurement, item) for item in measurement.energy_j if item != component
        )
        yield f"the {component} was not measured, and {scheme.name} rates its energy; there is: {had or 'none'}"
    else:
        if is_estimated(record, measurement, component):
            yield f"the energy of the {component} is estimated by a model, not measured"
        if energy.value <= 0:
            yield f"the {component} is said to have used {energy.value:g} J: the sensor told nothing"
        share = measurement.coverage.get(component, 0.0)
        if share < rules.least_coverage:
            said = f"sensors saw {_percent(share)} of the time; at least {_percent(rules.least_coverage)} are asked for"
            yield Shortfall(said) if share >= LEAST_COVERAGE else said
        for channel in channels:
            if channel.method == "model":
                continue
            if channel.period_s is None:
                yield (
                    f"{channel.id}: the readings came too late or too seldom to tell how often the sensor refreshes, as they do while "
                    "other programs keep the processors busy; measure again with a core left free, for a minute or longer"
                )
            elif measurement.duration_s / channel.period_s < rules.fewest_samples:
                yield Shortfall(
                    f"{channel.id} gave about {int(measurement.duration_s / channel.period_s)} samples; "
                    f"at least {rules.fewest_samples} are asked for"
                )
        for device in dict.fromkeys(channel.device for channel in channels):
            several = [channel.id for channel in channels if channel.device == device]
            if len(several) > 1:
                yield (
                    f"the energy of one device comes from several channels: {', '.join(several)}; "
                    "a resumed run that changed its sensors is not rated"
                )
    yield from _of_validity(record, measurement, component)
    if measurement.duration_s < rules.shortest_s:
        yield Shortfall(
            f"{int(measurement.duration_s * 100) / 100:.2f} s were measured; at least {rules.shortest_s:.0f} s are asked for"
        )


def _of_validity(record: Record, measurement: Measurement, component: str) -> Iterator[str]:
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
    if worst != "valid":
        codes = dict.fromkeys(item.code for item in own if item.severity != "note")
        said = f"the measurement is {worst}: {', '.join(codes) or 'no finding says why'}"
        # That it is an estimate is a reason of its own, which measuring longer does not take away.
        if worst != "degraded" or list(codes) != [ONLY_ESTIMATED]:
            yield Shortfall(said) if worst == "degraded" and codes else said
    for item in own:
        if item.code in NOT_ALONE and item.severity != "disqualifies":
            yield f"the device was not used by this run alone ({item.code}): {item.message}"


def of_repeats(measurement: Measurement, scheme: Scheme) -> Iterator[str]:
    if measurement.n < scheme.rules.fewest_repeats:
        yield Shortfall(
            f"there are {measurement.n} repeats; at least {scheme.rules.fewest_repeats} are asked for"
        )


def of_devices(
    record: Record, measurement: Measurement, scheme: Scheme, known: Sequence[Profile]
) -> tuple[list[str], list[str], Basis]:
    """What is wrong with what it was measured on; that it is not the reference; and what the rating would rest on."""
    names = dict.fromkeys(channel.device for channel in record.channels_of(measurement, scheme.component))
    described = {device.id for device in record.environment.devices}
    reasons = [f"the record does not say what device {name!r} is" for name in names if name not in described]
    # A resumed run may describe one device twice, the second time with another limit: all that it says must hold.
    devices = [device for device in record.environment.devices if device.id in names]
    protocol = protocol_of(record, scheme)
    if protocol is not None and protocol.devices is not None and len(names) not in (0, protocol.devices):
        reasons.append(
            f"outside the protocol: measured on {len(names)} devices; {protocol.name} has {protocol.devices}"
        )
    kinds = list(dict.fromkeys(device.name for device in devices))
    if len(kinds) > 1:
        reasons.append(f"measured on devices of more than one kind: {', '.join(kinds)}")
    basis: Basis = "measured"
    elsewhere: list[str] = []
    for device in devices:
        profile = profile_for(device.name, device.memory_gb, among=known)
        if device.name == EXAMPLE_DEVICE:
            basis = "indicative"
        elif profile is None or profile.key != scheme.reference_device:
            elsewhere.append(_other_device(device, scheme, known))
        else:
            reasons += _of_reference(device, profile)
    return reasons, elsewhere, basis


def _of_reference(device: Device, profile: Profile) -> Iterator[str]:
    """What keeps a device that is called like the reference from being the reference."""
    if device.mig:
        yield f"{device.name} was divided (MIG); a part of the reference device is not the whole"
    if device.mig is None and device.memory_gb is None:
        yield f"{device.name}: the record does not say whether the whole device was used"
    limit = profile.figures.power_limit_w
    if device.power_limit_w is None or limit is None:
        return
    if not is_same_limit(device.power_limit_w, limit.value):
        yield (
            f"{device.name} was limited to {significant(device.power_limit_w, 3)} W; "
            f"the reference has {significant(limit.value, 3)} W"
        )


def protocol_of(record: Record, scheme: Scheme) -> ProtocolRule | None:
    name = record.task.protocol if record.task is not None else None
    return next((item for item in scheme.protocols if item.name == name), None)


def _other_device(device: Device, scheme: Scheme, known: Sequence[Profile]) -> str:
    reference = next((item for item in known if item.key == scheme.reference_device), None)
    reference = reference or load_profile(scheme.reference_device)
    memory = reference.figures.memory_gb
    if device.name in reference.driver.names and device.memory_gb is not None and memory is not None:
        return (
            f"measured on {device.name} with {significant(device.memory_gb, 3)} GB; this scheme's reference, "
            f"{reference.name}, has {memory.value:g} GB"
        )
    return (
        f"measured on {device.name}; this scheme's reference is {reference.name}; normalisation is needed, "
        f"and {scheme.name} rates only what was measured on the reference"
    )


def is_estimated(record: Record, measurement: Measurement, component: str) -> bool:
    return worst_method(channel.method for channel in record.channels_of(measurement, component)) == "model"


def _told(record: Record, measurement: Measurement, component: str) -> str:
    return f"{component} (estimated)" if is_estimated(record, measurement, component) else component


def _percent(share: float) -> str:
    # Rounded down: 98.96 % must not read as the 99 % that it misses.
    return f"{int(share * 1000) / 10:g} %"


def of_work(
    record: Record, measurement: Measurement, rated: RatingClass, *, whole_rounds: bool
) -> Iterator[str]:
    """Whether what was counted is what the protocol does: every item, in every repeat, and answers of its length."""
    n, items = measurement.n, record.load.items if record.load is not None else None
    amount = measurement.work.get(rated.unit)
    if whole_rounds and amount and items is not None and n and (amount < n * items or amount % (n * items)):
        yield (
            f"outside the protocol: counted {count_to_text(amount)} {rated.unit}s in {n} repeats of {items:,} items; "
            "each repeat takes all of them"
        )
    requests, tokens = measurement.work.get("request"), measurement.work.get("token")
    if rated.tokens_per_request is None or not requests:
        return
    low, high = rated.tokens_per_request
    asked = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    if not tokens:
        yield f"outside the protocol: no tokens were counted; {rated.protocol} has {asked} a request"
    elif not low <= tokens / requests <= high:
        each = f"{tokens / requests:.4g}"
        yield f"outside the protocol: {each} tokens a request; {rated.protocol} has {asked}"


def count_to_text(amount: float) -> str:
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,}"


def has_options(record: Record) -> bool:
    """Whether the engine was given options of its own, of which nobody knows whether they change the work."""
    settings = record.load.settings if record.load is not None else {}
    return any(name.startswith(ENGINES_OWN) for name in settings)


def knows_items(record: Record, rated: RatingClass) -> bool:
    """Whether it ran on the protocol's items, or on some that ship with the package; anybody's own lines are not those."""
    files = record.provenance.files
    hashes = {
        name: sha256
        for name, sha256 in files.items()
        if name == OWN_ITEMS or (name.startswith("tasks/") and not name.endswith(".toml"))
    }
    if rated.items_sha256 is not None:
        return bool(hashes) and set(hashes.values()) == {rated.items_sha256}
    if rated.dataset is not None:
        return not hashes and f"{DATASETS}{rated.dataset}" in files
    return bool(hashes) and OWN_ITEMS not in hashes
