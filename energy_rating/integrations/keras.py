"""Keras 3 (torch, jax, TensorFlow): ``model.fit(…, callbacks=[EnergyCallback("reports/run")])``.

Windows: ``epoch``; ``evaluation``, in which no work is counted; with ``steps=True`` also ``step``, one for each call of the compiled
function, from its begin to that of the next. Counted are ``batch``, however many of them one call takes (``steps_per_execution``), and
what is given for each epoch. ``evaluate`` and ``predict`` by themselves are runs of their own, in a folder of that name beside it.

Where ``fit`` raises, Keras calls nothing. So the compiled function is held on to while it runs, which tells what it raised; and a thread
looks now and then whether ``fit`` is still there, for all else (data, other callbacks). Either ends the run.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from keras.callbacks import Callback

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
from energy_rating.nouns import threads
from energy_rating.nouns.entries import Number
from energy_rating.nouns.errors import BadInput

# How often it is looked whether fit is still there. What is drawn until then is in the run, and in none of its windows that had ended.
LOOK_S = 0.25

# These end an epoch, of data that do not know their length; of TensorFlow it is its own.
_END_OF_DATA = ("StopIteration", "OutOfRangeError")


class EnergyCallback(Conducted, Callback):  # type: ignore[misc]
    """Measures what a model does. ``record`` is there after the end of ``fit``.

    Args:
        output_dir: the run's folder, as ``measure`` takes it.
        stage: ``pre-training`` or ``fine-tuning``.
        steps: a window for each call of the compiled function. JAX then waits for it each time, as with most callbacks.
        settings: what else ``measure`` takes (``model``, ``task``, ``place``, ``resume``, …); and the work of one epoch by its unit:
            ``sample=len(x)``, ``token=128 * len(x)``. An epoch that is broken off has its share of that.

    Raises:
        BadInput: an argument is wrong: at once, and not when the training begins.
    """

    # Callbacks that say so let JAX run ahead of them; without windows of steps, ours only counts batches, in whatever thread that is.
    async_safe = True

    def __init__(
        self,
        output_dir: str | os.PathLike[str] | None = None,
        *,
        stage: str = "fine-tuning",
        steps: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._work: dict[str, Number] = {
            name: settings.pop(name)
            for name, value in tuple(settings.items())
            if name not in OF_MEASURE and isinstance(value, int | float) and not isinstance(value, bool)
        }
        unknown = sorted(settings.keys() - OF_MEASURE)
        if unknown:
            raise BadInput(
                "must be an argument of measure, or the work of an epoch as a number",
                "See help(energy_rating.measure)",
                place=unknown[0],
            )
        self.energy = FrameworkRun(output_dir, stage=stage, **settings)
        self._output_dir = output_dir
        self.async_safe = not steps
        self._steps = steps
        self._reached = 0  # batches of this epoch
        self._longest = 0  # batches of an epoch, of data that do not know their length
        self._counted = 0  # of them
        self._iterations = 0  # of the optimiser, when the epoch began
        self._counting = threads.lock()
        self._alone = False  # evaluation or prediction by itself
        self._watched: _OneFit | None = None
        self._first_epoch: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For a copy, which has not begun."""
        kept = ("energy", "_output_dir", "_steps", "_work", "async_safe")
        return {name: value for name, value in vars(self).items() if name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__init__()
        self._reached = self._counted = self._iterations = 0
        self._counting, self._alone, self._watched = threads.lock(), False, None
        self._first_epoch = None
        self.__dict__.update(state)

    # -- the training

    @hook
    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self._end(BaseException())  # of a training before, which was broken off without a word
        self._first_epoch, self._longest = None, 0
        self.energy.begin(model=self._described())
        self._watched = _OneFit(self.model, self._broken_off)
        if self._may_overshoot():
            self._iterations = int(self.model.optimizer.iterations.numpy())

    @hook
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self._first_epoch is None:
            self._first_epoch = epoch
            if self.energy.run is not None and self.energy.run.settings.resume:
                self.energy.run.resumed_from(epoch)
        self._reached = self._counted = 0
        self.energy.open(EPOCH)

    @hook
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self._steps:
            self._close_step()
            self.energy.open(STEP)

    @hook
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        # Of a call that takes 8 batches of 20 the last one ends with number 23, and what is dispatched ahead comes in any order.
        known = (self.params or {}).get("steps")
        reached = batch + 1 if not known else min(batch + 1, int(known))
        with self._counting:
            self._reached = max(self._reached, reached)
        if self._steps and not self._may_overshoot():
            self._count()

    @hook
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._close_step()
        if self._may_overshoot():
            self.guard.call("the optimiser's iterations", self._hold_against_the_optimiser)
        self._count()
        # Who sets model.stop_training, as for a loss that is no number, ends an epoch before its end, and Keras tells of it as of any.
        self.energy.close(EPOCH, **self._work_of_epoch())
        self._reached = self._counted = 0
        if self.energy.run is not None and self.energy.is_going_on:
            self.energy.run.checkpoint(step=epoch + 1)

    @hook
    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self._end(None)

    def _described(self) -> Any:
        return self.guard.call("model_of", model_of, self.model)

    def _may_overshoot(self) -> bool:
        """Whether the last call of an epoch may take fewer batches than it says: of data that do not know their length."""
        return (
            not (self.params or {}).get("steps") and (getattr(self.model, "steps_per_execution", 1) or 1) > 1
        )

    def _hold_against_the_optimiser(self) -> None:
        """It has one iteration for each batch, unless it accumulates gradients."""
        optimizer = self.model.optimizer
        if getattr(optimizer, "gradient_accumulation_steps", None):
            return
        now, before = int(optimizer.iterations.numpy()), self._iterations
        self._iterations = now
        if 0 < now - before < self._reached:
            self._reached = now - before

    def _count(self) -> None:
        new = self._uncounted()
        if new > 0:
            self.energy.count(batch=new)

    def _uncounted(self) -> int:
        """Batches of this epoch that are in no figure yet; they are taken as counted."""
        with self._counting:
            new, self._counted = self._reached - self._counted, self._reached
        return max(0, new)

    def _work_of_epoch(self, *, broken_off: bool = False) -> dict[str, Number]:
        """What is given for each epoch, or its share of one that did not come to its end. Of data that do not know their length the
        longest epoch so far was a whole one; of the first of them, if it was broken off, nothing is known."""
        known = (self.params or {}).get("steps")
        if known is None and not broken_off:
            self._longest = max(self._longest, self._reached)
        whole = int(known or self._longest)
        if not whole or not self._reached:
            return {} if broken_off else dict(self._work)
        share = min(1.0, self._reached / whole)
        return {unit: work if share == 1 else _part(work, share) for unit, work in self._work.items()}

    def _close_step(self) -> None:
        if self._steps:
            self.energy.close(STEP)

    def _broken_off(self, raised: BaseException | None) -> None:
        """Fit has ended without a word; ``raised`` None: nobody knows by what, but that it was raised."""
        self.guard.call("fit", self._end, BaseException() if raised is None else raised)

    def _end(self, raised: BaseException | None) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.done()
        try:
            if self.energy.is_going_on and self.energy.is_open(EPOCH):
                self._close_step()
                # Into the window itself: this may be the thread that looked, which has none of its own.
                new = self._uncounted()
                work = self._work_of_epoch(broken_off=True) if self._reached else {}
                self.energy.close(EPOCH, **({"batch": new} if new else {}), **work)
        finally:
            self.energy.end(raised)

    # -- evaluation and prediction

    @hook
    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        if self.energy.is_going_on and not self._alone:
            self._close_step()
            self._count()
            self.energy.open(EVALUATION)
        else:
            self._begin_alone("evaluate")

    @hook
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._alone:
            EnergyCallback.on_train_batch_end.__wrapped__(self, batch, logs)  # type: ignore[attr-defined]

    @hook
    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002
        if self._alone:
            self._end_alone()
        else:
            self.energy.close(EVALUATION)

    @hook
    def on_predict_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        if not self.energy.is_going_on:
            self._begin_alone("predict")

    @hook
    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._alone:
            EnergyCallback.on_train_batch_end.__wrapped__(self, batch, logs)  # type: ignore[attr-defined]

    @hook
    def on_predict_end(self, logs: Any = None) -> None:  # noqa: ARG002
        if self._alone:
            self._end_alone()

    def _begin_alone(self, function: str) -> None:
        settings: dict[str, Any] = {"stage": "inference"}
        if self._output_dir is not None:
            folder = Path(self._output_dir)
            settings["output_dir"] = folder.with_name(f"{folder.name or 'run'}-{function}")
        self._end(BaseException())
        self._reached = self._counted = 0
        self._alone = True
        self.energy.begin(model=self._described(), **settings)
        self._watched = _OneFit(None, self._broken_off)

    def _end_alone(self) -> None:
        self._alone = False
        self._count()
        self.energy.count(**self._work)
        self._end(None)


def _part(work: Number, share: float) -> Number:
    return int(work * share) if isinstance(work, int) else work * share


class _OneFit:
    """A call of fit (or evaluate, or predict) of which it is to be known when it is gone, and by what."""

    def __init__(self, model: Any, gone: Callable[[BaseException | None], None]) -> None:
        self._gone = gone
        self._done = threads.event()
        self._thread = threading.get_ident()
        frame = _conductor(sys._getframe(1))
        self._frame, self._code = id(frame), None if frame is None else frame.f_code
        self._model = model
        self._plain: Any = None
        self._held: Any = None
        if model is not None:
            self._hold()
        if frame is not None:
            threads.thread(self._look, name="energy-rating-fit").start()

    def done(self) -> None:
        """It has ended in order, or is known to be gone."""
        self._done.set()
        model, self._model = self._model, None
        if model is not None and getattr(model, "train_function", None) is self._held is not None:
            model.train_function = self._plain

    def _hold(self) -> None:
        plain = getattr(self._model, "train_function", None)
        if plain is None:
            return
        gone = self._gone

        def train_function(*args: Any, **kwargs: Any) -> Any:
            try:
                return plain(*args, **kwargs)
            except BaseException as error:
                if type(error).__name__ not in _END_OF_DATA:
                    gone(error)
                raise

        self._plain, self._held = plain, train_function
        self._model.train_function = train_function

    def _look(self) -> None:
        while not self._done.wait(LOOK_S):
            if not self._is_there(self._frame, self._code):
                self._gone(None)
                return

    def _is_there(self, wanted: int, code: CodeType | None) -> bool:
        frame = sys._current_frames().get(self._thread)
        while frame is not None:
            if id(frame) == wanted and frame.f_code is code:
                return True
            frame = frame.f_back
        return False


def _conductor(frame: FrameType | None) -> FrameType | None:
    """Who has the callbacks called: the first that is neither ours nor Keras' list of callbacks."""
    ours = str(Path(__file__).parent)
    while frame is not None and (
        frame.f_code.co_filename.startswith(ours) or frame.f_code.co_filename.endswith("callback_list.py")
    ):
        frame = frame.f_back
    return frame
