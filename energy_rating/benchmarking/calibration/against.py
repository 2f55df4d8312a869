"""A device's own factor to the reference from models whose energy there is published: the same models under the same protocol here.

``published_plan`` says what would be run, fetched and refused, and runs nothing; ``calibrate_published`` runs it. Each model is one
benchmark under the protocol that its list names, whose record stays in the folder of the calibration: what was measured there already, of
the same device, driver, power limit and version, is not measured again, also after this process was killed. A model that turns out not to
run is left out with the reason, and another of its class stands in.

What is unlike the published run, or not known to be like it, makes the factor's interval wider by the rule of its list (``Widening``).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.calibration.calibrate import (
    BEGUN_S,
    COOLDOWN_S,
    OnDevice,
    Prepare,
    described_by,
    device_here,
    now,
    refuse_other_classes,
    write_profile,
)
from energy_rating.benchmarking.calibration.choice import (
    FEWEST,
    MOST,
    USUAL,
    Chosen,
    Refused,
    chosen,
    not_repeatable,
    standing_in,
)
from energy_rating.benchmarking.calibration.factors import of_device
from energy_rating.benchmarking.calibration.points import (
    Calibration,
    PointResult,
    PublishedPoint,
    point_to_text,
)
from energy_rating.benchmarking.calibration.published import (
    Candidate,
    PublishedList,
    Widening,
    lists,
)
from energy_rating.benchmarking.calibration.soundness import as_before, judged, set_aside
from energy_rating.benchmarking.conduct import run_plan
from energy_rating.benchmarking.hub import kept
from energy_rating.benchmarking.plan import Plan, planned
from energy_rating.benchmarking.progress import Progress
from energy_rating.benchmarking.tasks import items_sha256, load_task
from energy_rating.benchmarking.workloads import prepare as prepare_workload
from energy_rating.files.journal import state_folder
from energy_rating.files.opening import refuse_no_folder
from energy_rating.judging.evidence import load
from energy_rating.judging.profiles import Profile, WorkloadClass, load_profile, user_profiles
from energy_rating.judging.roads import emulates
from energy_rating.measuring.clock import Clock
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.nouns.errors import BadInput, EnergyRatingError, NotOnDevice
from energy_rating.nouns.records import Device, Model, Record, plain
from energy_rating.version import __version__

# A model of the same name may come with or without a part that is not counted (a head, a safety checker): no other model is as near.
SAME_PARAMETERS = 0.1

# What stands in the provenance of a run of this calibration: all that was asked for, as one hash.
IN_RECORD = "calibration-published"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedPlan:
    """What a calibration against published energies would do. ``items``: files of items by task.

    ``wants_download``: nothing of it can be run with what is here, and fetching was not allowed.
    """

    device: Device
    base: Profile
    chosen: Chosen
    classes: tuple[WorkloadClass, ...]
    not_repeatable: tuple[Refused, ...]
    items: Mapping[str, Path] = field(default_factory=dict)
    download: bool = False
    wants_download: bool = False


def published_plan(
    *,
    classes: Sequence[str] = (),
    tasks: Sequence[str] = (),
    models: int = USUAL,
    local: Mapping[str, Path] | None = None,
    items: Mapping[str, Path] | None = None,
    download: bool = False,
    known: Sequence[PublishedList] | None = None,
    sensors: Sequence[Sensor | Detection] | None = None,
) -> PublishedPlan:
    """What would be run here.

    Args:
        classes, tasks: only these; by default all that are published.
        models: of each class, two to four.
        local: folders of models that are on disk, by their published ids.
        items: files with the items of a task, by the task.
        download: whether models and items that are not here may be fetched.
        known: the lists; by default those that ship. For tests, as is ``sensors``.

    Raises:
        BadInput: no GPU is measured here, or something that is named is not there.
    """
    known = lists() if known is None else known
    every = [one for each in known for one in _of_list(each)]
    refuse_other_classes(classes, tuple(dict.fromkeys(one.set.workload_class for one in every)))
    tasks_known = tuple(dict.fromkeys(one.set.task for one in every))
    for task in (*tasks, *(items or ())):
        if task not in tasks_known:
            raise BadInput(
                f"no published energies of {task[:80]!r} can be repeated here",
                f"There are: {', '.join(tasks_known)}",
                place="--task" if task in tasks else "--items",
            )
    if not FEWEST <= models <= MOST:
        raise BadInput(
            f"must be {FEWEST} to {MOST} of each class; got {models}",
            "A factor of more is a study, not a calibration",
            place="--models",
        )
    ids = {one.model.id.casefold(): one.model.id for one in every}
    named: dict[str, Path] = {}
    for name, folder in (local or {}).items():
        if name.casefold() not in ids:
            why = next((item.why for each in known for item in each.not_repeatable if item.id == name), None)
            raise BadInput(
                f"{name[:80]!r} cannot be repeated: {why}" if why else f"{name[:80]!r} is in no list",
                "See what is with: energy-rating calibrate --published --dry-run",
                place="--model",
            )
        if not folder.is_dir():
            raise BadInput("is no folder", "Name that of the saved model", place=f"--model {name}={folder}")
        named[ids[name.casefold()]] = folder
    device, no_device = device_here(sensors)
    if device is None:
        raise BadInput(no_device.partition(";")[0], "See: energy-rating sensors", place="calibrate")
    base = described_by(device)
    disk = kept([one.model.id for one in every])

    def picked(*, download: bool) -> Chosen:
        return chosen(
            every,
            device,
            classes=classes,  # type: ignore[arg-type]  # looked at above
            tasks=tasks,
            models=models,
            local=named,
            on_disk=disk,
            items_here=items or {},
            emulated=_emulated(base),
            download=download,
        )

    found = picked(download=download)
    wants_download = not download and not found.models
    if wants_download:  # say what could be
        found = picked(download=True)
    return PublishedPlan(
        device=device,
        base=base,
        chosen=found,
        classes=tuple(dict.fromkeys(one.set.workload_class for one in found.models)),
        not_repeatable=tuple(not_repeatable(known, tasks)),
        items=items or {},
        download=download,
        wants_download=wants_download and bool(found.models),
    )


def _of_list(one: PublishedList) -> list[Candidate]:
    return [Candidate(list=one, set=one.set_of(model), model=model) for model in one.models]


def _emulated(profile: Profile) -> tuple[str, ...]:
    native = profile.is_native("bf16")
    missing = emulates(profile.architecture, "bfloat16") if native is None else not native
    return ("bfloat16",) if missing else ()


# ----------------------------------------------------------------------------------------------------------- running


def calibrate_published(
    plan: PublishedPlan,
    output: Path | None = None,
    *,
    records: Path | None = None,
    again: bool = False,
    budget_s: float | None = None,
    cooldown_s: float = COOLDOWN_S,
    seed: int = 0,
    sensors: Sequence[Sensor | Detection] | None = None,
    prepare: Prepare = prepare_workload,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = lambda _: None,
    progress: Callable[[Progress], None] | None = None,
) -> Calibration:
    """Runs the models of a plan on this machine's GPU, and writes the device's own profile with the factors.

    Args:
        plan: what ``published_plan`` said.
        output: folder of the profile; by default the user's own profiles.
        records: folder of the runs; by default one under the state folder.
        again: measure also what is done.
        budget_s: seconds after which no model is begun.
        cooldown_s: rest between two models.
        seed: of the choice among items, where there are more than are taken.
        sensors: for tests, as are ``prepare``, ``clock`` and ``sleep``.
        tell: told a line at the beginning and the end of each model.
        progress: told where the benchmark of a model is.

    Raises:
        BadInput: there is nothing to run, or what is named for a folder is none.
        EnergyRatingError: nothing could be measured, or the models do not run on the device that is measured.
    """
    for folder in (output, records):
        if folder is not None:  # before hours are measured that could not be written down
            refuse_no_folder(folder)
    if not plan.chosen.models:
        why = plan.chosen.refused[0] if plan.chosen.refused else None
        told = f": {why.id} {why.why}" if why else ""
        raise BadInput(f"no published model can be run here{told}", place="--published")
    if plan.wants_download:
        raise BadInput(
            f"the models and their items are not here, and nothing may be fetched ({plan.chosen.gb:.1f} GB of models)",
            "Allow it with --download; or give what is on disk with --model NAME=FOLDER and --items TASK=FILE",
            place="calibrate --published",
        )
    going = _PublishedRuns(
        plan=plan,
        folder=(records or state_folder() / "calibration") / "published",
        again=again,
        budget_s=budget_s,
        cooldown_s=cooldown_s,
        seed=seed,
        sensors=sensors,
        prepare=prepare,
        clock=clock,
        sleep=sleep,
        tell=tell,
        progress=progress,
    )
    outcomes = going.all()
    if not any(outcome.joules_per_unit is not None for outcome in outcomes):
        raise EnergyRatingError(f"nothing could be measured: {outcomes[0].left_out}")
    reference = plan.chosen.models[0].list.reference
    names = dict.fromkeys(one.list.name for one in plan.chosen.models)
    given = sorted({one.set.task for one in plan.chosen.models} & set(plan.items))
    # Nobody has published what an item set hashes to: whose items these are, only who gave them knows.
    against = f"published {' and '.join(names)}" + (
        f" (items of {', '.join(given)} as they were given)" if given else ""
    )
    kept = [outcome for outcome in outcomes if outcome.ratio is not None]
    written, factors, left = write_profile(
        plan.base, plan.device, load_profile(reference), kept, output or user_profiles(), of=against
    )
    return Calibration(
        device=plan.device,
        reference=reference,
        outcomes=outcomes,
        factors=factors,
        profile=written,
        records=going.folder,
        why_not=left,
        protocol=against,
    )


@dataclass(kw_only=True, slots=True)
class _PublishedRuns:
    """Where and how the models are run."""

    plan: PublishedPlan
    folder: Path
    again: bool
    budget_s: float | None
    cooldown_s: float
    seed: int
    sensors: Sequence[Sensor | Detection] | None
    prepare: Prepare
    clock: Clock | None
    sleep: Callable[[float], None]
    tell: Callable[[str], None]
    progress: Callable[[Progress], None] | None
    no_items: dict[str, str] = field(default_factory=dict)  # item sets that cannot be had, and why

    def all(self) -> tuple[PointResult, ...]:
        """What became of each, in the order in which they were run; what stands in for one follows it."""
        waiting = list(self.plan.chosen.models)
        others = list(self.plan.chosen.others)
        found: list[PointResult] = []
        started_s = now(self.clock)
        while waiting:
            candidate = waiting.pop(0)
            left_s = None if self.budget_s is None else self.budget_s - (now(self.clock) - started_s)
            outcome = self.one(candidate, left_s, resting=any(not one.was_done for one in found))
            found.append(outcome)
            if outcome.left_out is None or (left_s is not None and left_s <= 0):
                continue
            others = [one for one in others if one.set.dataset not in self.no_items]
            # What was measured and is left out used too little of the device, or was not steady: a hungrier one may do better.
            stand_in = standing_in(candidate, others, hungrier=outcome.record is not None)
            if stand_in is not None:
                others.remove(stand_in)
                waiting.insert(0, stand_in)
                self.tell(f"{stand_in.model.id} stands in for {candidate.model.id}")
        return tuple(found)

    def one(self, candidate: Candidate, left_s: float | None, *, resting: bool) -> PointResult:
        blank = PointResult(point=_point(candidate), folder=self.folder / candidate.key)
        about = f"{candidate.model.id} ({candidate.set.task})"
        if candidate.set.dataset in self.no_items:
            return replace(blank, left_out=self.no_items[candidate.set.dataset])
        done = self.done(candidate, blank)
        if done is None and left_s is not None and left_s <= 0:
            return replace(blank, left_out="the budget was spent; run it again, and it goes on")
        if done is None:
            if resting:
                self.sleep(self.cooldown_s)
            self.tell(about)
            done = self.run(candidate, blank, None if left_s is None else max(left_s, BEGUN_S))
        outcome = _compared(of_device(done, self.plan.device), candidate)
        before = " (done before)" if outcome.was_done else ""
        self.tell(f"{about}: {outcome.left_out or point_to_text(outcome)}{before}")
        return outcome

    def asked(self, candidate: Candidate) -> dict[str, Any]:
        """What the plan of a model is asked for, beyond what its protocol says."""
        one, model = candidate.set, candidate.model
        wishes: dict[str, Any] = {
            "repeats": self.plan.chosen.repeats(candidate),
            "dtype": one.dtype,
            "max_new_tokens": one.max_new_tokens,
            "concurrency": model.concurrency if model.concurrency > 1 else None,
            "compile": one.compile or None,
            "seed": self.seed,
        }
        if one.max_model_len is not None:
            wishes["options"] = {"max_model_len": one.max_model_len}
        return wishes

    def sha256(self, candidate: Candidate) -> str:
        """Of all that is asked for of a model, and of what it is compared with."""
        model = candidate.model
        asked = (candidate.key, candidate.list.table, model.j_per_unit, model.revision)
        return hashlib.sha256(
            repr((asked, sorted(self.asked(candidate).items(), key=str))).encode()
        ).hexdigest()

    def planned(self, candidate: Candidate) -> Plan:
        """The plan of a model.

        Raises:
            BadInput: its items are not here, or are not as many as were published.
            EnergyRatingError: they could not be fetched.
        """
        one = candidate.set
        path = self.plan.items.get(one.task)
        plan = planned(
            load_task(one.task),
            protocol=one.protocol,
            items=path,
            workload=one.workload,
            download=self.plan.download or None,
            **self.asked(candidate),
        )
        least = one.take or one.items
        if len(plan.items) < least:
            raise BadInput(
                f"{len(plan.items):,} items are no {one.items:,}, as were published",
                f"Give all of {one.dataset}",
                place=f"--items {one.task}={path}" if path else one.dataset,
            )
        files = {**plan.files, IN_RECORD: self.sha256(candidate)}
        if one.take is not None and len(plan.items) > one.take:
            step = len(plan.items) / one.take
            some = tuple(plan.items[int(number * step)] for number in range(one.take))
            # No longer the data set as a whole, and not called so.
            files = {name: sha256 for name, sha256 in files.items() if not name.startswith("datasets/")}
            plan = replace(plan, items=some)
            files["items"] = items_sha256(some)
        return replace(plan, files=files, budget_s=plan.budget_s)

    def done(self, candidate: Candidate, blank: PointResult) -> PointResult | None:
        """What an earlier call measured soundly, of the same model, device and version; else None."""
        if self.again:
            return None
        try:
            record = load(blank.folder)
        except EnergyRatingError:
            return None
        device = self.plan.device
        same = record.provenance.version == __version__ and device in [
            as_before(one, device) for one in record.environment.devices
        ]
        if record.provenance.files.get(IN_RECORD) != self.sha256(candidate) or not same:
            return None
        outcome = judged(replace(blank, record=record, was_done=True))
        return outcome if outcome.left_out is None else None

    def run(self, candidate: Candidate, blank: PointResult, budget_s: float | None) -> PointResult:
        try:
            plan = self.planned(candidate)
        except EnergyRatingError as error:
            self.no_items[candidate.set.dataset] = f"its items cannot be had: {error}"
            return replace(blank, left_out=self.no_items[candidate.set.dataset])
        if budget_s is not None:
            plan = replace(plan, budget_s=budget_s)
        set_aside(blank.folder)
        name = candidate.model.id
        here = self.plan.chosen.local.get(name)
        try:
            workload, model = self.prepare(
                candidate.set.workload, str(here or name), plan.settings, plan.items
            )
            try:
                _refuse_other_model(model, candidate, here)
            except EnergyRatingError:
                with suppress(Exception):
                    workload.close()
                raise
            run = run_plan(
                OnDevice(workload),
                plan,
                model=replace(model, id=name),
                output_dir=blank.folder,
                sensors=self.sensors,
                clock=self.clock,
                sleep=self.sleep,
                progress=self.progress,
                report=lambda _: None,
            )
            return judged(replace(blank, record=run.record))
        except NotOnDevice:
            raise
        except EnergyRatingError as error:
            return replace(blank, left_out=str(error))


def _point(candidate: Candidate) -> PublishedPoint:
    return PublishedPoint(
        name=candidate.key,
        workload_class=candidate.set.workload_class,
        config=candidate.model.id,
        unit=candidate.set.unit,
    )


def _refuse_other_model(model: Model, candidate: Candidate, here: Path | None) -> None:
    """A folder may be called anything: what is in it must have as many parameters as the published model."""
    published = candidate.model.parameters
    if here is None:
        return
    if model.parameters is None or abs(model.parameters / published - 1) > SAME_PARAMETERS:
        holds = "does not say how many" if model.parameters is None else f"holds {model.parameters:,}"
        raise BadInput(
            f"{candidate.model.id} has {published:,} parameters, and this folder {holds}",
            "Name the folder of that very model",
            place=f"--model {candidate.model.id}",
        )


def _compared(outcome: PointResult, candidate: Candidate) -> PointResult:
    """Beside the published energy, with what is not alike."""
    mine = outcome.joules_per_unit
    if mine is None or outcome.left_out is not None or outcome.record is None:
        return outcome
    there = candidate.model.j_per_unit
    return replace(
        outcome,
        reference_j=there,
        ratio=there / mine.value,
        apart=apart(outcome.record, candidate),
    )


def apart(record: Record, candidate: Candidate) -> tuple[Widening, ...]:
    """In what a run is not like the published one, or not known to be.

    An engine's version is the same where its first two numbers are. Attention is alike only where both say which it was. Answers are
    alike where their number of tokens is fixed, or there are none.
    """
    listed = candidate.list
    told = record.operating_point
    version = str(told.get("engine_version") or record.environment.software.get(listed.engine) or "")
    there = listed.engine_version
    found = []
    if there is None or version.split(".")[:2] != there.split(".")[:2]:
        found.append(listed.widening("engine-version"))
    if listed.attention is None or told.get("attention") != listed.attention:
        found.append(listed.widening("attention"))
    found.append(listed.widening("answers"))
    return tuple(one for one in found if one is not None)


def plan_to_json(plan: PublishedPlan) -> dict[str, Any]:
    """What ``calibrate --published --dry-run --json`` prints."""
    picked = plan.chosen
    return {
        "device": plain(plan.device),
        "models": [
            {
                "id": one.model.id,
                "task": one.set.task,
                "workload_class": one.set.workload_class,
                "list": one.list.name,
                "protocol": one.set.protocol,
                "workload": one.set.workload,
                "licence": one.model.licence,
                "reference": one.list.reference,
                "reference_j": one.model.j_per_unit,
                "unit": one.set.unit,
                "repeats": picked.repeats(one),
                "seconds": round(picked.seconds(one)),
            }
            for one in picked.models
        ],
        "fetches": [plain(one) for one in picked.fetched],
        "seconds": round(picked.all_seconds),
        "refused": [plain(one) for one in (*picked.refused, *plan.not_repeatable)],
    }
