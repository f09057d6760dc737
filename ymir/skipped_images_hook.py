"""skipped-images.tsv of a training: what the check of the data left out, and what turned out to be unreadable later."""

import atexit
import os

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tmi.training.data import unreadable_images
from ymir_exc.env import get_current_env
from ymir_exc.skipped_images import SkippedImage, read_skipped_images, write_skipped_images


@HOOKS.register_module()
class YmirSkippedImagesHook(Hook):
    """Adds the images that could not be read to the list, after each epoch and validation and at the end."""

    priority = 'LOW'

    def __init__(self) -> None:
        self.known = 0
        atexit.register(self._write)  # a training that fails because of its images names them too

    def after_train_epoch(self, runner) -> None:
        """Write what this process and its loader processes found."""
        self._write()

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Write what the validation found."""
        self._write()

    def after_train(self, runner) -> None:
        """Write what all processes found; UnreadableImagesHook has collected it."""
        self._write()

    def _write(self) -> None:
        found = unreadable_images()
        if os.environ.get('RANK', '0') != '0' or len(found) == self.known:
            return
        self.known = len(found)
        out_dir = get_current_env().output.root_dir
        listed = read_skipped_images(out_dir)
        before = {image[:2] for image in listed}
        write_skipped_images(out_dir, [*listed, *(SkippedImage(*image) for image in found if image[:2] not in before)])
