"""MLflow: ``log_energy(run)`` after the end of a run logs its figures, its curve of power, its label, record and journal.

Into the active run of MLflow; where there is none, into one that is begun and ended for it. Without a server that answers nothing fails.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, RunTag

from energy_rating.integrations.experiments import PATIENCE_S, logged_of, without_failing
from energy_rating.publishing.logged import LoggedRun

MOST_AT_ONCE = 1000  # metrics in one call: https://mlflow.org/docs/latest/rest-api.html, log-batch


def log_energy(of: Any, *, patience_s: float = PATIENCE_S) -> bool:
    """Logs a run that has ended: what ``measure`` gave, a callback or tracker of ours, a record, or a run's folder.

    Says whether all of it was logged; if not, a line on standard error says why. Never raises.
    """
    active = mlflow.active_run()
    wanted = None if active is None else str(active.info.run_id)
    return without_failing("logging to MLflow", lambda: _log(logged_of(of), wanted), patience_s)


def _log(logged: LoggedRun, wanted: str | None) -> None:
    client = mlflow.MlflowClient()
    # What is active is so in its own thread, and this one is ours.
    run_id = wanted if wanted is not None else str(mlflow.start_run(run_name=logged.run_id).info.run_id)
    try:
        now_ms = int(logged.started_s * 1000)
        metrics = [Metric(name, value, now_ms, 0) for name, value in logged.figures.items()]
        for curve in logged.curves:
            for step, (t, watts) in enumerate(zip(curve.time_s, curve.watts, strict=True)):
                metrics.append(
                    Metric(f"power/{curve.channel}_w", watts, int((logged.started_s + t) * 1000), step)
                )
        tags = [RunTag(name.replace("/", "."), text[:500]) for name, text in logged.words.items()]
        client.log_batch(run_id, tags=tags)
        for at in range(0, len(metrics), MOST_AT_ONCE):
            client.log_batch(run_id, metrics=metrics[at : at + MOST_AT_ONCE])
        with tempfile.TemporaryDirectory() as folder:
            for file, content in logged.files.items():
                path = Path(folder) / file
                path.write_bytes(content)
                client.log_artifact(run_id, str(path), "energy")
    finally:
        if wanted is None:
            mlflow.end_run()
