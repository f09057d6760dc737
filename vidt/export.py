"""A detector in the form in which it is exported: from normalised images to its detections."""

from torch import Tensor, nn

from .models.base import TokenDetector
from .postprocess import select_detections, to_pixels

OUTPUTS = ('boxes', 'scores', 'labels')


class ExportedDetector(nn.Module):
    """Network and selection of the best scores; there is nothing to be suppressed.

    Args:
        model: The detector.
    """

    def __init__(self, model: TokenDetector) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            images: (B, 3, H, W), normalised as the detector's data preprocessor does, of one size and not padded.

        Returns:
            Boxes (B, D, 4) xyxy in pixels of the input, which may reach beyond it; scores (B, D) in 0..1, the best
            first where there is no background class; labels (B, D) int64.
        """
        outputs = self.model.forward_levels(images, None, 'last')
        found = select_detections(outputs, self.model.max_detections, self.model.background)
        height, width = images.shape[2:]
        size = images.new_tensor([[float(height), float(width)]]).expand(len(images), -1)
        return to_pixels(found.boxes, size), found.scores, found.labels
