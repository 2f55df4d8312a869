"""Weights & Biases: ``log_energy(run)`` after the end of a run logs its figures, its curve of power, its label, record and journal.

Into the active run (``wandb.init``), also one that is offline or disabled; where there is none, nothing is begun and nothing is sent.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import wandb

from energy_rating.integrations.experiments import PATIENCE_S, logged_of, say, without_failing
from energy_rating.publishing.logged import LoggedRun


def log_energy(of: Any, *, patience_s: float = PATIENCE_S) -> bool:
    """Logs a run that has ended: what ``measure`` gave, a callback or tracker of ours, a record, or a run's folder.

    Says whether all of it was logged; if not, a line on standard error says why. Never raises.
    """
    active = wandb.run
    if active is None:
        say("logging to W&B: there is no active run; call it between wandb.init() and its end")
        return False
    return without_failing("logging to W&B", lambda: _log(logged_of(of), active), patience_s)


def _log(logged: LoggedRun, active: Any) -> None:
    active.summary.update({**logged.figures, **logged.words})
    shown: dict[str, Any] = {}
    if logged.curves:
        rows = [
            [curve.channel, t, watts]
            for curve in logged.curves
            for t, watts in zip(curve.time_s, curve.watts, strict=True)
        ]
        table = wandb.Table(columns=["channel", "time_s", "power_w"], data=rows)
        shown["energy/power"] = wandb.plot.line(
            table, "time_s", "power_w", stroke="channel", title="Power (W)"
        )
    label = logged.files.get("label.svg")
    if label is not None:
        shown["energy/label"] = wandb.Html(label.decode(), inject=False)
    if shown:
        active.log(shown, commit=False)  # the user's own steps are theirs
    artifact = wandb.Artifact(f"energy-{logged.run_id}", type="energy-record")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in logged.files.items():
            path = Path(folder) / name
            path.write_bytes(content)
            artifact.add_file(str(path), name=name)
        active.log_artifact(artifact)
