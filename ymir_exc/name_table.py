"""The file names that were met, in about 40 bytes each, whatever their length."""

from __future__ import annotations

import hashlib
import os
from array import array

_DIGEST = 16  # bytes; names are taken for equal with a chance below 1e-20 for a billion of them
_EMPTY = bytes(_DIGEST)
_MAX_FOLDERS = (1 << 16) - 1  # that are remembered


class NameTable:
    """A set of file names, each with the folder in which it was first met.

    Digests of the names lie in one block of memory, with gaps, each at the place that it says itself or behind it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._folders = {'': 0}  # to their numbers
        self._make_room(1 << 10)

    def __len__(self) -> int:
        return self._count

    def add(self, path: str) -> str | None:
        """Add the file name of a path.

        Args:
            path: of the file.

        Returns:
            None if the name is new, else the path under which it was first met; of very many folders, the name alone.
        """
        folder, name = os.path.split(path)
        digest = hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=_DIGEST).digest()
        place = self._find(digest)
        if self._digests[place : place + _DIGEST] == digest:
            number = self._numbers[place // _DIGEST]
            return os.path.join(next(known for known, at in self._folders.items() if at == number), name)
        if len(self._folders) < _MAX_FOLDERS:
            self._folders.setdefault(folder, len(self._folders))
        self._put(place, digest, self._folders.get(folder, 0))
        self._count += 1
        if 3 * self._count > 2 * self._size:
            self._grow()
        return None

    def _make_room(self, size: int) -> None:
        self._size = size
        self._digests = bytearray(_DIGEST * size)
        self._numbers = array('H', bytes(2 * size))

    def _find(self, digest: bytes) -> int:
        """Return where a digest lies, or the gap in which it would."""
        digests, end = self._digests, _DIGEST * self._size
        place = _DIGEST * (int.from_bytes(digest[:8], 'little') & (self._size - 1))
        while digests[place : place + _DIGEST] not in (digest, _EMPTY):
            place = (place + _DIGEST) % end
        return place

    def _put(self, place: int, digest: bytes, number: int) -> None:
        self._digests[place : place + _DIGEST] = digest
        self._numbers[place // _DIGEST] = number

    def _grow(self) -> None:
        digests, numbers = self._digests, self._numbers
        self._make_room(2 * self._size)
        for slot, number in enumerate(numbers):
            digest = bytes(digests[_DIGEST * slot : _DIGEST * slot + _DIGEST])
            if digest != _EMPTY:
                self._put(self._find(digest), digest, number)
