"""Plain loops on real PyTorch and JAX, without a trainer: ``python loops.py KIND FOLDER``. Each writes what its own clock and count say into truth.json."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

from energy_rating import measure, model_of


def heavy(jax, size=700, times=12):
    """A jitted function that takes some tenths of a second, of which the call waits for none."""

    @jax.jit
    def work(x):
        return jax.lax.fori_loop(0, times, lambda _, y: jax.numpy.tanh(y @ x) + 0.01 * y, x)

    x = jax.numpy.ones((size, size)) / size
    work(x).block_until_ready()  # compiled
    return work, x


def jax_windows(folder, told, *, sync):
    import jax

    work, x = heavy(jax)
    spans = []
    with measure("fine-tuning", output_dir=folder / "run", sensors=["nvml"], sync=sync) as run:
        for _ in range(4):
            since = time.monotonic()
            with run.window("step") as window:
                y = work(x)
                window.count(token=10)
            left = time.monotonic()
            y.block_until_ready()
            spans.append((since, time.monotonic()))
            told["dispatched_s"] = left - since
    told["spans"] = spans


def jax_synced(folder, told):
    jax_windows(folder, told, sync=True)


def jax_queued(folder, told):
    jax_windows(folder, told, sync=False)


def jax_end(folder, told):
    """All is queued when the block is left: the run ends when it is done."""
    import jax

    work, x = heavy(jax)
    with measure("other", output_dir=folder / "run", sensors=["nvml"]) as run:
        since = time.monotonic()
        for _ in range(4):
            x = work(x)
        told["dispatched_s"] = time.monotonic() - since
    told["ready"] = bool(x.is_ready())
    told["duration_s"] = run.record["run"].duration_s
    told["spans"] = [(since, since + told["duration_s"])]


def jax_steps(folder, told):
    """A loop of steps is contiguous, and drained at its end."""
    import jax

    work, x = heavy(jax)
    with measure("other", output_dir=folder / "run", sensors=["nvml"]) as run:
        since = time.monotonic()
        for _ in run.steps(range(5), token=7):
            x = work(x)
        told["spans"] = [(since, time.monotonic())]
        told["ready"] = bool(x.is_ready())
    model = model_of({"w": x}, "mine")
    told["parameters"] = model.parameters


class Rows:
    """A data set that holds the run, as a careless one does."""

    def __init__(self, run):
        self.run = run

    def __len__(self):
        return 24

    def __getitem__(self, number):
        import torch

        if self.run is not None:
            self.run.count(looked=1)  # in a worker: in no figure
        return torch.full((8,), number, dtype=torch.long)


def torch_loader(folder, told, start):
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    net = torch.nn.Linear(8, 8)
    with measure(
        "fine-tuning", model=model_of(net, "mine"), output_dir=folder / "run", sensors=["nvml"]
    ) as run:
        loader = DataLoader(Rows(run), batch_size=4, num_workers=2, multiprocessing_context=start)
        spans = []
        for _ in range(2):
            with run.window("epoch"):
                since = time.monotonic()
                for batch in run.steps(loader, token=lambda batch: batch.numel()):
                    net(batch.float()).sum().backward()
                    time.sleep(0.1)
                spans.append((since, time.monotonic()))
    told["spans"], told["tokens"] = spans, 2 * 24 * 8
    told["threads"] = [thread.name for thread in threading.enumerate() if not thread.daemon]


def torch_fork(folder, told):
    torch_loader(folder, told, "fork")


def torch_spawn(folder, told):
    torch_loader(folder, told, "spawn")


def torch_threads(folder, told):
    """Inference in threads, on one model."""
    import torch

    torch.set_num_threads(1)
    net = torch.nn.Linear(64, 64).eval()

    def serve():
        for _ in range(3):
            with run.request(token=5), torch.no_grad():
                net(torch.ones(4, 64))
                time.sleep(0.2)

    with measure(
        "inference", model=model_of(net, "mine"), output_dir=folder / "run", sensors=["nvml"]
    ) as run:
        since = time.monotonic()
        threads = [threading.Thread(target=serve) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told["spans"] = [(since, time.monotonic())]
    told["requests"] = 12


def torch_tasks(folder, told):
    """Inference in tasks of asyncio."""
    import torch

    torch.set_num_threads(1)
    net = torch.nn.Linear(64, 64).eval()

    async def serve():
        for _ in range(3):
            with run.request(token=5), torch.no_grad():
                await asyncio.to_thread(net, torch.ones(4, 64))
                await asyncio.sleep(0.2)

    async def all_of_them():
        await asyncio.gather(*(serve() for _ in range(4)))

    with measure("inference", output_dir=folder / "run", sensors=["nvml"]) as run:
        since = time.monotonic()
        asyncio.run(all_of_them())
        told["spans"] = [(since, time.monotonic())]
    told["requests"] = 12


KINDS = {
    one.__name__: one
    for one in (
        jax_synced,
        jax_queued,
        jax_end,
        jax_steps,
        torch_fork,
        torch_spawn,
        torch_threads,
        torch_tasks,
    )
}

if __name__ == "__main__":
    place, truth = Path(sys.argv[2]), {}
    KINDS[sys.argv[1]](place, truth)
    (place / "truth.json").write_text(json.dumps(truth))
