"""Keypoints of the objects of an image, moved as the image is."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Points = np.ndarray | Tensor | Sequence


class Keypoints:
    """The keypoints of N objects; methods that end in `_` work in place.

    Args:
        keypoints: (N, K, 2) x, y in pixels, or (K, 2) of one object.
        keypoints_visible: (N, K) or (K,), above 0 for keypoints that are labelled.
        device: where to put the tensors; None leaves them.
        clone: copy tensors that are given.
        flip_indices: what to permute the K keypoints of a mirrored object by; needed to flip.
    """

    def __init__(
        self,
        keypoints: Points,
        keypoints_visible: Points,
        device: str | torch.device | None = None,
        clone: bool = True,
        flip_indices: list[int] | None = None,
    ) -> None:
        keypoints, visible = (_tensor(part, device, clone) for part in (keypoints, keypoints_visible))
        if keypoints.ndim == 2:
            keypoints, visible = keypoints[None], visible[None]
        if keypoints.ndim != 3 or keypoints.shape[-1] != 2 or visible.shape != keypoints.shape[:2]:
            raise ValueError(
                f'Keypoints are (N, K, 2) with a visibility of (N, K), got {tuple(keypoints.shape)} and '
                f'{tuple(visible.shape)}'
            )
        self.keypoints = keypoints
        self.keypoints_visible = visible
        self.flip_indices = flip_indices

    def flip_(self, img_shape: tuple[int, int], direction: str = 'horizontal') -> None:
        """Mirror horizontally.

        Args:
            img_shape: height and width of the image.
            direction: 'horizontal', the only one for which left and right are known.
        """
        if direction != 'horizontal':
            raise ValueError(
                f"Keypoints can be flipped 'horizontal' only, not {direction!r}: set direction of RandomFlip"
            )
        if self.flip_indices is None:
            raise ValueError('Keypoints cannot be flipped without flip_indices, which say what is left and right')
        flipped = self.keypoints[:, self.flip_indices]
        flipped[..., 0] = img_shape[1] - flipped[..., 0]
        self.keypoints = flipped
        self.keypoints_visible = self.keypoints_visible[:, self.flip_indices]

    def translate_(self, distances: tuple[float, float]) -> None:
        """Move.

        Args:
            distances: pixels along x and y.
        """
        self.keypoints = self.keypoints + self.keypoints.new_tensor(distances)

    def rescale_(self, scale_factor: tuple[float, float]) -> None:
        """Scale.

        Args:
            scale_factor: of x and y.
        """
        self.keypoints = self.keypoints * self.keypoints.new_tensor(scale_factor)

    def project_(self, homography_matrix: np.ndarray | Tensor) -> None:
        """Warp.

        Args:
            homography_matrix: (3, 3), from old pixels to new ones.
        """
        matrix = torch.as_tensor(homography_matrix).to(self.keypoints)
        projected = torch.nn.functional.pad(self.keypoints, (0, 1), value=1) @ matrix.T
        self.keypoints = projected[..., :2] / projected[..., 2:]

    def clip_(self, img_shape: tuple[int, int]) -> None:
        """Make keypoints outside of the image invisible; they stay where they are.

        Args:
            img_shape: height and width of the image.
        """
        x, y = self.keypoints.unbind(-1)
        inside = (x >= 0) & (x <= img_shape[1]) & (y >= 0) & (y <= img_shape[0])
        self.keypoints_visible = self.keypoints_visible * inside

    @property
    def num_keypoints(self) -> Tensor:
        """(N,) visible keypoints of each object."""
        return (self.keypoints_visible > 0).sum(dim=1)

    @classmethod
    def cat(cls, kps_list: Sequence['Keypoints'], dim: int = 0) -> 'Keypoints':
        """Join the objects of several images.

        Args:
            kps_list: at least one.
            dim: 0, the objects.
        """
        if not kps_list:
            raise ValueError('Keypoints.cat needs at least one instance of Keypoints')
        return cls(
            torch.cat([one.keypoints for one in kps_list], dim=dim),
            torch.cat([one.keypoints_visible for one in kps_list], dim=dim),
            clone=False,
            flip_indices=kps_list[0].flip_indices,
        )

    def __getitem__(self, index: int | slice | np.ndarray | Tensor | Sequence) -> 'Keypoints':
        if isinstance(index, np.ndarray):
            index = torch.as_tensor(index, device=self.device)
        return self._like(self.keypoints[index], self.keypoints_visible[index])

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({len(self)} objects, {self.keypoints.shape[1]} keypoints)'

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.keypoints.device

    def clone(self) -> 'Keypoints':
        """Copy."""
        return self._like(self.keypoints.clone(), self.keypoints_visible.clone())

    def to(self, *args, **kwargs) -> 'Keypoints':
        """As `Tensor.to`."""
        return self._like(self.keypoints.to(*args, **kwargs), self.keypoints_visible.to(*args, **kwargs))

    def _like(self, keypoints: Tensor, visible: Tensor) -> 'Keypoints':
        return type(self)(keypoints, visible, clone=False, flip_indices=self.flip_indices)


def _tensor(values: Points, device: str | torch.device | None, clone: bool) -> Tensor:
    if isinstance(values, Tensor):
        values = values.clone() if clone else values
    else:
        values = torch.as_tensor(np.array(values, dtype=np.float32))
    return values.float().to(device)
