"""Lead letters that lie over the breast: on films the view is written in lead, and sometimes over its thin rim.

Lead takes all that thin tissue lets through, so a letter there is brighter than any tissue of that thickness can be.
Over thick tissue a letter cannot be told from calcifications, and nothing is taken away.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medproto.ingest.shapes import box_around

#: Strokes are narrower than this share of the long side, letters no larger than that one.
STROKE, LETTER = 0.035, 0.08
#: A letter is at least so large; coarse calcifications over thin tissue are smaller.
SMALLEST = 0.03
#: How much of full scale a letter is brighter than what it lies on: all of it, and its brightest spot.
CONTRAST, PEAK = 0.35, 0.55
#: How bright the tissue below is at most.
THIN = 0.2
#: The faint outermost pixels of a letter, around what is bright, as a share of the long side.
FRINGE = 0.01


def letters_over(body: NDArray[np.bool_], small: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Boxes around lead letters over the thin rim of the breast; a mask of the picture's shape.

    What reaches the border of the breast's upright box is a film's edge and no letter.

    Args:
        body: shape (rows, columns), the breast.
        small: the picture, same shape, in [0, 1], a few hundred pixels on its long side.
    """
    found = np.zeros_like(body)
    if not body.any():
        return found
    long_side = max(body.shape)
    width = 2 * int(STROKE * long_side / 2) + 1
    fringe = max(2, round(FRINGE * long_side))
    # what is opened looks no farther
    box = box_around(body, max(width, fringe))
    body, small, boxes = body[box], small[box], found[box]
    ground = ndimage.grey_opening(small, size=(width, width))
    above = small - ground
    inner = np.zeros_like(body)
    inner[box_around(body, -fringe)] = True
    labels, _ = ndimage.label(body & (above > CONTRAST), structure=np.ones((3, 3)))
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        piece = labels[place] == number
        size = max(piece.shape) / long_side
        bright, dark = above[place][piece].max() > PEAK, ground[place][piece].mean() < THIN
        if SMALLEST <= size <= LETTER and bright and dark and inner[place][piece].all():
            y, x = (slice(max(0, side.start - fringe), side.stop + fringe) for side in place)
            boxes[y, x] = True
    return found
