"""A backbone: a grey image in, a latent map out, and where each of its cells looks.

Images are float32 in [0, 1] with one channel; the network's own normalisation and its three-colour first layer are
folded into one-channel form without changing a value: a grey image repeated over three channels gives the same
activations.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from medproto.model.receptive_field import ReceptiveField, Window, receptive_field

_PROBE_PX = 512


class Backbone(nn.Module):
    """A feature extractor for grey images.

    `shift_px` (rows, columns) is where the weights really look, relative to the centre that the layers' arithmetic
    gives: the EfficientNet's SAME padding is lopsided, and its trained weights look about 6 px up and left of that
    centre at stride 16.

    Args:
        layers: maps the normalised image, shape (V, I, Y, X), to the latent map, shape (V, D, H, W).
        channels: D.
        grey: mean and standard deviation where all colours share one; None where the first layer takes [x, 1].
        path: the sliding-window layers of the main path, input first. Shortcuts beside it keep its centre and are left
            out: counted as further layers they would multiply the stride.
    """

    shift_px: Tensor

    def __init__(
        self, layers: nn.Module, channels: int, grey: tuple[float, float] | None, path: Iterable[Window]
    ) -> None:
        super().__init__()
        self.layers = layers
        self.channels = channels
        self.grey = grey
        self._path = tuple(path)
        self.register_buffer("shift_px", torch.zeros(2))

    def forward(self, images: Tensor) -> Tensor:
        """Latent map of grey images.

        Args:
            images: shape (V, 1, Y, X), in [0, 1]; Y and X multiples of 32.
        """
        if self.grey is not None:
            images = (images - self.grey[0]) / self.grey[1]
        else:
            images = torch.cat([images, torch.ones_like(images)], dim=1)
        features: Tensor = self.layers(images)
        return features

    def windows(self) -> list[Window]:
        """The sliding-window layers that decide the receptive field."""
        return list(self._path)

    def receptive_field(self, input_rows: int, input_columns: int) -> ReceptiveField:
        """Receptive field of a latent cell at this input size, in input pixels."""
        rows, columns = self.shift_px.tolist()
        return receptive_field(self.windows(), input_rows, input_columns).moved(rows, columns)

    def measure_shift(self) -> None:
        """Set `shift_px` to the centroid of the effective receptive field (Luo et al. 2016), to half a pixel.

        The field is the squared gradient of a middle cell's energy, mean over eight noise images of a fixed seed.
        """
        self.shift_px.zero_()
        field = self.receptive_field(_PROBE_PX, _PROBE_PX)
        row, column = field.rows.cells // 2, field.columns.cells // 2
        noise = torch.rand(8, 1, _PROBE_PX, _PROBE_PX, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        with torch.enable_grad():
            energy = self.eval()(noise)[:, :, row, column].square().sum()
            (gradient,) = torch.autograd.grad(energy, noise)
        weight = gradient.double().square().sum(dim=(0, 1))
        places = torch.arange(_PROBE_PX, dtype=torch.double) + 0.5
        seen = [(weight.sum(dim=1 - axis) * places).sum() / weight.sum() for axis in (0, 1)]
        # Lopsided padding acts alike on both axes: their mean is the less noisy measure.
        found = (float(seen[0]) - field.rows.centre_px(row) + float(seen[1]) - field.columns.centre_px(column)) / 2
        self.shift_px.fill_(round(found * 2) / 2)
