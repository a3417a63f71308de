"""From `--cluster` to a client of Dask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from segdiff.errors import ConfigError

ALLOWED_FAILURES = 3  # workers that may die at a task before it is given up
QUEUES = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "sge": "SGECluster", "pbs": "PBSCluster"}
MEMORY = "8GB"  # of a worker of a queue, unless Dask's configuration says otherwise
PATIENCE = 30  # seconds for a scheduler to answer
START = 600  # seconds that the first worker may take


@contextmanager
def connected(cluster: str, workers: int | None = None) -> Iterator[Any]:
    """Start workers, or find those that there are, and give a `distributed.Client` of them.

    Args:
        cluster: "local", "slurm", "lsf", "sge", "pbs", or the address of a scheduler, as tcp://host:8786.
        workers: how many; None: of "local" one a GPU or else one a processor, of an address those that there are.
    Raises:
        ConfigError: the package is not installed, there is no such cluster, or no worker comes.
    """
    _check_installed(cluster)
    import dask
    import distributed

    made: Any = distributed.Client
    settings = dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_FAILURES})
    with settings, _cluster(cluster, workers) as address:
        try:
            client = made(address, set_as_default=False, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise ConfigError(f"no scheduler of Dask answers at {cluster} ({error})") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=START)
            except TimeoutError:
                raise ConfigError(f"no worker of {cluster} came within {START} seconds: see its queue") from None
            yield client


def job_script(cluster: str) -> str:
    """Return what is handed to a queue for each worker."""
    with _queue(cluster) as queue:
        return str(queue.job_script())


@contextmanager
def _cluster(cluster: str, workers: int | None) -> Iterator[Any]:
    if cluster == "local":
        import distributed

        made: Any = distributed.LocalCluster

        count = _local_workers() if workers is None else workers
        with made(
            n_workers=count, threads_per_worker=1, memory_limit=0, dashboard_address=":0", silence_logs=50
        ) as local:
            yield local
    elif cluster in QUEUES:
        if workers is None:
            raise ConfigError(f"--cluster {cluster} needs --workers N: how many jobs to ask the queue for")
        with _queue(cluster) as queue:
            queue.scale(workers)
            yield queue
    else:
        yield cluster


@contextmanager
def _queue(cluster: str) -> Iterator[Any]:
    """A queue's cluster; memory, queue, account and time are those of Dask's configuration (jobqueue.yaml)."""
    import dask
    import dask_jobqueue

    memory = dask.config.get(f"jobqueue.{cluster}.memory", None) or MEMORY
    made = getattr(dask_jobqueue, QUEUES[cluster])(
        cores=1, processes=1, memory=memory, scheduler_options={"dashboard_address": ":0"}, silence_logs=50
    )
    with made as queue:
        yield queue


def _local_workers() -> int:
    import torch

    if torch.cuda.is_available():
        return max(1, torch.cuda.device_count())
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _check_installed(cluster: str) -> None:
    if cluster != "local" and cluster not in QUEUES and "://" not in cluster and ":" not in cluster:
        known = ", ".join(["local", *QUEUES])
        raise ConfigError(
            f"--cluster {cluster}: it is one of {known}, or a scheduler's address such as tcp://host:8786"
        )
    try:
        import distributed  # noqa: F401

        if cluster in QUEUES:
            import dask_jobqueue  # noqa: F401
    except ImportError:
        raise ConfigError(f"--cluster {cluster} needs packages: pip install 'segdiff[cluster]'") from None
