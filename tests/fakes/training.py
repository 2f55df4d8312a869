"""A small training in PyTorch, on the CPU: ``torchrun … tests/fakes/training.py FOLDER TOLD KEY=VALUE …``. Used by test_torchrun.py.

Each rank writes TOLD/<rank>.<try>.json: the tokens that its own collator counted, step by step, and when its run was.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from energy_rating import measure

STEP_S = 0.2


class Sentences(Dataset[torch.Tensor]):
    """Sequences of several lengths. What it holds of a run goes into its workers with it, where that does nothing."""

    def __init__(self, number: int, run: Any = None) -> None:
        self.number = number
        self.run = run

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, place: int) -> torch.Tensor:
        if self.run is not None:
            self.run.count(token=1_000_000)
        return torch.full((3 + place % 5,), float(place))


class Collator:
    """Pads, and counts what is no padding: the test's own count."""

    def __call__(self, items: list[torch.Tensor]) -> dict[str, Any]:
        padded = torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
        padded = torch.nn.functional.pad(padded, (0, 8 - padded.shape[1]))
        return {"input": padded, "tokens": sum(len(item) for item in items)}


def write(path: Path, entry: dict[str, Any]) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(entry))
    scratch.replace(path)


def main(folder: Path, told: Path, options: dict[str, str]) -> None:
    attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) + int(options.get("try", 0))
    workers, context = int(options.get("workers", 0)), options.get("context")
    spread = "RANK" in os.environ
    if spread:
        # Not by torchrun's own store: after a restart (torch 2.13) a rank that is there first reads in it where a dead one was to be found.
        dist.init_process_group(
            "gloo",
            init_method=f"file://{told}/store-{attempt}",
            rank=int(os.environ["RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
        )
    rank = dist.get_rank() if spread else 0
    torch.manual_seed(0)
    plain = torch.nn.Linear(8, 1)
    saved, done = told / "checkpoint.pt", 0
    if saved.exists():
        state = torch.load(saved)
        plain.load_state_dict(state["model"])
        done = state["step"]
    model: torch.nn.Module = DistributedDataParallel(plain) if spread else plain
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    counted: list[tuple[int, int]] = []
    with measure("fine-tuning", output_dir=folder, resume="resume" in options) as run:
        start = time.monotonic()
        items = Sentences(80, run if workers else None)
        loader = DataLoader(
            items,
            batch_size=4,
            collate_fn=Collator(),
            sampler=DistributedSampler(items, shuffle=False) if spread else None,
            num_workers=workers,
            multiprocessing_context=context,
        )
        batches = itertools.islice(loader, done, None)
        for number, batch in enumerate(run.steps(batches, token=lambda batch: batch["tokens"]), done + 1):
            loss = model(batch["input"]).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            time.sleep(STEP_S)
            counted.append((number, batch["tokens"]))
            write(
                told / f"{rank}.{attempt}.json", {"start": start, "end": time.monotonic(), "counted": counted}
            )
            if number == int(options.get("save", 0)):
                if rank == 0:
                    torch.save({"model": plain.state_dict(), "step": number}, saved)
                run.checkpoint(step=number)
            if attempt == 0 and number == int(options.get("kill", 0)) and rank == int(options.get("who", 0)):
                _ = run.journal  # what happened in the last 50 ms is lost with the process
                os.kill(os.getpid(), signal.SIGKILL)
            if attempt == 0 and number == int(options.get("stay", 0)):
                time.sleep(120)
            if number == int(options.get("last", 8)):
                break
        write(told / f"{rank}.{attempt}.json", {"start": start, "end": time.monotonic(), "counted": counted})
    if spread:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), dict(one.split("=", 1) for one in sys.argv[3:]))
