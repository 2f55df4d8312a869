#!/bin/sh
# accelerate 1.15.0 with torch 2.13.0 (CPython 3.11, Linux, CPU).
#
# Accelerator.init_trackers() enters a custom tracker into accelerator.trackers; end_training() finishes it and leaves it there. A second
# training of the same accelerator (a sweep, a cell of a notebook that is run again) enters it again beside itself: start() is called
# twice, and every accelerator.log() reaches it twice; the third time three times. Nothing is said. A tracker that adds up what is logged
# (tokens, samples) has two and three times as much.
#
# Seen: "1 1 2 2 3 3": starts and logs of one accelerator.log() in the first, second and third training. Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check accelerate==1.15.0 torch==2.13.0
cat > "$here/work.py" <<'PROGRAM'
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker


class Counting(GeneralTracker):
    name, requires_logging_directory, tracker = "counting", False, None
    started = logged = 0

    def start(self):
        self.started += 1

    def store_init_configuration(self, values):
        pass

    def log(self, values, step=None, **kwargs):
        self.logged += 1


counting = Counting()
accelerator = Accelerator(cpu=True, log_with=counting)
told = []
for _ in range(3):
    counting.started = counting.logged = 0
    accelerator.init_trackers("project")
    accelerator.log({"token": 512})
    accelerator.end_training()
    told += [counting.started, counting.logged]
print(*told)
PROGRAM
cd "$here"
seen=$(venv/bin/python work.py 2>/dev/null)
echo "$seen"
[ "$seen" = "1 1 2 2 3 3" ]
