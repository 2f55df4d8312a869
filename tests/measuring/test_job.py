"""Which job on several hosts a process is a part of, as launchers really tell it."""

from __future__ import annotations

import pytest

from energy_rating.measuring.ranks import job_of

MEETING = {"MASTER_ADDR": "10.1.0.1", "MASTER_PORT": "29512"}


def torch_rank(node: int, local: int, *, nodes: int = 2, each: int = 4) -> dict[str, str]:
    return {
        **MEETING,
        "LOCAL_RANK": str(local),
        "LOCAL_WORLD_SIZE": str(each),
        "RANK": str(node * each + local),
        "WORLD_SIZE": str(nodes * each),
        "GROUP_RANK": str(node),
        "GROUP_WORLD_SIZE": str(nodes),
        "TORCHELASTIC_RUN_ID": "none",
    }


def slurm_task(node: int, local: int, *, nodes: int = 2, each: int = 4, **more: str) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
        "SLURM_LOCALID": str(local),
        "SLURM_PROCID": str(node * each + local),
        "SLURM_NODEID": str(node),
        "SLURM_NTASKS": str(nodes * each),
        "SLURM_STEP_NUM_TASKS": str(nodes * each),
        "SLURM_STEP_NUM_NODES": str(nodes),
        "SLURM_NNODES": str(nodes),
        "SLURM_STEP_TASKS_PER_NODE": f"{each}(x{nodes})",
        **more,
    }


SEVERAL = {
    "torchrun": ([torch_rank(node, 0) for node in range(2)], (0, 1), 2),
    # Its own launcher sets no RANK, and the number of hosts for none.
    "Lightning": (
        [
            {**MEETING, "LOCAL_RANK": "0", "NODE_RANK": str(node), "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
            for node in range(2)
        ],
        (0, 1),
        2,
    ),
    "Slurm": ([slurm_task(node, 0) for node in range(2)], (0, 1), 2),
    "torchrun in a step of Slurm's": (
        [slurm_task(node, 0, each=1) | torch_rank(node, 0) for node in range(2)],
        (0, 1),
        2,
    ),
    # No variable tells the host's place: it is told apart by its first process among all.
    "Open MPI": (
        [
            {
                "OMPI_COMM_WORLD_LOCAL_RANK": "0",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
                "OMPI_COMM_WORLD_RANK": str(4 * node),
                "OMPI_COMM_WORLD_SIZE": "8",
                "PMIX_NAMESPACE": "prterun-head-4242@1",
            }
            for node in range(2)
        ],
        (0, 4),
        2,
    ),
    "MPICH": (
        [
            {"MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "4", "PMI_RANK": str(4 * node), "PMI_SIZE": "8"}
            for node in range(2)
        ],
        (0, 4),
        2,
    ),
    "PALS": (
        [
            {
                "PALS_LOCAL_RANKID": "0",
                "PALS_LOCAL_SIZE": "4",
                "PALS_RANKID": str(4 * node),
                "PALS_SIZE": "8",
                "PALS_NODEID": str(node),
                "PALS_APID": "9f1c",
            }
            for node in range(2)
        ],
        (0, 1),
        2,
    ),
    "Flux": (
        [
            {
                "FLUX_TASK_LOCAL_ID": "0",
                "FLUX_TASK_RANK": str(4 * node),
                "FLUX_JOB_SIZE": "8",
                "FLUX_JOB_NNODES": "2",
                "FLUX_JOB_ID": "f3Kx",
            }
            for node in range(2)
        ],
        (0, 4),
        2,
    ),
}


@pytest.mark.parametrize("launcher", SEVERAL)
def test_hosts_of_a_job_are_told_apart_and_have_one_id(launcher):
    environs, places, of = SEVERAL[launcher]
    jobs = [job_of(environ) for environ in environs]
    assert [job.place for job in jobs] == list(places)
    assert [job.of for job in jobs] == [of] * 2
    assert jobs[0].id == jobs[1].id


def test_all_processes_of_a_host_find_the_same_place():
    for each in ([torch_rank(1, local) for local in range(4)], [slurm_task(1, local) for local in range(4)]):
        assert len({(job.place, job.rank, job.id) for job in map(job_of, each)}) == 1


ALONE = {
    "no launcher": {},
    "torchrun on one host": torch_rank(0, 0, nodes=1),
    "a step of Slurm's on one host": slurm_task(0, 0, nodes=1),
    # The batch script runs on the first host of the allocation, as task 0 of all: what it starts by itself is on one host.
    "a batch script of Slurm's": {
        "SLURM_JOB_ID": "4711",
        "SLURM_LOCALID": "0",
        "SLURM_PROCID": "0",
        "SLURM_NODEID": "0",
        "SLURM_NTASKS": "8",
        "SLURM_NNODES": "2",
        "SLURM_TASKS_PER_NODE": "4(x2)",
    },
    "mpirun on one host": {
        "OMPI_COMM_WORLD_LOCAL_RANK": "0",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
        "OMPI_COMM_WORLD_RANK": "0",
        "OMPI_COMM_WORLD_SIZE": "4",
    },
}


@pytest.mark.parametrize("case", ALONE)
def test_a_process_without_other_hosts_is_of_no_job(case):
    assert job_of(ALONE[case]) is None


def test_jobs_have_different_ids():
    array = [slurm_task(0, 0, SLURM_JOB_ID=str(4711 + n), SLURM_ARRAY_TASK_ID=str(n)) for n in range(3)]
    steps = [slurm_task(0, 0, SLURM_STEP_ID=str(n)) for n in range(1, 3)]
    ports = [torch_rank(0, 0) | {"MASTER_PORT": port} for port in ("29512", "29513")]
    ids = [job_of(environ).id for environ in (*array, *steps, *ports)]
    assert len(set(ids)) == len(ids)


def test_a_job_that_is_started_again_is_the_same_job():
    assert job_of(torch_rank(1, 0)).id == job_of(torch_rank(1, 0) | {"TORCHELASTIC_RESTART_COUNT": "1"}).id
    assert job_of(slurm_task(1, 0)).id == job_of(slurm_task(1, 0, SLURM_RESTART_COUNT="2")).id


def test_a_job_without_anything_to_tell_it_by_has_no_id():
    environs, _, _ = SEVERAL["MPICH"]
    assert job_of(environs[0]).id is None


@pytest.mark.parametrize("value", ["", "-1", "x", "99999999999", "3"])
def test_a_place_that_cannot_be_is_not_taken(value):
    job = job_of(torch_rank(0, 0) | {"GROUP_RANK": value, "NODE_RANK": ""})
    assert job.node is None
    assert job.of == 2
