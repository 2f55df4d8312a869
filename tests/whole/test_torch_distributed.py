"""A training on two hosts, each with a fake GPU whose truth is known, under torchrun: one record of both, whatever becomes of one of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the training needs PyTorch: make test-integrations")

from fake_nvml import Device, FakeNvml, NoCompiler, compiler

from energy_rating import load
from energy_rating.measuring.ranks import LAUNCHERS
from energy_rating.publishing.verification import verify

PROGRAM = Path(__file__).parents[1] / "fakes" / "two_hosts.py"

try:
    compiler()
except NoCompiler as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("torchrun")]

WATTS = (200, 300)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class TwoHosts:
    """torchrun twice, as on two hosts that share a disk: two processes on each, and one GPU."""

    def __init__(self, place):
        self.folder, self.told, self.place = place / "run", place / "told", place
        self.told.mkdir()
        known = {name for launcher in LAUNCHERS for names in launcher for name in names}
        known |= {"CUDA_VISIBLE_DEVICES", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"}
        self.environ = {name: value for name, value in os.environ.items() if name not in known}

    def run(self, expected, **options):
        """Runs until so many processes have told how they ended; what these told, by rank."""
        told = [str(PROGRAM), str(self.folder), str(self.told)]
        told += [f"{name}={value}" for name, value in options.items()]
        self.launch(told, lambda: len(list(self.told.glob("*.json"))) >= expected)
        return {int(path.stem): json.loads(path.read_text()) for path in self.told.glob("*.json")}

    def launch(self, program, is_done):
        """torchrun on both hosts, until it is done; what they said."""
        port = free_port()
        hosts = []
        try:
            for node, watts in enumerate(WATTS):
                scratch = self.place / f"host{node}"
                scratch.mkdir()
                uuid = f"GPU-0000000{node}-1111-2222-3333-444444444444"
                fake = FakeNvml(devices=[Device(power=f"constant:{watts}", uuid=uuid)])
                environ = {
                    **self.environ,
                    "XDG_STATE_HOME": str(scratch / "state"),
                    "XDG_CACHE_HOME": str(scratch / "cache"),
                    "OMP_NUM_THREADS": "1",
                    "GLOO_SOCKET_IFNAME": "lo",
                    **fake.environment(scratch),
                }
                command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node_rank={node}"]
                command += ["--nproc_per_node=2", "--master_addr=127.0.0.1", f"--master_port={port}"]
                command += program
                with (scratch / "said").open("w") as said:
                    hosts.append(
                        subprocess.Popen(
                            command, env=environ, stdout=said, stderr=said, start_new_session=True
                        )
                    )
            until = time.monotonic() + 150
            while not is_done() and time.monotonic() < until:
                time.sleep(0.1)
        finally:
            # After a process has died the agents wait for each other for five minutes (torch 2.13).
            for host in hosts:
                os.killpg(host.pid, signal.SIGKILL)
                host.wait()
        return [(self.place / f"host{node}" / "said").read_text() for node in range(len(WATTS))]


@pytest.fixture(name="hosts")
def two_hosts(tmp_path):
    return TwoHosts(tmp_path)


def test_two_hosts_have_one_record_of_both(hosts):
    told = hosts.run(4, seconds=3)
    whole = told[0]["whole"]
    assert whole["nodes"] == 2
    assert whole["tokens"] == sum(one["tokens"] for one in told.values())
    record = load(hosts.folder)
    assert record.origin == "merged"
    parts = [load(hosts.folder / "nodes" / str(place)) for place in range(2)]
    for part, watts in zip(parts, WATTS, strict=True):
        energy = part["run"].energy_j["gpu"]
        assert abs(energy.value - watts * part["run"].duration_s) < 3 * energy.half_width()
    assert whole["joules"] == pytest.approx(sum(part["run"].energy_j["gpu"].value for part in parts))
    assert told[0]["so_far"]["hosts"] == 2
    assert "whole" not in told[2]
    assert verify(hosts.folder).verdict == "matches"


def test_a_host_that_dies_costs_its_part_and_not_the_end_of_the_job(hosts):
    told = hosts.run(2, seconds=4, dies=2)
    whole = told[0]["whole"]
    # Its journal lies on the disk that they share.
    assert whole["nodes"] == 2
    assert "host-cut-short" in whole["codes"]
    parts = [part["run"].energy_j["gpu"].value for part in _parts(hosts.folder)]
    assert whole["joules"] == pytest.approx(sum(parts))


def _parts(folder):
    from energy_rating import summarise

    return [summarise(folder / "nodes" / str(place)) for place in range(2)]


def test_a_host_that_is_late_is_not_waited_for_and_can_be_added_afterwards(hosts):
    from energy_rating import merge

    told = hosts.run(4, seconds=2, who=2, late=8, patience=1)
    assert told[0]["whole"]["nodes"] == 1
    assert "hosts-missing" in told[0]["whole"]["codes"]
    assert told[0]["whole"]["validity"] == "invalid"
    whole = merge(hosts.folder)
    assert whole.nodes == 2
    assert "hosts-missing" not in [one.code for one in whole.findings]


def test_the_example_of_several_hosts_ends_with_one_record(hosts):
    example = Path(__file__).parents[2] / "examples" / "several_hosts.py"
    said = hosts.place / "host0" / "said"
    first, _ = hosts.launch(
        [str(example), str(hosts.folder)], lambda: said.exists() and "a sample took" in said.read_text()
    )
    assert "2 hosts, 4 processes, work of all: {'sample': 24576}" in first
    assert load(hosts.folder).nodes == 2
