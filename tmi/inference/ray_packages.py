"""Whether Ray is there; imports none of it."""

from importlib.util import find_spec

from tmi.errors import SettingError
from tmi.setting_names import advice, setting_name

PACKAGES = ('ray', 'pyarrow')


def check_ray(address: str) -> None:
    """See that Ray Data is installed.

    Args:
        address: Of the cluster, for the message.

    Raises:
        TaskError: SettingError if it is not.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingError(
            f'{setting_name("ray_address") or "ray_address"} is {address}, and Ray is not installed here (no package '
            f'{" and ".join(missing)}): '
            + advice("install the extra [ray] (pip install 'ray[data]')", 'leave {ray_address} empty')
            + '.'
        )
