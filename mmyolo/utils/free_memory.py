"""How much memory can be taken without swapping, hitting the container's limit or the one of this process."""

import contextlib
import resource
from pathlib import Path

CGROUPS = Path('/sys/fs/cgroup')
# Limit, use and statistics of a control group, and the entry there for what the kernel takes back first: v2 and v1.
_V2 = ('memory.max', 'memory.current', 'memory.stat', 'inactive_file')
_V1 = ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'memory.stat', 'total_inactive_file')


def available_memory(cgroups: Path = CGROUPS, own_groups: Path = Path('/proc/self/cgroup')) -> int | None:
    """Return the memory that can be taken: the least of the machine, of each control group around this process and of
    its own limit of addresses (RLIMIT_AS).

    Files that the kernel keeps in memory and can drop count as free.

    Args:
        cgroups: Where control groups are mounted, v1 in its folder `memory`.
        own_groups: The file that names those of this process.

    Returns:
        Bytes; None if unknown.
    """
    amounts = []
    with contextlib.suppress(OSError, StopIteration):
        lines = Path('/proc/meminfo').read_text().splitlines()
        amounts.append(int(next(line for line in lines if line.startswith('MemAvailable')).split()[1]) * 1024)
    for folder, names in _groups(cgroups, own_groups):
        with contextlib.suppress(OSError, ValueError, KeyError):  # missing, or 'max'
            limit, used, stat, droppable = names
            values = dict(line.split() for line in (folder / stat).read_text().splitlines())
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
            amounts.append(free + int(values[droppable]))
    addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
    if addresses != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError):
            pages = int(Path('/proc/self/statm').read_text().split()[0])
            amounts.append(addresses - pages * resource.getpagesize())
    return max(min(amounts), 0) if amounts else None


def _groups(cgroups: Path, own_groups: Path) -> list[tuple[Path, tuple[str, str, str, str]]]:
    """Return the folders of the groups around this process, from its own to the root.

    Inside a container the path of the own group may be that of the host, and what is mounted its inner part: then the
    root is all there is.
    """
    paths = {'': '/', 'memory': '/'}
    with contextlib.suppress(OSError, ValueError):
        for line in own_groups.read_text().splitlines():
            _, controllers, path = line.split(':', 2)
            paths.update({name: path for name in controllers.split(',') if name in paths})
    result = []
    for root, path, names in ((cgroups, paths[''], _V2), (cgroups / 'memory', paths['memory'], _V1)):
        own = root / path.lstrip('/')
        folders = [own, *own.parents]
        result += [(folder, names) for folder in folders[: folders.index(root) + 1] if folder.is_dir()]
    return result
