"""Tables that are hardly meant as they stand: what is said, what is refused, and what is left in peace."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from l0bayes.apps.select.formulas import apply_formula
from l0bayes.apps.select.table_files import load_table, read_table
from l0bayes.apps.select.table_suspicions import levels_that_look_otherwise, missing_codes
from l0bayes.cli import app

RNG = np.random.default_rng(0)


def written(tmp_path, text, name="table.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def rows(count=40):
    x = RNG.normal(10.0, 3.0, size=(count, 2)).round(2)
    return [(a, b, round(0.5 * a + RNG.normal(), 2)) for a, b in x.tolist()]


def csv(header, lines):
    return "\n".join([header, *(",".join(map(str, line)) for line in lines)]) + "\n"


@pytest.mark.parametrize("code", [-9, -99, -999, -9999, 999, 9999, 99999])
def test_codes_for_missing_are_named(code):
    ages = pd.Series([*RNG.integers(21, 60, 37), code, code, code], dtype=float)
    if abs(code) == 9:
        ages = pd.Series([*RNG.random(37).round(2), code, code, code])
    found = missing_codes(pd.DataFrame({"age": ages, "x": np.arange(40.0)}))
    assert list(found) == ["age"]
    assert f"holds {code:g} in 3 rows" in found["age"]
    assert f"--na={code:g}" in found["age"]


@pytest.mark.parametrize(
    "values",
    [
        RNG.integers(20, 105, 40),  # ages, of which some may be 99
        [*range(90, 128), 99, 99],
        [*RNG.normal(size=38), 999.0, 3.0],  # once: an outlier
        [0.0] * 20 + [999.0] * 20,  # two values
        [*RNG.normal(0, 400, 38), 999.0, 999.0],
        [*range(1, 11), *[99] * 30],  # most of them
        [True, False] * 20,
    ],
)
def test_ordinary_numbers_are_left_in_peace(values):
    assert missing_codes(pd.DataFrame({"x": values})) == {}


def test_the_command_says_it_and_its_remedy_works(tmp_path):
    lines = [(a, -999 if i % 10 == 3 else b, y) for i, (a, b, y) in enumerate(rows())]
    path = written(tmp_path, csv("a,b,y", lines))
    told = CliRunner().invoke(app, ["select", str(path), "y ~ .", "--out", str(tmp_path / "one")]).output
    assert "holds -999 in 4 rows" in " ".join(told.split())
    more = ["--na=-999", "--drop-missing", "--out", str(tmp_path / "two")]
    told = CliRunner().invoke(app, ["select", str(path), "y ~ .", *more]).output
    assert "-999 in" not in told
    assert load_table(path, ["-999"]).table["b"].isna().sum() == 4


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        (["2024-01-01", "2024-02-01", "2024-03-01"], "dates or times"),
        (["01.02.2023", "02.02.2023", "03.02.2023"], "dates or times"),
        (["08:00", "12:30", "23:00"], "dates or times"),
        (["10%", "20%", "50%"], "numbers in another notation"),
    ],
)
def test_dates_and_shares_of_few_values_are_said_to_be_levels(levels, kind):
    frame = pd.DataFrame({"when": np.resize(levels, 30).astype(object), "y": RNG.normal(size=30)})
    notes = apply_formula(frame, "y ~ when", "gaussian").notes
    assert len(notes) == 1
    assert f"'when' holds 3 different values that look like {kind}" in notes[0]
    assert apply_formula(frame, "y ~ C(when)", "gaussian").notes == []


@pytest.mark.parametrize(
    "levels", [["a", "b", "c"], ["7a", "8b", "12c"], ["x1", "x2", "x3"], ["1", "2", "3"]]
)
def test_ordinary_levels_are_left_in_peace(levels):
    assert levels_that_look_otherwise(pd.DataFrame({"f": np.array(levels, dtype=object)}), ["f"]) == []


def test_a_line_of_units_is_named(tmp_path):
    path = written(tmp_path, csv("height,weight,y", [("cm", "kg", ""), *rows()]))
    with pytest.raises(
        ValueError, match=r"data row 1 .* words over columns of numbers, such as 'cm' and 'kg'"
    ):
        load_table(path)


@pytest.mark.parametrize(
    "lines",
    [
        [("n/a", 1.5, 2.0), *rows()],  # a word for missing in one column
        [("red", "north", 2.0), *[("blue", "south", y) for _, _, y in rows()]],
    ],
)
def test_other_first_rows_are_left_in_peace(tmp_path, lines):
    assert len(load_table(written(tmp_path, csv("a,b,y", lines))).table) == 41


def test_a_file_without_names_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"first line of .* must name the columns, and holds numbers \(9.63, 5.19"
    ):
        load_table(written(tmp_path, csv("9.63,5.19,0.65", rows())))
    assert list(load_table(written(tmp_path, csv("2001,2002,2003", rows()))).table) == [
        "2001",
        "2002",
        "2003",
    ]


def test_lines_above_the_header_are_to_be_deleted(tmp_path):
    with pytest.raises(ValueError, match="Lines above the header, such as a title, are to be deleted"):
        load_table(written(tmp_path, "Measurements of May\n" + csv("a,b,y", rows())))


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PK\x03\x04\x14\x00", "a zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1", r"a spreadsheet .*\.xls"),
        (b"%PDF-1.7", "a PDF"),
        (b"PAR1\x15\x04", "a Parquet file"),
    ],
)
def test_files_of_other_programs_are_named_by_their_first_bytes(tmp_path, start, kind):
    with pytest.raises(ValueError, match=rf"it is {kind}.*Save it as CSV"):
        load_table(written(tmp_path, start + bytes(range(256)) * 4))


def test_a_guessed_encoding_is_said_on_the_terminal(tmp_path):
    path = written(tmp_path, csv("größe,b,y", rows()), encoding="cp1252")
    told = CliRunner().invoke(app, ["select", str(path), "y ~ .", "--out", str(tmp_path / "out")]).output
    assert "read as Windows-1252" in " ".join(told.split())
    assert list(read_table(path)) == ["größe", "b", "y"]


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ('"blood pressure" ~ a', "backticks"),
        ("y ~ 'blood pressure'", "backticks"),
        ("y ~ a, b", r"Write \+ between"),
        ("y ~ a %in% b", "a:b for the product"),
    ],
)
def test_formulas_of_other_programs_are_answered(formula, words):
    frame = pd.DataFrame(rows(), columns=["a", "b", "y"]).assign(**{"blood pressure": 1.0})
    with pytest.raises(ValueError, match=words):
        apply_formula(frame, formula, "gaussian")


def test_likelihoods_that_are_listed_are_those_that_are_taken(tmp_path):
    path = written(tmp_path, csv("a,b,y", rows()))
    result = CliRunner().invoke(app, ["select", str(path), "y ~ .", "--likelihood", "poison"])
    told = " ".join(result.output.split())
    assert result.exit_code == 2
    assert "binomial" in told
    assert "'poisson'" in told
