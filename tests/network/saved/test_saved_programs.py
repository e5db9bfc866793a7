"""Programs beside a saved network: torch alone runs one, onnxruntime the other, with any number of rows."""

import subprocess
import sys
import textwrap
import zipfile

import pytest
import torch
from torch import nn

import l0bayes
from l0bayes.network import ExportWarning, Named
from tests.network.saved.saved_cases import Encoder, TwoInputs, cnn, deployed, mlp, rows

CASES = {
    "mlp": (mlp, "input", (4, 12)),
    "cnn": (cnn, {"0": "output", "5": "input", "7": "input"}, (4, 1, 8, 8)),
    "heads": (Encoder, {"layer.self_attn": "heads", "layer.linear2": "input"}, (4, 5, 8)),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Deployed networks of all cases and where they were saved, with a program and without ONNX."""
    found = {}
    for name, (make, gates, shape) in CASES.items():
        _, _, small = deployed(make(), gates, rows(*shape))
        folder = tmp_path_factory.mktemp("programs") / "net"
        found[name] = small, shape, l0bayes.save_deployed(small, folder, onnx=False)
    return found


@pytest.fixture(params=CASES)
def saved(request, folders):
    return folders[request.param]


@pytest.mark.slow
def test_programs_run_where_l0bayes_cannot_be_imported(folders, tmp_path):
    wanted = {}
    for small, shape, found in folders.values():
        x = rows(6, *shape[1:], seed=9)
        wanted[str(found.folder / "program.pt2")] = (x, small(x).detach())
        assert found.certificate["program"] == {"dynamic_batch": True}
    torch.save(wanted, tmp_path / "rows.pt")
    code = f"""
        import sys
        sys.modules["l0bayes"] = None
        import torch
        for file, (x, y) in torch.load({str(tmp_path / "rows.pt")!r}, weights_only=True).items():
            program = torch.export.load(file).module()
            for rows in (1, 2, 6):
                torch.testing.assert_close(program(x[:rows]), y[:rows])
        print("same")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "same", done.stderr


def test_nothing_in_the_program_is_a_pickle(saved):
    """torch unpickles what the archive calls so; what we write does not."""
    with zipfile.ZipFile(saved[2].folder / "program.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name in contents if name.endswith(".pkl")]
    assert b'"use_pickle": true' not in b"".join(contents.values())
    assert [value for name, value in contents.items() if "sample_inputs" in name] == [b""]


def test_several_inputs(tmp_path):
    example = (rows(3, 6), rows(3, 4))
    _, _, small = deployed(TwoInputs(), {"out": "input"}, example)
    found = l0bayes.save_deployed(small, tmp_path / "net", onnx=False)
    assert found.certificate["program"] == {"dynamic_batch": True}
    program = torch.export.load(tmp_path / "net" / "program.pt2").module()
    more = (rows(9, 6), rows(9, 4))
    torch.testing.assert_close(program(*more), small(*more))


class ByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 2), nn.Linear(4, 2)

    def forward(self, *, first, second, scale=1.0):
        return {"sum": self.left(first) + scale * self.right(second), "first": first.sum(1)}


class FixedLength(nn.Module):
    def __init__(self):
        super().__init__()
        self.positions, self.out = nn.Parameter(torch.arange(20.0).reshape(5, 1, 4)), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(x + self.positions).mean(0)


OTHERS = {
    # In another order than those of forward.
    "by name": (ByName(), Named(second=rows(3, 4), first=rows(3, 3), scale=2.0), True),
    "the first dimension is no batch": (FixedLength(), rows(5, 2, 4), False),
    "in double precision": (mlp().double(), rows(3, 12), True),
    "numbers of rows of a table": (
        nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 2)),
        torch.arange(6).reshape(2, 3),
        True,
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_programs_of_other_networks(case, tmp_path):
    net, example, dynamic = OTHERS[case]
    found = l0bayes.save_deployed(net.eval(), tmp_path / "net", example=example, program=True, onnx=False)
    assert found.certificate["program"] == {"dynamic_batch": dynamic}
    assert found.certificate["deployed"]["macs"] > 0
    assert (found.certificate["deployed"]["latency_ms"]["100"] is not None) is dynamic


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS)
def test_onnx_of_other_networks(case, tmp_path, onnxruntime):
    net, example, dynamic = OTHERS[case]
    found = l0bayes.save_deployed(net.eval(), tmp_path / "net", example=example, program=False, onnx=True)
    assert found.certificate["onnx"]["dynamic_batch"] is dynamic
    assert found.certificate["onnx"]["largest_difference"] < 1e-5


class Branching(nn.Module):
    def forward(self, x):
        return x if bool((x.sum() > 0).item()) else -x


def test_a_network_that_cannot_be_exported_is_saved_without_and_says_so(tmp_path):
    net = nn.Sequential(nn.Linear(3, 3), Branching()).eval()
    with pytest.warns(ExportWarning, match=r"neither program.pt2 nor network.onnx was written"):
        found = l0bayes.save_deployed(net, tmp_path / "net", example=rows(2, 3))
    assert found.certificate["program"] is None
    assert {file.name for file in found.files} == {
        "architecture.json",
        "certificate.json",
        "weights.safetensors",
    }
    with pytest.raises(ValueError, match=r"cannot be exported by torch\.export"):
        l0bayes.save_deployed(net, tmp_path / "net", example=rows(2, 3), program=True)


# ---- ONNX --------------------------------------------------------------------------------------------


@pytest.fixture
def onnxruntime():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    return pytest.importorskip("onnxruntime")


@pytest.mark.slow
def test_onnx_takes_any_number_of_rows_also_with_heads_taken_out(saved, onnxruntime, tmp_path):
    small, shape, _ = saved
    found = l0bayes.save_deployed(small, tmp_path / "net", program=False, onnx=True)
    checked = found.certificate["onnx"]
    assert checked["checked_with"].startswith("onnxruntime")
    assert checked["largest_difference"] < 1e-5
    session = onnxruntime.InferenceSession(
        str(tmp_path / "net" / "network.onnx"), providers=["CPUExecutionProvider"]
    )
    for count in (1, 5, 40):
        x = rows(count, *shape[1:], seed=count)
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(y), small(x), rtol=1e-4, atol=1e-5)
    assert {file.name for file in found.files} >= {"network.onnx"}
    l0bayes.load_deployed(tmp_path / "net", None if not found.needs_code else Encoder())


class Eigenvalues(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x.unsqueeze(-1) * x.unsqueeze(-2)).real


@pytest.mark.slow
def test_an_operation_that_onnx_cannot_hold_is_named_with_its_layer(onnxruntime, tmp_path):
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU()).eval()
    net.add_module("spectrum", Eigenvalues())
    with pytest.raises(
        ValueError, match=r"ONNX cannot hold the operation 'linalg_eig\w*' in layer 'spectrum'"
    ):
        l0bayes.save_deployed(net, tmp_path / "net", example=rows(2, 3), onnx=True)
    assert not list(tmp_path.iterdir())
    with pytest.warns(ExportWarning, match=r"network\.onnx was not written: ONNX cannot hold .*spectrum"):
        found = l0bayes.save_deployed(net, tmp_path / "net", example=rows(2, 3))
    assert found.certificate["onnx"] is None
    assert (tmp_path / "net" / "program.pt2").is_file()


def test_a_missing_package_is_named_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ModuleNotFoundError, match=r"onnxscript, which .*pip install 'l0bayes\[onnx\]'"):
        l0bayes.save_deployed(mlp(), tmp_path / "net", example=rows(2, 12), onnx=True)
