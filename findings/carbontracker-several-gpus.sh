#!/bin/sh
# carbontracker 2.4.7 with two GPUs (CPython 3.11, Linux; the driver's library is a stand-in of twenty lines that draws 300 W on each).
#
# The consumption of several GPUs is that of one: each reading's powers are averaged over the devices (tracker.py, np.mean along the wrong
# axis), the log tells one power beside two device names, and "Actual consumption" holds half of the energy. 1.2.5 told both and added them up.
#
# Seen: "1.2.5: 600 W" and "2.4.7: 300 W" (energy over time and PUE). Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check carbontracker==2.4.7
"$here/venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$here/old" carbontracker==1.2.5
mkdir "$here/driver"
cat > "$here/driver/pynvml.py" <<'PROGRAM'
class NVMLError(Exception):
    pass


def nvmlInit():
    pass


def nvmlShutdown():
    pass


def nvmlDeviceGetCount():
    return 2


def nvmlDeviceGetHandleByIndex(index):
    return index


def nvmlDeviceGetName(handle):
    return "GPU"


def nvmlDeviceGetPowerUsage(handle):
    return 300_000  # milliwatts
PROGRAM
cat > "$here/train.py" <<'PROGRAM'
import re
import sys
import time
from pathlib import Path

from carbontracker.tracker import CarbonTracker

tracker = CarbonTracker(epochs=2, monitor_epochs=-1, update_interval=1, components="gpu", log_dir=sys.argv[2], verbose=0)
for _ in range(2):
    tracker.epoch_start()
    time.sleep(3)
    tracker.epoch_end()
tracker.stop()
(output,) = Path(sys.argv[2]).glob("*_output.log")
(log,) = Path(sys.argv[2]).glob("*Z_carbontracker.log")
kwh = float(re.search(r"Actual consumption.*?Energy:\s+([\d.]+) kWh", output.read_text(), re.S)[1])
pue = float(re.search(r"PUE coefficient of ([\d.]+)", log.read_text())[1])
print(f"{sys.argv[1]}: {round(kwh * 3.6e6 / pue / 6, -2):.0f} W")  # to hundreds
PROGRAM
cd "$here"
old=$(PYTHONPATH=old:driver venv/bin/python train.py 1.2.5 "$here/one" 2>/dev/null | tail -1)
new=$(PYTHONPATH=driver venv/bin/python train.py 2.4.7 "$here/two" 2>/dev/null | tail -1)
echo "$old"
echo "$new"
[ "$old" = "1.2.5: 600 W" ] && [ "$new" = "2.4.7: 300 W" ]
