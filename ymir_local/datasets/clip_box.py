"""A box as it is drawn, and as much of it as lies within its image."""

from collections.abc import Sequence

TOLERATED_PIXELS = 1  # many tools write the far corner one too far


def fit(
    corners: Sequence[float], size: tuple[int, int], whole_pixels: bool = True
) -> tuple[tuple[float, float, float, float] | None, str]:
    """Fit a box into its image.

    Args:
        corners: xmin, ymin, xmax, ymax, the far corner outside the box.
        size: width and height of the image.
        whole_pixels: round to the nearest borders of pixels.

    Returns:
        x, y, w, h inside the image, None if nothing is left; and what is wrong, if anything.
    """
    if not all(abs(value) < 2**31 for value in corners):  # also false for NaN
        return None, 'has no usable numbers'
    if corners[2] <= corners[0] or corners[3] <= corners[1]:
        return None, 'is inverted or has no area'
    left, top, right, bottom = corners
    if whole_pixels:
        left, right = _round(left, right)
        top, bottom = _round(top, bottom)
    clipped = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        return None, 'lies outside the image'
    beyond = max(abs(a - b) for a, b in zip(clipped, (left, top, right, bottom)))
    return (
        (clipped[0], clipped[1], clipped[2] - clipped[0], clipped[3] - clipped[1]),
        'lies partly outside the image' if beyond > TOLERATED_PIXELS else '',
    )


def _round(low: float, high: float) -> tuple[int, int]:
    """Return the nearest pixel borders; a box within one pixel gets that pixel."""
    first, last = int(low + 0.5) if low >= 0 else -int(0.5 - low), int(high + 0.5) if high >= 0 else -int(0.5 - high)
    if last > first:
        return first, last
    first = int((low + high) // 2)
    return first, first + 1
