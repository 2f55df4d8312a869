"""A process of a training on several hosts: ``torchrun … tests/fakes/two_hosts.py FOLDER TOLD KEY=VALUE …``. Used by test_torch_distributed.py.

Each first process of a host writes TOLD/<rank>.json: what it counted, and, the first of all, what the whole job came to.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from energy_rating.integrations.torch_distributed import measure_job


def main(folder: Path, told: Path, options: dict[str, str]) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    seconds, dies = float(options.get("seconds", 3)), int(options.get("dies", -1))
    late = float(options.get("late", 0)) if rank == int(options.get("who", -1)) else 0.0
    entry = {"rank": rank}
    with measure_job("pre-training", output_dir=folder, patience_s=float(options.get("patience", 4))) as job:
        dist.barrier()  # as the first step of a training does: nobody works before the run of its host has begun
        until = time.monotonic() + seconds
        step = 0
        while time.monotonic() < until:
            with job.run.window("step") as window:
                torch.ones(64, 64) @ torch.ones(64, 64)
                time.sleep(0.1)
                window.count(token=10)
            step += 1
            job.say(step)
            if rank == dies and step == 5:
                os._exit(1)
        entry["tokens"] = 10 * step
        entry["so_far"] = job.energy_so_far()
        if not late and dies < 0 and "who" not in options:
            dist.barrier()  # and nobody ends before the work of all is done
        time.sleep(late)
        began_s = time.monotonic()
    entry["end_s"] = time.monotonic() - began_s
    if job.record is not None:
        entry["whole"] = {
            "nodes": job.record.nodes,
            "tokens": job.record["run"].work["token"],
            "joules": job.record["run"].energy_j["gpu"].value,
            "half_width_j": job.record["run"].energy_j["gpu"].half_width(),
            "validity": job.record["run"].validity,
            "codes": [one.code for one in job.record.findings],
        }
    (told / f"{rank}.json").write_text(json.dumps(entry))
    # The store of a job that is started by torchrun lives in its agent; whoever holds it himself waits for the others.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), dict(argument.split("=", 1) for argument in sys.argv[3:]))
