"""Any function can be measured: here a real classifier in ONNX, Google's magika, which tells what kind of file some bytes are.

    pip install energy-rating magika
    python examples/file_types.py [FOLDER]

It runs on the CPU through onnxruntime, which energy-rating knows nothing of: the function is called, and what it did is counted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from magika import Magika

from energy_rating import benchmark

# Six files that everybody knows when they see them, each as long as the model looks at (it reads the beginning and the end).
FILES = {
    "python": b"import os\n\n\ndef names(folder):\n    return [name for name in os.listdir(folder) if name]\n"
    * 30,
    "json": json.dumps([{"name": f"item {number}", "value": number} for number in range(90)]).encode(),
    "html": b"<!doctype html>\n<html><head><title>A page</title></head><body><p>Words.</p></body></html>\n"
    * 20,
    "csv": b"day,city,temperature\n" + b"2026-01-01,Oslo,-4\n2026-01-02,Rome,11\n" * 60,
    "shell": b'#!/bin/sh\nset -eu\nfor file in *.txt; do\n  echo "$file"\ndone\n' * 30,
    "c": b'#include <stdio.h>\n\nint main(void) {\n    printf("hello\\n");\n    return 0;\n}\n' * 30,
}

magika = Magika()
told: dict[str, str] = {}


def classify(name: str) -> dict[str, int]:
    """Says what a file is; returns the work it did, by unit."""
    told[name] = magika.identify_bytes(FILES[name]).output.label
    return {"byte": len(FILES[name])}


record = benchmark(
    classify,
    list(FILES),
    task="file-type-detection",
    model="google/magika",
    repeats=3,
    min_duration_s=0.5,
    warm_up_s=0,
    idle_s=0,
    output_dir=Path(sys.argv[1]) if len(sys.argv) > 1 else None,
)

right = sum(told[name] == name for name in FILES)
print(f"{right} of {len(FILES)} right: {', '.join(f'{name} is {told[name]}' for name in FILES)}")
work = record["measured"].work
print(f"measured: {work['request']} files, {work['byte']} bytes, in {record['measured'].duration_s:.1f} s")
for component, energy in record["measured"].energy_j.items():
    print(f"{component}: {energy.value / work['request'] * 1e3:.2f} mJ a file")
