#!/bin/sh
# codecarbon 3.3.2 (CPython 3.11, Linux, no GPU, no RAPL).
#
# @track_emissions on a coroutine function ("async def", as clients of models, servers and agents are written) calls it, which only makes a
# coroutine, and stops the tracker at once; what the caller awaits afterwards is not measured. Nothing is said: the row in emissions.csv
# looks like any other, with the energy of the milliseconds until the coroutine was made. A generator function likewise.
#
# Seen: of 4 seconds of computing each, by the column "duration": "plain whole", "coroutine next to nothing", "generator next to nothing".
# Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check codecarbon==3.3.2
cat > "$here/work.py" <<'PROGRAM'
import asyncio
import csv
import time

from codecarbon import track_emissions

tracked = track_emissions(
    offline=True, country_iso_code="FRA", measure_power_secs=1, log_level="critical", allow_multiple_runs=True
)


def compute():
    end = time.monotonic() + 4
    while time.monotonic() < end:
        sum(range(10_000))


@tracked
def plain():
    compute()


@tracked
async def coroutine():
    compute()
    await asyncio.sleep(0)


@tracked
def generator():
    compute()
    yield


plain()
asyncio.run(coroutine())
list(generator())
with open("emissions.csv") as file:
    for name, row in zip(("plain", "coroutine", "generator"), csv.DictReader(file), strict=True):
        print(name, "whole" if float(row["duration"]) >= 4 else "next to nothing" if float(row["duration"]) < 1 else "part")
PROGRAM
cd "$here"
seen=$(venv/bin/python work.py 2>/dev/null)
echo "$seen"
[ "$seen" = "plain whole
coroutine next to nothing
generator next to nothing" ]
