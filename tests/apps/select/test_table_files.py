"""What is read from files: nothing is moved, lost or renamed in silence."""

import gzip
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

from l0bayes.apps.select import read_table


def table(count=6):
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(count, 3)).round(3), columns=["y", "a", "b"])


def refused(path, content=None):
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=path.name) as error:
        read_table(path)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- rows and header -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", ["1,2,3,4\n5,6,7,8\n", "0,2,3,4\n1,6,7,8\n", "1,2,3,4\n5,6,7\n"])
def test_rows_longer_than_the_header_are_no_shifted_columns(tmp_path, rows):
    message = refused(tmp_path / "long.csv", f"y,a,b\n{rows}")
    assert "has 3 names in its header and 4 fields in data row 1" in message


def test_two_fields_too_many(tmp_path):
    assert "and 5 fields in data row 1" in refused(tmp_path / "long.csv", "y,a,b\n1,2,3,4,5\n")


def test_a_later_row_that_is_longer(tmp_path):
    assert "Expected 3 fields in line 3, saw 4" in refused(tmp_path / "long.csv", "y,a,b\n1,2,3\n1,2,3,4\n")


def test_a_separator_at_the_end_of_each_row(tmp_path):
    message = refused(tmp_path / "comma.csv", "y,a,b\n1,2,3,\n5,6,7,\n")
    assert "4 fields in data row 1, the last of them empty: rows end in a separator" in message


def test_a_separator_at_the_end_of_header_and_rows(tmp_path):
    message = refused(tmp_path / "comma.csv", "y,a,b,\n1,2,3,\n5,6,7,\n")
    assert "column 4" in message
    assert "has no name, and is empty: rows end in a separator" in message


def test_headers_that_are_quoted_stay_whole(tmp_path):
    (tmp_path / "quoted.csv").write_text('\n"y\nz","a,b"\n1,2\n')
    assert list(read_table(tmp_path / "quoted.csv").columns) == ["y\nz", "a,b"]


@pytest.mark.parametrize("first", [0, 1])
def test_row_numbers_without_a_name(tmp_path, first):
    table().set_axis(range(first, 6 + first)).to_csv(tmp_path / "numbers.csv")
    message = refused(tmp_path / "numbers.csv")
    assert "column 1 of" in message
    assert "has no name: it numbers the rows" in message
    assert "index=False" in message


def test_a_column_without_a_name(tmp_path):
    message = refused(tmp_path / "nameless.csv", "y,,b\n1,2,3\n5,6,7\n")
    assert "column 2 of" in message
    assert message.endswith("has no name: give it one in the header")


# ---- kinds of files --------------------------------------------------------------------------------------


def test_a_folder_is_called_one(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder\.csv' is a folder"):
        read_table(tmp_path / "folder.csv")


def test_compressed_files_are_read(tmp_path):
    for ending in ("gz", "zip", "xz", "bz2", "tar"):
        table().to_csv(tmp_path / f"good.csv.{ending}", index=False)
        assert read_table(tmp_path / f"good.csv.{ending}").equals(table())


def whole():
    return "".join(f"{number},{number * 7919 % 1009}\n" for number in range(20_000)).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.csv.zip", b"no zip"),
        ("bad.csv.xz", b"no xz"),
        ("bad.csv.gz", b"no gzip"),
        ("bad.csv.bz2", b"no bzip2"),
        ("bad.csv.tar", b"no tar"),
        ("bad.csv.zst", b"no zst"),
        ("short.csv.gz", gzip.compress(b"y,a\n" + whole())[:-2000]),
        ("short.csv.xz", lzma.compress(b"y,a\n" + whole())[:-2000]),
        ("broken.csv.gz", gzip.compress(b"y,a\n" + whole())[:500] + b"\0" * 500),
    ],
)
def test_compressed_files_that_cannot_be_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert "cannot be read as CSV" in refused(tmp_path / name)


def test_an_archive_of_several_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.csv.zip", "w") as archive:
        archive.writestr("one.csv", "y,a\n1,2\n")
        archive.writestr("two.csv", "y,a\n1,2\n")
    assert "cannot be read as CSV: Multiple files" in refused(tmp_path / "two.csv.zip")


# ---- Parquet and Feather ---------------------------------------------------------------------------------


@pytest.fixture
def arrow():
    pytest.importorskip("pyarrow")


def test_an_index_with_a_name_is_a_column(tmp_path, arrow):
    table().set_index("a").to_parquet(tmp_path / "index.parquet")
    assert set(read_table(tmp_path / "index.parquet").columns) == {"y", "a", "b"}
    table().set_index(["a", "b"]).to_parquet(tmp_path / "two.parquet")
    assert set(read_table(tmp_path / "two.parquet").columns) == {"y", "a", "b"}


def test_an_index_without_a_name_is_none(tmp_path, arrow):
    table()[lambda rows: rows["a"] > 0].to_parquet(tmp_path / "index.parquet")
    assert list(read_table(tmp_path / "index.parquet").columns) == ["y", "a", "b"]


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_two_columns_of_one_name_in_arrow_files(tmp_path, arrow, kind):
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    twice = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4]), pa.array([5, 6])], ["a", "a", "y"])
    path = tmp_path / f"twice.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(twice, path)
    else:
        pyarrow.feather.write_feather(twice, path)
    assert refused(path).endswith("have the same name: ['a']")
