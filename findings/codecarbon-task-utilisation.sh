#!/bin/sh
# codecarbon 3.3.2 (CPython 3.11, Linux, no GPU, no RAPL).
#
# What stop_task() returns has the mean utilisation of CPU and memory during the task. The file of the tasks (emissions_base_RUN.csv) has
# the same columns, and 0.0 in each of them, always: a task that kept the CPUs busy stands there as idle, on a machine that used no memory.
# Nothing says that these zeros are no measurement.
#
# Seen: "returned 1 1" (utilisation of CPU and memory above zero), "file 0.0 0.0 0.0". Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check codecarbon==3.3.2
cat > "$here/work.py" <<'PROGRAM'
import csv
import glob
import time

from codecarbon import OfflineEmissionsTracker

tracker = OfflineEmissionsTracker(country_iso_code="FRA", log_level="critical", allow_multiple_runs=True)
tracker.start_task("busy")
end = time.monotonic() + 6
while time.monotonic() < end:
    sum(range(10_000))
told = tracker.stop_task()
tracker.stop()
print("returned", int(told.cpu_utilization_percent > 0), int(told.ram_used_gb > 0))
(path,) = glob.glob("emissions_base_*.csv")
with open(path) as file:
    (row,) = csv.DictReader(file)
print("file", row["cpu_utilization_percent"], row["ram_utilization_percent"], row["ram_used_gb"])
PROGRAM
cd "$here"
seen=$(venv/bin/python work.py 2>/dev/null)
echo "$seen"
[ "$seen" = "returned 1 1
file 0.0 0.0 0.0" ]
