"""What a file is, by its first bytes, for the user who took it for weights."""

import re
import zipfile
from pathlib import Path

HEAD = 4096  # bytes that are looked at

# (offset, bytes, kind)
MAGICS = (
    (257, b'ustar', 'a tar archive'),
    (0, b'\x1f\x8b', 'a gzip file'),
    (0, b'BZh', 'a bzip2 file'),
    (0, b'\xfd7zXZ\x00', 'an xz file'),
    (0, b'\x28\xb5\x2f\xfd', 'a zstd file'),
    (0, b'7z\xbc\xaf\x27\x1c', 'a 7z archive'),
    (0, b'Rar!\x1a\x07', 'a RAR archive'),
    (0, b'\x89HDF\r\n\x1a\n', 'an HDF5 file (Keras)'),
    (4, b'TFL3', 'a TensorFlow Lite file'),
    (0, b'GGUF', 'a GGUF file'),
    (0, b'\x93NUMPY', 'a numpy array (.npy)'),
    (0, b'\x89PNG\r\n\x1a\n', 'a PNG image'),
    (0, b'\xff\xd8\xff', 'a JPEG image'),
    (0, b'GIF8', 'a GIF image'),
    (0, b'%PDF', 'a PDF document'),
    (0, b'\x7fELF', 'a program or library (ELF)'),
    (0, b'MZ', 'a Windows program'),
    (0, b'SQLite format 3\x00', 'an SQLite data base'),
)
# (pattern at the beginning of a text, kind); white space before it is left out.
TEXTS = (
    (rb'version https://git-lfs\.github\.com/spec/', 'a git-lfs pointer, not the file itself: run `git lfs pull`'),
    (rb'(?i)<!doctype html|<html|<head', 'an HTML page: the download gave an error or log-in page'),
    (rb'<\?xml|<[A-Za-z]', 'an XML file: failed downloads often give one'),
    (rb'[{\[]', 'a JSON file'),
    (rb'#!', 'a script'),
)
ONNX = re.compile(rb'\x08[\x01-\x1f](\x12[\x00-\x7f]|\x3a|\x42)')  # ir_version, then producer_name, graph or opset
SAFETENSORS = re.compile(rb'.{7}\x00\{', re.DOTALL)  # length of the header, header


def kind_of_file(path: str | Path) -> str | None:
    """Name what a file is.

    Args:
        path: An existing file.

    Returns:
        The kind in words, e.g. 'a tar archive'; None for what could be a file of torch.save.
    """
    with open(path, 'rb') as file:
        head = file.read(HEAD)
    if not head:
        return 'an empty file'
    if not head.strip(b'\x00'):
        return 'a file of zero bytes: it was not written or copied to its end'
    if head.startswith(b'PK') or zipfile.is_zipfile(path):
        return _kind_of_zip(path)
    for offset, magic, kind in MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if SAFETENSORS.match(head):
        return 'a safetensors file'
    if ONNX.match(head) and b'\x80\x02' not in head[:2]:
        return 'an ONNX file'
    text = head.removeprefix(b'\xef\xbb\xbf').lstrip()
    for pattern, kind in TEXTS:
        if re.match(pattern, text) and _is_text(head):
            return kind
    return 'a text file' if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    """Return whether bytes are text: no control characters, which every pickle has."""
    return not re.search(rb'[\x00-\x08\x0e-\x1f\x7f]', head) and head[:1] != b'\x80'


def _kind_of_zip(path: str | Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition('/')[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return 'a zip archive that is cut or damaged (a file of torch.save is one): copy or download it again'
    if 'constants.pkl' in names or any(name.startswith('code/') for name in names):
        return 'a TorchScript file: a program, of which no weights are read. Save the state_dict of the model instead'
    if 'data.pkl' in names:
        return None
    if names and all(name.endswith('.npy') for name in names):
        return 'a numpy archive (.npz)'
    return 'a zip archive that torch.save did not write'
