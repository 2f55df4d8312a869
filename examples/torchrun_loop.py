"""A training in several processes, measured. Run: torchrun --nproc-per-node 2 examples/torchrun_loop.py [FOLDER FOR THE RECORD]

Needs: pip install torch. Every process counts its own work; the first one of the host measures the devices, and its record has the work of all.
"""

import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from energy_rating import NotMeasured, measure, model_of

EPOCHS, BATCH = 3, 32

dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
rank = dist.get_rank()
device = torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)

# Something to learn: the sum of eight sines.
samples = torch.rand(8192, 8) * 2 - 1
data = TensorDataset(samples, torch.sin(3 * samples).sum(dim=1, keepdim=True))
sampler = DistributedSampler(data, seed=0)
loader = DataLoader(data, batch_size=BATCH, sampler=sampler)
plain = torch.nn.Sequential(torch.nn.Linear(8, 256), torch.nn.Tanh(), torch.nn.Linear(256, 1)).to(device)
model = DistributedDataParallel(plain)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

folder = sys.argv[1] if sys.argv[1:] else None
with measure("pre-training", model=model_of(plain, "two-layers"), output_dir=folder) as run:
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        with run.window("epoch"):
            for x, y in run.steps(loader, sample=lambda batch: len(batch[0])):
                loss = (model(x.to(device)) - y.to(device)).pow(2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        run.checkpoint(step=epoch + 1)  # where a checkpoint would be written
        if rank == 0:
            print(f"epoch {epoch + 1}: loss {loss.item():.4f}")

if run.makes_record:
    try:
        epochs = run.record["epoch"]
        component = next(iter(epochs.energy_j), "gpu")
        print("work of all processes:", dict(run.record["run"].work))
        print("a sample took", run.record["run"].energy_per("sample", component))
    except NotMeasured as reason:
        print(reason)
dist.destroy_process_group()
