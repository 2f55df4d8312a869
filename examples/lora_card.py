"""A fine-tuning with LoRA and the inference with its result, both in one model card. Run: python examples/lora_card.py [FOLDER]

Needs: pip install transformers peft accelerate torch. The model is made of random numbers and the text of random words, so that nothing is
downloaded; with a model and a data set of your own, only the lines with attach, measure and add_to_card are new.
"""

import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    DataCollatorForSeq2Seq,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from energy_rating import measure, model_of
from energy_rating.integrations.transformers import attach

folder = Path(sys.argv[1] if sys.argv[1:] else "lora-card")
words = {name: number for number, name in enumerate(["<pad>", "<unk>", *(f"word{n}" for n in range(500))])}
inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>")

torch.manual_seed(0)
base = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        pad_token_id=0,
    )
)
model = get_peft_model(base, LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
lengths = torch.randint(5, 40, (96,)).tolist()
rows = [{"input_ids": ids, "labels": ids} for n in lengths for ids in [torch.randint(2, 502, (n,)).tolist()]]

trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=str(folder / "model"),
        num_train_epochs=2,
        per_device_train_batch_size=8,
        report_to=[],
        save_strategy="no",
    ),
    train_dataset=rows,
    data_collator=DataCollatorForSeq2Seq(tokenizer),
    processing_class=tokenizer,
)
energy = attach(trainer, folder / "fine-tuning", model="somebody/tiny-lora", place="FRA")
trainer.train()

model.eval()
with measure(
    "inference",
    model=model_of(model, "somebody/tiny-lora"),
    task="text-generation",
    output_dir=folder / "inference",
    place="FRA",
) as run:
    for row in rows[:10]:
        with run.request() as request:
            prompt = torch.tensor([row["input_ids"][:5]], device=model.device)
            answer = model.generate(input_ids=prompt, max_new_tokens=20, do_sample=False)
            request.count(token=answer.shape[1] - prompt.shape[1])

# From now on every card that the trainer writes tells both: this one, and that of trainer.push_to_hub().
energy.add_to_card(run.record)
trainer.create_model_card(model_name="tiny-lora")
print((folder / "model" / "README.md").read_text())
