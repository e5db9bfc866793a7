r"""A run in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l0bayes.apps.train.baseline_words import baseline_table
from l0bayes.apps.train.certificate_words import certificate_lines
from l0bayes.apps.train.run_config import RunConfig
from l0bayes.network import read_certificate

if TYPE_CHECKING:
    import pandas as pd

    from l0bayes.infer import Fit

__all__ = ["CHECKPOINT", "DEPLOYED", "GUIDE", "Run", "load_run"]

GUIDE = "guide.safetensors"
"""The file with the state of guide and model."""

CHECKPOINT = "checkpoint.safetensors"
"""The file that an interrupted run goes on from."""

DEPLOYED = "deployed"
"""The folder in which the deployed network is saved."""


@dataclass
class Run:
    """A training run and what it left.

    Attributes:
        folder: Where its files are.
        config: Its settings.
        results: Scores, sizes and time, as in ``scores.json``; empty where it was not finished.
        fit: The fit, where the run was made in this process.
        deployed: The small network, likewise.
    """

    folder: Path
    config: RunConfig
    results: dict[str, Any] = field(default_factory=dict)
    fit: Fit | None = None
    deployed: Any = None

    @property
    def history(self) -> pd.DataFrame:
        """What was recorded during training."""
        return self._table("history.csv")

    @property
    def layers(self) -> pd.DataFrame:
        """What each layer keeps and costs."""
        return self._table("layers.csv").set_index("layer")

    @property
    def costs(self) -> pd.DataFrame:
        """Cost of the dense, expected and deployed networks."""
        return self._table("costs.csv").set_index("network")

    @property
    def baselines(self) -> pd.DataFrame | None:
        """The deployed network beside networks trained from scratch; ``None`` where none were trained.

        Errors in per cent, multiply-accumulates, parameters, the processor's time of training in seconds (for
        the deployed one: from the dense network to it, without evaluations) and of a run in milliseconds.
        """
        rows = self.results.get("baselines")
        return baseline_table(rows) if rows else None

    @property
    def files(self) -> list[Path]:
        """The files of the folder, and those of the deployed network."""
        folders = [self.folder, self.folder / DEPLOYED]
        return [
            path
            for folder in folders
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.is_file()
        ]

    @property
    def certificate(self) -> dict[str, Any]:
        """What was measured of the deployed network; its files are compared with their checksums.

        Raises:
            FileNotFoundError: If the run was not finished, or an older version wrote its network as a pickle.
            SavedNetworkError: If a file was cut short or altered.
        """
        return read_certificate(self.deployed_folder())

    def deployed_folder(self) -> Path:
        """The folder of the deployed network, for :func:`l0bayes.load_deployed`.

        Raises:
            FileNotFoundError: If the run was not finished, or an older version wrote its network as a pickle.
        """
        if (self.folder / DEPLOYED).is_dir():
            return self.folder / DEPLOYED
        if (self.folder / "deployed.pt").is_file():
            raise FileNotFoundError(
                f"{str(self.folder)!r} holds deployed.pt of an older version, a pickle, which is not read "
                f"since that can run any code; write it anew with l0bayes train --out {self.folder} --resume"
            )
        raise FileNotFoundError(f"{str(self.folder)!r} holds no deployed network: the run was not finished")

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        if not (self.folder / name).is_file():
            raise FileNotFoundError(f"{str(self.folder)!r} holds no {name}: the run was not finished")
        return pd.read_csv(self.folder / name, keep_default_na=False, na_values=["nan"])

    def summary(self) -> list[str]:
        """What came out, in words."""
        if not self.results:
            return [
                f"{self.config.net} on {self.config.data}: not finished; go on with "
                f"l0bayes train --out {self.folder} --resume"
            ]
        r = self.results
        lines = [
            f"{self.config.net} on {self.config.data}, {self.config.epochs} epochs, seed {self.config.seed}: "
            f"{r['stopped']} in {r['seconds']:.0f} s{' after it was resumed' if r.get('resumed') else ''}",
            f"  deployed    {r['architecture']}",
            f"  MACs        {r['dense_macs']:,.0f} to {r['deployed_macs']:,.0f}, "
            f"{r['dense_macs'] / max(1.0, r['deployed_macs']):.1f} times fewer "
            f"(expected {r['costs']['expected_macs']:,.0f} ± {r['costs']['sd_macs']:,.0f})",
            f"  parameters  {r['dense_params']:,.0f} to {r['deployed_params']:,}, "
            f"{r['dense_params'] / max(1, r['deployed_params']):.1f} times fewer "
            f"(expected {r['costs']['expected_params']:,.0f} ± {r['costs']['sd_params']:,.0f})",
        ]
        for name, kinds in r["scores"].items():
            for kind, score in kinds.items():
                lines.append(
                    f"  {name:<11} {kind:<10} error {1 - score['accuracy']:.2%}, NLL {score['nll']:.4f}, "
                    f"ECE {score['ece']:.4f}"
                )
        try:
            return [*lines, *certificate_lines(self.certificate)]
        except FileNotFoundError as error:
            return [*lines, f"  saved       not: {error}"]


def load_run(folder: str | Path) -> Run:
    """Read a run from its folder.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If it holds no run.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{str(folder)!r} holds no run: there is no config.json in it")
    results = folder / "scores.json"
    found = json.loads(results.read_text()) if results.is_file() else {}
    return Run(folder, RunConfig.from_json(folder / "config.json"), found)
