"""Records that are converted by every tier of normalisation, and what the vintage 2026.1 made of them before there was another.

``python tests/fakes/of_every_tier.py`` prints what the installed package makes of them now; ``tests/data/of-every-tier-2026.1.json``
is what it printed when 2026.1 was the only vintage, and is never made again.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from energy_rating.judging.items import OF_DATASETS
from energy_rating.judging.normalisation import normalise, normalised_to_json
from energy_rating.judging.profiles import load_profile, profiles
from energy_rating.judging.rating import rate, rating_to_json
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    Channel,
    Device,
    Environment,
    Load,
    Measurement,
    Model,
    Provenance,
    Record,
    Task,
)

KEPT = Path(__file__).parents[1] / "data" / "of-every-tier-2026.1.json"
EACH = 60

# Task, protocol, unit, items, in flight, most new tokens, tokens an answer, format, data set.
WORK: dict[str, tuple[Any, ...]] = {
    "chat": (
        "text-generation",
        "serving-2026.1",
        "request",
        1024,
        32,
        4096,
        180,
        "bfloat16",
        "lmarena-ai/arena-human-preference-100k",
    ),
    "busy": (
        "text-generation",
        "serving-2026.1",
        "request",
        1024,
        128,
        4096,
        180,
        "float16",
        "lmarena-ai/arena-human-preference-100k",
    ),
    "pictures": (
        "image-text-to-text",
        "serving-2026.1",
        "request",
        1024,
        16,
        4096,
        200,
        "bfloat16",
        "lmarena-ai/VisionArena-Chat",
    ),
    "alone": (
        "text-generation",
        "aes-2025-02",
        "request",
        1000,
        1,
        10,
        10,
        "float16",
        "EnergyStarAI/text_generation",
    ),
    "images": (
        "text-to-image",
        "aes-2025-02",
        "image",
        1000,
        1,
        None,
        None,
        "float32",
        "EnergyStarAI/image_generation",
    ),
    "vision": (
        "image-classification",
        "aes-2025-02",
        "request",
        1000,
        1,
        None,
        None,
        "float32",
        "EnergyStarAI/image_classification",
    ),
    "vectors": (
        "sentence-similarity",
        "aes-2025-02",
        "request",
        1000,
        1,
        None,
        None,
        "float32",
        "EnergyStarAI/sentence_similarity",
    ),
}

# Which devices and work end in which tier under 2026.1; "none" is refused.
TIERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "M": (("nvidia-h100-sxm-80gb",), tuple(WORK)),
    "1": (("nvidia-a100-sxm-40gb", "nvidia-b200-sxm-180gb"), ("chat", "busy", "pictures", "images")),
    "3": (
        ("nvidia-h200-sxm-141gb", "nvidia-a100-sxm-80gb", "nvidia-gh200-96gb", "nvidia-a100-pcie-80gb"),
        tuple(WORK),
    ),
    "4": (("nvidia-l4-24gb", "nvidia-geforce-rtx-4090-24gb", "nvidia-v100-sxm2-32gb"), tuple(WORK)),
    "none": (("amd-instinct-mi300x-192gb", "nvidia-l40s-48gb", "nvidia-b200-sxm-180gb"), tuple(WORK)),
}


def records_of_every_tier() -> Iterator[tuple[str, Record]]:
    """``EACH`` of every tier, and as many that are refused; always the same. Tier 2 needs a calibration: ``calibrated``."""
    chance = random.Random(20261201)
    for tier, (devices, works) in TIERS.items():
        for number in range(EACH):
            yield tier, _record(chance, tier, devices[number % len(devices)], works[number % len(works)])


def _record(chance: random.Random, tier: str, device: str, work: str) -> Record:
    profile = load_profile(device)
    limit = profile.figures.power_limit_w
    memory = profile.figures.memory_gb
    assert limit is not None
    assert memory is not None
    task, protocol, unit, items, in_flight, most, answer, dtype, dataset = WORK[work]
    use = chance.uniform(0.2, 0.9) if tier != "none" else chance.choice([0.05, 0.5, 0.995])
    cards = chance.choice([1, 2, 4]) if protocol == "serving-2026.1" else 1
    per_unit_j = chance.lognormvariate(4.5, 1.5)
    repeats = 5
    done = repeats * items
    total_j = per_unit_j * done
    doubt = chance.choice([0.0, 0.01, 0.03])
    named = profile.driver.names[0] if profile.driver.names else profile.name

    def energy(joules: float) -> Estimate:
        return Estimate(value=joules, random=0.6 * doubt * joules, systematic=0.8 * doubt * joules)

    count = {unit: done} | ({"request": done} if unit != "request" else {})
    if answer is not None:
        count["token"] = answer * done
    measured = Measurement(
        name="measured",
        n=repeats,
        start_s=10.0,
        duration_s=total_j / (use * limit.value * cards),
        work=count,
        energy_by_channel_j={f"gpu{card}.energy": energy(total_j / cards) for card in range(cards)},
        energy_j={"gpu": energy(total_j)},
        coverage={"gpu": 1.0},
        validity="valid",
    )
    return Record(
        run_id="20261201T000000Z-0000",
        created="2026-12-01T00:00:00Z",
        stage="inference",
        model=Model(
            id="org/name",
            parameters=chance.choice([134_515_008, 8_030_261_248]),
            dtype="mxfp4" if tier == "none" and work == "chat" else dtype,
        ),
        task=Task(name=task, protocol=protocol, unit=unit),
        load=Load(items=items, batch_size=1, concurrency=in_flight, max_new_tokens=most, seed=0),
        environment=Environment(
            devices=tuple(
                Device(
                    id=f"GPU-{card}", name=named, power_limit_w=limit.value, memory_gb=memory.value, mig=False
                )
                for card in range(cards)
            )
        ),
        channels=tuple(
            Channel(
                id=f"gpu{card}.energy",
                component="gpu",
                device=f"GPU-{card}",
                method="counter",
                accuracy=0.04,
                period_s=0.1,
            )
            for card in range(cards)
        ),
        measurements=(measured,),
        findings=(),
        provenance=Provenance(
            version="0.1.0", journal_sha256="0" * 64, files={f"{OF_DATASETS}{dataset}": "2" * 64}
        ),
    )


def calibrated() -> tuple[tuple[Record, ...], tuple[Any, ...]]:
    """As many on a card with two kinds of calibrations, tier 2; and the profiles that say so."""
    from dataclasses import replace

    from energy_rating.judging.profiles import Factor, Source

    card = load_profile("nvidia-l4-24gb")
    factors = tuple(
        Factor(
            workload_class=workload,  # type: ignore[arg-type]
            reference="nvidia-h100-sxm-80gb",
            value=value,
            interval=interval,
            models=2,
            rows=2,
            tier="2",
            evidence="made up",
            source="made-up",
        )
        for workload, value, interval in (
            ("llm-serving", 0.8, 1.6),
            ("llm-small-batch", 0.9, 1.3),
            ("diffusion", 1.1, 1.2),
            ("vision", 0.7, 1.3),
            ("embedding", 0.75, 1.3),
        )
    )
    own = replace(
        card,
        factors=factors,
        sources={**card.sources, "made-up": Source(title="made up for tests", date="2026-12-01")},
    )
    known = tuple(own if profile.key == card.key else profile for profile in profiles())
    chance = random.Random(2)
    names = tuple(WORK)
    return tuple(_record(chance, "2", card.key, names[number % len(names)]) for number in range(EACH)), known


def outcomes(**vintage: Any) -> list[dict[str, Any]]:
    """What is made of each: its rating under 2026.1, and its figure on the reference device."""
    found = []
    more, known = calibrated()
    for tier, record, among in (
        *((tier, record, profiles()) for tier, record in records_of_every_tier()),
        *(("2", record, known) for record in more),
    ):
        found.append(
            {
                "tier": tier,
                "rating": rating_to_json(rate(record, scheme="2026.1", profiles=among, provisional=True)),
                "normalised": normalised_to_json(
                    normalise(record, "nvidia-h100-sxm-80gb", profiles=among, **vintage)
                ),
            }
        )
    return found


if __name__ == "__main__":
    json.dump(outcomes(), sys.stdout, ensure_ascii=False, indent=None, separators=(",", ":"))
