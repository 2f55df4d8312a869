"""The factors of the vintage 2026.2, fitted to the public pairs: forms, intervals, and errors on models that were in no fit.

``normalisation.py`` prints and writes what this works out. A pair is the same model and work on two devices; its ratio is energy on the
reference over energy on the device. ln(ratio) is taken to be linear in what a record tells: ln u, (ln u)², ln n, whether it is a video.
The fit takes the least absolute deviations, so that no single pair decides, and every model weighs the same, however many pairs it has.

Not the same work, and so no pair: answers that differ in length by more than a quarter (a model that thinks on one device only), or
other numbers of requests really under way, by more than a tenth.
"""

from __future__ import annotations

import csv
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

H100, A100_40, A100_80 = "nvidia-h100-sxm-80gb", "nvidia-a100-sxm-40gb", "nvidia-a100-sxm-80gb"
B200, MI300X, A40 = "nvidia-b200-sxm-180gb", "amd-instinct-mi300x-192gb", "nvidia-a40-48gb"
V100S = ("nvidia-v100-sxm2-16gb", "nvidia-v100-sxm2-32gb")

CONFIDENCE = 0.9
LONGEST, BUSIEST = 1.25, 1.1  # answers, and requests under way, on one device over those on the other
LEAST_USE, MOST_USE = 0.15, 0.99
MOST_FILLED = 0.8
STUDY_USE = 337 / 400  # the mean over all models of the study of the A100 80 GB, which says it of no pair
NARROWEST = 1.05

# What keeps the slopes small where the pairs do not tell them: as much as a hundredth of a model's weight.
RIDGE = 0.01
LEAST_DEVIATION = 0.02  # below it a pair weighs no more
ROUNDS = 60

SAME = (
    *("suite", "model", "task", "unit", "num_gpus", "batch", "precision", "variant"),
    *("tp", "ep", "dp", "ulysses", "ring", "steps", "height", "width", "frames"),
)


@dataclass(frozen=True, kw_only=True)
class Twin:
    """One load on both devices. ``use`` None: nobody says."""

    model: str
    log_ratio: float
    use: float
    reference_use: float
    spread_over: int = 1
    is_video: bool = False
    filled: float = 0.0
    filled_there: float = 0.0


def use(twin: Twin) -> float:
    return math.log(twin.use)


def use_squared(twin: Twin) -> float:
    return math.log(twin.use) ** 2


def devices(twin: Twin) -> float:
    return math.log(twin.spread_over)


def video(twin: Twin) -> float:
    return float(twin.is_video)


Term = Callable[[Twin], float]
Terms = tuple[Term, ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A fitted form: the intercept, and a slope for each term."""

    terms: Terms
    intercept: float
    slopes: tuple[float, ...]

    def at(self, twin: Twin) -> float:
        return self.intercept + sum(s * term(twin) for s, term in zip(self.slopes, self.terms, strict=True))

    def slope(self, term: Term) -> float:
        return dict(zip(self.terms, self.slopes, strict=True)).get(term, 0.0)


def fit(twins: Sequence[Twin], terms: Terms, fixed: Mapping[Term, float]) -> Line:
    """The line through these pairs; the slopes of ``fixed`` are not fitted. That over n alone is fitted within each model."""
    if terms == (devices,) and not fixed:
        line = Line(terms=terms, intercept=0.0, slopes=(_within_models(twins, devices),))
        return replace(line, intercept=centre_of(twins, line))
    free = tuple(term for term in terms if term not in fixed)
    rest = np.array(
        [twin.log_ratio - sum(slope * term(twin) for term, slope in fixed.items()) for twin in twins]
    )
    raw = np.array([[term(twin) for term in free] for twin in twins]).reshape(len(twins), len(free))
    centre = raw.mean(axis=0)
    rows = np.column_stack([np.ones(len(twins)), raw - centre])
    many: dict[str, int] = {}
    for twin in twins:
        many[twin.model] = many.get(twin.model, 0) + 1
    own = np.array([1 / many[twin.model] for twin in twins])
    ridge = np.diag([1e-9, *([RIDGE] * len(free))])
    weights, found = own, np.zeros(rows.shape[1])
    for _ in range(ROUNDS):
        weighed = rows * weights[:, None]
        found = np.linalg.solve(weighed.T @ rows + ridge, weighed.T @ rest)
        weights = own / np.maximum(np.abs(rest - rows @ found), LEAST_DEVIATION)
    slopes = dict(zip(free, (float(value) for value in found[1:]), strict=True)) | dict(fixed)
    line = Line(terms=terms, intercept=0.0, slopes=tuple(slopes[term] for term in terms))
    return replace(line, intercept=centre_of(twins, line))


def _within_models(twins: Sequence[Twin], term: Term) -> float:
    """The median of the slopes between any two pairs of one model (Theil and Sen): what differs between models takes no part."""
    slopes = [
        (b.log_ratio - a.log_ratio) / (term(b) - term(a))
        for a, b in itertools.combinations(twins, 2)
        if a.model == b.model and term(a) != term(b)
    ]
    return statistics.median(slopes) if slopes else 0.0


def centre_of(twins: Sequence[Twin], line: Line) -> float:
    """The median over models of the median of what the slopes leave."""
    rest: dict[str, list[float]] = {}
    for twin in twins:
        rest.setdefault(twin.model, []).append(twin.log_ratio - line.at(twin))
    return statistics.median(statistics.median(values) for values in rest.values())


@dataclass(frozen=True, kw_only=True)
class Group:
    """All pairs of one device, reference and class, and the terms of its form."""

    title: str
    suite: str
    devices: tuple[str, ...]
    reference: str
    workload_class: str
    twins: tuple[Twin, ...]
    refused: tuple[str, ...]  # of pairs that are the same work: why they are not converted
    terms: Terms
    back_terms: Terms
    evidence: str
    source: str
    fixed: tuple[tuple[Term, float], ...] = ()
    formats: tuple[str, ...] = ()
    seen: tuple[float, float, float] | None = (
        None  # the uses that the form holds for, where no pair says its own
    )

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(twin.model for twin in self.twins))

    @cached_property
    def line(self) -> Line:
        return fit(self.twins, self.terms, dict(self.fixed))

    @cached_property
    def back(self) -> Group:
        """The same pairs, by the use of the reference."""
        twins = tuple(replace(twin, use=twin.reference_use) for twin in self.twins)
        return replace(self, twins=twins, terms=self.back_terms, fixed=())

    @cached_property
    def errors(self) -> tuple[float, ...]:
        """ln(predicted / measured) of every pair, predicted by the other models alone."""
        return left_out(self.twins, self.terms, self.fixed)

    @cached_property
    def interval(self) -> float:
        return interval_of(self.errors)

    @cached_property
    def inside(self) -> tuple[tuple[str, bool], ...]:
        """Of each pair its model, and whether it lies within an interval that was worked out without that model too."""
        found: dict[str, float] = {}
        for model in self.models:
            others = tuple(twin for twin in self.twins if twin.model != model)
            found[model] = interval_of(left_out(others, self.terms, self.fixed))
        return tuple(
            (twin.model, abs(error) <= math.log(found[twin.model]))
            for twin, error in zip(self.twins, self.errors, strict=True)
        )


def left_out(twins: Sequence[Twin], terms: Terms, fixed: Sequence[tuple[Term, float]]) -> tuple[float, ...]:
    lines = {
        model: fit([twin for twin in twins if twin.model != model], terms, dict(fixed))
        for model in dict.fromkeys(twin.model for twin in twins)
        if any(twin.model != model for twin in twins)
    }
    return tuple(lines[twin.model].at(twin) - twin.log_ratio for twin in twins if twin.model in lines)


def interval_of(errors: Sequence[float]) -> float:
    """f of the 90 % interval ×/÷ f: the smallest that holds nine of ten errors on models left out, the next error counted in.

    Of n errors the ⌈0.9 (n + 1)⌉-th by size (conformal prediction, Vovk et al. 2005), rounded up to hundredths.
    """
    sizes = sorted(abs(error) for error in errors)
    place = min(math.ceil(CONFIDENCE * (len(sizes) + 1)), len(sizes)) - 1
    return max(math.ceil(100 * math.exp(sizes[place])) / 100, NARROWEST)


def quantile(errors: Sequence[float], share: float) -> float:
    """Of |predicted / measured − 1|."""
    return float(np.quantile([abs(math.exp(error) - 1) for error in errors], share))


def binomial_p(inside: int, n: int, share: float = CONFIDENCE) -> float:
    """The two-sided exact test that each of n lies inside with this probability: all outcomes that are no likelier than this one."""
    chances = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    return min(1.0, sum(chance for chance in chances if chance <= chances[inside] * (1 + 1e-9)))


# ------------------------------------------------------------------------------------------------------------- the data


def read_groups(folder: Path) -> tuple[Group, ...]:
    """All groups that the vintage has a factor from."""
    with (folder / "mlenergy_runs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / "gpus.csv").open(encoding="utf-8", newline="") as file:
        limits = {row["key"]: row["tdp_w"] for row in csv.DictReader(file)}
    found = []
    for plan in PLANS:
        found.append(_of_suite(rows, limits, plan))
    serving = next(
        group for group in found if group.devices == (A100_40,) and group.workload_class == "llm-serving"
    )
    if (folder / "gpu_pairs_2026.csv").is_file():
        found += list(_of_2026(folder, serving.line.slope(use), min(twin.use for twin in serving.twins)))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which rows make a group, and by which terms it is fitted."""

    suite: str
    device: str
    reference: str
    sheets: tuple[str, str]
    keys: tuple[str, ...]
    reference_key: str
    workload_class: str
    terms: Terms
    back_terms: Terms
    evidence: str
    source: str
    formats: tuple[str, ...] = ()


V3 = "the same model, task, batch, format and parallel layout on both devices, 2025-11 to 2026-02"
V2 = "the same model, task, batch, format and parallel layout on both devices, 2024-08 to 2024-09"
V1 = "the same model and task on both devices, one request at a time, 2023-06 to 2023-09"
IN_V3 = {"suite": "mlenergy-v3", "device": "B200", "reference": "H100", "sheets": ("B200", "H100-SXM")}
IN_V2 = {
    "suite": "mlenergy-v2",
    "device": "A100-40GB-SXM",
    "reference": "H100",
    "sheets": ("A100-SXM4-40GB", "H100-SXM"),
}
PLANS = (
    Plan(
        **IN_V3,
        keys=(B200,),
        reference_key=H100,
        workload_class="llm-serving",
        terms=(use, use_squared, devices),
        back_terms=(use,),
        evidence=f"{V3}; unlike answers and numbers of requests left out",
        source="ml-energy-v3",
    ),
    Plan(
        **IN_V3,
        keys=(B200,),
        reference_key=H100,
        workload_class="diffusion",
        terms=(use_squared, video),
        back_terms=(use, video),
        evidence=V3,
        source="ml-energy-v3",
    ),
    Plan(
        **IN_V3,
        keys=(B200,),
        reference_key=H100,
        workload_class="llm-serving",
        terms=(use,),
        back_terms=(),
        evidence=f"one model, gpt-oss-20b in MXFP4, {V3}; its slope over the use is 0.5 as in the first vintage",
        source="ml-energy-v3",
        formats=("fp4",),
    ),
    Plan(
        **IN_V2,
        keys=(A100_40,),
        reference_key=H100,
        workload_class="llm-serving",
        terms=(use,),
        back_terms=(use,),
        evidence=V2,
        source="ml-energy-v2",
    ),
    Plan(
        **IN_V2,
        keys=(A100_40,),
        reference_key=H100,
        workload_class="diffusion",
        terms=(use,),
        back_terms=(use,),
        evidence=V2,
        source="ml-energy-v2",
    ),
    Plan(
        suite="mlenergy-v1",
        device="V100",
        reference="A100",
        sheets=("V100-SXM2", "A100-SXM4-40GB"),
        keys=V100S,
        reference_key=A100_40,
        workload_class="llm-small-batch",
        terms=(use,),
        back_terms=(use,),
        evidence=V1,
        source="ml-energy-v1",
    ),
    Plan(
        suite="mlenergy-v1",
        device="A40",
        reference="A100",
        sheets=("A40", "A100-SXM4-40GB"),
        keys=(A40,),
        reference_key=A100_40,
        workload_class="llm-small-batch",
        terms=(use,),
        back_terms=(use,),
        evidence=V1,
        source="ml-energy-v1",
    ),
)


def _class_of(row: Mapping[str, str]) -> str:
    if row["unit"] != "token":
        return "diffusion"
    return "llm-serving" if float(row["batch"]) >= 8 else "llm-small-batch"


def _of_suite(rows: Sequence[Mapping[str, str]], limits: Mapping[str, str], plan: Plan) -> Group:
    there: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        if row["suite"] == plan.suite and row["gpu"] == plan.reference:
            there.setdefault(tuple(row[key] for key in SAME), []).append(row)
    twins, refused = [], []
    for row in rows:
        if (row["suite"], row["gpu"]) != (plan.suite, plan.device) or _class_of(row) != plan.workload_class:
            continue
        if ("mxfp4" in row["precision"]) is not bool(plan.formats):
            continue
        for other in there.get(tuple(row[key] for key in SAME), ()):
            if not _is_same_work(row, other):
                continue
            twin = _twin(row, other, *(float(limits[key]) for key in plan.sheets))
            if LEAST_USE <= twin.use <= MOST_USE:
                twins.append(twin)
            else:
                refused.append("use")
    return Group(
        title=f"{plan.device} → {plan.reference}, {plan.workload_class}"
        + (f", {plan.formats[0]}" if plan.formats else ""),
        suite=plan.suite,
        devices=plan.keys,
        reference=plan.reference_key,
        workload_class=plan.workload_class,
        twins=tuple(twins),
        refused=tuple(refused),
        terms=plan.terms,
        back_terms=plan.back_terms,
        evidence=plan.evidence,
        source=plan.source,
        fixed=((use, 0.5),) if plan.formats else (),
        formats=plan.formats,
    )


def _is_same_work(row: Mapping[str, str], other: Mapping[str, str]) -> bool:
    for name, most in (("avg_output_tokens", LONGEST), ("avg_batch", BUSIEST)):
        if row[name] and other[name]:
            apart = float(row[name]) / float(other[name])
            if not 1 / most <= apart <= most:
                return False
    return True


def _twin(row: Mapping[str, str], other: Mapping[str, str], limit_w: float, reference_w: float) -> Twin:
    return Twin(
        model=row["model"],
        log_ratio=math.log(float(other["energy_per_unit_j"]) / float(row["energy_per_unit_j"])),
        use=float(row["avg_power_w"]) / float(row["num_gpus"]) / limit_w,
        reference_use=float(other["avg_power_w"]) / float(other["num_gpus"]) / reference_w,
        spread_over=int(float(row["num_gpus"])),
        is_video=row["unit"] == "video",
    )


def _of_2026(folder: Path, slope: float, least_use: float) -> Iterator[Group]:
    """The A100 80 GB and the MI300X, of which the study tells no use by pair: the slope over it is that of the A100 40 GB, or none."""
    with (folder / "gpu_pairs_2026.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    gpus = {"NVIDIA H100 80GB HBM3": 80.0, "NVIDIA A100-SXM4-80GB": 80.0, "AMD Instinct MI300X": 192.0}
    energies = {
        (row["gpu"], row["model"], int(row["tp"])): float(row["j_per_token_in_and_out"]) for row in rows
    }
    weights_gb = {row["model"]: 2 * float(row["params_b"]) for row in rows}
    for gpu, key, terms, fixed in (
        ("NVIDIA A100-SXM4-80GB", A100_80, (use,), ((use, slope),)),
        ("AMD Instinct MI300X", MI300X, (devices,), ()),
    ):
        twins, refused = [], []
        for (name, model, tp), joules in energies.items():
            there = energies.get(("NVIDIA H100 80GB HBM3", model, tp))
            if name != gpu or there is None:
                continue
            filled = [weights_gb[model] / (gpus[one] * tp) for one in (gpu, "NVIDIA H100 80GB HBM3")]
            if min(filled) <= MOST_FILLED < max(filled):
                refused.append("memory")
                continue
            twins.append(
                Twin(
                    model=model,
                    log_ratio=math.log(there / joules),
                    use=STUDY_USE,
                    reference_use=STUDY_USE,
                    spread_over=tp,
                )
            )
        is_a100 = key == A100_80
        yield Group(
            title=f"{'A100-80GB-SXM' if is_a100 else 'MI300X'} → H100, llm-serving",
            suite="ipdps-2026",
            devices=(key,),
            reference=H100,
            workload_class="llm-serving",
            twins=tuple(twins),
            refused=tuple(refused),
            terms=terms,
            back_terms=() if is_a100 else (devices,),
            evidence="the same model and batch on a node of each, tensor parallel over 1, 2 and 4, vLLM 0.9, 2025; "
            + (
                "the use is the mean of the study (337 of 400 W), its slope that of the A100 40 GB"
                if is_a100
                else "the use is not published, and takes no part"
            ),
            source="ipdps-2026",
            fixed=fixed,
            # The slope is that of the smaller card, and so is the least use that it was seen at.
            seen=(least_use if is_a100 else LEAST_USE, STUDY_USE, MOST_USE),
        )


def models_inside(groups: Iterable[Group]) -> tuple[int, int]:
    """How many models left out lie inside by the median of their pairs' errors, and of how many."""
    inside = total = 0
    for group in groups:
        shares: dict[str, list[bool]] = {}
        for model, is_inside in group.inside:
            shares.setdefault(model, []).append(is_inside)
        total += len(shares)
        inside += sum(statistics.mean(flags) >= 0.5 for flags in shares.values())
    return inside, total


# ----------------------------------------------------------------------------------------------------------- the vintage

# One model each, at eight GPUs: InferenceX pull requests 2323 (2026-07-24; H200 → H100, expert parallelism differs) and 2456 (2026-08-02;
# GB200 → GB300, FP8).
ONE_MODEL_EACH = {"H200 → H100": 1.05, "GB200 → GB300": 0.88}
ALIKE, CALIBRATED, CALIBRATED_SERVING, BY_BANDWIDTH = 1.25, 1.3, 1.5, 1.5
UNSEEN = 1.5  # the least interval of a class that no pair of these generations is in
STEP = 0.05


def form(
    line: Line, twins: Sequence[Twin], interval: float, seen: tuple[float, float, float] | None = None
) -> dict[str, float]:
    """A form as it stands in the file: with four digits, and the uses that were seen."""
    uses = sorted(twin.use for twin in twins)
    least, typical, most = seen or (uses[0], statistics.median(uses), uses[-1])
    found = {
        "value_at_full_use": _four(math.exp(line.intercept)),
        "interval": interval,
        "use": _four(line.slope(use)),
        "use_squared": _four(line.slope(use_squared)),
        "devices": _four(line.slope(devices)),
        "video": _four(math.exp(line.slope(video))),
    }
    plain = {"use": 0.0, "use_squared": 0.0, "devices": 0.0, "video": 1.0}
    kept = {key: value for key, value in found.items() if plain.get(key) != value}
    return kept | {
        "least_use": math.floor(1000 * least) / 1000,
        "typical_use": round(typical, 3),
        "most_use": math.ceil(1000 * most) / 1000,
    }


def _four(value: float) -> float:
    return float(f"{value:.4g}")


def _up(interval: float) -> float:
    return round(math.ceil(round(interval / STEP, 6)) * STEP, 2)


def factor_entries(groups: Sequence[Group]) -> Iterator[dict[str, object]]:
    for group in groups:
        models = len(group.models)
        # One model says nothing of others: its interval is that of a calibration.
        there = group.interval if models > 1 else CALIBRATED_SERVING
        back = group.back.interval if models > 1 else CALIBRATED_SERVING
        for device in group.devices:
            yield {
                "device": device,
                "reference": group.reference,
                "workload_class": group.workload_class,
                **({"formats": list(group.formats)} if group.formats else {}),
                "tier": "1" if models >= 5 else "2",
                "models": models,
                "rows": len(group.twins),
                "evidence": group.evidence,
                "source": group.source,
                "there": form(group.line, group.twins, there, group.seen),
                "back": form(group.back.line, group.back.twins, back, group.seen),
            }


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """Tier 3 between two generations, with the groups whose pairs it has to hold for."""

    origin: str
    target: str
    workload_class: str | None
    line: Line
    back: Line
    interval: float
    back_interval: float
    groups: tuple[Group, ...]
    evidence: str

    def holds(self, group: Group, *, back: bool = False) -> int:
        """How many pairs of a group lie inside."""
        line, interval = (self.back, self.back_interval) if back else (self.line, self.interval)
        twins = group.back.twins if back else group.twins
        return sum(abs(line.at(twin) - twin.log_ratio) <= math.log(interval) for twin in twins)


def by_the_other_alone(groups: Sequence[Group]) -> Iterator[tuple[Group, int]]:
    """Of each card of the Ampere generation, how many pairs the other card's line holds, at the interval of tier 3."""
    small, large = (named(groups, key, "llm-serving") for key in (A100_40, A100_80))
    rule = next(
        one for one in assumed(groups) if (one.origin, one.workload_class) == ("Ampere", "llm-serving")
    )
    for left, other in ((small, large), (large, small)):
        yield left, replace(rule, line=other.line).holds(left)


def named(groups: Sequence[Group], device: str, workload_class: str) -> Group:
    return next(
        group
        for group in groups
        if device in group.devices and group.workload_class == workload_class and not group.formats
    )


def holding(lines: Sequence[tuple[Line, Group]], least: float) -> float:
    """The smallest interval that holds nine of ten pairs of each group."""
    needed = [least]
    for line, group in lines:
        sizes = sorted(abs(line.at(twin) - twin.log_ratio) for twin in group.twins)
        needed.append(math.exp(sizes[math.ceil(CONFIDENCE * len(sizes)) - 1]))
    return _up(max(needed))


def alike_serving(groups: Sequence[Group]) -> float:
    """Between devices of one generation: the largest difference seen between two of them, and the widest factor's interval on top."""
    small, large = (named(groups, key, "llm-serving").line.intercept for key in (A100_40, A100_80))
    apart = max(abs(small - large), *(abs(math.log(ratio)) for ratio in ONE_MODEL_EACH.values()))
    return _up(math.exp(math.hypot(apart, math.log(named(groups, B200, "llm-serving").interval))))


def assumed(groups: Sequence[Group]) -> tuple[Assumed, ...]:
    small, large = (named(groups, key, "llm-serving") for key in (A100_40, A100_80))
    pictures, volta = named(groups, A100_40, "diffusion"), named(groups, V100S[0], "llm-small-batch")
    serving, images = named(groups, B200, "llm-serving"), named(groups, B200, "diffusion")
    found = []

    both = replace(small.line, intercept=statistics.mean((small.line.intercept, large.line.intercept)))
    plain = Line(terms=(), intercept=statistics.mean(_plain(group) for group in (small, large)), slopes=())
    found.append(
        Assumed(
            origin="Ampere",
            target="Hopper",
            workload_class="llm-serving",
            line=both,
            back=plain,
            interval=holding([(both, small), (both, large)], alike_serving(groups)),
            back_interval=holding([(plain, small), (plain, large)], alike_serving(groups)),
            groups=(small, large),
            evidence="the mean of the A100's 40 and 80 GB, the interval holding nine of ten pairs of each",
        )
    )
    for origin, group, name in (
        ("Ampere", pictures, "the A100 40 GB"),
        ("Blackwell", serving, "the B200"),
        ("Blackwell", images, "the B200"),
    ):
        least = alike_serving(groups) if group.workload_class == "llm-serving" else ALIKE
        found.append(
            Assumed(
                origin=origin,
                target="Hopper",
                workload_class=group.workload_class,
                line=group.line,
                back=group.back.line,
                interval=_with(group.interval, least),
                back_interval=_with(group.back.interval, least),
                groups=(group,),
                evidence=f"that of {name}, and the interval between devices of one generation on top",
            )
        )
    older = statistics.median(_plain(group) for group in (volta, pictures, small, large))
    line = Line(terms=(), intercept=older, slopes=())
    wide = holding([(line, volta), (line, pictures)], UNSEEN)
    none = Line(terms=(), intercept=0.0, slopes=())
    for origin, one, about, held in (
        (
            "Ampere",
            line,
            "the median of what four pairs of an older and a newer device saved",
            (volta, pictures),
        ),
        ("Blackwell", none, "nothing is known; the interval is that from Ampere to Hopper", (images,)),
    ):
        found.append(
            Assumed(
                origin=origin,
                target="Hopper",
                workload_class=None,
                line=one,
                back=one,
                interval=wide,
                back_interval=wide,
                groups=held,
                evidence=about,
            )
        )
    return tuple(found)


def _with(interval: float, least: float) -> float:
    return _up(math.exp(math.hypot(math.log(interval), math.log(least))))


def _plain(group: Group) -> float:
    return centre_of(group.twins, Line(terms=(), intercept=0.0, slopes=()))


def generation_entries(groups: Sequence[Group]) -> Iterator[dict[str, object]]:
    rules = assumed(groups)
    for rule in rules:
        twins = [twin for group in rule.groups for twin in group.twins]
        back = [twin for group in rule.groups for twin in group.back.twins]
        yield {
            "origin": rule.origin,
            "target": rule.target,
            **({"workload_class": rule.workload_class} if rule.workload_class else {}),
            "evidence": rule.evidence,
            "source": "fitted",
            "there": form(rule.line, twins, rule.interval),
            "back": form(rule.back, back, rule.back_interval),
        }
    # From Ampere to Blackwell by way of Hopper, where nothing is known of the second step's use.
    for first in rules:
        if first.origin != "Ampere":
            continue
        second = next(
            one for one in rules if (one.origin, one.workload_class) == ("Blackwell", first.workload_class)
        )
        yield {
            "origin": "Ampere",
            "target": "Blackwell",
            **({"workload_class": first.workload_class} if first.workload_class else {}),
            "evidence": "by way of Hopper: both steps, and both intervals",
            "source": "fitted",
            "there": form(
                replace(first.line, intercept=first.line.intercept - _typically(second.line, second.groups)),
                [twin for group in first.groups for twin in group.twins],
                _with(first.interval, second.back_interval),
            ),
            "back": form(
                Line(
                    terms=(),
                    intercept=_typically(first.line, first.groups) - _typically(second.line, second.groups),
                    slopes=(),
                ),
                [twin for group in second.groups for twin in group.twins],
                _with(second.interval, first.back_interval),
            ),
        }


def _typically(line: Line, groups: Sequence[Group]) -> float:
    """What a line says at the median use of these pairs, on one device."""
    typical = statistics.median(twin.use for group in groups for twin in group.twins)
    return line.at(Twin(model="", log_ratio=0.0, use=typical, reference_use=typical))


HEAD = """\
# Rules and factors of normalisation from the scheme 2026.2 on. Never edited: what is better comes as the next vintage.
#
# benchmarks/normalisation.py --vintage writes this file from the public measurements; docs/normalisation.md says what was fitted on
# what, and how well it predicts models that were in no fit.

schema = "energy-rating/normalisation/1"
name = "2026.2"
date = "2026-12-01"
factors_of = "vintage"
"""
SOURCES = """
[sources.ml-energy-v3]
title = "ML.ENERGY leaderboard v3, ml-energy/leaderboard@0cd52da, public/data/tasks"
url = "https://github.com/ml-energy/leaderboard/tree/0cd52dab89/public/data/tasks"
date = "2026-11-21"

[sources.ml-energy-v2]
title = "ML.ENERGY leaderboard v2 (Apache-2.0), ml-energy/leaderboard-v2@c3af7f3, data"
url = "https://github.com/ml-energy/leaderboard-v2/tree/c3af7f3"
date = "2026-11-21"

[sources.ml-energy-v1]
title = "ML.ENERGY leaderboard of 2023 (Apache-2.0), ml-energy/leaderboard-v2@c3af7f3, data/legacy"
url = "https://github.com/ml-energy/leaderboard-v2/tree/c3af7f3"
date = "2026-11-21"

[sources.ipdps-2026]
title = "Brunetta et al., Beyond Throughput, IPDPS 2026, figure 4 (paper.txt at 0e45e747)"
url = "https://github.com/giacomo-brunetta/IPDPS26-LLM-Energy"
date = "2026-11-30"

[sources.fitted]
title = "This project, benchmarks/normalisation.py, from the factors above; devices of one generation: InferenceX, pull requests 2323 and 2456"
date = "2026-12-01"
"""


def vintage_toml(groups: Sequence[Group]) -> str:
    """The file of the vintage 2026.2."""
    rules = {
        "least_use": LEAST_USE,
        "most_use": MOST_USE,
        "calibrated": CALIBRATED,
        "calibrated_serving": CALIBRATED_SERVING,
        "alike": ALIKE,
        "alike_serving": alike_serving(groups),
        "by_bandwidth": BY_BANDWIDTH,
        "most_filled": MOST_FILLED,
        "limit_must_bind": True,
    }
    parts = [HEAD, _table("[rules]", rules)]
    parts += [_table("[[factors]]", entry) for entry in factor_entries(groups)]
    parts += [_table("[[generations]]", entry) for entry in generation_entries(groups)]
    return "\n".join(parts) + SOURCES


def _table(head: str, entry: Mapping[str, object]) -> str:
    return "\n".join([head, *(f"{key} = {_toml(value)}" for key, value in entry.items())]) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)
