"""States in files: what is written comes back, and what is not whole is refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from l0bayes.files.state_files import StateFileError, as_plain_state, read_state, write_state

TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool,
         torch.complex64, torch.complex128]  # fmt: skip


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return type(other) is dict and all(same(key, k) and same(value, v) for (key, value), (k, v) in pairs)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and one == other and str(one) == str(other)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_tensors_of_every_type(tmp_path, dtype):
    values = [torch.ones(2, 3).to(dtype).T, torch.zeros(0, 4).to(dtype), torch.tensor(1).to(dtype)]
    write_state({"values": values}, tmp_path / "a")
    assert same(values, read_state(tmp_path / "a")["values"])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(
            st.text() | st.integers() | st.sampled_from(["$tensor", "$dict"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_values_come_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("state") / "a"
    state = as_plain_state({"value": value})
    write_state(state, path)
    assert same(state, read_state(path))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, r"the state\['a'\]\[0\] must hold .* got set"),
        (np.float64(1.0), "got float64"),
        (torch.eye(2).to_sparse(), "must be a dense tensor, got one of layout torch.sparse_coo"),
        ({(1, 2): 3}, r"a key of the state\['a'\]\[0\] must hold .* got tuple"),
    ],
)
def test_what_no_file_can_hold_is_refused(value, message):
    with pytest.raises(TypeError, match=message):
        as_plain_state({"a": [value]})


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "a"
    write_state({"weights": torch.arange(6.0).reshape(2, 3), "step": 3, "rates": {1: (0.1, 0.2)}}, path)
    return path.read_bytes()


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_altered_bit_goes_unseen(tmp_path_factory, content, place, bit):
    place %= len(content)
    changed = content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]
    path = tmp_path_factory.mktemp("state") / "a"
    path.write_bytes(changed)
    with pytest.raises(StateFileError):
        read_state(path)


@given(length=st.integers(0, 10_000))
def test_no_lost_end_goes_unseen(tmp_path_factory, content, length):
    path = tmp_path_factory.mktemp("state") / "a"
    path.write_bytes(content[: length % len(content)])
    with pytest.raises(StateFileError, match="cut short"):
        read_state(path)


def test_other_files_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(StateFileError, match="another kind"):
        read_state(tmp_path / "other")
    save_file({"a": torch.zeros(2)}, tmp_path / "newer", metadata={"format": "l0bayes state", "version": "9"})
    with pytest.raises(StateFileError, match="another version of l0bayes, in format '9'"):
        read_state(tmp_path / "newer")
    with pytest.raises(FileNotFoundError):
        read_state(tmp_path / "none")
