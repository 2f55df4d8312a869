#!/bin/sh
# transformers 5.24.0 (Trainer), with peft 0.21.2, accelerate 1.15.0 and torch 2.13.0 (CPU).
#
# Who states joules per operation takes the Trainer's own state.total_flos, which is in every trainer_state.json and in the metrics that
# train() returns. It is 6 x parameters outside embeddings x numbers of the model's main input, which is no count of operations where that
# input is no text, where parts are frozen, or where an encoder has a decoder; nothing is said.
#
# Against a count by hand of 6 x parameters x tokens through them (4 where a weight is frozen): a vision transformer comes to about 180
# times (each pixel of each colour counts as a token), a small LoRA to about 1.5 times, an encoder with a decoder that reads 8 and writes 64
# tokens to about a fifth. Of one's own torch module it is 0, which reads as no operations.
#
# And train() returns it with a progress bar only: with disable_tqdm=True the callback that prints takes it out of the metrics themselves.
#
# Seen: "vit 181", "lora 1.48", "t5 0.18", "own 0", "bar yes no". Ends with 1 where one of the first three is within 10 % of 1, "own" is not 0, or the bar makes no difference.
# The models have random weights; nothing but packages is downloaded.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0
"$here/venv/bin/pip" install -q --disable-pip-version-check transformers==5.24.0 peft==0.21.2 accelerate==1.15.0
cat > "$here/work.py" <<'PROGRAM'
import torch
import transformers as t
from peft import LoraConfig, get_peft_model


def flos(model, rows, metrics=False, bar=False):
    arguments = t.TrainingArguments(
        "out", num_train_epochs=1, per_device_train_batch_size=4, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=not bar
    )
    trainer = t.Trainer(model=model, args=arguments, train_dataset=rows)
    returned = trainer.train().metrics
    return ("yes" if "total_flos" in returned else "no") if metrics else trainer.state.total_flos


def size(parameters):
    return sum(parameter.numel() for parameter in parameters)


vit = t.ViTForImageClassification(
    t.ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8)
)
images = [{"pixel_values": torch.rand(3, 32, 32), "labels": 0} for _ in range(8)]
print("vit", round(flos(vit, images) / (6 * size(vit.parameters()) * 8 * 17)))

sizes = {"vocab_size": 64, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4}
lora = get_peft_model(t.LlamaForCausalLM(t.LlamaConfig(**sizes)), LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
texts = [{"input_ids": [1] * 32, "labels": [1] * 32} for _ in range(8)]
trained = size(parameter for parameter in lora.parameters() if parameter.requires_grad)
print("lora", round(flos(lora, texts) / ((4 * size(lora.parameters()) + 2 * trained) * 8 * 32), 2))

t5 = t.T5ForConditionalGeneration(
    t.T5Config(vocab_size=64, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, decoder_start_token_id=0, pad_token_id=0)
)
pairs = [{"input_ids": [1] * 8, "labels": [1] * 64} for _ in range(8)]
encoder = size(t5.get_encoder().parameters())
decoder = size(t5.parameters()) - encoder + size(t5.shared.parameters())
print("t5", round(flos(t5, pairs) / (6 * 8 * (8 * encoder + 64 * decoder)), 2))


class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)

    def forward(self, input_ids, labels=None):
        return {"loss": self.layer(input_ids.float()).pow(2).mean()}


own = [{"input_ids": [1] * 8, "labels": 0} for _ in range(8)]
print("own", round(flos(Own(), own)))
print("bar", flos(lora, texts, metrics=True, bar=True), flos(lora, texts, metrics=True))
PROGRAM
cd "$here"
venv/bin/python work.py 2>/dev/null | grep -E '^(vit|lora|t5|own|bar) ' > told
cat told
awk '$1 == "own" && $2 != 0 { bad = 1 } $1 ~ /vit|lora|t5/ && $2 > 0.9 && $2 < 1.1 { bad = 1 } $1 == "bar" && $2 == $3 { bad = 1 } END { exit bad || NR != 5 }' told
