"""A training loop, measured. Run: python examples/train.py [FOLDER FOR THE RECORD]"""

import sys

import numpy as np

from energy_rating import NotMeasured, measure

EPOCHS, BATCH, STEP = 6, 100, 0.05

# Something to learn: the sum of eight sines. And a network of two layers that is to learn it.
chance = np.random.default_rng(seed=0)
samples = chance.uniform(-1, 1, size=(200_000, 8))
targets = np.sin(3 * samples).sum(axis=1, keepdims=True)
w1, b1 = chance.normal(0, 0.5, size=(8, 128)), np.zeros(128)
w2, b2 = chance.normal(0, 0.1, size=(128, 1)), np.zeros(1)

with measure("pre-training", model="two-layers", output_dir=sys.argv[1] if sys.argv[1:] else None) as run:
    for epoch in range(EPOCHS):
        squares = 0.0
        with run.window("epoch") as window:
            for at in range(0, len(samples), BATCH):
                x, y = samples[at : at + BATCH], targets[at : at + BATCH]
                hidden = np.tanh(x @ w1 + b1)
                error = hidden @ w2 + b2 - y
                back = error @ w2.T * (1 - hidden**2)
                w2 -= STEP * hidden.T @ error / BATCH
                b2 -= STEP * error.mean(axis=0)
                w1 -= STEP * x.T @ back / BATCH
                b1 -= STEP * back.mean(axis=0)
                squares += float((error**2).sum())
                window.count(sample=BATCH)
        print(f"epoch {epoch + 1}: loss {squares / len(samples):.4f}")

try:
    epochs = run.record["epoch"]
    print("a sample took", epochs.energy_per("sample", component=next(iter(epochs.energy_j), "gpu")))
except NotMeasured as reason:
    print(reason)
