"""Tables of what the library has: guides, likelihoods, layers, engines, read from its registries."""

import inspect
from collections.abc import Iterable, Sequence

import l0bayes.guides
from l0bayes.gate_families import GATE_FAMILIES
from l0bayes.likelihoods import likelihood_by_name, names
from l0bayes.network import registered_kinds
from l0bayes.selection import engine_names
from l0bayes.selection.engines.engine_registry import engine_by_name

_BASES = {"AutoGateGuide", "FamilyGuide"}


def registry_rows() -> dict[str, str]:
    """A Markdown table by the name of what it lists: guides, likelihoods, layers, engines."""
    return {
        "guides": _table(("guide", "gates", "`gate_law=`"), _guides()),
        "likelihoods": _table(("name", "response", "regressions", "selection", "networks"), _likelihoods()),
        "layers": _table(("layers", "gates on inputs", "outputs", "weights", "heads"), _layers()),
        "engines": _table(("name", "what it does", 'chosen by `"auto"`'), _engines()),
    }


def factorised_guides() -> list[str]:
    """Guides that give each gate a law of its own, independent of the others': those of gate families."""
    return [family.guide_class.__name__ for family in GATE_FAMILIES.values()]


def joint_guides() -> list[str]:
    """The other guides: their gates may depend on one another."""
    known = {*factorised_guides(), *_BASES}
    classes = ((name, getattr(l0bayes.guides, name)) for name in l0bayes.guides.__all__)
    return [
        name
        for name, one in classes
        if inspect.isclass(one) and name.startswith("Auto") and name not in known
    ]


def _guides() -> Iterable[Sequence[str]]:
    for name, family in GATE_FAMILIES.items():
        yield f"`{family.guide_class.__name__}`", f"independent: {family.words}", f'`"{name}"`'
    for name in joint_guides():
        yield f"`{name}`", _first_line(getattr(l0bayes.guides, name)), ""


def _likelihoods() -> Iterable[Sequence[str]]:
    for name in names():
        one = likelihood_by_name(name)
        uses = (one.supports_regression(), one.supports_selection(), one.supports_network())
        yield f"`{name}`", one.words.summary, *("yes" if reason is None else "" for reason in uses)


def _layers() -> Iterable[Sequence[str]]:
    for kind in registered_kinds():
        types = ", ".join(f"`{one.__name__}`" for one in kind.types)
        places = ("input", "output", "weight", "heads")
        yield types, *("yes" if place in kind.placements else "" for place in places)


def _engines() -> Iterable[Sequence[str]]:
    for name in engine_names():
        if name != "auto":
            engine = engine_by_name(name)
            words = _first_line(type(engine))
            yield f"`{name}`", words, "" if engine.auto_order is None else "yes, where it suits"


def _first_line(thing: object) -> str:
    words = (inspect.getdoc(thing) or "").splitlines()[0].rstrip(".")
    return words.replace(":math:`\\propto e^{\\mathrm{ELBO}}`", "that follow their ELBOs")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
