#!/bin/sh
# codecarbon 3.3.2 with tasks and a PUE (CPython 3.11, Linux, no GPU, no RAPL).
#
# With pue=1.5 all energies are those of the devices times 1.5. emissions.csv has a column pue beside them; emissions_base_RUN.csv, where each task
# stands, has none, and its energies hold the factor all the same: a memory that is forced to 20 W draws 30 W there, and nothing in the
# file tells that from a machine that does.
#
# Seen: "30 W, pue column: False" of the tasks, "pue 1.5" of the run. Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check codecarbon==3.3.2
cat > "$here/tasks.py" <<'PROGRAM'
import csv
import time
from pathlib import Path

from codecarbon import OfflineEmissionsTracker

tracker = OfflineEmissionsTracker(
    country_iso_code="FRA", pue=1.5, force_ram_power=20, measure_power_secs=1, log_level="critical", allow_multiple_runs=True
)
tracker.start_task("one")
time.sleep(5)
tracker.stop_task("one")
tracker.stop()
(tasks,) = Path().glob("emissions_base_*.csv")
(task,) = csv.DictReader(tasks.open())
(run,) = csv.DictReader(Path("emissions.csv").open())
watts = float(task["ram_energy"]) * 3.6e6 / float(task["duration"])
print(f"{watts:.0f} W, pue column: {'pue' in task}; pue {float(run['pue'])}")
PROGRAM
cd "$here"
told=$(venv/bin/python tasks.py 2>/dev/null | tail -1)
echo "$told"
[ "$told" = "30 W, pue column: False; pue 1.5" ]
