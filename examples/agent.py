"""An agent that solves tasks with tools, measured: joules per solved task. Run: python examples/agent.py [FOLDER FOR THE RECORD]

The model is a network of random numbers that computes for each word and then says what a few rules say, so that nothing is downloaded.
With a model and tools of your own, only the lines with ``run`` and ``window`` are new.
"""

import operator
import sys

import numpy as np

from energy_rating import NotMeasured, measure

MOST_STEPS = 4
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "**": operator.pow}
FACTS = {"days in a leap year": "366", "legs of a spider": "8", "bits in a byte": "8"}
TASKS = {
    "17 * 23": "391",
    "look up legs of a spider": "8",
    "look up days in a leap year and * 24": "8784",
    "2 ** 20": "1048576",
    "look up the meaning of life": "42",  # which no tool knows
    "look up bits in a byte and * 1024": "8192",
}

layers = np.random.default_rng(seed=0).normal(0, 0.05, size=(4, 256, 256))


def think(prompt: str) -> tuple[str, str, int]:
    """What to do next, with what, and how many tokens it took to say so."""
    said = ("answer", prompt)
    if prompt.startswith("look up "):
        said = ("look up", prompt.removeprefix("look up ").partition(" and ")[0])
    elif len(prompt.split()) == 3:
        said = ("calculate", prompt)
    tokens = 8 * len(" ".join(said).split())
    for _ in range(tokens):
        state = np.ones((8, 256))
        for layer in layers:
            state = np.tanh(state @ layer)
    return *said, tokens


def look_up(what: str) -> str:
    return FACTS.get(what, "unknown")


def calculate(what: str) -> str:
    left, sign, right = what.split()
    return str(OPERATORS[sign](int(left), int(right)))


TOOLS = {"look up": look_up, "calculate": calculate}

with measure("inference", model="an-agent", output_dir=sys.argv[1] if sys.argv[1:] else None) as run:
    for task, wanted in TASKS.items():
        with run.window("task") as window:
            prompt = task
            for _ in range(MOST_STEPS):
                with run.window("think") as thinking:
                    action, argument, tokens = think(prompt)
                    thinking.count(token=tokens)
                if action == "answer":
                    break
                with run.window("tool"):
                    result = TOOLS[action](argument)
                # What the tool said stands in the next prompt, before what is still to be done.
                prompt = f"{result} {prompt.partition(' and ')[2]}".strip()
            solved = prompt == wanted
            window.count(
                attempted=1, solved=int(solved)
            )  # a task that fails costs as well, and solves nothing
        print(f"{task}: {prompt} {'(solved)' if solved else '(not solved)'}")

try:
    tasks = run.record["task"]
    component = next(iter(tasks.energy_j), "gpu")
    print("a solved task took", tasks.energy_per("solved", component))
    print("an attempted one", tasks.energy_per("attempted", component))
    print("a token of the model", run.record["think"].energy_per("token", component))
except NotMeasured as reason:
    print(reason)
