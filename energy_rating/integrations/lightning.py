"""Lightning 2: ``Trainer(callbacks=[EnergyCallback("reports/run")])``, of ``lightning`` or of ``pytorch_lightning``.

Windows: ``epoch``; ``step``, from the first batch of an optimiser's step to that of the next one, so with the wait for data and with all
batches that are accumulated; ``evaluation``, in which no work is counted; ``sanity-check``, apart from it. Counted are ``step``, ``batch``,
``sample`` and, where batches hold ``input_ids``, ``token`` without padding, on each rank its own. ``trainer.validate``, ``test`` and
``predict`` by themselves are runs of their own, in a folder of that name beside it.

Lightning calls ``on_exception`` and nothing more where a training is broken off, also by Ctrl-C, which then leaves ``fit`` as
``SystemExit``; and ``teardown`` alone where it ends. Both end the run, once.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from energy_rating.integrations.batches import work_of
from energy_rating.integrations.framework_run import (
    EPOCH,
    EVALUATION,
    OF_MEASURE,
    STEP,
    Conducted,
    FrameworkRun,
)
from energy_rating.integrations.guard import hook
from energy_rating.integrations.models import model_of
from energy_rating.nouns.entries import Number
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.interruptions import pass_on

if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
    from pytorch_lightning.callbacks import Callback
else:
    try:
        from lightning.pytorch.callbacks import Callback
    except ModuleNotFoundError:
        from pytorch_lightning.callbacks import Callback

SANITY_CHECK, SAMPLE, TOKEN = "sanity-check", "sample", "token"

Amount = Number | Callable[[Any], Any]


class EnergyCallback(Conducted, Callback):  # type: ignore[misc]
    """Measures what a trainer does. ``record`` is there after its end.

    Args:
        output_dir: the run's folder, as ``measure`` takes it. A training that goes on from a checkpoint (``ckpt_path``) goes on in it.
        stage: ``pre-training`` or ``fine-tuning``.
        settings: what else ``measure`` takes (``model``, ``task``, ``place``, ``progress``, …); and work by its unit, as a number or a
            function of the batch: ``token=lambda batch: batch["input_ids"].numel()``. Work that is given stands in the place of
            samples and tokens.

    Raises:
        BadInput: an argument is wrong: at once, and not when the training begins.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str] | None = None,
        *,
        stage: str = "fine-tuning",
        **settings: Any,
    ) -> None:
        super().__init__()
        self._work: dict[str, Amount] = {
            name: settings.pop(name)
            for name, value in tuple(settings.items())
            if name not in OF_MEASURE and (callable(value) or _is_number(value))
        }
        unknown = sorted(settings.keys() - OF_MEASURE)
        if unknown:
            raise BadInput(
                "must be an argument of measure, or work as a number or a function of the batch",
                "See help(energy_rating.measure)",
                place=unknown[0],
            )
        self.energy = FrameworkRun(output_dir, stage=stage, **settings)
        self._output_dir = output_dir
        self._global_step = 0
        self._resumed_step: int | None = None
        self._step_done = False
        self._waiting: dict[str, Any] = {}
        self._not_sent: tuple[
            str, ...
        ] = ()  # work whose function stayed in the process that this is a copy of

    def __getstate__(self) -> dict[str, Any]:
        """For a copy, such as one that a launcher sends to its processes. What cannot be sent would end that: it is not counted there."""
        state = dict(vars(self))
        state["_work"] = {unit: amount for unit, amount in self._work.items() if _can_be_sent(amount)}
        state["_not_sent"] = (*self._not_sent, *(unit for unit in self._work if unit not in state["_work"]))
        state["_waiting"] = {}
        return state

    # -- life

    @hook
    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002
        self._waiting, self._step_done, self._resumed_step = {}, False, None
        function = str(getattr(stage, "value", stage))
        if function != "fit":
            self._begin(pl_module, stage="inference", **self._folder_of(function))

    def _folder_of(self, function: str) -> dict[str, Any]:
        if self._output_dir is None:
            return {}
        folder = Path(self._output_dir)
        return {"output_dir": folder.with_name(f"{folder.name or 'run'}-{function}")}

    def _begin(self, pl_module: Any, **settings: Any) -> None:
        if not self.energy.is_going_on:
            for unit in self._not_sent:
                self.energy.failed(f"the count of {unit!r} could not be sent to this process, and is missing")
            self.energy.begin(model=self.guard.call("model_of", model_of, pl_module), **settings)

    def _begin_fit(self, trainer: Any, pl_module: Any) -> None:
        """A training begins once it is known whether it goes on from a checkpoint, which no hook is told before that is read."""
        self._global_step = int(trainer.global_step)
        if self.energy.is_going_on:
            return
        step = self._resumed_step
        self._begin(pl_module, **({} if step is None else {"resume": True}))
        if step is not None and self.energy.run is not None:
            self.energy.run.resumed_from(step)

    @hook
    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Mapping[str, Any]) -> None:  # noqa: ARG002
        step = checkpoint.get("global_step")
        self._resumed_step = int(step) if isinstance(step, int) else 0

    @hook
    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        # Some strategies (FSDP, DeepSpeed) read the checkpoint later.
        if not getattr(trainer.strategy, "restore_checkpoint_after_setup", False):
            self._begin_fit(trainer, pl_module)

    @hook
    def on_sanity_check_start(self, trainer: Any, pl_module: Any) -> None:
        self._begin_fit(trainer, pl_module)

    @hook
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._begin_fit(trainer, pl_module)

    @hook
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        self._end(exception)

    @hook
    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002
        self._end(None)

    def _end(self, raised: BaseException | None) -> None:
        try:
            self._close_step()
            if raised is None or isinstance(raised, KeyboardInterrupt):
                self._count_what_waits()  # of a device that failed nothing can be had any more
        finally:
            self.energy.end(raised)

    # -- the training

    @hook
    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._close_step()
        self.energy.open(EPOCH)

    @hook
    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        if self._step_done:
            self._close_step()
        self.energy.open(STEP)

    @hook
    def on_train_batch_end(
        self,
        trainer: Any,
        pl_module: Any,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        self.energy.count(batch=1)
        steps = int(trainer.global_step) - self._global_step
        if steps > 0:
            self._global_step += steps
            self._step_done = True
            self.energy.count(step=steps)
        self._count_work(batch)
        if steps > 0 and self._global_step % (getattr(trainer, "log_every_n_steps", 0) or 1) == 0:
            self.guard.call("logging", self._log, trainer)

    @hook
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._close_step()
        self._count_what_waits()
        self.energy.close(EPOCH)

    def _close_step(self) -> None:
        self._step_done = False
        self.energy.close(STEP)

    def _count(self, unit: str, amount: Amount, batch: Any) -> None:
        value: Any = amount(batch) if callable(amount) else amount
        if value is None:
            return
        device = getattr(value, "device", None)
        if device is not None and getattr(device, "type", "cpu") != "cpu":
            # Its value is had once the device has come so far: it is added up there, and asked for where an epoch ends.
            value = value.detach().sum()
            self._waiting[unit] = self._waiting[unit] + value if unit in self._waiting else value
            return
        self.energy.count(**{unit: value.item() if hasattr(value, "item") else value})

    def _count_what_waits(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for unit, value in waiting.items():
            self.energy.count(**{unit: value.item()})

    def _log(self, trainer: Any) -> None:
        figures = {f"energy/{name}": value for name, value in self.energy.figures().items()}
        if figures and getattr(trainer, "is_global_zero", True):
            for logger in trainer.loggers:
                logger.log_metrics(figures, step=self._global_step)

    # -- evaluation

    @hook
    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._close_step()
        self.energy.open(SANITY_CHECK if trainer.sanity_checking else EVALUATION)

    @hook
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self.energy.close(SANITY_CHECK if self.energy.is_open(SANITY_CHECK) else EVALUATION)

    @hook
    def on_test_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: Any) -> None:  # noqa: ARG002
        self._evaluated(batch)

    @hook
    def on_predict_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: Any) -> None:  # noqa: ARG002
        self._evaluated(batch)

    @hook
    def on_validation_batch_end(
        self,
        trainer: Any,
        pl_module: Any,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,
        *_: Any,
    ) -> None:
        if str(getattr(trainer.state.fn, "value", "fit")) != "fit":  # work of a training is what it trains on
            self._evaluated(batch)

    def _count_work(self, batch: Any) -> None:
        for unit, amount in self._work.items() if self._work else _DEFAULT.items():
            self.guard.call(f"the count of {unit!r}", self._count, unit, amount, batch)

    def _evaluated(self, batch: Any) -> None:
        self.energy.count(batch=1)
        self._count_work(batch)

    # -- checkpoints

    @hook
    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Mapping[str, Any]) -> None:  # noqa: ARG002
        if self.energy.run is not None and self.energy.is_going_on:
            self._count_what_waits()
            self.energy.run.checkpoint(step=int(trainer.global_step))

    @property
    def state_key(self) -> str:
        """Under which a checkpoint has our state. Lightning refuses a trainer with two callbacks of one key; a folder's path is nobody's business."""
        if self._output_dir is None:
            return type(self).__qualname__
        folder = hashlib.sha256(os.fsencode(self._output_dir)).hexdigest()[:8]
        return f"{type(self).__qualname__}-{folder}"

    @hook
    def state_dict(self) -> dict[str, Any]:
        """Names and numbers alone: a checkpoint is read without this package."""
        run = self.energy.run
        return {} if run is None else {"run_id": run.run_id, "step": self._global_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing of it is needed: where a run goes on from stands in its own journal."""


def _samples(batch: Any) -> Any:
    """The length of the first thing in a batch that has a shape."""
    todo = [batch]
    while todo:
        one = todo.pop(0)
        shape = getattr(one, "shape", None)
        if shape is not None:
            return int(shape[0]) if len(shape) else 1
        if isinstance(one, Mapping):
            todo[:0] = list(one.values())
        elif isinstance(one, list | tuple):
            todo[:0] = list(one)
        elif hasattr(one, "num_graphs"):  # of PyTorch Geometric
            return int(one.num_graphs)
    return None


def _tokens(batch: Any) -> Any:
    """Those that are no padding, where a batch says which are tokens."""
    tokens = work_of(batch).tokens if isinstance(batch, Mapping) else []
    return sum(tokens) if tokens else None


_DEFAULT: Mapping[str, Callable[[Any], Any]] = {SAMPLE: _samples, TOKEN: _tokens}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _can_be_sent(amount: Amount) -> bool:
    try:
        ForkingPickler.dumps(amount)
    except Exception as error:  # of whatever it is made of
        pass_on(error, called=None)
        return False
    return True
