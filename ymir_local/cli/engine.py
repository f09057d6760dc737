"""What runs a task: the executor of this package, another one, or an image."""

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..platform import parameters
from ..platform.prepare import DETECTION, IMG_MAN, Host
from .options import TaskOptions
from .output import UsageMistake, shown_path

OWN = 'ymir-mmyolo'
ROOT = 'root'


@dataclass(frozen=True)
class Engine:
    """What runs a task.

    Args:
        image: in a container of it; None: as a process.
        command: of another executor than that of this package.
        img_man: folder of its templates.
        gpu_ids: GPUs of this machine; none for the CPU.
        user: `uid:gid` in the container; None: that of the image.
        links_assets: gets links to the images instead of copies.
    """

    image: str | None
    command: Sequence[str] | None
    img_man: Path
    gpu_ids: tuple[int, ...]
    user: str | None
    links_assets: bool

    @classmethod
    def of(cls, chosen: TaskOptions) -> 'Engine':
        """Read the options of the command line."""
        image, executor, img_man, user = chosen.image, chosen.executor, chosen.img_man, chosen.user
        if image and (executor or img_man):
            raise UsageMistake('--image brings its own executor and templates; leave --executor and --img-man out')
        if user and not image:
            raise UsageMistake('--user is for a container; give --image as well')
        if image:
            user = None if user == ROOT else user or _caller()
        try:
            command = shlex.split(executor) if executor else None
        except ValueError as error:  # a quote that is not closed
            raise UsageMistake(f'--executor {executor}: {error}') from None
        if command and not shutil.which(command[0]):
            raise UsageMistake(f'--executor {executor}: there is no command {command[0]}')
        # The executor of this package only reads images; of others nobody knows.
        links = not (image or command) if chosen.link is None else chosen.link
        return cls(image, command, img_man or IMG_MAN, parameters.split_gpus(chosen.gpus), user, links)

    @classmethod
    def of_record(cls, record: Mapping[str, Any], gpus: str) -> 'Engine':
        """Return what ran an earlier task.

        Args:
            record: its run.yaml; empty for the executor of this package.
            gpus: as the command line takes them.
        """
        image, executor, img_man = (record.get(key) for key in ('image', 'executor', 'img_man'))
        command = None if image or executor == OWN else executor
        user = (record.get('user') or ROOT) if image and 'user' in record else None
        img_man = Path(img_man) if img_man and command else None
        return cls.of(TaskOptions(image=image, executor=command, img_man=img_man, gpus=gpus, user=user))

    def host(self) -> Host:
        """Return where it runs a task."""
        return Host(len(self.gpu_ids), bool(self.image), self.links_assets, self.img_man)

    def template(self, task_type: str, object_type: int = DETECTION) -> dict[str, Any]:
        """Return the template of a task type and object type, from the image or the folder."""
        if self.image:
            kind = None if object_type == DETECTION else object_type
            return parameters.read_template_of_image(self.image, task_type, kind)
        return parameters.read_template(task_type, self.img_man, object_type)

    def options(self) -> str:
        """Return the options that choose the same executor again, with a space before them."""
        if self.image:
            user = '' if self.user == _caller() else f' --user {shlex.quote(self.user or ROOT)}'
            return f' --image {shlex.quote(self.image)}{user}'
        if not self.command:
            return ''
        return f' --executor {shlex.quote(shlex.join(self.command))}' + (
            f' --img-man {shown_path(self.img_man)}' if self.img_man != IMG_MAN else ''
        )

    def describe(self) -> str:
        """Return who did it, for the model package."""
        return self.image or (shlex.join(self.command) if self.command else OWN)

    def own_templates(self) -> str | None:
        """Return the folder of the templates of another executor; None for an image, and for that of this package."""
        return str(self.img_man.resolve()) if self.command else None


def _caller() -> str:
    return f'{os.getuid()}:{os.getgid()}'
