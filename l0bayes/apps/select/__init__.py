"""Variable selection from a file and a formula to a report that one can mail."""

from l0bayes.optional_packages import needed_for

with needed_for("A selection from a file"):
    from l0bayes.apps.select.calibration_request import data_sets_of
    from l0bayes.apps.select.column_selection import select_by_column
    from l0bayes.apps.select.formulas import FormulaData, apply_formula
    from l0bayes.apps.select.option_words import in_options
    from l0bayes.apps.select.row_columns import RowColumns
    from l0bayes.apps.select.select_parsing import (
        likelihood_of,
        parse_g,
        parse_inclusion,
        parse_noise_prior,
        parse_options,
        parse_slab_scale,
        parse_slab_scale_prior,
    )
    from l0bayes.apps.select.select_settings import SelectSettings
    from l0bayes.apps.select.selection_job import FILES, select
    from l0bayes.apps.select.selection_result import Selection
    from l0bayes.apps.select.table_cells import words_of
    from l0bayes.apps.select.table_files import load_table, read_table

__all__ = [
    "FILES",
    "FormulaData",
    "RowColumns",
    "SelectSettings",
    "Selection",
    "apply_formula",
    "data_sets_of",
    "in_options",
    "likelihood_of",
    "load_table",
    "parse_g",
    "parse_inclusion",
    "parse_noise_prior",
    "parse_options",
    "parse_slab_scale",
    "parse_slab_scale_prior",
    "read_table",
    "select",
    "select_by_column",
    "words_of",
]
