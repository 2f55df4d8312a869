#!/bin/sh
# ai-energy-benchmarks 0.0.7 (backend vllm) against a server of OpenAI's interface (CPython 3.11, Linux).
#
# It streams every answer to see the time of the first token, and does not ask for the usage (stream_options.include_usage), without which such a
# server, vLLM among them, tells none in a stream. Each answer then counts as 0 tokens, prompts too, with success: total_completion_tokens
# and the throughput of the report are 0, and its energy has nothing to be divided by. Nothing is said.
#
# Seen: "streamed 0", "not streamed 7", and the server was never asked for the usage. Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check ai-energy-benchmarks==0.0.7
cat > "$here/ask.py" <<'PROGRAM'
import http.server
import json
import threading

from ai_energy_benchmarks.backends.vllm import VLLMBackend

USAGE = {"prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47}
ASKED = []


class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ASKED.append(asked)
        self.send_response(200)
        self.end_headers()
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "a b c d e f g"}
            self.wfile.write(json.dumps({"choices": [{"message": message}], "usage": USAGE}).encode())
            return
        for word in "abcdefg":
            chunk = {"choices": [{"index": 0, "delta": {"content": f"{word} "}}]}
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        if (asked.get("stream_options") or {}).get("include_usage"):
            self.wfile.write(b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
backend = VLLMBackend(endpoint=f"http://127.0.0.1:{server.server_port}/v1", model="org/name")
for name, streaming in (("streamed", True), ("not streamed", False)):
    result = backend.run_inference("a question", max_tokens=7, enable_streaming=streaming)
    assert result["success"], result
    print(name, result["completion_tokens"])
assert "stream_options" not in ASKED[0], ASKED[0]
PROGRAM
told=$("$here/venv/bin/python" "$here/ask.py" 2>/dev/null | grep -E "^(not )?streamed")
echo "$told"
[ "$told" = "streamed 0
not streamed 7" ]
