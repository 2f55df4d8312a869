"""Trainings by real frameworks, on tiny random models: ``python trainings.py KIND FOLDER '{"option": …}'``, also under torchrun.

Each trains, and writes into FOLDER/truth-<rank>.json what its own collator and its own clock say: tokens without padding, when the training and its
evaluations began and ended (``time.monotonic()``), and a checksum of the weights. Tokens of training rows are 1 to 50; evaluation rows end
with token 60, so that the collator can tell them apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

RANK = int(os.environ.get("RANK", "0"))
EVALUATED = 60


def options(given):
    return {
        "attach": True,
        "failing": False,
        "kill_at": None,
        "raise_at": None,
        "resume": False,
        "fails_at_batch": None,
        "push": False,
        "epochs": 2,
        "rows": 24,
        "batch": 4,
        "accumulation": 1,
        "evaluation": "no",
        "save_steps": None,
        "pause_s": 0.0,
        "arguments": {},
        "settings": {},
        **given,
    }


class Truth:
    """What happened, by the program's own count."""

    def __init__(self, folder):
        self.folder = folder
        self.tokens = self.evaluated = self.batches = 0
        self.told = {}

    def collated(self, mask, ids):
        self.batches += 1
        if bool((ids == EVALUATED).any()):
            self.evaluated += int(mask.sum())
        else:
            self.tokens += int(mask.sum())

    def write(self, **more):
        self.told.update(more, tokens=self.tokens, evaluated=self.evaluated, batches=self.batches)
        (self.folder / f"truth-{RANK}.json").write_text(json.dumps(self.told))


def rows(number, seed, *, evaluation=False, longest=30):
    import torch

    dice = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(number):
        length = int(torch.randint(3, longest, (1,), generator=dice))
        ids = torch.randint(1, 51, (length,), generator=dice).tolist()
        found.append({"input_ids": [*ids[:-1], EVALUATED] if evaluation else ids})
    return found


class Padded:
    """A collator that pads with 0 and counts what it does not pad."""

    def __init__(self, truth):
        self.truth = truth

    def __call__(self, batch):
        import torch

        longest = max(len(row["input_ids"]) for row in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(batch):
            ids[number, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask[number, : len(row["input_ids"])] = 1
        self.truth.collated(mask, ids)
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def llama(**more):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "eos_token_id": 52,
        "bos_token_id": 51,
    }
    return LlamaForCausalLM(LlamaConfig(**{**sizes, **more}))


def slower(model, pause_s):
    """A step that takes as long as one of a larger model would, so that its joules can be told."""
    if pause_s:
        model.register_forward_pre_hook(lambda *_: time.sleep(pause_s))
    return model


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {
        "<pad>": 0,
        **{f"w{number}": number for number in range(1, 51)},
        "<s>": 51,
        "</s>": 52,
        "<unk>": 53,
    }
    words["final"] = EVALUATED
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def lora(model, **more):
    from peft import LoraConfig, get_peft_model

    return get_peft_model(
        model,
        LoraConfig(**{"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **more}),
    )


def arguments(kind, folder, asked, **more):
    found = {
        "output_dir": str(folder / "model"),
        "num_train_epochs": asked["epochs"],
        "per_device_train_batch_size": asked["batch"],
        "per_device_eval_batch_size": asked["batch"],
        "gradient_accumulation_steps": asked["accumulation"],
        "logging_steps": 2,
        "eval_strategy": asked["evaluation"],
        "save_strategy": "steps" if asked["save_steps"] else "no",
        "save_steps": asked["save_steps"] or 500,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "seed": 7,
        "push_to_hub": asked["push"],
        **more,
        **asked["arguments"],
    }
    if asked["push"]:
        found["hub_model_id"] = "somebody/tiny"
    return kind(**found)


# ---------------------------------------------------------------------------------------------------------- the trainers


def trainer(folder, asked, truth):
    from transformers import Trainer, TrainingArguments

    return Trainer(
        model=slower(llama(), asked["pause_s"]),
        args=arguments(TrainingArguments, folder, asked),
        train_dataset=rows(asked["rows"], 1),
        eval_dataset=rows(8, 2, evaluation=True),
        data_collator=Padded(truth),
    )


def searched(folder, asked, truth):
    """A search for hyperparameters: each trial makes its own model, of its own size, in train()."""
    from transformers import Trainer, TrainingArguments

    sizes = iter((32, 64))
    made = Trainer(
        model_init=lambda: slower(llama(hidden_size=next(sizes)), asked["pause_s"]),
        args=arguments(TrainingArguments, folder, asked),
        train_dataset=rows(asked["rows"], 1),
        data_collator=Padded(truth),
    )
    if asked.get("forgotten"):  # as a search in other processes leaves it
        made.model = made.model_wrapped = None
    return made


def adapted(folder, asked, truth):
    from transformers import Trainer, TrainingArguments

    model = lora(llama())
    return Trainer(
        model=slower(model, asked["pause_s"]),
        args=arguments(TrainingArguments, folder, asked, label_names=["labels"]),
        train_dataset=rows(asked["rows"], 1),
        eval_dataset=rows(8, 2, evaluation=True),
        data_collator=Padded(truth),
    )


class Translated(Padded):
    """A target beside the text, half as long."""

    def __call__(self, batch):
        found = super().__call__(batch)
        target = found["input_ids"][:, ::2]
        found["labels"] = target.masked_fill(target == 0, -100)
        self.truth.told["target_tokens"] = self.truth.told.get("target_tokens", 0) + int((target != 0).sum())
        return found


def seq2seq(folder, asked, truth):
    import torch
    from transformers import (
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
        T5Config,
        T5ForConditionalGeneration,
    )

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=64,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_decoder_layers=3,
        num_heads=4,
        pad_token_id=0,
        decoder_start_token_id=0,
    )
    return Seq2SeqTrainer(
        model=T5ForConditionalGeneration(config),
        args=arguments(Seq2SeqTrainingArguments, folder, asked),
        train_dataset=rows(asked["rows"], 1),
        data_collator=Translated(truth),
    )


def images(folder, asked, truth):
    import torch
    from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        num_labels=3,
    )
    data = [{"pixel_values": torch.rand(3, 32, 32), "labels": number % 3} for number in range(asked["rows"])]
    return Trainer(
        model=ViTForImageClassification(config),
        args=arguments(TrainingArguments, folder, asked),
        train_dataset=data,
    )


def sft(folder, asked, truth):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    packing = asked.get("packing", False)
    if packing:
        more = {"packing": True, "max_length": 40}
        data = [{"input_ids": row["input_ids"]} for row in rows(asked["rows"], 1)]
    else:
        more = {"max_length": 64}
        data = rows(asked["rows"], 1)
    made = SFTTrainer(
        model=slower(lora(llama()) if asked.get("lora") else llama(), asked["pause_s"]),
        args=arguments(SFTConfig, folder, asked, bf16=False, **more),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer(),
    )
    collate = made.data_collator

    def counted(batch):
        found = collate(batch)
        mask = found.get("attention_mask")
        truth.collated(found["input_ids"] != 0 if mask is None else mask, found["input_ids"])
        return found

    made.data_collator = counted
    return made


def words(ids):
    return " ".join(f"w{number}" for number in ids)


def dpo(folder, asked, truth):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    asks, answers, others = (rows(asked["rows"], seed, longest=12) for seed in (1, 3, 4))
    data = [
        {
            "prompt": words(ask["input_ids"]),
            "chosen": " " + words(answer["input_ids"]),
            "rejected": " " + words(other["input_ids"]),
        }
        for ask, answer, other in zip(asks, answers, others, strict=True)
    ]
    made = DPOTrainer(
        model=llama(),
        ref_model=llama(),
        args=arguments(DPOConfig, folder, asked, bf16=False, max_length=128),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer(),
    )
    collate = made.data_collator

    def counted(batch):
        found = collate(batch)
        truth.collated(found["attention_mask"], found["input_ids"])
        return found

    made.data_collator = counted
    return made


def grpo(folder, asked, truth):
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    data = [{"prompt": words(row["input_ids"])} for row in rows(asked["rows"], 1, longest=10)]

    def reward(prompts, completions, completion_ids, **_):
        # It is given each completion once, as it was sampled: what is trained on.
        taught = [len(prompt.split()) for prompt in prompts]
        truth.tokens += sum(taught) + sum(len(ids) for ids in completion_ids)
        return [float(len(set(ids))) for ids in completion_ids]

    return GRPOTrainer(
        model=llama(),
        reward_funcs=reward,
        args=arguments(
            GRPOConfig, folder, asked, bf16=False, num_generations=2, max_completion_length=6, temperature=1.0
        ),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer(),
    )


def sentences(folder, asked, truth):
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    source = folder / f"bert-{RANK}"
    config = BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(source)
    tokenizer().save_pretrained(source)
    model = SentenceTransformer(str(source), device="cpu")
    asks, answers = rows(asked["rows"], 1, longest=10), rows(asked["rows"], 3, longest=20)
    data = [
        {"anchor": words(ask["input_ids"]), "positive": words(answer["input_ids"])}
        for ask, answer in zip(asks, answers, strict=True)
    ]
    made = SentenceTransformerTrainer(
        model=model,
        args=arguments(SentenceTransformerTrainingArguments, folder, asked),
        train_dataset=Dataset.from_list(data),
        loss=MultipleNegativesRankingLoss(model),
    )
    collate = made.data_collator

    def counted(batch):
        found = collate(batch)
        for name, value in found.items():
            if name.endswith("attention_mask"):
                truth.tokens += int(value.sum())
        return found

    for name in ("valid_label_columns", "tokenize_fn"):
        if hasattr(collate, name):
            setattr(counted, name, getattr(collate, name))
    made.data_collator = counted
    return made


KINDS = {
    one.__name__: one for one in (trainer, searched, adapted, seq2seq, images, sft, dpo, grpo, sentences)
}


# ----------------------------------------------------------------------------------------------------------- the program


def failing(kind):
    """Every hook of ours raises."""
    for name, hook in vars(kind).items():
        if hasattr(hook, "__wrapped__"):

            def broken(*_, name=name, **__):
                raise RuntimeError(f"{name} is broken")

            hook.__wrapped__ = broken


def checksum(model):
    found = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        found.update(name.encode())
        found.update(parameter.detach().cpu().contiguous().float().numpy().tobytes())
    return found.hexdigest()


def watch(made, truth, asked):
    """The test's own times of steps and evaluations, and what ends the program."""
    from transformers import TrainerCallback

    told = truth.told
    told["steps"], told["evaluations"] = [], []

    class Watching(TrainerCallback):
        def on_step_begin(self, args, state, control, **more):
            self.since = time.monotonic()

        def on_step_end(self, args, state, control, **more):
            told["steps"].append((self.since, time.monotonic()))
            if asked["kill_at"] == state.global_step and asked.get("kill_rank", RANK) == RANK:
                truth.write()
                time.sleep(0.2)  # what happened in the last 50 ms is lost with the process
                os.kill(os.getpid(), signal.SIGKILL)
            if asked["raise_at"] == state.global_step:
                raise ValueError("the program's own")

    evaluate = made.evaluate

    def timed(*args, **kwargs):
        since = time.monotonic()
        try:
            return evaluate(*args, **kwargs)
        finally:
            told["evaluations"].append((since, time.monotonic()))

    made.evaluate = timed
    if asked["fails_at_batch"]:
        compute = made.compute_loss
        full = []

        def too_large(model, inputs, *args, **kwargs):
            if len(inputs["input_ids"]) == asked["fails_at_batch"]:
                full.append(1)
                if len(full) == 3:
                    told["broken_tokens"] = truth.tokens
                    raise RuntimeError("CUDA out of memory.")
            return compute(model, inputs, *args, **kwargs)

        made.compute_loss = too_large
    made.add_callback(Watching())


def main(kind, folder, given):
    asked = options(given)
    folder = Path(folder)
    truth = Truth(folder)
    import torch

    torch.set_num_threads(1)
    made = KINDS[kind](folder, asked, truth)
    watch(made, truth, asked)
    attached = None
    if asked["attach"]:
        from energy_rating.integrations import transformers as ours

        if asked["failing"]:
            failing(ours.AttachedTrainer)
        if asked.get("undescribed"):
            ours.model_of = lambda _: 1 / 0
        attached = ours.attach(made, folder / "run", **asked["settings"])
    truth.told["begin"] = time.monotonic()
    raised = None
    metrics = {}
    try:
        metrics = made.train(resume_from_checkpoint=asked["resume"] or None).metrics
    except ValueError as error:
        raised = repr(error)
    truth.told["end"] = time.monotonic()
    if asked["push"]:
        made.push_to_hub()
    logs = made.state.log_history
    parameters = sum(parameter.numel() for parameter in made.model.parameters())
    trained = sum(parameter.numel() for parameter in made.model.parameters() if parameter.requires_grad)
    flos = float(made.state.total_flos)
    why = None
    if attached is not None and not asked["failing"] and not asked.get("undescribed"):
        why = ours.why_not_total_flos(made)
    truth.write(
        raised=raised,
        metrics=metrics,
        logs=logs,
        weights=checksum(made.model),
        parameters=parameters,
        trained=trained,
        total_flos=flos,
        why_not=why,
        global_step=made.state.global_step,
    )
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        with contextlib.suppress(Exception):
            torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})
