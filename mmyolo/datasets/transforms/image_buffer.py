"""The images that a loader process has loaded last, from which mosaics take their further images."""


class ImageBuffer:
    """Keeps the last images in the order in which they were loaded and drops the oldest.

    Each image of an epoch enters as the first tile of its own sample and stays for about as many samples as there are
    places. With N places, a sample that draws three of them takes each image with 3 / N, so every image is drawn three
    times an epoch on average, as if the draws were from the whole data set. Two images can meet when one is loaded
    within N samples of the other, and every epoch shuffles anew.

    Args:
        max_images: Most images to keep.
        max_bytes: Most bytes of their pixels; one image is kept in any case.
    """

    def __init__(self, max_images: int, max_bytes: int) -> None:
        self.max_images = max_images
        self.max_bytes = max_bytes
        self.full = False
        """Whether an image had to be dropped."""
        self._images: dict[int, dict] = {}  # in the order of loading
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._images)

    def keys(self) -> list[int]:
        """Return the indexes of the images in the data set, oldest first."""
        return list(self._images)

    def get(self, index: int) -> dict | None:
        """Look an image up.

        Args:
            index: Its index in the data set.

        Returns:
            What was loaded, which must not be changed; None if it is not here.
        """
        return self._images.get(index)

    def put(self, index: int, results: dict) -> None:
        """Keep an image as the last one.

        Args:
            index: Its index in the data set.
            results: What was loaded, with `img`.
        """
        old = self._images.pop(index, None)
        if old is not None:
            self._bytes -= old['img'].nbytes
        self._images[index] = results
        self._bytes += results['img'].nbytes
        while len(self) > self.max_images or (self._bytes > self.max_bytes and len(self) > 1):
            self._bytes -= self._images.pop(next(iter(self._images)))['img'].nbytes
            self.full = True
