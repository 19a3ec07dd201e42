"""Where the breast is: a mask without markers, labels, borders and film edges, and the side of the chest wall.

Digital detectors give a black background; scanned films add a grey film base, bright labels, white strips beyond the
film edge and black padding beside it. The mask is found on a copy of about 250 pixels and brought back to the
original size. The pectoral muscle stays in the mask: it is tissue that the network may see.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from medproto.ingest.letters import letters_over
from medproto.ingest.shapes import Mask, box_around, filled, grown, largest_piece, opened

Side = Literal["left", "right"]

#: Long side of the working copy in pixels.
WORKING_PX = 256
#: Pixels of the sample along a side of one pixel of the working copy: enough to average film grain away.
SAMPLES = 3
#: Labels hang on the breast by bridges thinner than twice this share of the working copy's long side.
BRIDGE = 0.02
#: Exponent that spreads the dark end, where skin and film base part.
SPREAD = 0.4
#: A picture whose spread values lie within this range shows nothing.
FLAT = 1e-3
#: Width of the rim of thin tissue that a first, coarse threshold can miss, as a share of the long side.
RIM = 0.06
#: How far a nipple stands out of the outline, as a share of the long side.
NIPPLE = 0.04
#: Where skin begins between background and median tissue: above the noise, within these bounds; film edges glow below.
SKIN = (0.055, 0.08)
#: The same where the air is black, as detectors and masked films leave it: there the faintest skin can be told.
SKIN_ON_BLACK = 0.01
#: A background this bright, as a share of the tissue, is tissue too: the picture is a detail without background.
FULL = 0.3
#: At and below this level nothing was exposed: padding beside a film, or an unexposed detector.
BLACK = 1.5 / 255
#: Columns that show less than this share of anything above black are padding, or air far from the breast.
PADDED = 0.05
#: At and above this level, in the working copy, is blank film carrier or a label, or a burnt-out spot in tissue.
WHITE = 0.985
#: Upper and lower edges of a film glow no farther in than this share of the rows, by more than so much of full scale.
EDGE, GLOW = 0.03, 0.03
#: Least share of a row that must be air to tell such an edge by.
AIR = 0.1
#: A mask that is straight on both sides along this share of its rows fills the picture.
FULL_WIDTH = 0.6


def breast_mask(pixels: NDArray[np.float32]) -> Mask:
    """Mask of the breast; empty where there is none.

    Args:
        pixels: shape (rows, columns), in [0, 1], larger is brighter (MONOCHROME2 sense).
    """
    step = sample_step(pixels.shape)
    return widened(breast_of_sample(pixels[::step, ::step]), pixels.shape)


def sample_step(shape: tuple[int, ...]) -> int:
    """Of a picture of this shape every so-manieth pixel of every so-manieth row is looked at."""
    return max(1, round(max(shape) / (SAMPLES * WORKING_PX)))


def breast_of_sample(sample: NDArray[np.float32]) -> Mask:
    """`breast_mask` of every `sample_step`-th pixel of a picture, along rows and columns."""
    block = max(1, round(max(sample.shape) / WORKING_PX))
    body = _body(_averaged(sample, block))
    mask = np.zeros(sample.shape, np.bool_)
    if body.any():
        # around the body alone: beyond it there is nothing to smooth
        top, left = place = box_around(body, 1)
        part = body[place]
        size = (part.shape[1] * block, part.shape[0] * block)
        picture = Image.fromarray(part.astype(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BILINEAR)
        inside = mask[top.start * block :, left.start * block :][: size[1], : size[0]]
        inside[:] = np.asarray(picture)[: inside.shape[0], : inside.shape[1]] >= 128
    return mask


def widened(sample: Mask, shape: tuple[int, ...]) -> Mask:
    """The mask of a picture of this shape whose `sample_step`-th pixels these are, along rows and columns."""
    step, mask = sample_step(shape), np.zeros(shape, np.bool_)
    if not sample.any():
        return mask
    top, left = place = box_around(sample, 0)
    inside = sample[place]
    picture = mask[top.start * step :, left.start * step :][: len(inside) * step, : inside.shape[1] * step]
    wide = np.empty((len(inside), picture.shape[1]), np.bool_)
    for offset in range(step):
        # numpy repeats along rows one value at a time
        columns = wide[:, offset::step]
        columns[:] = inside[:, : columns.shape[1]]
    for offset in range(step):
        rows = picture[offset::step]
        rows[:] = wide[: len(rows)]
    return mask


def chest_wall_side(mask: Mask) -> Side:
    """Side of the stored picture where the chest wall lies: where the outline is straight along most rows.

    A breast that fills the picture is straight on both sides; there the upper rows decide, where its front is round.

    Args:
        mask: shape (rows, columns); `left` where it is empty.
    """
    # a thousand rows show what is straight
    mask = mask[:: max(1, len(mask) // 1000)]
    if not mask.any():
        return "left"
    place = box_around(mask, 0)
    band = mask[place]
    first = band.argmax(axis=1)
    filled = np.flatnonzero(band[np.arange(len(band)), first])
    last = place[1].stop - 1 - band[:, ::-1].argmax(axis=1)[filled]
    first = place[1].start + first[filled]
    outer, far = np.percentile(first, 5), np.percentile(last, 95)
    near = max(1.0, 0.03 * (far - outer))
    on_left, on_right = first - outer <= near, far - last <= near
    if min(on_left.mean(), on_right.mean()) > FULL_WIDTH:
        upper = slice(0, max(1, filled.size // 10))
        if on_left[upper].sum() != on_right[upper].sum():
            return "left" if on_left[upper].sum() > on_right[upper].sum() else "right"
    return "left" if on_left.sum() >= on_right.sum() else "right"


def _averaged(sample: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Means of blocks of the sample, its last row and column repeated where the last block is not full."""
    rows, columns = sample.shape
    padded = np.empty((rows + -rows % block, columns + -columns % block), np.float32)
    padded[:rows, :columns] = sample
    padded[rows:, :columns] = sample[-1]
    padded[:, columns:] = padded[:, columns - 1 : columns]
    if block == 1:
        return padded
    tall = padded.reshape(-1, block, padded.shape[1])
    # sums of whole rows and of strided columns: numpy is slow along short axes
    narrow = tall[:, 0].copy()
    for place in range(1, block):
        narrow += tall[:, place]
    wide = narrow.reshape(len(narrow), -1, block)
    return np.asarray(sum((wide[:, :, i] for i in range(1, block)), wide[:, :, 0]) / np.float32(block * block))


def _body(small: NDArray[np.float32]) -> Mask:
    """The breast in the working copy."""
    spread = np.power(small, SPREAD, dtype=np.float32)
    level = _otsu(spread)
    body = _largest_body(spread > level, small)
    if not body.any():
        return body
    body = _grown_to_skin(body, small, spread <= level)
    return body & ~_film_edges(body, small)[:, None] & ~letters_over(body, small)


def _film_edges(body: Mask, small: NDArray[np.float32]) -> Mask:
    """Rows at the upper and lower border that are a film's edge, where the air beside it glows; shape (rows,)."""
    edges = np.zeros(len(small), dtype=np.bool_)
    depth = int(EDGE * len(small))
    for inwards in (1, -1):
        rows, air = small[::inwards], ~body[::inwards][depth]
        if air.mean() < AIR:
            continue
        glowing = np.median(rows[:depth, air] - rows[depth, air], axis=1) > GLOW
        # to the one behind the innermost that glows, for it blurs; labels and grain can dim one nearer to the border
        count = int(np.flatnonzero(glowing).max(initial=-2)) + 2
        edges[::inwards][:count] = True
    return edges


def _otsu(spread: NDArray[np.float32]) -> float:
    """Level that parts tissue from background; above everything where the picture is flat."""
    if np.ptp(spread) < FLAT:
        return float("inf")
    return float(threshold_otsu(spread))  # type: ignore[no-untyped-call]


def _grown_to_skin(body: Mask, small: NDArray[np.float32], dark: Mask) -> Mask:
    """The body with its rim of thin tissue and its nipple, down to just above the background around it."""
    reach = RIM * max(body.shape)
    rim = np.zeros_like(body)
    place = box_around(body, int(reach))
    rim[place] = grown(body[place], reach)
    # black padding beside a scanned film says nothing of the film base around the breast
    exposed = (small > BLACK).mean(axis=0) > PADDED
    near = box_around(body, 3 * int(reach))
    background = small[near][dark[near] & ~rim[near] & exposed[near[1]]]
    if background.size == 0:
        background = small[dark]
    tissue, base = float(np.median(small[body])), float(np.median(background))
    if base > FULL * tissue:
        return np.ones_like(body)
    noise = 1.4826 * float(np.median(np.abs(background - base))) / (tissue - base)
    skin = np.full(small.shape[1], np.clip(4.0 * noise, SKIN_ON_BLACK if base <= BLACK else SKIN[0], SKIN[1]))
    air = np.full(small.shape[1], base)
    width = max(1, int(reach))
    for strip in (slice(0, width), slice(-width, None)):
        # film edges glow on both sides of the picture, along their whole length
        dim = dark[:, strip] & ~rim[:, strip]
        glow = (small[:, strip] * dim).sum(axis=0) / np.maximum(dim.sum(axis=0), 1)
        air[strip], skin[strip] = np.clip(glow, base, FULL * tissue), np.maximum(skin[strip], SKIN[0])
    above = small > air + skin * (tissue - base)
    return _with_nipple(_largest_body(above & rim, small), above)


def _with_nipple(body: Mask, above: Mask) -> Mask:
    """The body with what stands out of it a little: labels on bridges reach farther, strips end at the border."""
    if not body.any():
        return body
    size = NIPPLE * max(body.shape)
    found = np.zeros_like(body)
    # beyond this box nothing is within reach, not even of what is opened
    place = box_around(body, int(size) + 5)
    body, above = body[place], above[place]
    within, beyond = grown(body, size), grown(body, size + 3)
    labels, count = ndimage.label(opened(above & ~body & beyond | body) & ~body)
    inside = np.zeros(count + 1, dtype=np.bool_)
    inside[labels[grown(body, 1.0)]] = True
    inside[labels[~within]] = False
    inside[np.concatenate([[0], labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = False
    found[place] = filled(largest_piece(body | inside[labels]))
    return found


def _largest_body(tissue: Mask, small: NDArray[np.float32]) -> Mask:
    """The largest connected body once bridges to labels are cut, holes filled.

    Beyond the upper and lower edge tissue goes on; beyond the lateral edges it does not, so that strips of light along
    a film edge go the way of bridges.
    """
    found = np.zeros_like(tissue)
    if not tissue.any():
        return found
    radius = BRIDGE * max(tissue.shape)
    # a margin without tissue stands for all that lies beyond it
    place = box_around(tissue, 1)
    tissue = tissue[place]
    shaded = tissue & (small[place] < WHITE)
    if 2 * shaded.sum() < tissue.sum():
        # more white than shades: an over-exposed breast, not labels beside one
        shaded = tissue
    above = math.ceil(radius)
    padded = np.pad(np.pad(shaded, ((above, above), (0, 0)), mode="edge"), ((0, 0), (1, 1)))
    core = ~grown(~padded, radius)[above:-above, 1:-1]
    if core.any():
        found[place] = filled(grown(largest_piece(core), radius + 1.5) & tissue)
    return found
