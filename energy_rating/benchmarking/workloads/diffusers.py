"""Texts to images with the ``diffusers`` library: a saved pipeline, run in this process, in eager mode as it comes.

Weights are read from safetensors only, and code that comes with a model is never run. What is counted is what the pipeline
gave: one image for each text, whatever is on it. ``random_weights`` builds a Stable Diffusion pipeline of the shape that a file of
JSON names (``tasks/configs/``), on the device and in the type asked for; it needs no other files.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import inspect
import json
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from energy_rating.benchmarking.engine_account import account
from energy_rating.benchmarking.parts import refuse_missing
from energy_rating.benchmarking.work import Done, Item, Settings, Stretch, Workload, refuse, text_of
from energy_rating.benchmarking.workloads.transformers.library import torch_device
from energy_rating.files.opening import opened, read_whole, refuse_what_waits
from energy_rating.files.shipped import TASKS
from energy_rating.measuring.queues import drain_queues
from energy_rating.nouns.errors import BadInput, EnergyRatingError, PipelineFailed, first_line
from energy_rating.nouns.records import Finding, Model, Number

DTYPES = ("float32", "float16", "bfloat16")

INSTALL = 'Run: pip install "energy-rating[diffusers]"'

NEEDED = ("torch", "diffusers", "transformers")

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)

KEPT_IMAGES = 4
LARGEST_HEADER = 100_000_000  # bytes, of a safetensors file; the format's own limit


# The options that it heeds, beside those that every workload does.
UNDERSTANDS = ("dtype", "steps", "height", "width", "frames", "random_weights")


def prepared(model: str, settings: Settings) -> tuple[Workload, Model]:
    """The workload for a saved pipeline, and what its files say of it.

    Raises:
        BadInput: there is no such pipeline on this machine, or no such type.
        EnergyRatingError: a package is missing.
    """
    source = _source(model) if settings.random_weights is None else model
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise EnergyRatingError(f"{package} is not installed", INSTALL)
    refuse(
        settings,
        "diffusers",
        understands=UNDERSTANDS,
        options=("fps",),
    )
    dtype = settings.dtype or DTYPES[0]
    shape = None if settings.random_weights is None else read_shape(settings.random_weights)
    workload = Diffusers(
        model,
        dtype=dtype,
        steps=settings.steps,
        height=settings.height,
        width=settings.width,
        frames=settings.frames,
        fps=_rate_asked_for(settings),
        batch_size=settings.batch_size,
        seed=settings.seed,
        local_files_only=not settings.download,
        shape=shape,
    )
    if shape is not None and settings.random_weights is not None:
        name = f"random/{settings.random_weights.stem}"
        return workload, Model(id=name, parameters=_parameters_of_shape(shape), dtype=dtype)
    if settings.download and not Path(source).is_dir():
        return workload, Model(id=_name(model), dtype=dtype)  # what it is, is known when it is here
    folder = Path(source if Path(source).is_dir() else _downloaded(source))
    for component in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        refuse_missing(component, _name(model))
    return workload, Model(id=_name(model), parameters=_parameters(folder), dtype=dtype)


def _rate_asked_for(settings: Settings) -> float | None:
    fps = settings.options.get("fps")
    if fps is None:
        return None
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < math.inf:
        raise BadInput(
            f"fps must be a number above 0; got {str(fps)[:80]!r}", "Such as fps=16", place="--option fps"
        )
    return float(fps)


class Diffusers:
    """A workload whose items are texts; each becomes one image.

    The same item gives the same image, wherever it stands: every image starts from noise of the same seed. (Between devices,
    library versions and batch sizes, sums are rounded differently.)
    ``images`` holds the first few images of the last ``run``, as the pipeline gives them: all of them could fill the memory.
    ``device`` says where the pipeline runs, once it is loaded: ``gpu`` or ``cpu``; ``pipeline`` is that of the library, None before.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        dtype: str = DTYPES[0],
        device: str | None = None,
        steps: int | None = None,
        height: int | None = None,
        width: int | None = None,
        frames: int | None = None,
        fps: float | None = None,
        batch_size: int = 1,
        seed: int = 0,
        local_files_only: bool = True,
        shape: Mapping[str, Any] | None = None,
    ) -> None:
        """Loads nothing yet.

        Args:
            model: the folder of a saved pipeline, or its id on the hub.
            dtype: of the weights and of the arithmetic: float32, float16 or bfloat16.
            device: as torch names it; by default ``cuda`` if there is one, else ``cpu``.
            steps: of denoising; by default as many as the pipeline takes by itself.
            height: of the images in pixels; by default the pipeline's.
            width: likewise.
            frames: of a video, where the pipeline makes one; by default the pipeline's.
            fps: frames a second of a video; by default the pipeline's, where it names one.
            batch_size: texts at a time.
            seed: of the noise.
            local_files_only: a pipeline that is not on this machine is not downloaded. A folder never needs the network.
            shape: of a pipeline with random weights, in place of a saved one (see ``read_shape``).

        Raises:
            BadInput: a number is out of its range, or there is no such type.
        """
        given = {
            "steps": steps,
            "height": height,
            "width": width,
            "frames": frames,
            "batch_size": batch_size,
        }
        for name, value in given.items():
            if value is not None and value < 1:
                raise BadInput(f"must be at least 1; got {value!r}", place=name)
        if (height is None) != (width is None):  # with one of them, some pipelines ignore it
            raise BadInput("one is given without the other", "Give both, or neither", place="height, width")
        if dtype not in DTYPES:
            raise BadInput(
                f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}", "Name one of these", place="dtype"
            )
        self._model = model
        self._dtype = dtype
        self._device = device
        self._batch_size = batch_size
        self._seed = seed
        self._local_files_only = local_files_only
        self._shape = shape
        asked = {"num_inference_steps": steps, "height": height, "width": width, "num_frames": frames}
        self._asked = {name: value for name, value in asked.items() if value is not None}
        self._fps = fps
        self.pipeline: Any = None
        self._account: tuple[Finding, ...] = ()
        self._noise_device = ""
        self._stretches: list[Stretch] = []
        self.device = ""
        self.images: tuple[Any, ...] = ()

    # -- the three members

    def load(self) -> None:
        """Reads the pipeline and moves it to the device. Reads it anew if it was loaded already.

        Raises:
            BadInput: there is no such folder or device, or the pipeline takes no texts or not what it is asked for.
            EnergyRatingError: a package is missing.
            PipelineFailed: it could not be read, or does not fit on the device.
        """
        self.close()
        source, name = self._model if self._shape else _source(self._model), _name(self._model)
        torch, diffusers, _ = _libraries()
        device = torch_device(self._device, torch)
        if self._shape is None and self._local_files_only and not Path(source).is_dir():
            source = _downloaded(str(source))
        try:
            with _silence():
                if self._shape is not None:
                    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                        torch.manual_seed(self._seed)
                        pipeline = _built(self._shape, device, getattr(torch, self._dtype))
                else:
                    pipeline = diffusers.DiffusionPipeline.from_pretrained(
                        source,
                        dtype=getattr(torch, self._dtype),
                        local_files_only=Path(source).is_dir(),
                        use_safetensors=True,
                        trust_remote_code=False,
                    )
                pipeline.to(device)
        except (
            Exception
        ) as error:  # broken files, missing libraries and full devices raise whatever they like
            raise _failed_to_load(error, name) from error
        _check_takes(pipeline, ("prompt", "generator", *self._asked), name)
        pipeline.set_progress_bar_config(disable=True)
        drain_queues()
        self._account = _account_of(pipeline, diffusers)
        self.pipeline, self._noise_device = pipeline, str(device)
        self.device = "cpu" if device.type == "cpu" else "gpu"

    def run(self, items: Sequence[Item | str]) -> Done:
        """Makes an image of each item and returns when the device has done everything it was asked to.

        Returns:
            ``request``, the items, and ``image``, those that the pipeline gave (of a pipeline that makes videos ``video`` and
            ``frame``, and ``video_second`` where it names its frames a second, or they were asked for). The denoising is a stretch of its own, with its ``step``s, in a pipeline that tells of them.

        Raises:
            BadInput: nothing is loaded, an item is no text, or the pipeline refuses what it is asked for.
            PipelineFailed: it broke off.
        """
        if self.pipeline is None:
            raise BadInput("no pipeline is loaded", "Call load() first")
        for number, item in enumerate(items, start=1):
            if not isinstance(item, Item | str):
                raise BadInput(f"must be a text; got {type(item).__name__}", place=f"item {number}")
        made: dict[str, Number] = {}
        kept: list[Any] = []
        self._stretches = []
        for start in range(0, len(items), self._batch_size):
            prompts = [text_of(item) for item in items[start : start + self._batch_size]]
            images, work = self._make(prompts, start + 1)
            for unit, amount in work.items():
                made[unit] = made.get(unit, 0) + amount
            kept += images[: KEPT_IMAGES - len(kept)]
        drain_queues()
        self.images = tuple(kept)
        told, self._account = self._account, ()  # once is enough: it stays as it is
        return Done(
            work={"request": len(items), **(made or {"image": 0})},
            spans=tuple(self._stretches),
            findings=told,
        )

    def close(self) -> None:
        """Lets go of the pipeline and of the device's memory."""
        if self.pipeline is None:
            return
        self.pipeline = None
        gc.collect()
        torch = sys.modules["torch"]
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    # -- one batch

    def _make(self, prompts: Sequence[str], number: int) -> tuple[Sequence[Any], Mapping[str, Number]]:
        torch = sys.modules["torch"]
        which = f"item {number}" if len(prompts) == 1 else f"items {number} to {number + len(prompts) - 1}"
        # Some pipelines make other videos for other rates.
        name = None if self._fps is None else _rate_argument(self.pipeline)
        rate = {} if name is None else {name: self._fps}
        noise = [torch.Generator(self._noise_device).manual_seed(self._seed) for _ in prompts]
        try:
            with _Denoising(self.pipeline) as denoising:
                output = self.pipeline(
                    prompt=list(prompts), generator=noise, **self._asked, **rate, **denoising.arguments
                )
        except (ValueError, TypeError) as error:  # how pipelines refuse their arguments
            raise BadInput(f"the pipeline refuses it ({first_line(error)})", place=which) from error
        except Exception as error:
            raise PipelineFailed(
                f"the pipeline broke off at {which}: {first_line(error)}",
                "Lower batch_size, height and width if the device's memory is too small",
            ) from error
        self._stretches += denoising.stretches()
        videos = getattr(output, "frames", None)
        if videos is not None:
            made: dict[str, Number] = {"video": len(videos), "frame": sum(len(video) for video in videos)}
            fps = self._fps or _rate_of(self.pipeline)
            return [], made if fps is None else {**made, "video_second": made["frame"] / fps}
        images = getattr(output, "images", None)
        if images is None:
            raise BadInput(
                f"{type(self.pipeline).__name__} gives no images",
                "Name a text-to-image pipeline",
                place=_name(self._model),
            )
        size = self._asked.get("width"), self._asked.get("height")
        # Some pipelines round the size to what their network can take.
        if None not in size and images and images[0].size != size:
            raise BadInput(
                f"the pipeline makes images of {images[0].size}, not of {size} pixels",
                "Ask for what it can make",
                place="width, height",
            )
        return list(images), {"image": len(images)}


# What pipelines call the frames a second that they make a video for (LTX: frame_rate; Cosmos, Sana: fps).
RATES = ("frame_rate", "fps")


def _rate_argument(pipeline: Any) -> str | None:
    parameters = inspect.signature(pipeline.__call__).parameters
    return next((name for name in RATES if name in parameters), None)


def _rate_of(pipeline: Any) -> float | None:
    """Frames a second, as the pipeline itself has it; None where it does not say: then nobody knows how long its videos are."""
    name = _rate_argument(pipeline)
    rate = inspect.signature(pipeline.__call__).parameters[name].default if name is not None else None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
        return None
    return float(rate)


class _Denoising:
    """When the denoising of one call of a pipeline begins and ends, and how many steps it has.

    It begins when the network that denoises is first called, and ends with the last step; at these two moments, and at no step
    between them, the queues are drained. Pipelines that do not tell of their steps are left alone.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self._network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
        told = "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters
        self._watched = told and hasattr(self._network, "register_forward_pre_hook")
        self.arguments: dict[str, Any] = {"callback_on_step_end": self._stepped} if self._watched else {}
        self._hook: Any = None
        self._start_s: float | None = None
        self._end_s = 0.0
        self._steps = 0

    def __enter__(self) -> _Denoising:
        if self._watched:
            assert self._network is not None
            self._hook = self._network.register_forward_pre_hook(self._began)
        return self

    def __exit__(self, *_: object) -> None:
        if self._hook is not None:
            self._hook.remove()

    def _began(self, *_: object) -> None:
        if self._start_s is None:
            drain_queues()
            self._start_s = time.monotonic()

    def _stepped(self, pipeline: Any, step: int, _: object, given: dict[str, Any]) -> dict[str, Any]:
        self._steps += 1
        if step + 1 >= getattr(pipeline, "num_timesteps", 0):
            drain_queues()
            self._end_s = time.monotonic()
        return given

    def stretches(self) -> list[Stretch]:
        """The denoising; nothing where it was not seen from its beginning to its end."""
        if self._start_s is None or self._end_s < self._start_s:
            return []
        work = {"step": self._steps}
        return [Stretch(name="denoising", start_s=self._start_s, end_s=self._end_s, work=work)]


def random_pipeline(
    folder: Path, *, size: int = 32, channels: Sequence[int] = (32, 64), text_layers: int = 2, seed: int = 0
) -> Path:
    """Writes a small Stable Diffusion pipeline of random weights; needs no network.

    Random weights cost the energy of the architecture, and give no quality: what comes out is noise. It stands in where no
    trained model can be had; figures of it say nothing about any model that people use. With the defaults: 6 MB, images of
    32 × 32 pixels, 50 steps.

    Args:
        folder: where to; empty or not there yet.
        size: height and width of the images, in pixels; a multiple of 8, and of 4 for each channel but the last.
        channels: of the blocks of the UNet and of the autoencoder; multiples of 32.
        text_layers: of the text encoder.
        seed: of the weights.

    Returns:
        The folder.

    Raises:
        BadInput: the folder is not empty, or the size and the channels do not go together.
        EnergyRatingError: a package is missing.
    """
    # The autoencoder halves the size in each block but the last, and so does the UNet; Stable Diffusion asks for three.
    halvings = max(3, 2 * (len(channels) - 1))
    if not channels or any(width < 32 or width % 32 for width in channels):
        raise BadInput(f"{list(channels)} are not multiples of 32", place="channels")
    if size < 1 or size % 2**halvings:
        raise BadInput(f"must be a multiple of {2**halvings}; got {size}", place="size")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("is there already", "Name a new or an empty folder", place=folder)
    torch, diffusers, transformers = _libraries()
    with _silence(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = transformers.CLIPTokenizer(vocab=_letters(), merges=[], model_max_length=77)
        text_encoder = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=channels[0],
                intermediate_size=4 * channels[0],
                num_hidden_layers=text_layers,
                num_attention_heads=channels[0] // 8,
                max_position_embeddings=77,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        blocks = len(channels)
        autoencoder = diffusers.AutoencoderKL(
            block_out_channels=tuple(channels),
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            latent_channels=4,
            sample_size=size,
        )
        # As in Stable Diffusion, the block of the lowest resolution does without attention, if there are several.
        plain = min(1, blocks - 1)
        unet = diffusers.UNet2DConditionModel(
            sample_size=size // 2 ** (blocks - 1),
            layers_per_block=1,
            block_out_channels=tuple(channels),
            down_block_types=("CrossAttnDownBlock2D",) * (blocks - plain) + ("DownBlock2D",) * plain,
            up_block_types=("UpBlock2D",) * plain + ("CrossAttnUpBlock2D",) * (blocks - plain),
            cross_attention_dim=channels[0],
            attention_head_dim=8,
        )
        pipeline = diffusers.StableDiffusionPipeline(
            vae=autoencoder,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


# The pipelines that can be built with random weights, and the text encoders that each has.
SHAPES: Mapping[str, Mapping[str, str]] = {
    "StableDiffusionPipeline": {"text_encoder": "CLIPTextModel"},
    "StableDiffusionXLPipeline": {
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "CLIPTextModelWithProjection",
    },
}
LARGEST_SHAPE = 1 << 20  # bytes


def read_shape(path: Path) -> Mapping[str, Any]:
    """The shape of a pipeline from a file of JSON, or from one that ships with the package, by its name alone.

    ``_class_name`` is the pipeline; ``unet``, ``vae``, ``text_encoder`` (and ``text_encoder_2``) hold what diffusers and transformers call
    their configurations.

    Raises:
        BadInput: there is no such file, or it holds no such shape.
    """
    shipped = TASKS / "configs" / f"{path.name}.json"
    if not path.is_file() and path.absolute().parent == Path.cwd() and shipped.is_file():  # a name alone
        path = shipped
    try:
        shape = json.loads(read_whole(path, LARGEST_SHAPE).decode())
        kind = shape["_class_name"]
        if not all(isinstance(shape[part], dict) for part in ("unet", "vae", *SHAPES[kind])):
            raise ValueError("a part of it is missing")
    except BadInput as error:
        remedy = "Such as sdxl or tiny-diffusion, which ship with the package"
        raise BadInput(error.message, remedy, place=path) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"is not the shape of a pipeline ({first_line(error)})",
            f"_class_name is one of {', '.join(SHAPES)}, beside unet, vae and text_encoder",
            place=path,
        ) from error
    found: Mapping[str, Any] = shape
    return found


def _built(shape: Mapping[str, Any], device: Any, dtype: Any) -> Any:
    """A pipeline of that shape with random weights, made where they belong."""
    torch, diffusers, transformers = _libraries()
    # Every prompt is padded to the 77 places that CLIP has, so that the words of it change nothing of what it costs.
    tokenizer = transformers.CLIPTokenizer(vocab=_letters(), merges=[], model_max_length=77)
    marks = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            parts: dict[str, Any] = {
                "unet": diffusers.UNet2DConditionModel(**shape["unet"]),
                "vae": diffusers.AutoencoderKL(**shape["vae"]),
            }
            for name, kind in SHAPES[shape["_class_name"]].items():
                config = transformers.CLIPTextConfig(**{**shape[name], **marks})
                parts[name] = getattr(transformers, kind)(config)
                parts[name.replace("text_encoder", "tokenizer")] = tokenizer
    finally:
        torch.set_default_dtype(before)
    extras: dict[str, Any] = {"scheduler": diffusers.EulerDiscreteScheduler()}
    if shape["_class_name"] == "StableDiffusionPipeline":
        extras = {
            "scheduler": diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
            "safety_checker": None,
            "feature_extractor": None,
            "requires_safety_checker": False,
        }
    return getattr(diffusers, shape["_class_name"])(**parts, **extras)


def _parameters_of_shape(shape: Mapping[str, Any]) -> int:
    """Of all its networks, without making any: on torch's ``meta`` device."""
    torch, _, _ = _libraries()
    with _silence():
        try:
            pipeline = _built(shape, "meta", torch.float32)
        except Exception as error:  # a stranger's numbers
            raise BadInput(
                f"no pipeline can be built of it ({first_line(error)})", place="--random-weights"
            ) from error
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return sum(weights.numel() for part in parts for weights in part.parameters())


def _letters() -> dict[str, int]:
    """A vocabulary without words: every byte, within a word and at its end (as CLIP's marks it), and the two marks."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


def _libraries() -> tuple[Any, Any, Any]:
    """torch, diffusers and transformers."""
    try:
        import torch  # isort: skip  first: the others look for it
        import diffusers
        import transformers
    except ModuleNotFoundError as error:
        raise EnergyRatingError(f"{error.name} is not installed", INSTALL) from error
    except ImportError as error:
        raise EnergyRatingError(f"diffusers cannot be imported ({first_line(error)})", INSTALL) from error
    return torch, diffusers, transformers


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Meanwhile without the libraries' progress bars and advice; what fails is raised all the same."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    before = [
        (logging, logging.get_verbosity(), logging.is_progress_bar_enabled())
        for logging in (of_diffusers, of_transformers)
    ]
    for logging, _, _ in before:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging, verbosity, shown in before:
            logging.set_verbosity(verbosity)
            if shown:
                logging.enable_progress_bar()


def _account_of(pipeline: Any, diffusers: Any) -> tuple[Finding, ...]:
    """How the library says that it runs a pipeline, as the record's operating point."""
    told = account(
        {
            "engine": "diffusers",
            "engine_version": str(diffusers.__version__),
            "attention": _attention_of(pipeline),
        }
    )
    return () if told is None else (told,)


def _attention_of(pipeline: Any) -> str | None:
    """Which attention the network that denoises computes with; None: it does not say.

    The processors of its layers (``AttnProcessor2_0`` is torch's own, fused one), and, where those leave it to a backend
    (``set_attention_backend``, since 0.35), that one's name.
    """
    net = getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None)
    processors = getattr(net, "attn_processors", None)
    if not isinstance(processors, Mapping):
        return None
    names = {type(one).__name__ for one in processors.values()}
    backends = [getattr(one, "_attention_backend", None) for one in processors.values()]
    told = list({str(getattr(one, "value", one)) for one in backends if one is not None})
    if not told and any("_attention_backend" in dir(type(one)) for one in processors.values()):
        told = [_usual_backend()]
    return ", ".join([*sorted(names), *sorted(filter(None, told))]) or None


def _usual_backend() -> str:
    """What is taken where no network asks for another; the library has no public word for it."""
    dispatch = sys.modules.get("diffusers.models.attention_dispatch")
    registry = getattr(dispatch, "_AttentionBackendRegistry", None)
    usual = getattr(registry, "_active_backend", None)
    return "" if usual is None else str(getattr(usual, "value", usual))


def _source(model: str | Path) -> str:
    """The folder, or the id on the hub."""
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise BadInput("holds no pipeline", "Save it there with save_pretrained()", place=folder)
        refuse_what_waits(folder)
        return str(folder)
    if isinstance(model, Path) or not HUB_ID.fullmatch(model):
        raise BadInput("there is no such folder", "Name the folder of a saved pipeline", place=folder)
    return model


def _downloaded(model: str) -> str:
    """The folder where an earlier download from the hub is kept. (With diffusers' own search, something is sent even so.)"""
    from huggingface_hub import try_to_load_from_cache

    try:
        index = try_to_load_from_cache(model, "model_index.json")
    except ValueError:  # this is no id
        index = None
    if not isinstance(index, str):
        raise BadInput(
            "there is no such folder, and no such download from the hub",
            "Name the folder of a saved pipeline, or allow fetching it with --download",
            place=model,
        )
    return str(Path(index).parent)


def _check_takes(pipeline: Any, arguments: Sequence[str], name: str) -> None:
    taken = inspect.signature(pipeline.__call__).parameters
    for argument in arguments:
        if argument not in taken:
            raise BadInput(
                f"{type(pipeline).__name__} takes no {argument}",
                "Name a text-to-image pipeline" if argument == "prompt" else "Leave it to the pipeline",
                place=name,
            )


def _parameters(folder: Path) -> int | None:
    """The weights of all components, by the headers of their files; None if one of them cannot be understood.

    The format: eight bytes with the length of a JSON object, in which each tensor has its shape.
    https://github.com/huggingface/safetensors#format
    """
    total = 0
    try:
        components = json.loads(read_whole(folder / "model_index.json", LARGEST_HEADER))
        for path in sorted(folder.glob("*/*.safetensors")):
            # Other folders, and model.fp16.safetensors, hold the same weights again.
            if path.parent.name not in components or "." in path.stem:
                continue
            with opened(path) as file:
                header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), LARGEST_HEADER)))
            total += sum(
                math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
            )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, BadInput):
        return None
    return total or None


def _name(model: str | Path) -> str:
    return Path(model).absolute().name if Path(model).is_dir() else str(model)


def _failed_to_load(error: Exception, name: str) -> PipelineFailed:
    """The error, in words of ours where those of the library would lead astray."""
    if "trust_remote_code" in str(error):
        return PipelineFailed(
            f"{name} brings code of its own, which is never run", "Name a pipeline of diffusers' own classes"
        )
    return PipelineFailed(
        f"diffusers could not load {name}: {first_line(error)}",
        "Check that it is whole, that its weights are safetensors, and that there is memory for it",
    )
