"""Mutants that were looked at by hand, and cannot change a result: what they change is said for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["why_equivalent"]

_REASONS: dict[tuple[str, str, str], str] = {
    (
        "distributions/concrete.py",
        "UnaryOperator_Delete_USub",
        "tail = torch.where(self.log_alpha > 0, -self.log_alpha, self.log_alpha)",
    ): "the entropy is an even function of log alpha; the sign saves digits far out",
    (
        "distributions/concrete.py",
        "BinaryOperator_Add_Sub",
        "return location / larger + scale / larger.square() * nodes, larger, weights",
    ): "nodes and weights of the rule are symmetric about 0",
    (
        "distributions/conditional_slab.py",
        "BinaryOperator_Add_Sub",
        "return self.solve(self.diagonal.sqrt() * first + along)",
    ): "a Normal draw and its negative have one law",
    (
        "distributions/rectified_normal.py",
        "BinaryOperator_Sub_Add",
        "t = (2.0 * tail - torch.log(4.0 * math.pi * tail)).sqrt()",
    ): "where Newton's method starts; it ends at the same root",
    (
        "infer/graphs/products.py",
        "BinaryOperator_Add_Sub",
        "return _Product(number, tuple(rest), (_size(node) + _CALL) / len(node.users))",
    ): "the cost by which one of two equal orders of a product is chosen",
    (
        "infer/graphs/simplify.py",
        "BinaryOperator_Mul_Div",
        "return sum(sizes) > _LARGE * len(sizes)",
    ): "whether a graph is worth simplifying, which changes no number",
    (
        "infer/loop/fit.py",
        "BinaryOperator_Mul_Div",
        "*,",
    ): "no arithmetic: the marker of arguments that are given by name",
    (
        "infer/objectives/gate_gradients.py",
        "BinaryOperator_Sub_Add",
        "terms = ((value - mean) * (gate - open_) for gate, value in zip(gates, values, strict=True))",
    ): "values less their mean sum to 0, and with them all that open_ is multiplied by",
    (
        "infer/targets/forecast.py",
        "BinaryOperator_Mul_Div",
        "*,",
    ): "no arithmetic: the marker of arguments that are given by name",
    (
        "selection/kernels/active_sets.py",
        "BinaryOperator_Mul_Div",
        "self._reserve(max(needed, math.ceil(1.5 * self.held.shape[1])))",
    ): "how much room is made at once; what is needed is made in any case",
    (
        "selection/kernels/elimination.py",
        "BinaryOperator_Mul_Div",
        "*,",
    ): "no arithmetic: the marker of arguments that are given by name",
    (
        "selection/kernels/evidence_grid.py",
        "BinaryOperator_Sub_Add",
        "distance = (self.logs - self.logs[self.best]).square().sum(1)",
    ): "the order in which nodes are computed, each from the nearest before it",
    (
        "selection/kernels/importance_draws.py",
        "BinaryOperator_Sub_Add",
        "torch.maximum(found, torch.cat([last.new_zeros(1), last[:-1]])[wanted]), last[wanted] - 1",
    ): "a guard against rounding, beside a factor that keeps it from being met",
    (
        "selection/kernels/laplace.py",
        "BinaryOperator_Mul_Div",
        "for index in order.split(max(1, 2 * _BATCH // (problem.num_rows * pairs))):",
    ): "how many models are treated at once",
    (
        "selection/kernels/mean_field.py",
        "BinaryOperator_Mul_Div",
        "exponent, rate = 0.5 * n * torch.ones_like(squares), 0.5 * squares",
    ): "a product with 1",
    (
        "selection/kernels/mixture.py",
        "BinaryOperator_Add_Sub",
        "unpenalised = one.unpenalised_mean + one.unpenalised_sd * torch.randn_like(one.unpenalised_mean)",
    ): "a Normal draw and its negative have one law",
    (
        "selection/kernels/relaxations.py",
        "BinaryOperator_Add_Sub",
        "slabs = mean + factors.sd * torch.randn(particles, *mean.shape, dtype=mean.dtype)",
    ): "a Normal draw and its negative have one law",
    (
        "selection/kernels/split_law.py",
        "UnaryOperator_Delete_USub",
        "scale = places[-len(_PLACES) :, None] / (2.0 * fall).clamp(min=1e-8).sqrt()",
    ): "the second half of twice so many places",
}
"""File below ``l0bayes``, operator and line of source, to the reason."""


def why_equivalent(row: Mapping[str, Any]) -> str | None:
    """Why a mutant cannot change a result; ``None`` where it was not found that it cannot.

    Args:
        row: Its file, operator and source.
    """
    return _REASONS.get((row["file"].removeprefix("l0bayes/"), row["operator"], row["source"]))
