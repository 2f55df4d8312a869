"""A training on several hosts, measured as one. Run on each host, with HOST from 0 on and the first one's address in FIRST:

    torchrun --nnodes 2 --node-rank $HOST --nproc-per-node 2 --master-addr $FIRST --master-port 29500 examples/several_hosts.py FOLDER

Needs: pip install torch. The first process of each host measures that host; the first of all has the record of the whole job.
"""

import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from energy_rating import NotMeasured, model_of
from energy_rating.integrations.torch_distributed import measure_job

dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
rank = dist.get_rank()
device = torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
samples = torch.rand(8192, 8) * 2 - 1
data = TensorDataset(samples, torch.sin(3 * samples).sum(dim=1, keepdim=True))
sampler = DistributedSampler(data, seed=0)
loader = DataLoader(data, batch_size=32, sampler=sampler)
plain = torch.nn.Sequential(torch.nn.Linear(8, 256), torch.nn.Tanh(), torch.nn.Linear(256, 1)).to(device)
model = DistributedDataParallel(plain)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

folder = sys.argv[1] if sys.argv[1:] else "reports/several-hosts"
with measure_job("pre-training", model=model_of(plain, "two-layers"), output_dir=folder) as job:
    for epoch in range(3):
        sampler.set_epoch(epoch)
        with job.run.window("epoch"):
            for x, y in job.run.steps(loader, sample=lambda batch: len(batch[0])):
                loss = (model(x.to(device)) - y.to(device)).pow(2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        job.say(epoch + 1)  # what this host has drawn by now; waits for nobody
        if rank == 0:
            so_far = job.energy_so_far()
            print(
                f"epoch {epoch + 1}: loss {loss.item():.4f}, {so_far['joules']} J on {so_far['hosts']} hosts by now"
            )

if job.record is not None:
    whole = job.record["run"]
    print(f"{job.record.nodes} hosts, {job.record.ranks} processes, work of all: {dict(whole.work)}")
    try:
        print("a sample took", whole.energy_per("sample", next(iter(whole.energy_j), "gpu")))
    except NotMeasured as error:
        print(error)
dist.destroy_process_group()
