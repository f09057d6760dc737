"""Where the files are that are not modules: configs and tools."""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
"""The folder of the packages: a checkout, /app of the image, or site-packages."""


def project_folder(name: str) -> Path:
    """Find a folder that mmyolo is shipped with.

    The package has them in its folder `.mim`, as every package for mmengine does: in a checkout, an editable
    installation and the image these are links to the folders beside the package, in a wheel they are the files.

    Args:
        name: 'configs' or 'tools'.

    Returns:
        The folder, with links resolved.

    Raises:
        FileNotFoundError: The installation is damaged.
    """
    path = PROJECT_ROOT / 'mmyolo' / '.mim' / name
    if not path.is_dir():
        raise FileNotFoundError(f'{path} is missing: install the package again, or copy mmyolo with its links.')
    return path.resolve()


CONFIG_ROOT = project_folder('configs')
TOOLS_ROOT = project_folder('tools')
