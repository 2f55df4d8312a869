#!/bin/sh
# ai-impact-accounting 0.1.0 (Data and Impact Accounting) with huggingface_hub 1.24.0 (CPython 3.11, Linux, no GPU).
#
# track().write(card) puts dia_report into a model card. Where huggingface_hub's ModelCard cannot load the card, for whatever reason, write()
# begins with an empty one and saves that in its place: the text, the licence and all other metadata are gone, and nothing is said. A card
# whose metadata have the key "on:", which YAML 1.1 reads as true, is one that ModelCard does not load; so is one that is read while the
# network is away (push()).
#
# The package asks for Python 3.12 or newer; what is run here of it runs on 3.11, from its wheel.
# Seen: "before: 6 lines, after: 34 lines; the licence is gone, the text is gone". Ends with 1 where that is no longer so.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check huggingface_hub==1.24.0 pyyaml==6.0.3
"$here/venv/bin/pip" download -q --disable-pip-version-check --no-deps --python-version 3.12 --only-binary :all: \
	-d "$here" ai-impact-accounting==0.1.0
cd "$here"
"$here/venv/bin/python" -m zipfile -e ai_impact_accounting-0.1.0-py3-none-any.whl wheel
printf -- '---\nlicense: mit\non: hold\n---\n# A model\nIts text.\n' > README.md
cat > work.py <<'PROGRAM'
import sys
import types
from pathlib import Path

package = types.ModuleType("ai_impact_accounting")  # its __init__ loads torch
package.__path__ = ["wheel/ai_impact_accounting"]
sys.modules["ai_impact_accounting"] = package
from ai_impact_accounting.producer.tracking import track

card = Path("README.md")
before = card.read_text()
with track(base_model="org/base", relation="lora") as tracked:
    pass
tracked.write(str(card))
after = card.read_text()
lost = [f"the {name} is gone" for name, words in (("licence", "license: mit"), ("text", "Its text.")) if words not in after]
print(f"before: {len(before.splitlines())} lines, after: {len(after.splitlines())} lines; {', '.join(lost) or 'nothing is lost'}")
sys.exit(0 if len(lost) == 2 else 1)
PROGRAM
CODECARBON_DISABLED=1 "$here/venv/bin/python" work.py
