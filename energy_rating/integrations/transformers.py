"""One line for the Trainer of transformers, and for those made of it: Seq2Seq, TRL (SFT, DPO, GRPO …), Sentence Transformers.

    from energy_rating.integrations.transformers import attach
    attach(trainer, "reports/run")

A callback alone would not do: none is called where training raises or evaluation begins, none is given the batches, and a card is written
after the last of them. So methods of this one trainer are put in brackets (``train``, ``evaluate``, ``compute_loss``, ``log``, and those that
write cards), and a callback hears of steps and epochs. Each does what it did, with the same arguments; what is ours never raises (``guard``).
Nothing is held by what the Trainer saves: neither by its arguments, nor by its state, nor by the model.

Every rank counts its own tokens, and all are added up (``measure``); steps and checkpoints are told by ``state.global_step``.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from energy_rating.integrations.batches import Uncounted, work_of
from energy_rating.integrations.framework_run import EPOCH, EVALUATION, STEP, FrameworkRun, rounded
from energy_rating.integrations.guard import hook
from energy_rating.integrations.models import Half, halves_of, model_of, parts_of, unwrapped
from energy_rating.nouns.entries import Lineage, Model, Number, Relation
from energy_rating.nouns.errors import NotMeasured
from energy_rating.nouns.records import Record
from energy_rating.publishing import readme as readmes

_OURS = "_energy_rating"  # where a trainer keeps what is attached to it
README = "README.md"
TOKEN, FLOP, SAMPLE = "token", "flop", "sample"

# Operations of a parameter and token: forwards and for the gradient of what flows through; for the gradient of the weight (judging.training).
FLOP_THROUGH, FLOP_TRAINED = 4, 2

# Below, what was read last, up to a second ago, is not what an evaluation took.
SHORTEST_LOGGED_S = 2.0

_TASKS = {
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForSequenceClassification": "text-classification",
    "ForQuestionAnswering": "question-answering",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "ForCTC": "automatic-speech-recognition",
    "SentenceTransformer": "sentence-similarity",
}


def attach(
    trainer: Any,
    output_dir: str | os.PathLike[str] | None = None,
    *,
    stage: str = "fine-tuning",
    model: str | Model | None = None,
    task: str | None = None,
    records: Sequence[Record] = (),
    **settings: Any,
) -> AttachedTrainer:
    """Measures what a Trainer trains, from the next ``train()`` on: one line after it was made.

    Windows ``step``, ``epoch`` and ``evaluation``; ``token`` without padding; the model's parameters, trained parameters and format; joules in
    the logs; the section in every card that the Trainer writes. A resumed training goes on in the run's folder, and what came after the
    checkpoint is lost work. A second training of the same trainer is a run of its own, in a sibling folder.

    Args:
        trainer: a Trainer of transformers, TRL or Sentence Transformers. What is attached to it already stays attached.
        output_dir: the run's folder.
        stage: ``pre-training`` or ``fine-tuning``.
        model: the name under which it will be published; by default the Trainer's ``hub_model_id``, else that of the base model.
        task: by default what the model's class is for.
        records: other records that the card is to tell beside this one, such as that of the model's inference.
        settings: what else ``measure`` takes: ``place="FRA"``, ``progress=60`` …

    Raises:
        BadInput: an argument is wrong. Nothing is raised after that: what goes wrong is a finding in the record.
    """
    before = vars(trainer).get(_OURS)
    if isinstance(before, AttachedTrainer):
        kept = before.energy.settings["output_dir"]
        if output_dir is not None and str(output_dir) != str(kept):
            before.energy.say(
                f"this trainer is attached already, to {kept or 'no folder of its own'}, and stays so: for {output_dir} detach it first"
            )
        return before
    energy = FrameworkRun(output_dir, stage=stage, model=model, **settings)
    attached = AttachedTrainer(trainer, energy, task=task, records=records)
    attached.put_on()
    return attached


def total_flos(trainer: Any) -> float:
    """The Trainer's own count of operations, where it means what is rated: ``run.count(flop=total_flos(trainer))``.

    It is six times the parameters outside of embeddings times the numbers of the main input, padding among them. ``attach`` does not need it.

    Raises:
        NotMeasured: it means something else here, or there is none; says why.
    """
    reason = why_not_total_flos(trainer)
    if reason is not None:
        raise NotMeasured(
            f"the Trainer's count of operations is not taken: {reason}",
            "Count the tokens, and give the model's parameters: measure(model=model_of(model))",
        )
    return float(trainer.state.total_flos)


def why_not_total_flos(trainer: Any) -> str | None:
    """Why the Trainer's own count of operations does not mean what is rated; None where it does."""
    inner = unwrapped(trainer.model)
    main = getattr(trainer.model, "main_input_name", "input_ids")
    if main != "input_ids":
        return f"each number of {main!r} counts as a token"
    if getattr(getattr(inner, "config", None), "is_encoder_decoder", False):
        return "of an encoder with a decoder only the encoder's tokens count, through both"
    parts = parts_of(trainer.model)
    frozen = sum(part.size for part in parts if not part.trained)
    if frozen:
        return f"{frozen:,} parameters are frozen, and it counts all as trained"
    if model_of(trainer.model).active_parameters is not None:
        return "a token goes through some of the experts only, and it counts all"
    if not trainer.state.total_flos:
        return "there is none"
    return None


class AttachedTrainer:
    """A Trainer that is measured. ``record`` is there after ``train()``; ``detach()`` leaves the trainer as it was.

    What the trainer calls are the methods with ``hook``: each may fail, and the training goes on.
    """

    def __init__(
        self, trainer: Any, energy: FrameworkRun, *, task: str | None, records: Sequence[Record]
    ) -> None:
        self.energy = energy
        self.guard = energy.guard
        self._trainer = trainer
        self._task = task
        self._others = tuple(records)
        self._uncounted = Uncounted()
        self._units: set[str] = set()  # that were counted
        self._begun = False  # the Trainer's loop has begun
        self._awaits_model = False  # train() was called, and will make the model
        self._resumes = False
        self._evaluations = 0  # one inside another, where there are several data sets
        self._evaluated_from: dict[str, float] = {}
        self._evaluated_s = 0.0
        self._halves: tuple[Half, Half] | None = None
        self._bracketed: list[str] = []
        self._callback: Any = None

    @property
    def record(self) -> Record | None:
        """The record of the last training; None before its end, and on all ranks but the one that measures."""
        return None if self.energy.is_going_on else self.energy.record()

    # -- on and off

    @hook
    def put_on(self) -> None:
        """Puts the trainer's methods in brackets, and adds a callback."""
        setattr(self._trainer, _OURS, self)
        for name, around in (
            ("train", self._train),
            ("call_model_init", self._call_model_init),
            ("evaluate", self._evaluate),
            ("compute_loss", self._compute_loss),
            ("log", self._log),
            ("create_model_card", self._create_model_card),
            ("save_model", self._save_model),
            ("_push_from_checkpoint", self._push_from_checkpoint),
        ):
            original = getattr(self._trainer, name, None)
            if callable(original):
                setattr(self._trainer, name, _in_brackets(original, around))
                self._bracketed.append(name)
        self._callback = _callback_of(self)
        self._trainer.add_callback(self._callback)

    def detach(self) -> None:
        """Leaves the trainer as it was. What is being measured ends here."""
        own = vars(self._trainer)
        for name in (*self._bracketed, _OURS):
            own.pop(name, None)
        self._bracketed = []
        if self._callback is not None:
            self._trainer.remove_callback(self._callback)
        self.energy.end()

    def add_to_card(self, *records: Record) -> None:
        """Tells these records beside that of the training, in the card that lies in the trainer's folder and in every one that it writes from now on.

        Raises:
            BadInput: the card cannot be changed without touching anything else; it is then as it was.
        """
        self._others = (*self._others, *records)
        if self._writes_cards():
            self.energy.into_card(self._card(None), others=self._others)

    # -- in the trainer's place

    def _train(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.train_begins(args[0] if args else kwargs.get("resume_from_checkpoint"))
        try:
            outcome = original(*args, **kwargs)
        except BaseException as error:
            self.train_ended(error)
            raise
        self.train_ended(None)
        return outcome

    def _call_model_init(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        model = original(*args, **kwargs)
        if self._awaits_model:
            self.model_is_there(model)
        return model

    def _evaluate(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.evaluation_begins()
        try:
            return original(*args, **kwargs)
        finally:
            self.evaluation_ended()

    def _compute_loss(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.batch_given(args[1] if len(args) > 1 else kwargs.get("inputs"))
        return original(*args, **kwargs)

    def _log(self, original: Callable[..., Any], logs: dict[str, float], *args: Any, **kwargs: Any) -> Any:
        found = self.figures_for(logs) or {}
        # The Trainer goes on with what it logs, and returns it: a search for hyperparameters adds all of it up.
        shown = {**logs, **found}
        try:
            return original(shown, *args, **kwargs)
        finally:
            for key in [key for key in logs if key not in shown]:  # callbacks that print take some out
                del logs[key]
            logs.update({key: value for key, value in shown.items() if key not in found})

    def _create_model_card(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before = self.card_before(None)
        outcome = original(*args, **kwargs)
        self.card_written(None, before)
        return outcome

    def _save_model(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        folder = args[0] if args else kwargs.get("output_dir")
        before = self.card_before(folder)
        outcome = original(*args, **kwargs)
        self.card_written(folder, before)
        return outcome

    def _push_from_checkpoint(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.card_written(None, self.card_before(None))
        return original(*args, **kwargs)

    # -- what is ours: a training

    @hook
    def train_begins(self, resume_from: object) -> None:
        """``train()`` was called."""
        self._begun, self._resumes = False, bool(resume_from)
        self._units, self._uncounted, self._halves = set(), Uncounted(), None
        # A search for hyperparameters makes the model of each trial in train(): until then there is that of the trial before, or none.
        self._awaits_model = getattr(self._trainer, "model_init", None) is not None
        if not self._awaits_model:
            self.model_is_there(self._trainer.model)

    @hook
    def model_is_there(self, model: Any) -> None:
        """The model that is trained is known. Whatever cannot be said of it, what it draws is measured."""
        self._awaits_model = False
        facts, found = self.guard.call("facts_of", self.facts_of, model) or (None, {})
        # torchrun starts a job's processes again in the same folder, whether there is a checkpoint yet or not.
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        wanted = {"task": self._task, **found, **self.energy.given("lineage", "task")}
        self.energy.begin(model=facts, resume=self._resumes or again, **wanted)

    def facts_of(self, model: Any) -> tuple[Model, dict[str, Any]]:
        """The model, and what else is said of it, as its training begins."""
        facts = model_of(model)
        inner = unwrapped(model)
        found: dict[str, Any] = {"task": self._task or _task_of(inner)}
        base = facts.id if facts.id != type(inner).__name__ else None
        published = getattr(self._trainer.args, "hub_model_id", None)
        if base is not None and self.energy.settings["stage"] == "fine-tuning":
            found["lineage"] = Lineage(base_model=base, relation=_relation_of(model))
        if isinstance(published, str) and published:
            facts = replace(facts, id=published, revision=None)
        config = getattr(inner, "config", None)
        self._halves = halves_of(inner) if getattr(config, "is_encoder_decoder", False) else None
        return facts, found

    @hook
    def on_train_begin(self, state: Any) -> None:
        """The loop begins, perhaps behind a checkpoint; a second time where the batch did not fit into memory (``auto_find_batch_size``)."""
        if self._awaits_model:
            self.model_is_there(self._trainer.model)
        if self._begun:
            self.count_all()
            self.energy.begin_again()
        self._begun = True
        run = self.energy.run
        if run is not None:
            run.resumed_from(step=state.global_step)
            if state.max_steps > state.global_step:
                run.expect(step=state.max_steps - state.global_step)

    @hook
    def train_ended(self, raised: BaseException | None) -> None:
        """``train()`` returned or raised."""
        self._awaits_model = False
        self.count_all()
        self.tell_of_work()
        self.energy.end(raised)
        self.card_written(None, None)

    @hook
    def tell_of_work(self) -> None:
        """What has to be said of what was counted, and of what was not."""
        if self._begun and TOKEN not in self._units and FLOP not in self._units:
            reason = why_not_total_flos(self._trainer)
            if reason is not None and self._trainer.state.total_flos:
                self.energy.tell(
                    "framework-flop-refused", f"the Trainer's own count of operations is not taken: {reason}"
                )

    # -- its steps

    @hook
    def on_epoch_begin(self, _state: object) -> None:
        """An epoch begins, or what is left of one."""
        self.energy.open(EPOCH)

    @hook
    def on_epoch_end(self, _state: object) -> None:
        """An epoch has ended; the evaluation and the checkpoint that belong to it come afterwards."""
        self.count_all()
        self.energy.close(EPOCH)

    @hook
    def on_step_begin(self, _state: object) -> None:
        """A step of the optimiser begins: its batches are there."""
        self.energy.open(STEP)

    @hook
    def on_step_end(self, state: object, control: object = None) -> None:
        """The optimiser has taken its step. Where the Trainer does not look at each loss, nobody waits for a device here, but where it
        waits itself in a moment: so the last step before an evaluation, a checkpoint and an epoch's end has its own work."""
        runs_ahead = not getattr(self._trainer.args, "logging_nan_inf_filter", True)
        work = self._uncounted.read(older=runs_ahead and not _waits_next(state, control))
        self._units.update(work)
        self.energy.close(STEP, **work)

    @hook
    def on_save(self, state: Any) -> None:
        """A checkpoint was written."""
        self.count_all()
        if self.energy.run is not None:
            self.energy.run.checkpoint(step=state.global_step)

    @hook
    def batch_given(self, inputs: Any) -> None:
        """The model is given a batch."""
        if self._evaluations or not self.energy.is_going_on or not isinstance(inputs, Mapping):
            return
        if not self._trainer.model.training or not _is_counted_here(self._trainer):
            return
        model = self._trainer.model
        main = getattr(model, "main_input_name", "input_ids")
        work = work_of(inputs, pad=_pad_of(self._trainer), has_decoder=self._halves is not None)
        # Of what sees or hears, no number is a token; what its decoder says is a part of its work only.
        if work.tokens and main == "input_ids":
            for amount in work.tokens:
                self._uncounted.add(TOKEN, amount)
            for amount in work.target_tokens:
                self._uncounted.add(TOKEN, amount)
            if self._halves is not None:
                for half, amounts in zip(self._halves, (work.tokens, work.target_tokens), strict=True):
                    for amount in amounts:
                        self._uncounted.add(
                            FLOP, amount, FLOP_THROUGH * half.size + FLOP_TRAINED * half.trained
                        )
        elif work.samples is not None:
            self._uncounted.add(SAMPLE, work.samples)
        if work.padded and work.tokens:
            self.energy.tell_once(
                "padding-counted",
                "batches have no mask, and the tokenizer no token for padding: padding counts as tokens",
            )

    @hook
    def count_all(self) -> None:
        """Counts what is still to be counted; waits for the device where it is still working it out."""
        self._count(self._uncounted.read())

    def _count(self, work: Mapping[str, Number]) -> None:
        if work:
            self._units.update(work)
            self.energy.count(**work)

    # -- its evaluations and logs

    @hook
    def evaluation_begins(self) -> None:
        """``evaluate()`` was called, perhaps for one of several data sets."""
        if not self._evaluations:
            self.energy.open(EVALUATION)
        self._evaluations += 1
        self._evaluated_from, self._evaluated_s = self.energy.joules(), time.monotonic()

    @hook
    def evaluation_ended(self) -> None:
        """``evaluate()`` returned or raised."""
        self._evaluations = max(0, self._evaluations - 1)
        if not self._evaluations:
            self.energy.close(EVALUATION)

    @hook
    def figures_for(self, logs: Mapping[str, float]) -> dict[str, float]:
        """Joules and watts for what is logged of the training; the joules of an evaluation for its own metrics."""
        if not self._evaluations:
            return self.energy.figures()
        prefix = next((key.removesuffix("_runtime") for key in logs if key.endswith("_runtime")), None)
        if prefix is None:
            return {}
        before, long_enough = self._evaluated_from, time.monotonic() - self._evaluated_s >= SHORTEST_LOGGED_S
        return {
            f"{prefix}_{name}_energy_j": rounded(joules - before[name])
            for name, joules in self.energy.joules().items()
            if name in before and long_enough
        }

    # -- its cards

    @hook
    def card_before(self, folder: str | os.PathLike[str] | None) -> str | None:
        """What a card holds that is about to be written again."""
        return readmes.read(self._card(folder)) if self._writes_cards() else None

    @hook
    def card_written(self, folder: str | os.PathLike[str] | None, before: str | None) -> None:
        """A card was written, or may have been."""
        if self._writes_cards():
            pushed = bool(getattr(self._trainer.args, "push_to_hub", False))
            self.energy.into_card(self._card(folder), before=before, others=self._others, so_far=pushed)

    def _card(self, folder: str | os.PathLike[str] | None) -> Path:
        return Path(folder if folder is not None else self._trainer.args.output_dir) / README

    def _writes_cards(self) -> bool:
        return self.energy.run is not None and bool(self._trainer.is_world_process_zero())


def _in_brackets(original: Callable[..., Any], around: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def bracketed(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    return bracketed


def _callback_of(attached: AttachedTrainer) -> Any:
    """What the Trainer calls at epochs, steps and checkpoints. It holds nothing that the Trainer would save or restore."""
    from transformers import TrainerCallback

    hooks = (
        attached.on_train_begin,
        attached.on_epoch_begin,
        attached.on_step_begin,
        attached.on_step_end,
        attached.on_epoch_end,
        attached.on_save,
    )
    return type("EnergyCallback", (TrainerCallback,), {hear.__name__: _heard(hear) for hear in hooks})()


def _heard(hear: Callable[..., object]) -> Callable[..., None]:
    with_control = hear.__name__ == "on_step_end"

    def event(_callback: object, _args: object, state: object, *control: object, **_more: object) -> None:
        hear(state, *control[:1]) if with_control else hear(state)

    return event


def _waits_next(state: Any, control: Any) -> bool:
    """Whether the Trainer waits for its device after this step, as other callbacks and the place in the epoch have it."""
    asked = ("should_log", "should_save", "should_evaluate", "should_training_stop", "should_epoch_stop")
    epoch = getattr(state, "epoch", None)
    return any(getattr(control, name, False) for name in asked) or (
        isinstance(epoch, int | float) and float(epoch).is_integer()
    )


def _task_of(inner: Any) -> str | None:
    """What the class of a model is for; None where its name does not say."""
    names = [kind.__name__ for kind in type(inner).__mro__]
    return next(
        (task for ending, task in _TASKS.items() if any(name.endswith(ending) for name in names)), None
    )


def _relation_of(model: Any) -> Relation:
    adapters = getattr(model, "peft_config", None)
    if not isinstance(adapters, Mapping) or not adapters:
        return "finetune"
    kinds = {str(getattr(getattr(one, "peft_type", None), "value", "")) for one in adapters.values()}
    return "lora" if kinds == {"LORA"} else "adapter"


def _pad_of(trainer: Any) -> int | None:
    found = getattr(getattr(trainer, "processing_class", None), "pad_token_id", None)
    return found if isinstance(found, int) else None


def _is_counted_here(trainer: Any) -> bool:
    """Whether this rank counts a batch: of those that work on one batch together (tensor, context, sequence parallel) the first one does."""
    config = getattr(trainer.accelerator, "parallelism_config", None)
    together = getattr(config, "non_data_parallel_size", 1) if config is not None else 1
    return bool(together <= 1 or trainer.accelerator.process_index % together == 0)
