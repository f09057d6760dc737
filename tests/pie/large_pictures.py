"""Pictures of any size and networks that do what can be worked out by hand, for tests of prediction."""

import numpy as np
import rasterio
import torch
from rasterio.transform import Affine
from torch import nn
from torch.nn import functional

from pie.labels import read_labels
from pie.metrics import Boxes

ENTRIES = (('background', 0, '0,0,0'), ('road', 255, '255,0,0'), ('water', 7, '0,0,255'))
LABELS = read_labels([dict(class_name=name, class_value=value, class_color=color) for name, value, color in ENTRIES])
ROTATED = Affine(0.5, 0.1, 500000, 0.1, -0.5, 4400000)
UTM = 'EPSG:32650'


def write_tiff(path, bands, **profile):
    """Write (bands, h, w) as GeoTIFF."""
    bands = np.asarray(bands)
    profile = {'crs': UTM, 'transform': ROTATED, **profile}
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        width=bands.shape[2],
        height=bands.shape[1],
        count=len(bands),
        dtype=bands.dtype,
        **{key: value for key, value in profile.items() if value is not None},
    ) as file:
        file.write(bands)
    return path


def smooth(height, width, count=3, seed=0, high=256):
    """Return (bands, h, w) float of pictures without sharp edges, from 0 up to `high`."""
    rows, columns = np.mgrid[:height, :width]
    generator = np.random.default_rng(seed)
    waves = [
        sum(np.sin(rows * a + columns * b + c) for a, b, c in generator.uniform(-0.2, 0.2, (4, 3)))
        for _ in range(count)
    ]
    return np.stack([(wave - wave.min()) / (wave.max() - wave.min()) * (high - 1) for wave in waves])


class Threshold(nn.Module):
    """Background, road where the mean of 5 x 5 pixels is light, water where it is dark."""

    def __init__(self, kernel=5):
        super().__init__()
        self.kernel = kernel

    def forward(self, pictures):
        grey = functional.avg_pool2d(pictures.mean(dim=(1, 2))[:, None], self.kernel, 1, self.kernel // 2)
        return torch.cat([-grey.abs(), grey - 0.6, -grey - 0.6], dim=1)


class Difference(nn.Module):
    """Change where the two pictures differ by more than 30 in their red."""

    def forward(self, pictures):
        far = (pictures[:, 0, 0] - pictures[:, 1, 0]).abs() * 58.395 - 30.5
        return torch.stack([-far, far], dim=1)


class RedSquares:
    """Finds connected red pixels as a detector would: in a tile alone, cut at its borders."""

    def __init__(self, shift=0.0):
        self.shift, self.seen = shift, []

    def predict(self, tiles):
        import cv2

        found = []
        for number, tile in enumerate(tiles):
            mask = ((tile[:, :, 0] > 200) & (tile[:, :, 1] < 50)).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            rows = [(x + self.shift, y, x + w, y + h) for x, y, w, h, _ in stats[1:]]
            scores = np.linspace(0.9, 0.5, len(rows)) - 0.01 * number  # a cut one may be the surer
            found.append(Boxes(np.array(rows, float).reshape(-1, 4), np.zeros(len(rows), int), scores))
            self.seen.append(tile.shape)
        return found
