"""What is no saved network, was cut short, altered, made up or is of a newer format: refused by name."""

import hashlib
import json
import random
import re
import resource
import time

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.models import SparseNetwork
from l0bayes.network import SavedNetworkError, read_certificate, write_tensors
from tests.network.saved.saved_cases import cnn, deployed, mlp, rows

FILES = ["architecture.json", "certificate.json", "weights.safetensors", "program.pt2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A saved network with all of its files but ONNX, as bytes by name."""
    folder = tmp_path_factory.mktemp("whole") / "net"
    l0bayes.save_deployed(mlp().eval(), folder, example=rows(3, 12), onnx=False)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def folder(whole, tmp_path):
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def largest_memory():
    """The most memory that this process has had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def signed(index):
    """The same index with a checksum of its own, as somebody could make it up."""
    index.pop("sha256", None)
    text = json.dumps(index, sort_keys=True, separators=(",", ":"))
    return json.dumps({**index, "sha256": hashlib.sha256(text.encode()).hexdigest()})


def made_up(folder, change):
    path = folder / "architecture.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(signed(index))


# ---- folders -----------------------------------------------------------------------------------------


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        l0bayes.load_deployed(tmp_path / "nowhere")
    with pytest.raises(SavedNetworkError, match=r"is no saved network: there is no architecture\.json"):
        l0bayes.load_deployed(tmp_path)
    (tmp_path / "architecture.json").write_text('{"a": 1}')
    with pytest.raises(SavedNetworkError, match="is no saved network"):
        l0bayes.load_deployed(tmp_path)
    with pytest.raises(SavedNetworkError, match="is no saved network"):
        read_certificate(tmp_path)


@pytest.mark.parametrize(
    "name", ["architecture.json", "certificate.json", "weights.safetensors", "program.pt2"]
)
@pytest.mark.parametrize("damage", ["missing", "short", "altered"])
def test_a_file_that_is_missing_short_or_altered_is_named(folder, name, damage):
    file = folder / name
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content[: len(content) // 2] if damage == "short" else content)
    word = {"missing": "cut short|no architecture", "short": "cut short", "altered": "altered"}[damage]
    with pytest.raises(SavedNetworkError, match=rf"(?=.*({word})).*{name}"):
        l0bayes.load_deployed(folder)


def test_a_newer_format(folder):
    made_up(folder, lambda index: index.update(version=2))
    with pytest.raises(SavedNetworkError, match=r"of format 2, newer than .* reads .1.: pip install"):
        l0bayes.load_deployed(folder)
    made_up(folder, lambda index: index.update(version="1"))
    with pytest.raises(SavedNetworkError, match="altered"):
        l0bayes.load_deployed(folder)


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path, folder):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="is no saved network; name another one"):
        l0bayes.save_deployed(mlp(), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_an_error_leaves_the_old_network_and_nothing_beside_it(tmp_path, monkeypatch):
    first = mlp().eval()
    l0bayes.save_deployed(first, tmp_path / "net")
    monkeypatch.setattr("l0bayes.network.saved.network_writer.write_index", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        l0bayes.save_deployed(cnn(), tmp_path / "net")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    again = l0bayes.load_deployed(tmp_path / "net")
    assert torch.equal(again[0].weight, first[0].weight)
    l0bayes.save_deployed(cnn().eval(), tmp_path / "net")
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    assert isinstance(l0bayes.load_deployed(tmp_path / "net")[0], nn.Conv2d)


def test_what_cannot_be_saved_is_refused(tmp_path):
    class Stateful(nn.Module):
        def get_extra_state(self):
            return {"a": 1}

        def set_extra_state(self, state):
            pass

    sparse = nn.Sequential(nn.Linear(2, 2))
    sparse[0].register_buffer("mask", torch.eye(2).to_sparse())
    for net, words in (
        (nn.Sequential(Stateful()), "0._extra_state"),
        (sparse, "'0.mask' is no dense tensor"),
    ):
        with pytest.raises(TypeError, match=words):
            l0bayes.save_deployed(net, tmp_path / "net")
    with pytest.raises(TypeError, match=r"net must be an nn\.Module, got dict"):
        l0bayes.save_deployed({}, tmp_path / "net")
    with pytest.raises(TypeError, match=r"the gated SparseNetwork, not a deployed network.*model\.deploy"):
        l0bayes.save_deployed(SparseNetwork(mlp()), tmp_path / "net")
    with pytest.raises(ValueError, match="example is needed"):
        l0bayes.save_deployed(mlp(), tmp_path / "net", program=True)
    assert not list(tmp_path.iterdir())


# ---- made up -----------------------------------------------------------------------------------------


def first(index):
    return index["network"]["children"]["0"]


def doubled(record, times):
    """A few records for very many names."""
    for depth in range(times):
        inside = ".".join(["a"] * (times - depth))
        record = {
            "class": "torch.nn.Sequential",
            "attributes": {},
            "children": {"a": record, "b": {"same_as": inside}},
        }
    return record


FORGERIES = {
    "a class that is not known": (
        lambda i: first(i).update({"class": "os.system"}),
        "os.system.*not known here",
    ),
    "a class by its module": (lambda i: first(i).update({"class": "subprocess.Popen"}), "not known here"),
    "a huge layer": (lambda i: first(i)["form"].update(in_features=10**12), "shape .* by the architecture"),
    "a number too large": (lambda i: first(i)["form"].update(in_features=10**30), "cannot be loaded"),
    "a negative size": (lambda i: first(i)["form"].update(in_features=-5), "cannot be loaded"),
    "no size": (lambda i: first(i)["form"].pop("in_features"), "in_features"),
    "another argument": (lambda i: first(i)["form"].update(evil=1), "evil"),
    "a forward": (lambda i: first(i).update(attributes={"forward": 1}), "no file may set 'forward'"),
    "hooks": (
        lambda i: first(i).update(attributes={"_forward_hooks": 1}),
        "no file may set '_forward_hooks'",
    ),
    "a function": (
        lambda i: first(i).update(attributes={"a": {"function": "os.system"}}),
        "stands for no value",
    ),
    "no record": (lambda i: i["network"]["children"].update({"0": 7}), "cannot be loaded"),
    "a part of itself": (
        lambda i: i["network"]["children"].update({"0": {"same_as": ""}}),
        "comes later or not at all",
    ),
    "twice what is there twice": (lambda i: i.update(network=doubled(i["network"], 60)), "modules by name"),
    "itself": (
        lambda i: i["network"]["children"].update({"0": {"same_as": "9"}}),
        "comes later or not at all",
    ),
    "a tensor more": (lambda i: i["tensors"].update(more={"dtype": "torch.float32", "shape": [1]}), "more"),
    "another shape": (lambda i: i["tensors"]["0.weight"].update(shape=[10, 13]), "0.weight"),
    "a file elsewhere": (lambda i: i["files"].update({"../x": {"bytes": 1, "sha256": ""}}), "no file of it"),
    "no weights": (lambda i: i["files"].pop("weights.safetensors"), "altered"),
    "many layers": (
        lambda i: first(i).update(
            {"class": "torch.nn.LSTM", "form": {"input_size": 1, "hidden_size": 1, "num_layers": 10**9}}
        ),
        "of 1000000000 layers",
    ),
    "wrong ties": (lambda i: i["ties"].update({"x.y": "0.weight"}), "belongs to no module"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_index_that_was_made_up_is_refused_without_running_or_allocating(folder, forgery):
    change, words = FORGERIES[forgery]
    made_up(folder, change)
    begun, before = time.perf_counter(), largest_memory()
    with pytest.raises(SavedNetworkError, match=words):
        l0bayes.load_deployed(folder)
    assert largest_memory() - before < 200e6
    assert time.perf_counter() - begun < 5


def test_deep_nesting_is_refused(folder):
    def deepen(index):
        for _ in range(300):
            index["network"] = {
                "class": "torch.nn.Sequential",
                "attributes": {},
                "children": {"0": index["network"]},
            }

    made_up(folder, deepen)
    with pytest.raises(SavedNetworkError, match="modules in modules"):
        l0bayes.load_deployed(folder)
    (folder / "architecture.json").write_text("[" * 200_000)
    with pytest.raises(SavedNetworkError, match="is no JSON"):
        l0bayes.load_deployed(folder)


def test_tensor_files_alone(tmp_path):
    file = write_tensors({"a": torch.arange(3)}, tmp_path / "a.safetensors")
    assert torch.equal(l0bayes.network.read_tensors(file)["a"], torch.arange(3))
    header = (10**15).to_bytes(8, "little")
    for content in (b"", header, header + file.read_bytes()[8:], file.read_bytes()[:-1]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.safetensors is no safetensors file, or not all"):
            l0bayes.network.read_tensors(file)
    with pytest.raises(FileNotFoundError):
        l0bayes.network.read_tensors(tmp_path / "b.safetensors")


# ---- bytes at random ---------------------------------------------------------------------------------


def mutated(content, source):
    """Some bytes changed, taken out, put in, or the end cut off."""
    data = bytearray(content)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data) + 1)
        match source.randrange(5):
            case 0:
                data[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                del data[at : at + source.randint(1, 40)]
            case 2:
                data[at:at] = bytes(source.randrange(256) for _ in range(source.randint(1, 8)))
            case 3:
                data = data[:at]
            case 4:
                data[at : at + 1] = source.choice([b"9", b"0", b"-", b'"', b"{", b"]", b"e", b"99999999"])
        if not data:
            break
    return bytes(data)


@pytest.mark.parametrize(
    "name", ["architecture.json", "certificate.json", "weights.safetensors", "program.pt2"]
)
def test_bytes_changed_at_random(folder, name):
    source, file = random.Random(name), folder / name
    content, weights = file.read_bytes(), l0bayes.load_deployed(folder).state_dict()
    for _ in range(500):
        changed = mutated(content, source)
        file.write_bytes(changed)
        net, words = None, "altered"
        try:
            net = l0bayes.load_deployed(folder)
        except SavedNetworkError as error:
            words = str(error)
        assert re.search("cut short|altered|no saved network|newer", words)
        if net is not None:  # the same JSON, such as one with a blank more
            assert changed == content or json.loads(changed) == json.loads(content)
            assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("name", ["architecture.json", "weights.safetensors"])
def test_bytes_changed_at_random_and_signed_again(folder, whole, name):
    """Whoever makes a file up can make checksums too: still a clear error or a network, and nothing large."""
    source = random.Random(name)
    loaded, before = 0, largest_memory()
    for _ in range(500):
        index = json.loads(whole["architecture.json"])
        if name == "architecture.json":
            text = mutated(json.dumps(index, separators=(",", ":")).encode(), source)
            try:
                index = json.loads(text)
                text = signed(index).encode()
            except (ValueError, AttributeError, RecursionError, TypeError):
                pass
            (folder / name).write_bytes(text)
        else:
            content = mutated(whole[name], source)
            (folder / name).write_bytes(content)
            index["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            (folder / "architecture.json").write_text(signed(index))
        try:
            net = l0bayes.load_deployed(folder)
        except SavedNetworkError:
            continue
        loaded += 1
        assert isinstance(net, nn.Module)
    assert largest_memory() - before < 200e6
    assert loaded < 500


@pytest.mark.parametrize(
    "example", [torch.rand(2, 5), (torch.rand(2, 12), torch.rand(2, 12)), torch.rand(12, 2)]
)
def test_an_example_that_the_network_does_not_take(example, tmp_path):
    _, _, small = deployed(mlp(), "input", rows(4, 12))
    with pytest.raises(ValueError, match=r"the network cannot be run on the example given, of shape \("):
        l0bayes.save_deployed(small, tmp_path / "net", example=example, program=False, onnx=False)
    assert not (tmp_path / "net").exists()
