"""Writes the JSON Schemas that are published beside this file."""

import json
from pathlib import Path

from energy_rating.formats import record_schema, write_whole

folder = Path(__file__).parent
write_whole(folder / "record.schema.json", (json.dumps(record_schema(), indent=2) + "\n").encode())
