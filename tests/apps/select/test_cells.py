"""What the cells of a file mean: words, separators, commas, spaces and letters, as they come."""

import warnings

import numpy as np
import pandas as pd
import pytest

from l0bayes.apps.select import apply_formula, load_table, read_table, words_of

WORDS = ["None", "NA", "nan", "NaN", "null", "NULL", "N/A", "n/a", "<NA>", "#N/A", "?"]


def loaded(tmp_path, content, na=None, name="table.csv", encoding="utf-8"):
    (tmp_path / name).write_bytes(content.encode(encoding))
    return load_table(tmp_path / name, na)


def told(found):
    return " ".join(found.notes)


# ---- words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", WORDS)
def test_a_word_among_words_is_a_level(tmp_path, word):
    found = loaded(tmp_path, f"y,g\n1,{word}\n2,a\n3,{word}\n4,b\n")
    assert found.table["g"].tolist() == [word, "a", word, "b"]
    assert apply_formula(found.table, "y ~ g", "gaussian").rows_dropped == 0
    assert f"column 'g' holds {word!r} in 2 rows, taken as the name of a level" in found.doubts["g"]
    assert f"--na {word}" in found.doubts["g"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_among_numbers_is_missing(tmp_path, word):
    found = loaded(tmp_path, f"y,x\n1,0.5\n2,{word}\n3,2\n")
    assert found.table["x"].tolist()[::2] == [0.5, 2.0]
    assert np.isnan(found.table["x"][1])
    assert found.doubts == {}
    with pytest.raises(ValueError, match="values are missing: 'x' in 1 row"):
        apply_formula(found.table, "y ~ x", "gaussian")


@pytest.mark.parametrize("word", [*WORDS, "unknown", "-9"])
def test_words_that_are_asked_for_are_missing_everywhere(tmp_path, word):
    found = loaded(tmp_path, f"y,g,x\n1,{word},3\n2,a,{word}\n3,b,4\n", [word])
    assert found.table["g"].isna().tolist() == [True, False, False]
    assert found.table["x"].isna().tolist() == [False, True, False]
    assert f"and the words {word} (--na)" in told(found)


def test_no_word_is_missing_where_none_is_asked_for(tmp_path):
    found = loaded(tmp_path, "y,g,x\n1,NA,3\n2,a,NA\n3,b,4\n4,,5\n", [])
    assert found.table["g"].tolist()[:3] == ["NA", "a", "b"]
    assert found.table["g"].isna().sum() == 1
    assert found.table["x"].tolist() == ["3", "NA", "4", "5"]
    assert "Empty cells count as missing and nothing else" in told(found)
    with pytest.raises(ValueError, match="text among numbers in 1 row, the first of them 'NA'"):
        apply_formula(found.table.drop(index=3), "y ~ x", "gaussian")


def test_words_of_an_option():
    assert words_of(None) is None
    assert words_of("") == []
    assert words_of("NA, None") == ["NA", "None"]


def test_truth_values_with_words(tmp_path):
    table = loaded(tmp_path, "y,t,u\n1,TRUE,true\n2,NA,false\n3,FALSE,true\n").table
    assert table["t"].tolist()[::2] == [True, False]
    assert table["t"].isna().sum() == 1
    assert table["u"].dtype == bool


def test_what_is_missing_in_arrow_files(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"y": [1.0, 2.0, -9.0], "g": ["NA", None, "b"]}).to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["g"].isna().tolist() == [False, True, False]
    table = read_table(tmp_path / "t.parquet", ["NA", "-9"])
    assert table["g"].isna().tolist() == [True, True, False]
    assert table["y"].isna().tolist() == [False, False, True]


# ---- separators and commas -------------------------------------------------------------------------------


@pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_other_separators_are_recognised(tmp_path, sign, word):
    content = 'y,a,"b, c"\n1,2.5,u\n2,3.5,"v, w"\n'
    usual = loaded(tmp_path, content)
    other = loaded(tmp_path, 'y?a?"b, c"\n1?2.5?u\n2?3.5?"v, w"\n'.replace("?", sign))
    assert other.table.equals(usual.table)
    assert f"Fields are separated by {word}." in other.notes
    assert "separated" not in told(usual)


def test_decimal_commas_between_semicolons(tmp_path):
    found = loaded(tmp_path, "y;a;g\n1,5;-2,25;u\n2;1e-3;v\n0,125;,5;w\n")
    assert found.table["y"].tolist() == [1.5, 2.0, 0.125]
    assert found.table["a"].tolist() == [-2.25, 1e-3, 0.5]
    assert "Commas are decimal points in 'y', 'a'." in found.notes


def test_decimal_commas_in_quotation_marks(tmp_path):
    found = loaded(tmp_path, 'y,a\n1,"1,5"\n2,"12,25"\n')
    assert found.table["a"].tolist() == [1.5, 12.25]


def test_a_comma_that_may_part_thousands_is_not_guessed(tmp_path):
    found = loaded(tmp_path, 'y,a\n1,"1,500"\n2,"12,250"\n3,700\n')
    assert found.table["a"].tolist() == ["1,500", "12,250", "700"]
    with pytest.raises(ValueError, match="look like numbers"):
        apply_formula(found.table, "y ~ I(2 * a)", "gaussian")


def test_fields_between_spaces_are_named(tmp_path):
    with pytest.raises(ValueError, match="separated by spaces, 3 in each line"):
        loaded(tmp_path, "y a b\n1 2 3\n4 5 6\n")


def test_one_column_is_no_matter_of_separators(tmp_path):
    assert list(loaded(tmp_path, "y\n1\n2\n").table["y"]) == [1, 2]


# ---- letters and spaces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "utf-32"])
def test_encodings_are_recognised(tmp_path, encoding):
    found = loaded(tmp_path, "größe,g\n1,süd\n2,nord\n", encoding=encoding)
    assert list(found.table.columns) == ["größe", "g"]
    assert found.table["g"].tolist() == ["süd", "nord"]
    assert ("Windows-1252" in told(found)) == (encoding in ("cp1252", "latin-1"))


def test_an_odd_letter_far_down(tmp_path):
    rows = "".join(f"{row},nord\n" for row in range(30_000))
    found = loaded(tmp_path, f"y,g\n{rows}1,süd\n", encoding="cp1252")
    assert found.table["g"].iloc[-1] == "süd"


def test_spaces_around_names_and_cells(tmp_path):
    found = loaded(tmp_path, "y , a,g \n1, 2,u\n2, 3, u\n3, ,v \n")
    assert list(found.table.columns) == ["y", "a", "g"]
    assert found.table["a"].tolist()[:2] == [2, 3]
    assert found.table["a"].isna().sum() == 1
    assert found.table["g"].tolist() == ["u", "u", "v"]
    assert "Spaces around names in the header were taken away." in found.notes
    assert any(note.startswith("Spaces around cells were taken away in") for note in found.notes)


def test_two_names_that_differ_by_spaces(tmp_path):
    with pytest.raises(ValueError, match=r"have the same name: \['a'\]"):
        loaded(tmp_path, "y,a, a\n1,2,3\n")


def test_numbers_in_another_notation_are_named(tmp_path):
    for cells in (["12 %", "13 %"], ["$5", "$7.50"], ["5 kg", "7 kg"], ["1.234,5", "2.000,1"]):
        found = loaded(tmp_path, "y;a\n" + "".join(f"{row};{cell}\n" for row, cell in enumerate(cells)))
        with pytest.raises(ValueError, match="look like numbers"):
            apply_formula(found.table, "y ~ I(2 * a)", "gaussian")


def test_what_looks_like_something_else_is_told(tmp_path):
    """A factor whose cells look like numbers or dates; no word of spaces where there are none."""
    rows = [f"{0.1 * (i % 7):.1f},{i % 5}%,{1 + i % 4}.2.2020,{'uvw'[i % 3]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("y,share,day,ward\n" + "\n".join(rows) + "\n")
    found = load_table(tmp_path / "t.csv", None)
    assert "looks like numbers in another notation, such as '0%'" in found.doubts["share"]
    assert "looks like dates or times, such as '1.2.2020'" in found.doubts["day"]
    assert "ward" not in found.doubts
    assert not any("Spaces" in note for note in found.notes)
    (tmp_path / "s.csv").write_text("y,ward\n1, u\n2,v\n3,u\n")
    assert "Spaces around cells were taken away in 'ward'." in load_table(tmp_path / "s.csv", None).notes


# ---- thousands or decimals -------------------------------------------------------------------------------


def refusal(tmp_path, content, name="table.csv", formula="y ~ a"):
    found = loaded(tmp_path, content, name=name)
    with pytest.raises(ValueError, match="may be") as error:
        apply_formula(found.table, formula, "gaussian", refused=found.refused)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "name", "why"),
    [
        ("y;a\n0.5;1,234\n0.75;999\n1.5;2,500\n", "t.csv", "in the file the decimal mark is a point"),
        ("y;a\n0,5;1.234\n0,75;999\n1,5;2.500\n", "t.csv", "in the file the decimal mark is a comma"),
        ("y;a\n0.5;1,234\n0.75;5,999\n1.5;2,500\n", "t.csv", "the decimal mark is a point"),
        ("y;a;b\n5;1.234;1.234.567\n7;9.999;1.000\n1;2.500;2.000\n", "t.csv", "a point marks thousands"),
        ("y;a;b\n5;1,234;1,234.5\n7;9,999;1\n1;2,500;2\n", "t.csv", "a comma marks thousands"),
        ("y\ta\n5\t1,234\n7\t999\n1\t2,501\n", "t.tsv", "write one more digit, as in '1,2340'"),
        ("y;a\n5;1.234\n7;999\n1;2.501\n", "t.csv", "write one more digit"),
        ("y;a\n5;1.234\n7;\n1;999\n", "t.csv", "write one more digit"),
        ("y|a\n5|-1,234\n7|NA\n1|999\n", "t.csv", "write one more digit"),
        ("y,a\n5,1.250\n7,999\n1,2.501\n", "t.csv", "write one more digit"),
    ],
)
def test_what_may_be_thousands_is_refused(tmp_path, content, name, why):
    said = refusal(tmp_path, content, name)
    assert "column 'a' holds" in said
    assert why in said
    # The numbers are in no column that somebody could use by mistake.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = read_table(tmp_path / name)
    assert any("'a' holds" in str(one.message) and "it is left as text" in str(one.message) for one in caught)
    assert not pd.api.types.is_numeric_dtype(table["a"])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("y;a\n5;1,234\n7;9,999\n1;2,500\n", "t.csv"),
        ("y\ta\n5\t1.234\n7\t9.999\n1\t2.500\n", "t.tsv"),
        ("y,a\n5,1.234\n7,9\n1,2.501\n", "t.csv"),
    ],
)
def test_what_may_be_thousands_in_every_row_is_doubtful(tmp_path, content, name):
    found = loaded(tmp_path, content, name=name)
    assert found.table["a"].iloc[0] == 1.234
    assert "was read as the first: if it is the second" in found.doubts["a"]
    assert not found.refused


@pytest.mark.parametrize(
    "content",
    [
        "y;a\n0,5;1,234\n0,75;999\n1,5;2,500\n",
        "y;a\n0.5;1.234\n0.75;999\n1.5;2.500\n",
        "y;a\n5;1,234\n7;0,999\n1;2,500\n",
        "y;a\n5;1,2340\n7;999\n1;2,5\n",
        "y;a\n5;1234,567\n7;999\n1;2,500\n",
        "y,a\n5,1.234\n7,9.999\n1,2.500\n",
        "y;a\n5;1234\n7;999\n1;2500\n",
    ],
)
def test_marks_that_the_file_explains_are_decimal(tmp_path, content):
    found = loaded(tmp_path, content)
    assert not found.refused
    assert not found.doubts
    assert pd.api.types.is_numeric_dtype(found.table["a"])


def test_a_column_that_is_not_used_may_hold_what_it_likes(tmp_path):
    found = loaded(tmp_path, "y;a;b\n5;1.234;1\n7;999;2\n1;2.501;4\n")
    assert apply_formula(found.table, "y ~ b", "gaussian", refused=found.refused).groups == ["b"]


# ---- what programs write ---------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_first_line_that_says_what_separates(tmp_path, line, encoding):
    found = loaded(tmp_path, f"{line}\ny;a\n1;2,5\n2;3,5\n", encoding=encoding)
    assert found.table["a"].tolist() == [2.5, 3.5]
    assert "The first line says what separates fields: ';'." in told(found)


@pytest.mark.parametrize("header", ["e\u0301ge", "\u00e9ge"])
@pytest.mark.parametrize("typed", ["e\u0301ge", "\u00e9ge"])
def test_letters_that_look_the_same_are_the_same_name(tmp_path, header, typed):
    found = loaded(tmp_path, f"y,{header}\n1,2\n2,3\n3,5\n")
    assert apply_formula(found.table, f"y ~ {typed}", "gaussian").columns == ["y", "\u00e9ge"]
    assert "Spaces around names" not in told(found)


@pytest.mark.parametrize(
    "cells",
    [["1\u202f200", "2\u202f300"], ["\u22121.5", "\u22122.5"], ["(3)", "(4.5)"], ["($3)", "(1,200)"]],
)
def test_numbers_as_others_write_them(tmp_path, cells):
    found = loaded(tmp_path, f"y;a\n1;{cells[0]}\n2;{cells[1]}\n")
    assert "looks like numbers in another notation" in found.doubts["a"]


def test_an_empty_column_is_no_reason_to_leave_out_every_row(tmp_path):
    table = loaded(tmp_path, "y,a,b\n1,,2\n2,,3\n").table
    for drop in (False, True):
        with pytest.raises(ValueError, match=r"No row is complete: leave .* empty, as in '. - a'") as error:
            apply_formula(table, "y ~ .", "gaussian", drop_missing=drop)
        assert "--drop-missing" not in str(error.value)
