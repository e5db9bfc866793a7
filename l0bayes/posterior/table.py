r"""The gate table: which gates are open, how sure that is, and what it does to the weights."""

from __future__ import annotations

import itertools
import json
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from l0bayes import validate
from l0bayes.infer.loop.fit_result import Fit
from l0bayes.infer.loop.restart_agreement import RestartWarning
from l0bayes.infer.objectives.gate_parts import gate_laws
from l0bayes.posterior.arviz_data import group_of
from l0bayes.posterior.to_arviz import to_arviz

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["gate_table"]


def gate_table(
    posterior: Any,
    name: str | None = None,
    *,
    hdi_prob: float = 0.94,
    chain: int | Literal["best"] = "best",
    sort: bool = True,
) -> pd.DataFrame:
    r"""One row a gated weight, or one a gate where gates are shared by broadcasting.

    ======================  ==========================================================================
    column                  meaning
    ======================  ==========================================================================
    ``pip``                 posterior inclusion probability :math:`q(z \ne 0)`, analytic
    ``pip_low, pip_high``   its range over restarts, where there are several
    ``prob_one``            :math:`q(z = 1)`, analytic
    ``mean, sd``            of the effective weight, zeros included (of the gate, in a table of gates)
    ``hdi_low, hdi_high``   its narrowest interval of probability ``hdi_prob``
    ``mean_active``         mean given that the gate is open (or above its threshold, without an atom)
    ``prior``               prior inclusion probability
    ``bayes_factor``        posterior odds of inclusion over prior odds
    ``in_median_model``     whether ``pip`` is above one half
    ======================  ==========================================================================

    Args:
        posterior: ArviZ data from :func:`l0bayes.to_arviz` or from ``inference_data_`` of an estimator, from
            memory or a file, or a ``Fit``.
        name: An effective weight or a gate site; default: the only weight with gates, or all gates.
        hdi_prob: Probability of the interval, in (0, 1).
        chain: The restart to read, by default the one with the highest ELBO. Of an estimator's posterior
            the chain, by default all of them together.
        sort: Whether to put the largest PIP first.

    Returns:
        A DataFrame indexed by the coordinates' labels.

    Raises:
        ValueError: If ``hdi_prob`` is outside (0, 1), ``name`` is unknown or left out of the draws, there
            is no such ``chain``, or ``posterior`` holds no gates.
    """
    import pandas as pd

    validate.inside("(0, 1)", hdi_prob=hdi_prob)
    if isinstance(posterior, Fit):
        if not gate_laws(posterior.guide):
            raise ValueError(
                "the fit's model has no gates: sample them by l0bayes.spike_and_slab or l0bayes.gate"
            )
        with warnings.catch_warnings():  # the table is of one restart, and shows how far the others differ
            warnings.simplefilter("ignore", RestartWarning)
            posterior = to_arviz(posterior)
    constants, draws = _dataset(posterior, "constant_data"), _dataset(posterior, "posterior")
    if "gates_of_weights" in constants.attrs:
        index = _chain(chain, constants["elbo"].to_numpy())
        links: dict[str, list[str]] = json.loads(constants.attrs["gates_of_weights"])
        renamed = json.loads(constants.attrs.get("site_names", "{}"))
        variable = {site: variable for variable, site in renamed.items()}.get(name, name)
        chosen = _choose(variable, links, constants, draws)
        frames = [_frame(target, links, constants, draws, index, hdi_prob) for target in chosen]
        table = pd.concat(frames)
    elif {"pip", "prior_inclusion", "group_of_feature"} <= set(constants) and {"beta", "gate"} <= set(draws):
        table = _frame_of_selection(name, constants, draws, chain, hdi_prob)
    else:
        raise ValueError(_NOT_OURS.format("constant_data"))
    return table.sort_values("pip", ascending=False, kind="stable") if sort else table


_NOT_OURS = (
    "posterior has no group {!r} with gates; a gate table is read from what l0bayes.to_arviz gives, or an "
    "estimator's inference_data_ (of a refinement: refinement.to_arviz())"
)


def _chain(chain: int | Literal["best"], elbos: NDArray[np.float64]) -> int:
    if chain == "best":
        return int(np.where(np.isnan(elbos), -np.inf, elbos).argmax())  # an interrupted run may have none
    if chain not in range(-len(elbos), len(elbos)):
        raise ValueError(f"chain must be 'best' or one of the {len(elbos)} restarts, got {chain!r}")
    return int(chain)


def _frame_of_selection(
    name: str | None, constants: xr.Dataset, draws: xr.Dataset, chain: int | Literal["best"], hdi_prob: float
) -> pd.DataFrame:
    """Rows of what an estimator found: its gates are binary, and their probabilities of all its chains."""
    target = "beta" if name is None else name
    if target not in ("beta", "gate"):
        raise ValueError(f"name must be one of ['beta', 'gate']; got {name!r}")
    if chain != "best":
        index = _chain(chain, np.zeros(draws.sizes["chain"]))
        draws = draws.isel(chain=[index])
    pick: Any = constants["group_of_feature"].to_numpy() if target == "beta" else slice(None)
    values, gates = (
        draws[one].to_numpy().reshape(-1, draws[one].shape[-1]).astype(np.float64) for one in (target, "gate")
    )
    pip = constants["pip"].to_numpy()[pick]
    prior = constants["prior_inclusion"].to_numpy()[pick]
    return _table(_labels(target, draws), values, gates[:, pick] > 0, pip[None], 0, pip, prior, hdi_prob)


def _dataset(posterior: Any, group: str) -> xr.Dataset:
    try:
        return group_of(posterior, group)
    except (KeyError, TypeError):  # of a type that has no groups, such as a refinement
        raise ValueError(_NOT_OURS.format(group)) from None


def _choose(
    name: str | None, links: dict[str, list[str]], constants: xr.Dataset, draws: xr.Dataset
) -> list[str]:
    gates = [str(v)[: -len(".pip")] for v in constants.data_vars if str(v).endswith(".pip")]
    if name is not None:
        if name not in (*links, *gates):
            raise ValueError(f"name must be one of {sorted((*links, *gates))}; got {name!r}")
        return [name]
    weights = [w for w in links if _is_elementwise(w, links, constants, draws)]
    covered = {gate for weight in weights for gate in links[weight]}
    return weights + [gate for gate in gates if gate not in covered]


def _is_elementwise(
    weight: str, links: dict[str, list[str]], constants: xr.Dataset, draws: xr.Dataset
) -> bool:
    if len(links[weight]) != 1 or weight not in draws:
        return False
    if f"{weight}.group" in constants:
        return True
    return constants[f"{links[weight][0]}.pip"].dims[1:] == draws[weight].dims[2:]


def _frame(
    target: str,
    links: dict[str, list[str]],
    constants: xr.Dataset,
    draws: xr.Dataset,
    chain: int,
    hdi_prob: float,
) -> pd.DataFrame:
    if target not in draws:
        raise ValueError(f"{target!r} is not among the draws; name it in var_names of to_arviz")
    gate = target
    if target in links:
        if not _is_elementwise(target, links, constants, draws):
            raise ValueError(
                f"weights {target!r} share gates by broadcasting; read the gates {links[target]}"
            )
        gate = links[target][0]
    values = draws[target].to_numpy()[chain].reshape(draws.sizes["draw"], -1).astype(np.float64)
    pick: Any = slice(None)
    if f"{target}.group" in constants:
        pick = constants[f"{target}.group"].to_numpy().ravel()

    def of(quantity: str) -> NDArray[np.float64]:
        data = constants[f"{gate}.{quantity}"].to_numpy().astype(np.float64)
        flat = data.ravel() if quantity == "prior" else data.reshape(len(data), -1)
        picked: NDArray[np.float64] = flat[..., pick]
        return picked

    is_open = values != 0
    threshold = json.loads(constants.attrs.get("activity_thresholds", "{}")).get(gate, 0.0)
    if threshold and gate in draws:  # gates that never shut are open above a threshold
        gates = draws[gate].to_numpy()[chain].reshape(draws.sizes["draw"], -1)
        is_open = gates[:, pick] > threshold
    return _table(
        _labels(target, draws),
        values,
        is_open,
        of("pip"),
        chain,
        of("prob_one")[chain],
        of("prior"),
        hdi_prob,
    )


def _table(
    labels: list[str],
    values: NDArray[np.float64],
    is_open: NDArray[np.bool_],
    pips: NDArray[np.float64],
    chain: int,
    prob_one: NDArray[np.float64],
    prior: NDArray[np.float64],
    hdi_prob: float,
) -> pd.DataFrame:
    """The columns; ``values`` and ``is_open`` have a row for each draw, ``pips`` one for each restart."""
    import pandas as pd

    pip = pips[chain]
    low, high = _hdi(values, hdi_prob)
    open_draws = is_open.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_active = np.where(open_draws > 0, (values * is_open).sum(0) / open_draws, np.nan)
        factor = pip / (1.0 - pip) * (1.0 - prior) / prior
    columns: dict[str, Any] = {"pip": pip}
    if len(pips) > 1:
        columns |= {"pip_low": pips.min(0), "pip_high": pips.max(0)}
    columns |= {
        "prob_one": prob_one,
        "mean": values.mean(0),
        "sd": values.std(0),
        "hdi_low": low,
        "hdi_high": high,
        "mean_active": mean_active,
        "prior": prior,
        "bayes_factor": factor,
        "in_median_model": pip > 0.5,
    }
    return pd.DataFrame(columns, index=pd.Index(labels, name="weight"))


def _labels(target: str, draws: xr.Dataset) -> list[str]:
    array = draws[target]
    dims = array.dims[2:]
    if not dims:
        return [target]
    named = [dim for dim in dims if array[dim].dtype.kind in "OUT"]
    coords = [[str(value) for value in array[dim].to_numpy()] for dim in dims]
    combinations = (", ".join(combination) for combination in itertools.product(*coords))
    return list(combinations) if named else [f"{target}[{combination}]" for combination in combinations]


def _hdi(values: NDArray[Any], prob: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """The narrowest interval that holds a share ``prob`` of the draws; columns are variables."""
    ordered = np.sort(values, axis=0)
    width = min(len(ordered) - 1, int(np.ceil(prob * len(ordered))))
    spans = ordered[width:] - ordered[: len(ordered) - width]
    start = spans.argmin(0)
    columns = np.arange(ordered.shape[1])
    return ordered[start, columns], ordered[start + width, columns]
