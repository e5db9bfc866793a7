"""Variable selection from a file and a formula to a report that one can mail."""

from l0bayes.apps.select.formulas import FormulaData, apply_formula
from l0bayes.apps.select.select_settings import SelectSettings, parse_inclusion, parse_options
from l0bayes.apps.select.selection_job import FILES, Selection, select
from l0bayes.apps.select.table_files import read_table

__all__ = [
    "FILES",
    "FormulaData",
    "SelectSettings",
    "Selection",
    "apply_formula",
    "parse_inclusion",
    "parse_options",
    "read_table",
    "select",
]
