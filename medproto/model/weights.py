"""Where a backbone's initial weights come from."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medproto.errors import ConfigError


@dataclass(frozen=True)
class Weights:
    """Where initial weights come from: `imagenet`, `none`, or the path of a state-dict file."""

    source: str

    @property
    def path(self) -> Path | None:
        """The file, where a file is meant."""
        return None if self.source in ("imagenet", "none") else Path(self.source)

    def read(self) -> dict[str, Tensor]:
        """The state dict of the file; pickled code is never run."""
        if self.path is None or not self.path.is_file():
            raise ConfigError(f"weights: got {self.source!r}, expected 'imagenet', 'none' or an existing file")
        try:
            return dict(torch.load(self.path, map_location="cpu", weights_only=True))
        except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as err:
            raise ConfigError(f"weights: cannot read {self.path.name!r}, expected a state dict of tensors") from err
