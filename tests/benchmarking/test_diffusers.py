"""Texts to images: an image for each text, the same one for the same seed, and one line for whatever is wrong.

A real pipeline with random weights, on the CPU; counts and sameness, never speed or joules.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from network import calls_of_one_test, network_of_this_process  # noqa: F401  fixtures

from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads.diffusers import (
    Diffusers,
    prepared,
    random_pipeline,
)
from energy_rating.nouns.errors import BadInput, EnergyRatingError, PipelineFailed
from energy_rating.nouns.records import Model

MISSING = [name for name in ("torch", "diffusers", "transformers") if importlib.util.find_spec(name) is None]

needs_diffusers = pytest.mark.skipif(
    bool(MISSING), reason=f'needs {", ".join(MISSING)}: pip install "energy-rating[diffusers]"'
)
# All in one process: the libraries take seconds to import.
together = pytest.mark.xdist_group("diffusers")


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


# -------------------------------------------------------------------------------------- without the libraries


def test_the_packages_that_run_models_are_loaded_by_nobody_else() -> None:
    code = """
import sys, energy_rating.benchmarking.workloads.diffusers
sys.exit(bool({"torch", "diffusers", "transformers"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["torch", "diffusers", "transformers"])
def test_a_missing_package_names_the_command_that_brings_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "model_index.json").write_text("{}", encoding="utf-8")
    code = f"""
import sys, types
from pathlib import Path
from energy_rating.nouns.errors import EnergyRatingError
from energy_rating.benchmarking.workloads.diffusers import Diffusers, random_pipeline
for package in ("torch", "diffusers", "transformers"):
    sys.modules[package] = None if package == {name!r} else types.ModuleType(package)
for use in (Diffusers({str(tmp_path)!r}).load, lambda: random_pipeline(Path({str(tmp_path / "new")!r}))):
    try:
        use()
    except EnergyRatingError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (
        done.stdout.splitlines()
        == [f'{name} is not installed. Run: pip install "energy-rating[diffusers]"'] * 2
    )


def test_what_is_no_pipeline_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent: there is no such folder\. Name the folder of a saved"):
        Diffusers(tmp_path / "absent").load()
    with pytest.raises(BadInput, match=r"absent: there is no such folder"):
        Diffusers(f"{tmp_path}/absent").load()
    with pytest.raises(
        BadInput, match=r"holds no pipeline\. Save it there with save_pretrained\(\)"
    ) as caught:
        Diffusers(tmp_path).load()
    one_line(caught.value)


@pytest.mark.parametrize("name", ["steps", "height", "width", "batch_size"])
def test_numbers_out_of_range_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=rf"^{name}: must be at least 1; got 0$"):
        Diffusers(tmp_path, **{name: 0})
    with pytest.raises(
        BadInput, match=r"^dtype: dtype must be one of float32, float16, bfloat16; got 'int4'"
    ):
        Diffusers(tmp_path, dtype="int4")


def test_a_random_pipeline_overwrites_nothing_and_says_what_does_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    with pytest.raises(BadInput, match=r"is there already\. Name a new or an empty folder"):
        random_pipeline(tmp_path)
    with pytest.raises(BadInput, match="^size: must be a multiple of 8; got 60$"):
        random_pipeline(tmp_path / "new", size=60)
    with pytest.raises(BadInput, match=r"^channels: \[32, 48\] are not multiples of 32$"):
        random_pipeline(tmp_path / "new", channels=(32, 48))
    with pytest.raises(BadInput, match="^channels"):
        random_pipeline(tmp_path / "new", channels=())
    assert not (tmp_path / "new").exists()


# ----------------------------------------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, network: list[str]) -> Path:
    network.clear()
    folder = random_pipeline(tmp_path_factory.mktemp("pipelines") / "tiny", size=16)
    assert network == []
    return folder


@pytest.fixture(scope="module")
def loaded(tiny: Path) -> Iterator[Diffusers]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the steadiest, with other tests beside it
    with closing(Diffusers(tiny, device="cpu", steps=2, batch_size=2)) as workload:
        workload.load()
        yield workload
    torch.set_num_threads(threads)


@pytest.mark.slow
@needs_diffusers
@together
def test_every_text_becomes_an_image(calls: list[str], loaded: Diffusers) -> None:
    assert loaded.run(["a cat", "a dog", "雨"]).work == {"request": 3, "image": 3}
    assert [image.size for image in loaded.images] == [(16, 16)] * 3
    assert loaded.device == "cpu"
    assert loaded.run(["a cat"] * 5).work == {"request": 5, "image": 5}
    assert len(loaded.images) == 4
    assert loaded.run([]).work == {"request": 0, "image": 0}
    assert loaded.images == ()
    assert calls == []


@pytest.mark.slow
@needs_diffusers
@together
def test_the_same_text_and_seed_give_the_same_image_and_others_another(loaded: Diffusers, tiny: Path) -> None:
    loaded.run(["a cat", "a dog", "a cat", "a dog"])
    cat, dog, cat_again, dog_again = (image.tobytes() for image in loaded.images)
    assert (cat, dog) == (cat_again, dog_again)
    assert cat != dog
    for seed, same in ((0, True), (1, False)):
        with closing(Diffusers(str(tiny), device="cpu", steps=2, batch_size=2, seed=seed)) as another:
            another.load()
            another.run(["a cat", "a dog"])
            assert (another.images[0].tobytes() == cat) is same


@pytest.mark.slow
@needs_diffusers
@together
def test_steps_size_and_type_are_what_was_asked_for_and_else_the_pipelines(tiny: Path) -> None:
    with closing(Diffusers(tiny, dtype="bfloat16", steps=3, height=24, width=32)) as workload:
        workload.load()
        workload.run(["a cat"])
        assert workload.images[0].size == (32, 24)
        assert workload.pipeline.scheduler.num_inference_steps == 3
        assert str(workload.pipeline.unet.dtype) == "torch.bfloat16"
    with closing(Diffusers(tiny)) as workload:
        workload.load()
        workload.run(["a cat"])
        assert workload.images[0].size == (16, 16)
        assert workload.pipeline.scheduler.num_inference_steps == 50
        assert str(workload.pipeline.unet.dtype) == "torch.float32"


@pytest.mark.slow
@needs_diffusers
@together
def test_nothing_is_printed_and_the_libraries_are_left_as_they_were(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    def state() -> list[object]:
        libraries = (of_diffusers, of_transformers)
        return [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]

    before, noise = state(), torch.get_rng_state()
    with closing(Diffusers(tiny, steps=1)) as workload:
        workload.load()
        workload.run(["a cat"])
    random_pipeline(tiny.with_name("another"), size=16)
    assert capfd.readouterr() == ("", "")
    assert state() == before
    assert torch.equal(torch.get_rng_state(), noise)


@pytest.mark.slow
@needs_diffusers
@together
def test_what_a_pipeline_refuses_is_told_by_item_and_the_next_run_works(
    loaded: Diffusers, tiny: Path
) -> None:
    with pytest.raises(BadInput, match=r"^item 2: must be a text; got int$"):
        loaded.run(["a cat", 7])
    assert loaded.run(["a cat"]).work == {"request": 1, "image": 1}
    with closing(Diffusers(tiny, steps=1, height=30, width=32)) as workload:
        workload.load()
        with pytest.raises(BadInput, match=r"^item 1: the pipeline refuses it \(.*divisible by 8") as caught:
            workload.run(["a cat"])
        one_line(caught.value)
    with closing(Diffusers(tiny, steps=1, height=16, width=16)) as workload:
        workload.load()
        workload._asked["width"] = 24
        make, workload.pipeline = workload.pipeline, lambda **asked: make(**{**asked, "width": 32})
        with pytest.raises(BadInput, match=r"makes images of \(32, 16\), not of \(24, 16\) pixels"):
            workload.run(["a cat"])
    with pytest.raises(BadInput, match=r"^no pipeline is loaded\. Call load\(\) first$"):
        workload.run(["a cat"])


@pytest.mark.slow
@needs_diffusers
@together
def test_a_pipeline_that_breaks_off_gives_one_error_that_says_where(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nSee documentation")

    with closing(Diffusers(tiny, steps=1, batch_size=2)) as workload:
        workload.load()
        monkeypatch.setattr(workload.pipeline.unet, "forward", full)
        with pytest.raises(
            PipelineFailed, match=r"broke off at items 1 to 2: CUDA out of memory\. Tried.*Lower batch_size"
        ) as caught:
            workload.run(["a cat", "a dog", "a fish"])
    assert "documentation" not in one_line(caught.value)


@pytest.mark.slow
@needs_diffusers
@together
def test_a_damaged_or_pickled_pipeline_is_one_error_and_code_in_it_is_not_run(
    tiny: Path, tmp_path: Path
) -> None:
    cut = shutil.copytree(tiny, tmp_path / "cut")
    weights = cut / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    with pytest.raises(PipelineFailed, match=r"could not load cut: .*Check that it is whole") as caught:
        Diffusers(cut).load()
    one_line(caught.value)

    pickled = shutil.copytree(tiny, tmp_path / "pickled")
    for folder, name in (("text_encoder", "pytorch_model.bin"), ("unet", "diffusion_pytorch_model.bin")):
        broken = shutil.copytree(tiny, tmp_path / f"pickled-{folder}")
        next((broken / folder).glob("*.safetensors")).rename(broken / folder / name)
        with pytest.raises(PipelineFailed, match=r"could not load pickled-.*safetensors") as caught:
            Diffusers(broken).load()
        one_line(caught.value)

    for where in ("", "unet/"):
        index = json.loads((tiny / "model_index.json").read_text(encoding="utf-8"))
        index["unet" if where else "_class_name"] = ["theirs", "Theirs"]
        (pickled / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
        ran = tmp_path / "ran"
        (pickled / f"{where}theirs.py").write_text(f"open({str(ran)!r}, 'w').close()", encoding="utf-8")
        with pytest.raises(PipelineFailed, match="brings code of its own, which is never run") as caught:
            Diffusers(pickled).load()
        one_line(caught.value)
        assert not ran.exists()


@pytest.mark.slow
@needs_diffusers
@together
def test_it_is_prepared_with_what_its_files_say(loaded: Diffusers, tiny: Path, tmp_path: Path) -> None:
    import torch

    pipeline = loaded.pipeline
    parameters = sum(
        weights.numel()
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
        for weights in part.state_dict().values()
    )
    settings = Settings(dtype="bfloat16", batch_size=2, seed=5)
    workload, model = prepared(str(tiny), settings)
    assert model == Model(id="tiny", parameters=parameters, dtype="bfloat16")
    with closing(workload):
        workload.load()
        assert workload.pipeline.unet.dtype is torch.bfloat16
    assert prepared(str(tiny), Settings())[1].dtype == "float32"
    again = shutil.copytree(tiny, tmp_path / "again")
    shutil.copytree(again / "vae", again / "vae_1_0")
    weights_file = again / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copyfile(weights_file, weights_file.with_suffix(".fp16.safetensors"))
    assert prepared(str(again), Settings())[1].parameters == parameters
    with pytest.raises(BadInput, match=r"^no-such/pipeline: there is no such folder"):
        prepared("no-such/pipeline", Settings())
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text('{"unet": []}', encoding="utf-8")
    (tmp_path / "unet" / "broken.safetensors").write_bytes(b"\x10")
    assert prepared(str(tmp_path), Settings())[1].parameters is None


@pytest.mark.slow
@needs_diffusers
@together
def test_a_pipeline_that_is_not_here_is_not_looked_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BadInput, match=r"^no-such/pipeline: there is no such folder, and no such download.*--download"
    ) as caught:
        Diffusers("no-such/pipeline").load()
    one_line(caught.value)
    with pytest.raises(BadInput, match=r"^no--such: there is no such folder"):
        Diffusers("no--such").load()
    assert calls == []


@pytest.mark.slow
@needs_diffusers
@together
def test_a_pipeline_that_was_downloaded_before_is_used_without_the_network(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    import huggingface_hub.constants

    kept = tmp_path / "models--some--pipeline"  # as the hub's library keeps it
    shutil.copytree(tiny, kept / "snapshots" / "0123")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0123", encoding="utf-8")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with closing(Diffusers("some/pipeline", steps=1)) as workload:
        workload.load()
        assert workload.run(["a cat"]).work == {"request": 1, "image": 1}
    assert calls == []


@pytest.mark.slow
@needs_diffusers
@together
def test_a_device_that_is_not_here_and_a_pipeline_without_texts_are_refused(
    tiny: Path, tmp_path: Path
) -> None:
    import torch
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    with pytest.raises(BadInput, match=r"^--device-map: there is no device 'toaster'"):
        Diffusers(tiny, device="toaster").load()
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match=r"^--device-map: torch finds no CUDA device here"):
            Diffusers(tiny, device="cuda").load()
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(32,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
    )
    DDPMPipeline(unet=unet, scheduler=DDPMScheduler()).save_pretrained(tmp_path / "texts")
    with pytest.raises(BadInput, match=r"^texts: DDPMPipeline takes no prompt\. Name a text-to-image"):
        Diffusers(tmp_path / "texts").load()


def test_every_failure_is_an_error_of_this_package() -> None:
    assert issubclass(PipelineFailed, EnergyRatingError)


@pytest.mark.slow
@needs_diffusers
@together
def test_the_denoising_is_a_stretch_of_its_own_with_all_its_steps(loaded):
    start = time.monotonic()
    done = loaded.run([Item(text="a cat"), Item(text="a dog"), Item(text="a fish")])  # two calls
    end = time.monotonic()
    assert [span.name for span in done.spans] == ["denoising"] * 2
    assert {span.work["step"] for span in done.spans} == {2}
    assert (
        start
        < done.spans[0].start_s
        < done.spans[0].end_s
        < done.spans[1].start_s
        < done.spans[1].end_s
        < end
    )


@pytest.mark.slow
@needs_diffusers
@together
def test_a_shape_becomes_a_pipeline_with_random_weights_in_the_type_asked_for(calls: list[str]) -> None:
    settings = Settings(
        task="text-to-image", random_weights=Path("tiny-diffusion"), dtype="bfloat16", steps=2, batch_size=2
    )
    workload, model = prepared("any-name", settings)
    assert isinstance(workload, Diffusers)
    with closing(workload):
        workload.load()
        pipeline = workload.pipeline
        parts = [pipeline.unet, pipeline.vae, pipeline.text_encoder]
        parameters = sum(one.numel() for part in parts for one in part.parameters())
        assert model == Model(id="random/tiny-diffusion", parameters=parameters, dtype="bfloat16")
        assert {str(part.dtype) for part in parts} == {"torch.bfloat16"}
        done = workload.run(["a cat", "a dog", "雨"])
    assert done.work == {"request": 3, "image": 3}
    assert [(span.name, span.work) for span in done.spans] == [("denoising", {"step": 2})] * 2
    assert calls == []


@pytest.mark.slow
@needs_diffusers
@together
def test_the_shape_that_is_called_sdxl_has_its_published_number_of_parameters() -> None:
    shape = Settings(task="text-to-image", random_weights=Path("sdxl"), dtype="float16")
    _, model = prepared("any-name", shape)
    # UNet 2,567,463,684; CLIP ViT-L and OpenCLIP ViT-bigG; autoencoder: energy_rating/benchmarking/tasks/configs/README.md
    assert model == Model(id="random/sdxl", parameters=3_468_837_867, dtype="float16")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"_class_name": "Theirs"}', '{"_class_name": "StableDiffusionPipeline", "unet": {}}'],
)
def test_what_is_no_shape_of_a_pipeline_is_one_line(tmp_path: Path, content: str) -> None:
    from energy_rating.benchmarking.workloads.diffusers import read_shape

    path = tmp_path / "shape.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=r"is not the shape of a pipeline.*_class_name is one of") as caught:
        read_shape(path)
    one_line(caught.value)
    with pytest.raises(BadInput, match=r"there is no such file\. Such as sdxl"):
        read_shape(Path("no-such-shape"))


# ------------------------------------------------------------------------------------------------------------- videos


@pytest.fixture(scope="module")
def video(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that makes videos of a few frames, with random weights, as people keep one."""
    import diffusers

    still = diffusers.DiffusionPipeline.from_pretrained(str(tiny))
    unet = diffusers.UNet3DConditionModel(
        sample_size=4,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        cross_attention_dim=still.text_encoder.config.hidden_size,
        attention_head_dim=4,
        norm_num_groups=32,
    )
    folder = tmp_path_factory.mktemp("video")
    diffusers.TextToVideoSDPipeline(
        vae=still.vae,
        text_encoder=still.text_encoder,
        tokenizer=still.tokenizer,
        unet=unet,
        scheduler=still.scheduler,
    ).save_pretrained(folder)
    return folder


def of_videos(folder: Path, **options: float) -> tuple[Diffusers, Settings]:
    settings = Settings(task="text-to-video", frames=6, steps=2, height=16, width=16, options=options)
    workload, _ = prepared(str(folder), settings)
    assert isinstance(workload, Diffusers)
    workload.load()
    return workload, settings


@needs_diffusers
@together
def test_seconds_of_video_are_counted_as_a_player_would_play_them(video: Path, tmp_path: Path) -> None:
    from PIL import Image

    workload, _ = of_videos(video, fps=10)
    pipeline = workload.pipeline
    seconds = []

    def watched(**arguments: object) -> object:
        output = pipeline(**arguments)
        for number, frames in enumerate(output.frames):
            pictures = [Image.fromarray((frame * 255).round().astype("uint8")) for frame in frames]
            for at, one in enumerate(pictures):
                one.putpixel((0, 0), (at, at, at))  # frames that are alike are one in a file
            file = tmp_path / f"{len(seconds)}-{number}.gif"
            pictures[0].save(file, save_all=True, append_images=pictures[1:], duration=100, optimize=False)
            with Image.open(file) as film:
                shown_s = 0.0
                for place in range(film.n_frames):
                    film.seek(place)
                    shown_s += film.info["duration"] / 1000
            seconds.append(shown_s)
        return output

    watched.__call__ = pipeline.__call__  # type: ignore[attr-defined]
    workload.pipeline = watched
    workload.pipeline.unet = None  # type: ignore[attr-defined]
    work = workload.run([Item(text="a boat"), Item(text="a tree")]).work
    workload.pipeline = pipeline
    workload.close()
    assert work == {"request": 2, "video": 2, "frame": 12, "video_second": pytest.approx(sum(seconds))}
    assert sum(seconds) == pytest.approx(1.2)


@needs_diffusers
@together
def test_where_nobody_says_how_fast_a_video_runs_its_seconds_are_not_guessed(video: Path) -> None:
    workload, _ = of_videos(video)
    work = workload.run([Item(text="a boat")]).work
    workload.close()
    assert work == {"request": 1, "video": 1, "frame": 6}
    for wrong in (0, -1, "fast", True):
        with pytest.raises(BadInput, match=r"^--option fps: fps must be a number above 0; got "):
            prepared(str(video), Settings(task="text-to-video", options={"fps": wrong}))
    with pytest.raises(
        BadInput, match=r"^--option: the workload diffusers has no option 'fsp'\. There are: fps"
    ):
        prepared(str(video), Settings(task="text-to-video", options={"fsp": 8}))


class Rated:
    """A pipeline that says how fast its videos run, as those of LTX and of Cosmos do."""

    unet = None

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, prompt: list[str], generator: object = None, frame_rate: float = 24.0) -> object:
        self.asked.append(frame_rate)
        return SimpleNamespace(frames=[[None] * 48 for _ in prompt])


@needs_diffusers
@together
def test_a_pipelines_own_rate_counts_and_one_that_is_asked_for_goes_to_it(video: Path) -> None:
    workload, _ = of_videos(video)
    pipeline = Rated()
    workload._asked, workload.pipeline = {}, pipeline
    assert workload.run([Item(text="a boat")]).work["video_second"] == pytest.approx(2.0)
    workload._fps = 12.0
    assert workload.run([Item(text="a boat")]).work["video_second"] == pytest.approx(4.0)
    assert pipeline.asked == [24.0, 12.0]
    workload.close()
