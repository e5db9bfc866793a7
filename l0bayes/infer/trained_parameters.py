"""The values of ``pyro.param`` that a model and a guide were trained to: the one place that gives them.

Modules hold their parameters themselves. What a model or a guide makes by ``pyro.param`` outside a module
is in Pyro's store alone, where ``pyro.infer.SVI`` trains it, and a run with another store would start it
anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyro
from pyro.nn.module import PyroModule
from torch import Tensor, nn

from l0bayes.user_warnings import warn_user

__all__ = ["TrainedParameters", "UntrainedParameterWarning"]

# pyro.module puts parameters of modules into the store under such names; the modules hold their values.
_OF_A_MODULE = "$$$"


class UntrainedParameterWarning(UserWarning):
    """A ``pyro.param`` is not in Pyro's store, so that its initial value is read."""


@dataclass(frozen=True)
class TrainedParameters:
    """Parameters of Pyro's store, by reference: training goes on in them, and clearing the store does not
    end them.

    Attributes:
        params: Unconstrained value by name.
        constraints: Constraint by name.
    """

    params: dict[str, Tensor] = field(default_factory=dict)
    constraints: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def in_store(cls, *modules: Any) -> TrainedParameters:
        """What the store holds now beside what modules hold themselves.

        A module would take the store's value over its own, which may be that of another module of its class.

        Args:
            *modules: Models and guides, of which those that are modules are looked at.
        """
        store = pyro.get_param_store()
        if not len(store):
            return cls()
        state, own = store.get_state(), owned_names(modules)
        kept = [name for name in state["params"] if name not in own]
        return cls(
            {name: state["params"][name] for name in kept},
            {name: state["constraints"][name] for name in kept if name in state["constraints"]},
        )

    def only(self, names: Iterable[str]) -> TrainedParameters:
        """Some of them.

        Args:
            names: Their names; what is not there is left out.
        """
        kept = [name for name in names if name in self.params]
        return TrainedParameters(
            {name: self.params[name] for name in kept},
            {name: self.constraints[name] for name in kept if name in self.constraints},
        )

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Pyro's store with these parameters for a while; what is made meanwhile is forgotten."""
        with pyro.get_param_store().scope(
            {"params": dict(self.params), "constraints": dict(self.constraints)}
        ):
            yield

    @contextmanager
    def in_use_for(self, *modules: Any) -> Iterator[None]:
        """The same, with a warning where one is missing.

        Args:
            *modules: The model and the guide that run meanwhile.

        Warns:
            UntrainedParameterWarning: If a ``pyro.param`` outside a module had to be started anew.
        """
        with self.in_use():
            yield
            new = set(pyro.get_param_store().keys()) - set(self.params) - owned_names(modules)
        new = {name for name in new if _OF_A_MODULE not in name}
        if new:
            warn_user(
                f"the parameters {sorted(new)} of pyro.param are not in Pyro's parameter store, so that "
                "their initial values were read; keep the store as training left it, or make them PyroParam "
                "attributes of a PyroModule",
                UntrainedParameterWarning,
            )


def owned_names(modules: Iterable[Any]) -> set[str]:
    """The names under which modules mirror their own parameters in Pyro's store.

    Args:
        modules: Anything; what is no module holds no parameters.
    """
    found: set[str] = set()
    for module in modules:
        for part in module.modules() if isinstance(module, nn.Module) else ():
            if not isinstance(part, PyroModule):  # the store knows its parameters by pyro.module alone
                continue
            prefix = f"{part._pyro_name}." if part._pyro_name else ""
            for name, _ in part.named_parameters(recurse=False):
                found |= {f"{prefix}{name}", f"{prefix}{name.removesuffix('_unconstrained')}"}
    return found
