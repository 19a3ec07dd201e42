"""A backbone: a grey image in, a latent map out, and where each of its cells looks.

Images are float32 in [0, 1] with one channel; the network's own normalisation and its three-colour first layer are
folded into one-channel form without changing a value: a grey image repeated over three channels gives the same
activations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from medproto.errors import ConfigError
from medproto.model.receptive_field import ReceptiveField, Window, receptive_field

_PROBE_PX = 512


class Backbone(nn.Module):
    """A feature extractor for grey images.

    `shift_px` (rows, columns) is where the weights really look, relative to the centre that the layers' arithmetic
    gives: the EfficientNet's SAME padding is lopsided, and its trained weights look about 6 px up and left of that
    centre at stride 16.

    Args:
        layers: map the normalised image, shape (V, I, Y, X), to the latent map, shape (V, D, H, W).
        channels: D.
        grey: mean and standard deviation where all colours share one; None where the first layer takes [x, 1].
        cuts: by stride, how many of `layers` a cut there keeps; strides above this backbone's own do not matter.
        path: the sliding-window layers of the main path, input first. Shortcuts beside it keep its centre and are left
            out: counted as further layers they would multiply the stride.
    """

    shift_px: Tensor

    def __init__(
        self,
        layers: nn.Sequential,
        channels: int,
        grey: tuple[float, float] | None,
        cuts: Mapping[int, int],
        path: Iterable[Window],
    ) -> None:
        super().__init__()
        self.layers = layers
        self.channels = channels
        self.grey = grey
        self._cuts = dict(cuts)
        self._path = tuple(path)
        self.register_buffer("shift_px", torch.zeros(2))

    def forward(self, images: Tensor) -> Tensor:
        """Latent map of grey images.

        Args:
            images: shape (V, 1, Y, X), in [0, 1]; Y and X multiples of 32.
        """
        return self.rest(images, 0)

    def first(self, images: Tensor, count: int) -> Tensor:
        """What the first `count` of `layers` make of grey images; the images themselves where it is 0."""
        return self._run(images, 0, count)

    def rest(self, values: Tensor, applied: int) -> Tensor:
        """Latent map of what `first` gave with that count."""
        return self._run(values, applied, len(self.layers))

    def layers_to(self, stride: int) -> int:
        """How many of `layers` make up the backbone that is cut at that stride, for `first` and `rest`.

        Raises:
            ConfigError: it is not below this backbone's own stride, or not one at which it can be cut.
        """
        known = sorted(known for known, count in self._cuts.items() if count < len(self.layers))
        if stride not in known:
            allowed = ", ".join(map(str, known)) or "none"
            raise ConfigError(f"frozen_to_stride: got {stride}, expected one of the strides below the cut: {allowed}")
        return self._cuts[stride]

    def parameters_after(self, count: int) -> Iterator[nn.Parameter]:
        """Weights of all layers but the first `count`."""
        return self.layers[count:].parameters()

    def _run(self, values: Tensor, start: int, stop: int) -> Tensor:
        if start == 0 < stop:
            if self.grey is not None:
                values = (values - self.grey[0]) / self.grey[1]
            else:
                values = torch.cat([values, torch.ones_like(values)], dim=1)
        for layer in self.layers[start:stop]:
            values = layer(values)
        return values

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
