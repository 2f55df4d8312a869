"""What a model is, from the model itself: PyTorch, Keras and JAX as far as they are here, and stand-ins for what is not."""

from __future__ import annotations

import types

import numpy as np
import pytest

from energy_rating import BadInput, measure, model_of
from energy_rating.nouns.entries import Model


class Weight:
    """As a parameter of PyTorch."""

    def __init__(self, *shape, trained=True, dtype="torch.float32", **more):
        self.shape, self.dtype, self.requires_grad = shape, dtype, trained
        vars(self).update(more)

    def numel(self):
        return int(np.prod(self.shape))


class Net:
    """As a module of PyTorch."""

    def __init__(self, config=None, **weights):
        self.weights = {name.replace("__", "."): weight for name, weight in weights.items()}
        if config is not None:
            self.config = config

    def named_parameters(self):
        return self.weights.items()

    def parameters(self):
        return self.weights.values()


def config(**entries):
    return types.SimpleNamespace(**entries)


def test_a_model_says_how_many_parameters_it_has_and_how_many_are_trained():
    net = Net(a=Weight(10, 10, trained=False), b=Weight(7))
    assert model_of(net, "org/name") == Model(
        id="org/name", parameters=107, trainable_parameters=7, dtype="float32"
    )


def test_where_none_is_trained_nothing_is_said_of_that():
    assert model_of(Net(a=Weight(5, trained=False))).trainable_parameters is None


def test_weights_that_two_layers_share_count_once():
    tied = Weight(100)
    assert model_of(Net(embed=tied, head=tied)).parameters == 100


def test_the_format_is_that_of_most_weights():
    net = Net(a=Weight(100, dtype="torch.bfloat16"), b=Weight(3))
    assert model_of(net).dtype == "bfloat16"


def test_weights_that_are_elsewhere_or_packed_count_as_many_as_they_are():
    """DeepSpeed's third stage leaves empty tensors; bitsandbytes puts two weights into a byte; GPTQ eight into an integer."""
    Params4bit = type("Params4bit", (Weight,), {})
    net = Net(
        away=Weight(0, ds_numel=64, ds_shape=(8, 8)),
        four=Params4bit(50, 1, trained=False, dtype="torch.uint8", quant_type="nf4"),
    )
    assert model_of(net).parameters == 164
    assert model_of(net).dtype == "nf4"
    packed = Weight(4, 16, dtype="torch.int32", element_size=lambda: 4)
    gptq = Net(config(quantization_config={"bits": 4}), norm=Weight(5))
    gptq.named_buffers = lambda: [("layer.qweight", packed)]
    assert model_of(gptq).parameters == 5 + 4 * 16 * 8
    assert model_of(gptq).dtype == "int4"


@pytest.mark.parametrize("fused", [True, False])
def test_of_a_mixture_of_experts_a_token_goes_through_those_that_are_chosen(fused):
    if fused:
        experts = {"layers__0__mlp__experts__gate_up_proj": Weight(8, 10, 10)}
    else:
        experts = {f"layers__0__mlp__experts__{number}__w1": Weight(10, 10) for number in range(8)}
    net = Net(
        config(num_experts_per_tok=2),
        embed=Weight(50),
        layers__0__mlp__shared_experts__w=Weight(7),
        **experts,
    )
    assert model_of(net).parameters == 857
    assert model_of(net).active_parameters == 257
    silent = Net(config(), embed=Weight(50), **experts)
    assert model_of(silent).active_parameters == 150, "the fewest, so that nobody gains by silence"


def test_no_token_of_a_text_goes_through_a_tower_that_sees():
    net = Net(config(text_config=config()), vision_tower__w=Weight(500), language_model__w=Weight(70))
    assert (model_of(net).parameters, model_of(net).active_parameters) == (570, 70)


def test_the_name_is_that_of_the_hub_and_never_a_path(tmp_path, monkeypatch):
    weight = Weight(1)
    named = Net(config(_name_or_path="org/name", _commit_hash="0123abc"), w=weight)
    assert model_of(named).id == "org/name"
    assert model_of(named).revision == "0123abc"
    for path in (str(tmp_path), "/home/somebody/llama", "./out", ""):
        assert model_of(Net(config(_name_or_path=path), w=weight)).id == "Net"
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    assert model_of(Net(config(_name_or_path="out"), w=weight)).id == "Net"


def test_a_wrapped_model_is_the_one_inside():
    inner = Net(config(_name_or_path="org/name", num_experts_per_tok=1), w=Weight(3))
    outer = Net(module__w=Weight(3))
    outer.module = inner
    assert model_of(outer).id == "org/name"


def test_keras_says_which_weights_are_trained():
    keras = types.SimpleNamespace(
        trainable_weights=[types.SimpleNamespace(shape=(3, 4), dtype="float32", path="dense/kernel")],
        non_trainable_weights=[types.SimpleNamespace(shape=(5,), dtype="float32", path="norm/mean")],
    )
    assert model_of(keras, "mine") == Model(
        id="mine", parameters=17, trainable_parameters=12, dtype="float32"
    )


def test_a_tree_of_arrays_is_a_model():
    base = {"layers": [{"w": np.zeros((3, 4), np.float32)}, (np.zeros(5, np.float32),)]}
    assert model_of(base, "mine").parameters == 17
    adapter = {"a": np.zeros(6, np.float32)}
    adapted = model_of(base, "mine", trained=adapter)
    assert (adapted.parameters, adapted.trainable_parameters) == (23, 6)
    part = model_of(base, "mine", trained=base["layers"][0])
    assert (part.parameters, part.trainable_parameters) == (17, 12)


@pytest.mark.parametrize("nothing", [None, "org/name", {}, 5, object()])
def test_what_has_no_parameters_is_refused(nothing):
    with pytest.raises(BadInput, match="model"):
        model_of(nothing)


def test_the_facts_stand_in_the_record():
    with measure("fine-tuning", model=model_of(Net(a=Weight(9)), "org/name"), sensors=[], report=None) as run:
        pass
    assert run.record.model == Model(id="org/name", parameters=9, trainable_parameters=9, dtype="float32")


def test_a_module_of_pytorch(monkeypatch):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2, bias=False)).to(torch.bfloat16)
    net[0].requires_grad_(False)
    assert model_of(net) == Model(id="Sequential", parameters=24, trainable_parameters=8, dtype="bfloat16")
    assert model_of(torch.nn.DataParallel(net)).parameters == 24


def test_models_of_transformers_as_they_are():
    """Experts in one tensor, an encoder with a decoder, a tower that sees, adapters on top of them."""
    pytest.importorskip("torch", reason="make test-frameworks installs it")
    transformers = pytest.importorskip("transformers", reason="make test-frameworks installs it")
    text = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    mixture = transformers.MixtralForCausalLM(
        transformers.MixtralConfig(**text, num_local_experts=8, num_experts_per_tok=2)
    )
    experts = 2 * 8 * 3 * 32 * 64
    facts = model_of(mixture)
    assert facts.parameters == sum(one.numel() for one in mixture.parameters())
    assert facts.active_parameters == facts.parameters - experts * 6 // 8
    t5 = transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    )
    encoder = sum(one.numel() for one in t5.get_encoder().parameters())
    assert model_of(t5).active_parameters == encoder
    sees = transformers.LlavaForConditionalGeneration(
        transformers.LlavaConfig(
            text_config=transformers.LlamaConfig(**text),
            vision_config=transformers.CLIPVisionConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=32,
                patch_size=8,
            ),
        )
    )
    tower = sum(one.numel() for name, one in sees.named_parameters() if ".vision_tower." in name)
    assert tower > 0
    assert model_of(sees).active_parameters == model_of(sees).parameters - tower
    peft = pytest.importorskip("peft", reason="make test-frameworks installs it")
    adapted = peft.get_peft_model(mixture, peft.LoraConfig(r=4, target_modules=["q_proj"]))
    assert model_of(adapted).trainable_parameters == 2 * 4 * (32 + 32)
    assert model_of(adapted).active_parameters == facts.active_parameters + 2 * 4 * (32 + 32)
