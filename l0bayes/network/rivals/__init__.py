"""Networks to compare a deployed one with: its architecture anew, and the dense network thinned by hand."""

__all__: list[str] = []
