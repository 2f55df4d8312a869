#!/bin/sh
# transformers 5.23.0, "transformers serve", with torch 2.13.0 (CPU), fastapi 0.165.0, uvicorn 0.54.0, openai 3.57.0.
#
# Who measures a server reads its streams to the end, and asks it first which models it has. Two things are not as OpenAI's interface has them:
#
# 1. A streamed chat completion ends with its finish_reason and the end of the body; there is never the line "data: [DONE]".
#    A client that takes a stream without it for broken off loses every answer.
# 2. GET /v1/models answers 500 where the folder of the hub's cache does not exist yet, as on a new machine with a model on disk,
#    while chat completions with that model are answered.
#
# Seen: "models 500", "chat 200, finish_reason length, [DONE] no". Ends with 1 where one of them is no longer so.
# The model has two layers and random weights; nothing but packages is downloaded.
set -eu
here=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0
"$here/venv/bin/pip" install -q --disable-pip-version-check transformers==5.23.0 fastapi==0.165.0 uvicorn==0.54.0 openai==3.57.0 \
    accelerate==1.15.0 pydantic==2.13.4 requests==2.34.2 rich==15.0.0 typer==0.29.2 tokenizers==0.23.3
cat > "$here/model.py" <<'PROGRAM'
import sys

import tokenizers
import transformers

words = {chr(number): number - 32 for number in range(32, 127)} | {"<s>": 95, "</s>": 96, "<unk>": 97}
inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
inner.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
inner.decoder = tokenizers.decoders.Fuse()
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
config = transformers.LlamaConfig(
    vocab_size=98, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, bos_token_id=95, eos_token_id=96
)
transformers.LlamaForCausalLM(config).save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
PROGRAM
cat > "$here/ask.py" <<'PROGRAM'
import json
import sys
import time
import urllib.error
import urllib.request

url, model = sys.argv[1:]


def status(path):
    try:
        with urllib.request.urlopen(url + path, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


for _ in range(240):
    try:
        status("/health")
        break
    except OSError:
        time.sleep(1)
print("models", status("/v1/models"))
asked = {"model": model, "stream": True, "max_tokens": 8, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
request = urllib.request.Request(
    url + "/v1/chat/completions", json.dumps(asked).encode(), {"content-type": "application/json"}
)
with urllib.request.urlopen(request, timeout=240) as answer:
    code, body = answer.status, answer.read().decode()
lines = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
reasons = [
    choice["finish_reason"]
    for line in lines
    if line.startswith("{")
    for choice in json.loads(line).get("choices", [])
    if choice.get("finish_reason")
]
print(f"chat {code}, finish_reason {', '.join(reasons)}, [DONE] {'yes' if '[DONE]' in lines else 'no'}")
PROGRAM
cd "$here"
export HF_HOME="$here/none" HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
venv/bin/python model.py "$here/tiny" >/dev/null 2>&1
port=$(venv/bin/python -c "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])")
venv/bin/transformers serve "$here/tiny" --host 127.0.0.1 --port "$port" --device cpu >serve.log 2>&1 &
server=$!
said=$(venv/bin/python ask.py "http://127.0.0.1:$port" "$here/tiny") || { tail -5 serve.log; exit 1; }
echo "$said"
[ "$said" = "models 500
chat 200, finish_reason length, [DONE] no" ]
