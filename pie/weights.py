"""The weights that a training starts from: `resume_path`, a folder or a file in the storage (contract section 6).

Only weights are taken, no state of an optimizer and no epoch, so other classes are possible.
"""

from pathlib import Path, PurePosixPath

from pie.storage import Storage, StoredFile, split_url
from pie.texts import PieError, say

SUFFIXES = ('.th', '.pth', '.pt')


def fetch_weights(storage: Storage, resume_path: str, stem: str, folder: Path, with_description: bool = False) -> Path:
    """Fetch weights.

    Args:
        storage: The storage.
        resume_path: URL of a folder, with or without a slash at its end, or of a file.
        stem: Name of the file in a folder; where it is not there, the only file of weights is taken.
        folder: Where it goes.
        with_description: Whether the file that describes them comes too, where there is one, see `pie.description`.

    Returns:
        The local file.

    Raises:
        PieError: There are none, or several without the name.
    """
    bucket, key = split_url(resume_path, storage.bucket)
    chosen = _choose(storage, bucket, key, stem, resume_path)
    found = f's3://{bucket}/{chosen.key}'
    wanted = [chosen]
    if not with_description:
        say('weights', url=found)
    else:
        say('predict_weights', url=found)
        beside = str(PurePosixPath(chosen.key).with_suffix('.json'))
        wanted += [one for one in storage.list(beside, bucket) if one.key == beside]
    parent = str(PurePosixPath(chosen.key).parent)
    return storage.fetch(wanted, '' if parent == '.' else parent, folder, bucket)[chosen.key]


def _choose(storage: Storage, bucket: str, key: str, stem: str, url: str) -> StoredFile:
    if PurePosixPath(key).suffix.lower() in SUFFIXES:
        found = [one for one in storage.list(key, bucket) if one.key == key]
        if not found:
            raise PieError('no_weights', url=url, tried=f's3://{bucket}/{key}', found='0')
        return found[0]
    prefix = key.rstrip('/') + '/' if key.strip('/') else ''
    files = [one for one in storage.list(prefix, bucket) if PurePosixPath(one.key).suffix.lower() in SUFFIXES]
    files = [one for one in files if '/' not in one.key.removeprefix(prefix)]
    named = [one for one in files if one.key == f'{prefix}{stem}.th']
    if not named and len(files) != 1:
        names = ', '.join(PurePosixPath(one.key).name for one in files[:5]) or '0'
        raise PieError('no_weights', url=url, tried=f's3://{bucket}/{prefix}{stem}.th', found=names)
    return (named or files)[0]
