"""Every kind of table gives the same columns, blocks and moments."""

import numpy as np
import pytest
import scipy.sparse
import torch

from l0bayes.selection.column_sources.any_source import column_source, reads_columns

_VALUES = np.random.default_rng(0).integers(-3, 4, size=(12, 7))


def _memmap(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, _VALUES.astype(np.int8))
    return np.load(path, mmap_mode="r")


def _arrow(tmp_path):
    pa = pytest.importorskip("pyarrow")
    return pa.table({f"c{j}": _VALUES[:, j].astype(np.int8) for j in range(7)})


def _parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(_arrow(tmp_path), tmp_path / "x.parquet")
    return parquet.ParquetFile(tmp_path / "x.parquet")


_TABLES = {
    "float64": lambda _: _VALUES.astype(np.float64),
    "float32 in Fortran order": lambda _: np.asfortranarray(_VALUES.astype(np.float32)),
    "int64": lambda _: _VALUES,
    "a memory map": _memmap,
    "a bfloat16 tensor": lambda _: torch.tensor(_VALUES).to(torch.bfloat16),
    "an int8 tensor": lambda _: torch.tensor(_VALUES).to(torch.int8),
    "sparse by columns": lambda _: scipy.sparse.csc_matrix(_VALUES.astype(np.float32)),
    "sparse by rows": lambda _: scipy.sparse.csr_array(_VALUES.astype(np.float64)),
    "Arrow": _arrow,
    "Parquet": _parquet,
}


@pytest.mark.parametrize("name", _TABLES)
def test_all_kinds_of_tables_give_the_same_columns(name, tmp_path):
    table = _TABLES[name](tmp_path)
    assert reads_columns(table)
    source = column_source(table)
    assert (source.num_rows, source.num_columns) == (12, 7)
    wanted = torch.tensor(_VALUES, dtype=torch.float64)
    assert torch.equal(source.gather(torch.tensor([5, 0, 2])), wanted[:, [5, 0, 2]])
    block = source.block(2, 6)
    assert block.dtype == source.precision
    assert torch.equal(block.double(), wanted[:, 2:6])
    block.zero_()  # a block is a copy
    assert torch.equal(source.block(2, 6).double(), wanted[:, 2:6])
    weights = torch.linspace(0.5, 1.5, 12, dtype=torch.float64)
    moments = source.moments(weights)
    share = weights / weights.sum()
    torch.testing.assert_close(moments.mean, share @ wanted, atol=1e-14, rtol=0.0)
    torch.testing.assert_close(moments.variance, share @ (wanted - share @ wanted).square())


@pytest.mark.parametrize("rows", [11, 13])
def test_a_memory_map_of_the_wrong_size_is_refused(rows, tmp_path):
    path = tmp_path / "x.bin"
    np.zeros((12, 7), dtype=np.int8).tofile(path)
    mapped = np.memmap(path, dtype=np.int8, mode="r+", shape=(rows, 7))
    np.zeros((12, 7), dtype=np.int8).tofile(path)  # whatever mapping has done to it
    with pytest.raises(ValueError, match=r"x\.bin is of the wrong size"):
        column_source(mapped)
    assert column_source(np.memmap(path, dtype=np.int8, mode="r", shape=(12, 7))).num_rows == 12


def test_what_is_not_finite_is_refused_by_name():
    values = _VALUES.astype(np.float32)
    values[3, 4] = np.nan
    with pytest.raises(ValueError, match="column 'x4' holds numbers that are missing"):
        column_source(values).moments(torch.ones(12, dtype=torch.float64))


def test_text_and_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"list cannot be read by columns; what can: .* memory map"):
        column_source([[1.0, 2.0]])
    with pytest.raises(ValueError, match="two dimensions"):
        column_source(np.zeros(3))
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="column 'word' is of string"):
        column_source(pa.table({"word": ["a", "b"]}))
