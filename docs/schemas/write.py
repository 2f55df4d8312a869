"""Writes the JSON Schemas that are published beside this file."""

import json
from pathlib import Path

from energy_rating.benchmarking.tasks import task_schema
from energy_rating.files.record import condition_schema, record_schema
from energy_rating.files.whole import write_whole
from energy_rating.judging.profiles import profile_schema
from energy_rating.judging.rating import rating_schema
from energy_rating.judging.schemes import scheme_schema
from energy_rating.judging.vintages import vintage_schema

folder = Path(__file__).parent
for name, schema in (
    ("record", record_schema()),
    ("condition", condition_schema()),
    ("profile", profile_schema()),
    ("scheme", scheme_schema()),
    ("normalisation", vintage_schema()),
    ("rating", rating_schema()),
    ("task", task_schema()),
):
    write_whole(folder / f"{name}.schema.json", (json.dumps(schema, indent=2) + "\n").encode())
