"""What architectures that people know cost on a real GPU, with random weights: one call of ten minutes, one journal each.

    python benchmarks/gpu_models.py --out models [--budget 540] [--tiny] [--device auto|cuda|cpu] [--cases chat-8b-batch-1,…]

Needs the measuring half of this package, pynvml and torch, and no network. The networks are written here in plain torch, eager, in the
shapes of ``energy_rating/benchmarking/tasks/configs/`` (which say where they come from); their parameters are counted and tested against those of
the published models. Random weights cost the energy of the architecture, nearly: numbers of another distribution flip other bits.

Writes ``journals/NAME.jsonl.gz`` for each case (``energy-rating summarise`` makes records of them elsewhere) and ``models.json`` (again after
every case, so that a run cut short loses one). Cases that would take the time of more important ones are left out and named. It
only reads the card: no clock, limit or mode is changed.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import gzip
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

try:
    import energy_rating
except ModuleNotFoundError:  # straight from a checkout
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import energy_rating

import torch
from torch import nn
from torch.nn import functional as F

from energy_rating.meter import Run, measure
from energy_rating.nouns.records import Load, Model, Task

SCHEMA = "energy-rating/gpu-models/1"
CONFIGS = Path(energy_rating.__file__).parent / "benchmarking" / "tasks" / "configs"
LARGEST_FILE = 16 << 20  # bytes; larger ones do not come back from such a machine

IDLE_S = 12.0  # nothing is told of idle power below 10
WARM_S, REPEAT_S, REPEATS = 3.0, 6.0, 3

Json = dict[str, Any]
Span = tuple[str, float, float, Mapping[str, int]]


def shape(name: str) -> Json:
    """A configuration that ships with the package."""
    content: Json = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def drain() -> None:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


# ----------------------------------------------------------------------------------------------------- decoders like Llama


class RmsNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Any) -> Any:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotated(x: Any, cos: Any, sin: Any) -> Any:
    """Rotary embedding (Su et al., arXiv 2104.09864) of batch × heads × places × width."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class LlamaLayer(nn.Module):
    def __init__(self, c: Json) -> None:
        super().__init__()
        width, self.heads = c["hidden_size"], c["num_attention_heads"]
        self.pairs = c.get("num_key_value_heads", self.heads)
        self.size = c.get("head_dim") or width // self.heads
        biased = c["model_type"] == "qwen2"  # of query, key and value only
        self.q = nn.Linear(width, self.heads * self.size, bias=biased)
        self.k = nn.Linear(width, self.pairs * self.size, bias=biased)
        self.v = nn.Linear(width, self.pairs * self.size, bias=biased)
        self.o = nn.Linear(self.heads * self.size, width, bias=False)
        self.gate = nn.Linear(width, c["intermediate_size"], bias=False)
        self.up = nn.Linear(width, c["intermediate_size"], bias=False)
        self.down = nn.Linear(c["intermediate_size"], width, bias=False)
        eps = c.get("rms_norm_eps", 1e-6)
        self.before, self.after = RmsNorm(width, eps), RmsNorm(width, eps)

    def forward(self, x: Any, cos: Any, sin: Any, cache: Any, at: int) -> Any:
        batch, places, _ = x.shape
        y = self.before(x)
        q = self.q(y).view(batch, places, self.heads, self.size).transpose(1, 2)
        k = self.k(y).view(batch, places, self.pairs, self.size).transpose(1, 2)
        v = self.v(y).view(batch, places, self.pairs, self.size).transpose(1, 2)
        keys, values = cache
        keys[:, :, at : at + places] = rotated(k, cos, sin)
        values[:, :, at : at + places] = v
        y = F.scaled_dot_product_attention(
            rotated(q, cos, sin),
            keys[:, :, : at + places],
            values[:, :, : at + places],
            is_causal=places > 1,
            enable_gqa=self.pairs != self.heads,
        )
        x = x + self.o(y.transpose(1, 2).reshape(batch, places, -1))
        y = self.after(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """A decoder with grouped keys, rotary places and a gated middle; Qwen2 differs by three biases."""

    def __init__(self, c: Json) -> None:
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(LlamaLayer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = RmsNorm(c["hidden_size"], c.get("rms_norm_eps", 1e-6))
        self.head = nn.Linear(c["hidden_size"], c["vocab_size"], bias=False)
        if c.get("tie_word_embeddings"):
            self.head.weight = self.embed.weight

    def caches(self, batch: int, places: int) -> list[Any]:
        layer, like = self.layers[0], self.embed.weight
        size = (batch, layer.pairs, places, layer.size)
        return [(like.new_zeros(size), like.new_zeros(size)) for _ in self.layers]

    def turns(self, places: int) -> tuple[Any, Any]:
        like, size = self.embed.weight, self.layers[0].size
        theta = self.c.get("rope_parameters", {}).get("rope_theta", 10000.0)
        rates = theta ** (-torch.arange(0, size, 2, device=like.device, dtype=torch.float32) / size)
        angles = torch.arange(places, device=like.device, dtype=torch.float32)[:, None] * rates
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(like.dtype), angles.sin().to(like.dtype)

    def forward(self, ids: Any, caches: list[Any], at: int, turns: tuple[Any, Any]) -> Any:
        cos, sin = (one[at : at + ids.shape[1]] for one in turns)
        x = self.embed(ids)
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer(x, cos, sin, cache, at)
        return self.head(self.norm(x[:, -1]))


# --------------------------------------------------------------------------------------- encoders, and decoders that listen


class Attention(nn.Module):
    """Of ``width`` onto itself or onto something of ``onto``; biases as the architecture has them."""

    def __init__(
        self, width: int, heads: int, *, onto: int | None = None, inner: bool = True, key: bool = True
    ) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=inner)
        self.k = nn.Linear(onto or width, width, bias=inner and key)
        self.v = nn.Linear(onto or width, width, bias=inner)
        self.o = nn.Linear(width, width)

    def split(self, x: Any) -> Any:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def pair(self, x: Any) -> tuple[Any, Any]:
        return self.split(self.k(x)), self.split(self.v(x))

    def forward(self, x: Any, pair: tuple[Any, Any] | None = None, causal: bool = False) -> Any:
        keys, values = self.pair(x) if pair is None else pair
        y = F.scaled_dot_product_attention(self.split(self.q(x)), keys, values, is_causal=causal)
        return self.o(y.transpose(1, 2).reshape(x.shape))


class Encoding(nn.Module):
    """A layer that norms first; with ``cross`` it also looks at what was encoded."""

    def __init__(self, width: int, heads: int, middle: int, *, cross: bool = False, key: bool = True) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if cross else 2))
        self.look = Attention(width, heads, key=key)
        self.listen = Attention(width, heads, key=key) if cross else None
        self.up, self.down = nn.Linear(width, middle), nn.Linear(middle, width)

    def think(self, x: Any) -> Any:
        return x + self.down(F.gelu(self.up(self.norms[-1](x))))

    def forward(self, x: Any) -> Any:
        return self.think(x + self.look(self.norms[0](x)))

    def write(self, x: Any, cache: Any, at: int, heard: tuple[Any, Any]) -> Any:
        y = self.norms[0](x)
        for kept, new in zip(cache, self.look.pair(y), strict=True):
            kept[:, :, at : at + x.shape[1]] = new
        upto = tuple(kept[:, :, : at + x.shape[1]] for kept in cache)
        x = x + self.look(y, upto, causal=x.shape[1] > 1)
        assert self.listen is not None
        return self.think(x + self.listen(self.norms[1](x), heard))


class Vit(nn.Module):
    """Dosovitskiy et al., arXiv 2010.11929, with a head for classes."""

    def __init__(self, c: Json) -> None:
        super().__init__()
        width, patch = c["hidden_size"], c["patch_size"]
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, (c["image_size"] // patch) ** 2 + 1, width))
        self.layers = nn.ModuleList(
            Encoding(width, c["num_attention_heads"], c["intermediate_size"])
            for _ in range(c["num_hidden_layers"])
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, c["num_labels"])

    def forward(self, images: Any) -> Any:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat((self.first.expand(len(x), -1, -1), x), dim=1) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])


class Whisper(nn.Module):
    """Radford et al., arXiv 2212.04356: an encoder of sound and a decoder that listens to it."""

    def __init__(self, c: Json) -> None:
        super().__init__()
        self.c, width = c, c["d_model"]
        self.hear1 = nn.Conv1d(c["num_mel_bins"], width, 3, padding=1)
        self.hear2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.times = nn.Parameter(torch.randn(c["max_source_positions"], width))
        self.encoder = nn.ModuleList(
            Encoding(width, c["encoder_attention_heads"], c["encoder_ffn_dim"], key=False)
            for _ in range(c["encoder_layers"])
        )
        self.heard = nn.LayerNorm(width)
        self.embed = nn.Embedding(c["vocab_size"], width)
        self.places = nn.Parameter(torch.randn(c["max_target_positions"], width))
        self.decoder = nn.ModuleList(
            Encoding(width, c["decoder_attention_heads"], c["decoder_ffn_dim"], cross=True, key=False)
            for _ in range(c["decoder_layers"])
        )
        self.norm = nn.LayerNorm(width)

    def listen(self, features: Any) -> list[tuple[Any, Any]]:
        x = F.gelu(self.hear2(F.gelu(self.hear1(features)))).transpose(1, 2) + self.times
        for layer in self.encoder:
            x = layer(x)
        x = self.heard(x)
        return [layer.listen.pair(x) for layer in self.decoder]

    def caches(self, batch: int, places: int) -> list[Any]:
        heads, width = self.c["decoder_attention_heads"], self.c["d_model"]
        size = (batch, heads, places, width // heads)
        like = self.embed.weight
        return [(like.new_zeros(size), like.new_zeros(size)) for _ in self.decoder]

    def forward(self, ids: Any, caches: list[Any], at: int, heard: list[tuple[Any, Any]]) -> Any:
        x = self.embed(ids) + self.places[at : at + ids.shape[1]]
        for layer, cache, pair in zip(self.decoder, caches, heard, strict=True):
            x = layer.write(x, cache, at, pair)
        return F.linear(self.norm(x[:, -1]), self.embed.weight)


# -------------------------------------------------------------------------------------- the network that denoises latents


class Residual(nn.Module):
    def __init__(self, before: int, after: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, before), nn.Conv2d(before, after, 3, padding=1)
        self.time = nn.Linear(time_width, after)
        self.norm2, self.conv2 = nn.GroupNorm(groups, after), nn.Conv2d(after, after, 3, padding=1)
        self.past = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Any, t: Any) -> Any:
        y = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(t))[:, :, None, None]
        return self.past(x) + self.conv2(F.silu(self.norm2(y)))


class Crossing(nn.Module):
    """Looks at itself, at the text, and thinks (gated)."""

    def __init__(self, width: int, heads: int, text: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.look = Attention(width, heads, inner=False)
        self.read = Attention(width, heads, onto=text, inner=False)
        self.up, self.down = nn.Linear(width, 8 * width), nn.Linear(4 * width, width)

    def forward(self, x: Any, text: Any) -> Any:
        x = x + self.look(self.norms[0](x))
        x = x + self.read(self.norms[1](x), self.read.pair(text))
        y, gate = self.up(self.norms[2](x)).chunk(2, dim=-1)
        return x + self.down(y * F.gelu(gate))


class Crossings(nn.Module):
    def __init__(self, width: int, heads: int, depth: int, text: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width)
        self.inwards, self.outwards = nn.Linear(width, width), nn.Linear(width, width)
        self.layers = nn.ModuleList(Crossing(width, heads, text) for _ in range(depth))

    def forward(self, x: Any, text: Any) -> Any:
        batch, width, high, wide = x.shape
        y = self.inwards(self.norm(x).flatten(2).transpose(1, 2))
        for layer in self.layers:
            y = layer(y, text)
        return x + self.outwards(y).transpose(1, 2).reshape(batch, width, high, wide)


class Unet(nn.Module):
    """The UNet of Stable Diffusion and SDXL (arXiv 2112.10752, 2307.01952), from the names that diffusers gives its parts."""

    def __init__(self, c: Json) -> None:
        super().__init__()
        widths, n = c["block_out_channels"], len(c["block_out_channels"])
        per, groups, text = (
            c.get("layers_per_block", 2),
            c.get("norm_num_groups", 32),
            c["cross_attention_dim"],
        )
        depths = c.get("transformer_layers_per_block", 1)
        depths = depths if isinstance(depths, list) else [depths] * n
        heads = c["attention_head_dim"]  # diffusers' name for the number of heads
        heads = heads if isinstance(heads, list) else [heads] * n
        crossed = ["CrossAttn" in kind for kind in c["down_block_types"]]
        time_width = 4 * widths[0]
        self.start, self.text = widths[0], text
        self.time = nn.Sequential(
            nn.Linear(widths[0], time_width), nn.SiLU(), nn.Linear(time_width, time_width)
        )
        added = c.get("projection_class_embeddings_input_dim")
        self.added = added
        self.more = (
            nn.Sequential(nn.Linear(added, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
            if added
            else None
        )
        self.entry = nn.Conv2d(4, widths[0], 3, padding=1)

        def crossing(level: int) -> nn.Module | None:
            return Crossings(widths[level], heads[level], depths[level], text, groups)

        self.down, skips, width = nn.ModuleList(), [widths[0]], widths[0]
        for level, out in enumerate(widths):
            for _ in range(per):
                self.down.append(
                    nn.ModuleList(
                        [
                            Residual(width, out, time_width, groups),
                            crossing(level) if crossed[level] else None,
                        ]
                    )
                )
                width = out
                skips.append(out)
            if level < n - 1:
                self.down.append(nn.ModuleList([nn.Conv2d(out, out, 3, stride=2, padding=1), None]))
                skips.append(out)
        self.middle = nn.ModuleList(
            [
                Residual(width, width, time_width, groups),
                crossing(n - 1),
                Residual(width, width, time_width, groups),
            ]
        )
        self.up = nn.ModuleList()
        for level in reversed(range(n)):
            for _ in range(per + 1):
                self.up.append(
                    nn.ModuleList(
                        [
                            Residual(width + skips.pop(), widths[level], time_width, groups),
                            crossing(level) if crossed[level] else None,
                        ]
                    )
                )
                width = widths[level]
            if level:
                self.up.append(nn.ModuleList([nn.Conv2d(width, width, 3, padding=1), None]))
        self.norm, self.exit = nn.GroupNorm(groups, width), nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, x: Any, step: Any, text: Any, added: Any) -> Any:
        half = self.start // 2
        rates = torch.exp(-math.log(10000) * torch.arange(half, device=x.device) / half)
        waves = step[:, None].float() * rates
        t = self.time(torch.cat((waves.cos(), waves.sin()), dim=-1).to(x.dtype))
        if self.more is not None:
            t = t + self.more(added)
        x = self.entry(x)
        kept = [x]
        for first, second in self.down:
            x = first(x, t) if isinstance(first, Residual) else first(x)
            x = x if second is None else second(x, text)
            kept.append(x)
        x = self.middle[2](self.middle[1](self.middle[0](x, t), text), t)
        for first, second in self.up:
            if isinstance(first, Residual):
                x = first(torch.cat((x, kept.pop()), dim=1), t)
                x = x if second is None else second(x, text)
            else:
                x = first(F.interpolate(x, scale_factor=2.0))
        return self.exit(F.silu(self.norm(x)))


# ------------------------------------------------------------------------------------------------------------- the cases

# One step of a case: the work, and the parts of it that have a name.
Step = Callable[[], tuple[Mapping[str, int], Sequence[Span]]]


@dataclass(frozen=True, slots=True)
class Case:
    """One architecture at one operating point. ``priority`` 0 matters most; ``seconds`` is how long it takes on a large GPU."""

    name: str
    kind: str
    config: str
    tiny: str
    batch: int
    priority: int
    seconds: float
    input: int = 0  # tokens of a prompt; steps of denoising
    output: int = 0  # tokens


TASKS = {
    "chat": "text-generation",
    "vision": "image-classification",
    "speech": "automatic-speech-recognition",
    "diffusion": "text-to-image",
}

CASES: tuple[Case, ...] = (
    Case("chat-8b-batch-1", "chat", "llama-3.1-8b", "tiny-llama", 1, 0, 42, 512, 128),
    Case("chat-8b-batch-32", "chat", "llama-3.1-8b", "tiny-llama", 32, 0, 45, 512, 128),
    Case("diffusion-sdxl", "diffusion", "sdxl", "tiny-diffusion", 1, 0, 42, 30),
    Case("vision-vit-large-batch-64", "vision", "vit-large", "tiny-vit", 64, 1, 37),
    Case("speech-whisper-large-v3", "speech", "whisper-large-v3", "tiny-whisper", 1, 1, 39, 4, 64),
    Case("chat-1b-batch-1", "chat", "llama-3.2-1b", "tiny-llama", 1, 1, 39, 512, 128),
    Case("chat-32b-batch-1", "chat", "qwen2.5-32b", "tiny-llama", 1, 1, 62, 512, 128),
    Case("chat-32b-batch-32", "chat", "qwen2.5-32b", "tiny-llama", 32, 2, 68, 512, 128),
    Case("chat-0.1b-batch-1", "chat", "smollm2-135m", "tiny-llama", 1, 2, 39, 512, 128),
    Case("chat-1b-batch-32", "chat", "llama-3.2-1b", "tiny-llama", 32, 2, 39, 512, 128),
    Case("vision-vit-large-batch-1", "vision", "vit-large", "tiny-vit", 1, 2, 37),
    Case("speech-whisper-large-v3-batch-16", "speech", "whisper-large-v3", "tiny-whisper", 16, 2, 40, 4, 64),
    Case("chat-8b-batch-1-long", "chat", "llama-3.1-8b", "tiny-llama", 1, 3, 45, 8192, 128),
)


def network(kind: str, c: Json) -> nn.Module:
    """The network of a configuration, on torch's present device and in its present type."""
    if kind == "chat":
        return Llama(c)
    if kind == "vision":
        return Vit(c)
    if kind == "speech":
        return Whisper(c)
    return Unet(c["unet"])


def generated(
    batch: int,
    prompt: int,
    output: int,
    first: Callable[[], Any],
    then: Callable[[Any, int], Any],
    units: Mapping[str, int],
) -> tuple[Mapping[str, int], Sequence[Span]]:
    """Tokens one after the other, greedily; the queue is drained after the first and after the last."""
    drain()
    start = time.monotonic()
    ids = first().argmax(dim=-1, keepdim=True)
    drain()
    edge = time.monotonic()
    for number in range(output - 1):
        ids = then(ids, prompt + number).argmax(dim=-1, keepdim=True)
    drain()
    end = time.monotonic()
    spans = [
        (
            "prefill",
            start,
            edge,
            {"token": batch, **{unit: n for unit, n in units.items() if unit == "input_token"}},
        ),
        ("decode", edge, end, {"token": batch * (output - 1)}),
    ]
    return {"request": batch, "token": batch * output, **units}, spans


def chat(net: Any, case: Case, device: Any) -> Step:
    prompt, output = min(case.input, net.c["max_position_embeddings"] - case.output), case.output
    source = torch.Generator(device).manual_seed(0)
    ids = torch.randint(net.c["vocab_size"], (case.batch, prompt), device=device, generator=source)
    turns = net.turns(prompt + output)
    caches = net.caches(case.batch, prompt + output)

    def step() -> tuple[Mapping[str, int], Sequence[Span]]:
        return generated(
            case.batch,
            prompt,
            output,
            lambda: net(ids, caches, 0, turns),
            lambda new, at: net(new, caches, at, turns),
            {"input_token": case.batch * prompt},
        )

    return step


def vision(net: Any, case: Case, device: Any) -> Step:
    side = 2 * [int(math.sqrt(net.places.shape[1] - 1)) * net.patches.kernel_size[0]]
    images = torch.randn(case.batch, 3, *side, device=device, dtype=net.first.dtype)

    def step() -> tuple[Mapping[str, int], Sequence[Span]]:
        net(images).argmax(dim=-1).cpu()
        return {"request": case.batch}, ()

    return step


def speech(net: Any, case: Case, device: Any) -> Step:
    frames = 2 * net.c["max_source_positions"]  # a frame each 10 ms
    features = torch.randn(case.batch, net.c["num_mel_bins"], frames, device=device, dtype=net.times.dtype)
    ids = torch.zeros(case.batch, case.input, dtype=torch.long, device=device)
    caches = net.caches(case.batch, case.input + case.output)

    def step() -> tuple[Mapping[str, int], Sequence[Span]]:
        heard: list[Any] = []

        def first() -> Any:
            heard[:] = net.listen(features)
            return net(ids, caches, 0, heard)

        return generated(
            case.batch,
            case.input,
            case.output,
            first,
            lambda new, at: net(new, caches, at, heard),
            {"audio_second": case.batch * frames // 100},
        )

    return step


def diffusion(net: Any, case: Case, device: Any) -> Step:
    """The denoising alone, with guidance: each step for the text and without it. No text encoder, no decoding of the latents."""
    size = 128 if net.added else 8
    dtype = net.entry.weight.dtype
    latents = torch.randn(2 * case.batch, 4, size, size, device=device, dtype=dtype)
    text = torch.randn(2 * case.batch, 77, net.text, device=device, dtype=dtype)
    added = torch.randn(2 * case.batch, net.added, device=device, dtype=dtype) if net.added else None

    def step() -> tuple[Mapping[str, int], Sequence[Span]]:
        drain()
        start = time.monotonic()
        x = latents
        for number in range(case.input):
            at = torch.full((2 * case.batch,), 1000 - number, device=device)
            with_text, without = net(x, at, text, added).chunk(2)
            noise = without + 5.0 * (with_text - without)
            x = x - torch.cat((noise, noise)) / case.input
        drain()
        done = {"image": case.batch}
        return {"request": case.batch, **done}, [
            ("denoising", start, time.monotonic(), {"step": case.input, **done})
        ]

    return step


STEPS = {"chat": chat, "vision": vision, "speech": speech, "diffusion": diffusion}


# ------------------------------------------------------------------------------------------------------------- measuring


def build(case: Case, *, tiny: bool, device: Any, dtype: Any) -> tuple[nn.Module, Step]:
    """The network with random weights, made where it belongs, and a step of the case with it."""
    before = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            net = network(case.kind, shape(case.tiny if tiny else case.config)).eval()
    finally:
        torch.set_default_dtype(before)
    for one in net.parameters():  # numbers of a sensible size all through: no NaN, no zeros that cost less
        one.requires_grad_(False)
    return net, STEPS[case.kind](net, case, device)


def packed(run: Run, path: Path) -> int:
    """The run's journal as one compressed file; its size in bytes. The same journal gives the same bytes."""
    assert run.journal is not None
    content = run.journal.read_bytes()
    if run.journal.suffix == ".gz":
        content = gzip.decompress(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0))
    return path.stat().st_size


def measured(case: Case, *, tiny: bool, device: Any, dtype: Any, out: Path) -> Json:
    """One case from loading to idling: its journal is kept, and what was done is told."""
    idle_s, warm_s, repeat_s, repeats = (0.2, 0.1, 0.2, 2) if tiny else (IDLE_S, WARM_S, REPEAT_S, REPEATS)
    name = case.tiny if tiny else case.config
    with torch.device("meta"):
        parameters = sum(one.numel() for one in network(case.kind, shape(name)).parameters())
    said: list[str] = []
    took: list[float] = []
    with tempfile.TemporaryDirectory(prefix="gpu-models-") as scratch:
        run = measure(
            "inference",
            model=Model(id=f"random/{name}", parameters=parameters, dtype=str(dtype).removeprefix("torch.")),
            task=Task(
                name=TASKS[case.kind], protocol=None, unit="image" if case.kind == "diffusion" else "request"
            ),
            load=Load(items=case.batch, batch_size=case.batch, max_new_tokens=case.output or None, seed=0),
            output_dir=Path(scratch) / "run",
            sensors=["nvml", "rapl"],
            report=said.append,
        )
        try:
            with run, torch.inference_mode():
                run.tell(
                    "random-weights",
                    "the model was built from a configuration with random weights, in plain torch; the energy is that of its architecture",
                    "Its answers mean nothing and no quality is told; name a trained model for a figure of one",
                    "degrades",
                )
                with run.window("load", sync=True):
                    net, step = build(case, tiny=tiny, device=device, dtype=dtype)
                with run.window("idle-before"):
                    time.sleep(idle_s)
                for window_name, seconds in (("warm-up", warm_s), *[("measured", repeat_s)] * repeats):
                    with run.window(window_name, sync=True) as window:
                        start = time.monotonic()
                        while time.monotonic() - start < seconds:
                            began = time.monotonic()
                            work, spans = step()
                            took.append(time.monotonic() - began)
                            window.count(**work)
                            for span in spans if window_name == "measured" else ():
                                run.note(*span)
        finally:
            size = packed(run, out / "journals" / f"{case.name}.jsonl.gz")
    del net, step
    gc.collect()
    peak = None
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    ordered = sorted(took)
    found: Json = {
        "journal": f"{case.name}.jsonl.gz",
        "bytes": size,
        "config": name,
        "parameters": parameters,
        "batch": case.batch,
        "work_of_a_step": dict(work),
        "steps": len(took),
        "step_ms_median": round(1e3 * ordered[len(ordered) // 2], 3),
        "peak_memory_bytes": peak,
    }
    if size > LARGEST_FILE:
        found["error"] = f"its journal is larger than {LARGEST_FILE >> 20} MiB"
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or "models"))
    parser.add_argument("--budget", type=float, default=540.0, help="seconds for everything")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument(
        "--tiny", action="store_true", help="every network as small as it still is one; for tests"
    )
    parser.add_argument("--cases", help="only these, separated by commas")
    options = parser.parse_args(arguments)
    zero = time.monotonic()
    chosen = CASES
    if options.cases:
        wanted = options.cases.split(",")
        unknown = set(wanted) - {case.name for case in CASES}
        if unknown:
            parser.error(f"no such case: {', '.join(sorted(unknown))}")
        chosen = tuple(case for case in CASES if case.name in wanted)
    cuda = torch.cuda.is_available() if options.device == "auto" else options.device == "cuda"
    if not (cuda or options.tiny):
        parser.error("without a GPU only --tiny makes sense")
    device = torch.device("cuda" if cuda else "cpu")
    dtype = torch.bfloat16 if cuda else torch.float32
    options.out.mkdir(parents=True, exist_ok=True)
    told: Json = {
        "schema": SCHEMA,
        "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "version": energy_rating.__version__,
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "dtype": str(dtype).removeprefix("torch."),
        "tiny": options.tiny,
        "cases": {},
    }
    failed = 0
    for index, case in enumerate(chosen):
        elapsed = time.monotonic() - zero
        seconds = 3.0 if options.tiny else case.seconds
        reserved = sum(
            3.0 if options.tiny else one.seconds
            for one in chosen[index + 1 :]
            if one.priority < case.priority
        )
        if elapsed + seconds + reserved > options.budget:
            entry: Json = {"skipped": f"no time left: {elapsed:.0f} s of {options.budget:.0f} s used"}
        else:
            try:
                entry = measured(case, tiny=options.tiny, device=device, dtype=dtype, out=options.out)
            except Exception as error:  # the other cases are still worth an answer
                entry = {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"}
                gc.collect()
                with contextlib.suppress(Exception):
                    torch.cuda.empty_cache()
            entry["seconds"] = round(time.monotonic() - zero - elapsed, 1)
        failed += "error" in entry
        told["cases"][case.name] = entry
        draft = options.out / "models.part"
        draft.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        draft.replace(options.out / "models.json")
        word = entry.get("error") or entry.get("skipped") or f"{entry['step_ms_median']:.1f} ms a step"
        print(f"[{time.monotonic() - zero:6.1f} s] {case.name}: {word}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
