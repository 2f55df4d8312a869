#!/bin/sh
# codecarbon 3.3.2 beside gevent 26.9.0 (CPython 3.11, Linux, no GPU, no RAPL).
#
# After gevent's monkey.patch_all() the thread in which CodeCarbon samples power every measure_power_secs is a greenlet. While the program
# computes, and so yields to no other greenlet, it does not run: six seconds of work at one sample a second are sampled at the start and at
# the end only. Nothing is said, and the energy that is returned rests on those two samples, whatever the load did between them.
#
# Seen: "plain 6" or "plain 7", then "gevent 2". Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check codecarbon==3.3.2 gevent==26.9.0
cat > "$here/work.py" <<'PROGRAM'
import sys

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()

import time

from codecarbon import OfflineEmissionsTracker

tracker = OfflineEmissionsTracker(
    country_iso_code="FRA", measure_power_secs=1, save_to_file=False, log_level="critical", allow_multiple_runs=True
)
tracker.start()
end = time.monotonic() + 6
while time.monotonic() < end:
    sum(range(10_000))
tracker.stop()
print(sys.argv[1], tracker._measure_occurrence)  # how often it has measured
PROGRAM
cd "$here"
plain=$(venv/bin/python work.py plain 2>/dev/null)
gevent=$(venv/bin/python work.py gevent 2>/dev/null)
echo "$plain"
echo "$gevent"
[ "${plain#plain }" -ge 4 ] && [ "$gevent" = "gevent 2" ]
