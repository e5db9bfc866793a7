"""Networks that are saved come back: their classes, names, values and ties, and what was measured."""

import inspect
import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import l0bayes
from l0bayes.models import LeNet5Caffe, VisionTransformer, WideResNet
from l0bayes.network import (
    Named,
    UndecidedGatesWarning,
    count_macs,
    count_nonzero,
    read_certificate,
    register_saved_class,
    shrink,
)
from l0bayes.network.saved.saved_classes import known_classes, made_of_parts
from tests.network.saved.saved_cases import Encoder, TwoInputs, cnn, deployed, mlp, rows

HEADS = {"layer.self_attn": "heads", "layer.linear2": "input"}


def save(net, folder, **options):
    return l0bayes.save_deployed(net, folder, program=False, onnx=False, **options)


CASES = {
    "mlp": (mlp, "input", (4, 12)),
    "cnn, pixels": (cnn, {"0": "output", "5": "input", "7": "input"}, (4, 1, 8, 8)),
    "lenet": (lambda: LeNet5Caffe((4, 5, 9)), None, (3, 1, 28, 28)),
    "vit": (lambda: VisionTransformer(8, 4, 1, 8, 2, 4, 12, 3), None, (3, 1, 8, 8)),
    "wide": (lambda: WideResNet(10, 1, 3, 1), None, (3, 1, 8, 8)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_network_comes_back_with_classes_names_and_values(case, tmp_path):
    make, gates, shape = CASES[case]
    _, _, small = deployed(make(), gates, rows(*shape))
    saved = save(small, tmp_path / "net")
    assert not saved.needs_code
    again = l0bayes.load_deployed(tmp_path / "net")
    assert [(n, type(m)) for n, m in again.named_modules()] == [
        (n, type(m)) for n, m in small.named_modules()
    ]
    assert not any(module.training for module in again.modules())
    assert repr(again) == repr(small)
    for name, value in small.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    x = rows(5, *shape[1:], seed=7)
    assert torch.equal(again(x), small(x))
    small.load_state_dict(load_file(tmp_path / "net" / "weights.safetensors"))
    again.load_state_dict(small.state_dict())
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in small.parameters()]


def test_only_layers_that_select_are_ours(tmp_path):
    _, _, small = deployed(cnn(), {"0": "output", "5": "input", "7": "input"}, rows(4, 1, 8, 8))
    save(small, tmp_path / "net")
    again = l0bayes.load_deployed(tmp_path / "net")
    ours = {name for name, module in again.named_modules() if type(module).__module__.startswith("l0bayes")}
    assert ours == {
        name for name, module in again.named_modules() if "index" in dict(module.named_buffers())
    } - {""}
    assert ours == {"5"}


def test_saved_networks_are_trained_on(tmp_path):
    _, _, small = deployed(mlp(), "input", rows(4, 12))
    small.get_submodule("2").weight.requires_grad_(False)
    save(small, tmp_path / "net")
    again = l0bayes.load_deployed(tmp_path / "net")
    assert {n for n, p in again.named_parameters() if not p.requires_grad} == {"2.weight"}
    again(rows(4, 12)).sum().backward()
    assert again.get_submodule("4").weight.grad is not None


# ---- classes of the user -----------------------------------------------------------------------------


def test_a_users_class_is_made_by_its_code_and_gets_the_saved_sizes(tmp_path):
    _, _, small = deployed(Encoder(), HEADS, rows(4, 5, 8))
    saved = save(small, tmp_path / "net")
    assert list(saved.needs_code) == [""]
    with pytest.raises(l0bayes.network.SavedNetworkError, match=r"is a .*Encoder.*network=\.\.\."):
        l0bayes.load_deployed(tmp_path / "net")
    dense = Encoder()
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    again = l0bayes.load_deployed(tmp_path / "net", network=dense)
    assert type(again) is Encoder
    assert again is not dense
    assert again.layer.self_attn.num_heads < 4
    assert again.layer.linear1.out_features == small.layer.linear1.out_features < 12
    x = rows(6, 5, 8, seed=3)
    assert torch.equal(again(x), small(x))
    assert all(torch.equal(dense.state_dict()[name], value) for name, value in before.items())


def test_a_users_class_that_is_registered_needs_no_instance(tmp_path):
    @register_saved_class
    class Known(Encoder):
        pass

    _, _, small = deployed(Known(), HEADS, rows(4, 5, 8))
    assert not save(small, tmp_path / "net").needs_code
    again = l0bayes.load_deployed(tmp_path / "net")
    assert type(again) is Known
    assert again.scale == 0.5
    x = rows(6, 5, 8, seed=3)
    assert torch.equal(again(x), small(x))
    with pytest.raises(TypeError, match=r"must be a class of nn\.Module"):
        register_saved_class(Known())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: Encoder(hidden=6), "was made with other sizes"),
        (lambda: Encoder(dim=12), "was made with other sizes"),
        (mlp, "the network is a .*Encoder, but in the network that was given a torch.nn.Sequential"),
        (lambda: without(Encoder(), "head"), "has no module 'head'|another one"),
        (lambda: with_more(Encoder()), "'extra' which the saved one has not"),
        (lambda: replaced(Encoder(), "head", nn.ReLU()), "'head' is a torch.nn.Linear, but .* torch.nn.ReLU"),
    ],
)
def test_another_network_is_refused_by_name(other, words, tmp_path):
    _, _, small = deployed(Encoder(), HEADS, rows(4, 5, 8))
    save(small, tmp_path / "net")
    with pytest.raises(l0bayes.network.SavedNetworkError, match=words):
        l0bayes.load_deployed(tmp_path / "net", network=other())


def without(net, name):
    del net._modules[name]
    return net


def with_more(net):
    net.extra = nn.Linear(2, 2)
    return net


def replaced(net, name, module):
    net._modules[name] = module
    return net


def test_hooks_subclasses_and_parametrisations_need_the_users_code(tmp_path):
    class Odd(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    def make():
        net = nn.Sequential(nn.Linear(6, 5), Odd(5, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        net[2].register_forward_hook(lambda module, inputs, y: y + 1)
        nn.utils.parametrizations.weight_norm(net[3])
        return net.eval()

    net = make()
    saved = save(net, tmp_path / "net")
    assert {"1", "2", "3"} <= set(saved.needs_code)
    assert "hooks" in saved.needs_code["2"]
    again = l0bayes.load_deployed(tmp_path / "net", network=make())
    x = rows(3, 6)
    torch.testing.assert_close(again(x), net(x), rtol=0, atol=0)


# ---- what else a network may be ----------------------------------------------------------------------


def test_blocks_shared_modules_and_shared_parameters(tmp_path):
    once = nn.Linear(4, 4)
    net = nn.Sequential(
        once, nn.Sequential(nn.Linear(4, 4), nn.ReLU()), once, nn.Linear(4, 4), nn.Linear(4, 2)
    )
    net[3].weight = net[1][0].weight
    net.double().eval()
    net[1]._modules["1"] = l0bayes.network.Scaled(nn.ReLU(), 0.25, adds=False)
    net.append(l0bayes.network.Skip(adds=False))
    save(net, tmp_path / "net")
    again = l0bayes.load_deployed(tmp_path / "net")
    assert again[0] is again[2]
    assert again[3].weight is again[1][0].weight
    assert again[3].weight.dtype == torch.float64
    assert again[1][1].gate == 0.25
    x = rows(3, 4).double()
    assert torch.equal(again(x), net(x))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6)) for _ in range(4)
        )

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(torch.relu(x))


def test_blocks_that_were_taken_out_of_a_users_network(tmp_path):
    _, _, small = deployed(Residual(), {"blocks.*": "block"}, rows(4, 5), seed=1)
    assert any(isinstance(block, l0bayes.network.Skip) for block in small.blocks)
    save(small, tmp_path / "net")
    again = l0bayes.load_deployed(tmp_path / "net", network=Residual())
    assert [type(block) for block in again.blocks] == [type(block) for block in small.blocks]
    x = rows(3, 5)
    assert torch.equal(again(x), small(x))


def test_the_encoder_of_torch_with_heads_taken_out(tmp_path):
    def make():
        layer = nn.TransformerEncoderLayer(8, 4, 12, batch_first=True, activation="gelu", norm_first=True)
        return nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 2))

    gates = {"0.layers.*.self_attn": "heads", "0.layers.*.linear2": "input"}
    _, _, small = deployed(make(), gates, rows(4, 5, 8))
    assert not save(small, tmp_path / "net").needs_code
    again = l0bayes.load_deployed(tmp_path / "net")
    assert again[0].layers[0].self_attn.num_heads < 4
    assert torch.equal(again(rows(6, 5, 8)), small(rows(6, 5, 8)))


@pytest.mark.parametrize("name", sorted(known_classes()))
def test_every_class_that_a_file_may_name_is_built_from_its_form(name):
    known = known_classes()[name]
    sizes = {
        "in_features": 4,
        "out_features": 3,
        "in1_features": 2,
        "in2_features": 2,
        "in_channels": 2,
        "out_channels": 4,
        "kernel_size": 3,
        "num_features": 4,
        "normalized_shape": (4,),
        "num_groups": 2,
        "num_channels": 4,
        "num_embeddings": 5,
        "embedding_dim": 3,
        "embed_dim": 4,
        "num_heads": 2,
        "input_size": 3,
        "hidden_size": 2,
        "output_size": 2,
        "padding": 1,
        "value": 0.5,
        "threshold": 0.1,
        "size": 3,
        "norm_type": 2.0,
        "upscale_factor": 2,
        "downscale_factor": 2,
        "groups": 2,
        "dim": 1,
        "unflattened_size": (2, 2),
        "num_layers": 1,
        "attention": nn.MultiheadAttention(4, 2),
    }
    needed = {
        key: sizes[key]
        for key, one in inspect.signature(known.cls.__init__).parameters.items()
        if key in sizes and (one.default is one.empty)
    }
    if name.endswith((".RNN", ".LSTM", ".GRU")):
        needed = {"input_size": 3, "hidden_size": 2}
    net = nn.Sequential(known.cls(**needed)).eval()
    again = known.build(dict(known.form(net[0])))
    assert type(again) is known.cls
    assert {n: x.shape for n, x in again.state_dict().items()} == {
        n: x.shape for n, x in net[0].state_dict().items()
    }
    assert dict(known.form(again)) == dict(known.form(net[0]))


def test_recurrent_layers_and_embeddings_come_back(tmp_path):
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(20, 6)
            self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True)
            self.out = nn.Linear(5, 2)

        def forward(self, x):
            return self.out(self.lstm(self.words(x))[0][:, -1])

    register_saved_class(Reader)
    _, _, small = deployed(Reader(), {"out": "input"}, torch.arange(12).reshape(2, 6))
    save(small, tmp_path / "net")
    x = torch.arange(18).reshape(3, 6)
    assert torch.equal(l0bayes.load_deployed(tmp_path / "net")(x), small(x))
    assert "torch.nn.LSTM" in known_classes()
    assert "l0bayes.models.LeNet5Caffe" in made_of_parts()


def test_random_numbers_are_left_alone(tmp_path):
    _, _, small = deployed(mlp(), "input", rows(4, 12))
    before = torch.random.get_rng_state()
    save(small, tmp_path / "net")
    l0bayes.load_deployed(tmp_path / "net")
    assert torch.equal(torch.random.get_rng_state(), before)


# ---- the certificate ---------------------------------------------------------------------------------


def test_the_certificate_says_what_counts_and_what_a_run_of_the_gated_network_gives(tmp_path):
    model, guide, small = deployed(cnn(), {"0": "output", "5": "input", "7": "input"}, rows(4, 1, 8, 8))
    saved = save(small, tmp_path / "net")
    found = read_certificate(tmp_path / "net")
    assert found == saved.certificate == json.loads((tmp_path / "net" / "certificate.json").read_text())
    assert found["deployed"]["nonzero"] == count_nonzero(small)
    assert found["deployed"]["parameters"] == sum(p.numel() for p in small.parameters())
    assert found["deployed"]["macs"] == count_macs(small, (rows(2, 1, 8, 8),))
    assert found["dense"]["macs"] == model.cost.dense["macs"]
    assert found["dense"]["parameters"] == sum(p.numel() for p in cnn().parameters())
    assert found["deployed"]["bytes"] < found["dense"]["bytes"]
    for part in ("deployed", "dense"):
        assert all(found[part]["latency_ms"][rows] > 0 for rows in ("1", "100"))
    gap = found["largest_difference"]
    assert gap["rows"] == 100
    assert gap["value"] <= 1e-5 * gap["largest_output"]
    assert found["undecided_gates"] == 0
    assert found["gates"] == sum(law.prob_active.numel() for law in guide.gates().values())


def test_statistics_that_were_computed_anew_are_no_difference_from_the_gated_network(tmp_path):
    model, guide, _ = deployed(cnn(), {"0": "output", "5": "input", "7": "input"}, rows(4, 1, 8, 8))
    small = model.deploy(guide, recalibrate=3 + rows(50, 1, 8, 8))
    gap = save(small, tmp_path / "net").certificate["largest_difference"]
    assert gap["value"] <= 1e-5 * gap["largest_output"]


def test_a_network_that_was_changed_shows_in_its_certificate(tmp_path):
    _, _, small = deployed(mlp(), "input", rows(4, 12))
    with torch.no_grad():
        small.get_submodule("4").bias.add_(1.0)
    assert save(small, tmp_path / "net").certificate["largest_difference"]["value"] == pytest.approx(
        1, abs=1e-5
    )


def test_a_model_that_was_trained_on_is_not_compared_with(tmp_path):
    model, guide, small = deployed(cnn(), {"0": "output"}, rows(4, 1, 8, 8))
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(0.01)
    found = save(small, tmp_path / "net").certificate
    assert found["largest_difference"]["value"] < 1e-5  # from the gates and weights as they were
    assert found["expected_gap"] is None
    model.net.train()(rows(8, 1, 8, 8))  # statistics are not as they were
    assert save(small, tmp_path / "net").certificate["largest_difference"] is None


def test_undecided_gates_are_said_with_the_expected_gap(tmp_path):
    _, guide, small = deployed(mlp(), "input", rows(4, 12), logit=0.5)
    undecided = sum(
        int(((p > 0.05) & (p < 0.95)).sum()) for p in (g.prob_active for g in guide.gates().values())
    )
    with pytest.warns(UndecidedGatesWarning, match=rf"{undecided} of 28 gates were undecided.*expected gap"):
        found = save(small, tmp_path / "net").certificate
    assert found["undecided_gates"] == undecided > 0
    assert found["expected_gap"] > 0.01


def test_a_network_of_unknown_origin_is_measured_where_an_example_is_given(tmp_path):
    net = mlp().eval()
    found = save(net, tmp_path / "bare").certificate
    assert found["largest_difference"] is found["dense"] is found["deployed"]["macs"] is None
    found = save(
        net, tmp_path / "net", example=rows(2, 12), dense=nn.Sequential(nn.Linear(12, 500))
    ).certificate
    assert found["deployed"]["macs"] == 12 * 10 + 10 * 6 + 6 * 3
    assert found["dense"]["macs"] == 12 * 500


def test_inputs_by_name_and_several_of_them(tmp_path):
    example = (rows(3, 6), rows(3, 4))
    net = TwoInputs()
    _, _, small = deployed(net, {"out": "input"}, example)
    save(small, tmp_path / "net")
    again = l0bayes.load_deployed(tmp_path / "net", TwoInputs())
    assert torch.equal(again(*example), small(*example))
    named = Named(a=example[0], b=example[1])
    assert save(net.eval(), tmp_path / "named", example=named).certificate["deployed"]["macs"] > 0


def test_shrink_alone_has_no_origin():
    assert l0bayes.network.saved.origin_of(mlp()) is None
    assert callable(shrink)
