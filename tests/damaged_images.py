"""More than 70 kinds of odd and damaged images, each made from the same photo: what users' folders hold besides photos.

`write_damaged` writes them all into a folder. Which of them can be read is for OpenCV to say, whose formats differ from
build to build; those of `READABLE` can be read by every build, those of `UNREADABLE` by none.
"""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 64


def photo(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(height, width, 3) uint8: gradients with noise, so that every format has something to store."""
    noise = np.random.RandomState(width * height).randint(0, 60, (height, width, 3))
    ramps = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.array([1, 2, 3])
    return ((ramps + noise) % 256).astype(np.uint8)


def by_pil(kind: str, image: Image.Image = None, **options) -> bytes:
    """An image in a format of Pillow's."""
    stream = io.BytesIO()
    (image or Image.fromarray(photo())).save(stream, kind, **options)
    return stream.getvalue()


def by_cv2(suffix: str, pixels: np.ndarray = None, *options: int) -> bytes:
    """An image in a format of OpenCV's."""
    return cv2.imencode(suffix, photo() if pixels is None else pixels, list(options))[1].tobytes()


def png_chunks(data: bytes) -> list[bytes]:
    """The signature and the chunks of a PNG."""
    parts, at = [data[:8]], 8
    while at < len(data):
        end = at + 12 + struct.unpack('>I', data[at : at + 4])[0]
        parts.append(data[at:end])
        at = end
    return parts


def png_chunk(kind: bytes, content: bytes, crc: int = None) -> bytes:
    """One chunk; `crc` None: the right one."""
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', crc)


def png_of_size(width: int, height: int) -> bytes:
    """A small PNG whose header says another size."""
    parts = png_chunks(PNG)
    header = struct.pack('>II', width, height) + parts[1][16:21]
    return parts[0] + png_chunk(b'IHDR', header) + b''.join(parts[2:])


def overwritten(data: bytes, first: float, length: int, value: int) -> bytes:
    """Data in which some bytes at a place, given as a share, are another value."""
    start = int(len(data) * first)
    return data[:start] + bytes([value]) * length + data[start + length :]


def turned(orientation: int, kind: str = 'JPEG') -> bytes:
    """An image with an orientation in its EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return by_pil(kind, exif=exif)


def animation(kind: str) -> bytes:
    """Three frames."""
    frames = [Image.fromarray(np.roll(photo(), 9 * shift, 1)) for shift in range(3)]
    return by_pil(kind, frames[0], save_all=True, append_images=frames[1:], duration=40)


JPG, PNG, BMP = by_cv2('.jpg'), by_cv2('.png'), by_cv2('.bmp')
TIFF, WEBP = by_pil('TIFF'), by_pil('WEBP', quality=80)
GREY, ALPHA = Image.fromarray(photo()[..., 0]), np.dstack([photo(), photo()[..., :1]])
LONG_JPG = by_cv2('.jpg', photo(400, 300))
GIF, ANIMATED = by_pil('GIF'), animation('GIF')

KINDS: dict[str, bytes] = {
    # whole images of every common form
    'plain.jpg': JPG,
    'plain.png': PNG,
    'plain.bmp': BMP,
    'plain.tif': TIFF,
    'plain.webp': WEBP,
    'grey.jpg': by_pil('JPEG', GREY),
    'grey.png': by_pil('PNG', GREY),
    'progressive.jpg': by_pil('JPEG', progressive=True),
    'cmyk.jpg': by_pil('JPEG', Image.fromarray(photo()).convert('CMYK')),
    'alpha.png': by_pil('PNG', Image.fromarray(ALPHA)),
    'grey_alpha.png': by_pil('PNG', Image.fromarray(ALPHA).convert('LA')),
    'sixteen_bits.png': by_cv2('.png', photo().astype(np.uint16) * 257),
    'palette.png': by_pil('PNG', GREY.convert('P')),
    'one_bit.png': by_pil('PNG', GREY.convert('1')),
    'one_bit.bmp': by_pil('BMP', GREY.convert('1')),
    'transparent_palette.png': by_pil('PNG', GREY.convert('P'), transparency=3),
    'sixteen_bits.tif': by_cv2('.tif', photo().astype(np.uint16) * 257),
    'deflated.tif': by_pil('TIFF', compression='tiff_deflate'),
    'cmyk.tif': by_pil('TIFF', Image.fromarray(photo()).convert('CMYK')),
    'alpha.webp': by_pil('WEBP', Image.fromarray(ALPHA)),
    'lossless.webp': by_pil('WEBP', lossless=True),
    'png_named.jpg': by_cv2('.png', photo(90)),
    'jpg_named.png': by_cv2('.jpg', photo(90)),
    'bmp_named.webp': by_cv2('.bmp', photo(90)),
    'bytes_behind.jpg': JPG + b'behind' * 50,
    'pixel.png': by_cv2('.png', photo(1, 1)),
    'strip.png': by_cv2('.png', photo(2000, 2)),
    'pole.png': by_cv2('.png', photo(1, 1000)),
    **{f'turned_{orientation}.jpg': turned(orientation) for orientation in range(1, 9)},
    'turned_9.jpg': turned(9),
    'turned_6.png': turned(6, 'PNG'),
    'turned_6.webp': turned(6, 'WEBP'),
    'turned_6.tif': turned(6, 'TIFF'),
    'broken_exif.jpg': by_pil('JPEG', exif=b'Exif\0\0II*\0\xff\xff\xff\xff'),
    'grey.gif': GIF,
    'animated.gif': ANIMATED,
    'animated.webp': animation('WEBP'),
    'animated.png': animation('PNG'),
    'several_pages.tif': animation('TIFF'),
    'several.jpg': animation('MPO'),
    'plain.ppm': by_cv2('.ppm'),
    'plain.jp2': by_pil('JPEG2000'),
    # pixels that are no bytes
    'floats.tiff': by_pil('TIFF', Image.fromarray(photo()[..., 0].astype(np.float32) / 255)),
    'floats_in_colour.tiff': by_cv2('.tiff', photo().astype(np.float32) / 255),
    'whole_numbers.tiff': by_pil('TIFF', Image.fromarray(photo()[..., 0].astype(np.int32))),
    'lab.tiff': by_pil('TIFF', Image.fromarray(photo()).convert('LAB')),
    'ycbcr.tiff': by_pil('TIFF', Image.fromarray(photo()).convert('YCbCr')),
    # files that are cut short
    'cut_1.jpg': JPG[:-1],
    'cut_end.jpg': JPG[:-2],
    'cut_late.jpg': JPG[: -len(JPG) // 10],
    'cut_half.jpg': JPG[: len(JPG) // 2],
    'cut_early.jpg': JPG[:700],
    'cut_header.jpg': JPG[:100],
    'cut_long.jpg': LONG_JPG[: len(LONG_JPG) // 2],
    'cut_progressive.jpg': by_pil('JPEG', progressive=True)[:2000],
    'cut_end.png': PNG[:-12],
    'cut_late.png': PNG[:-40],
    'cut_half.png': PNG[: len(PNG) // 2],
    'cut_header.png': PNG[:33],
    'cut_half.bmp': BMP[: len(BMP) // 2],
    'cut_header.bmp': BMP[:40],
    'cut_end.tif': TIFF[:-40],
    'cut_half.tif': TIFF[: len(TIFF) // 2],
    'cut_half.webp': WEBP[: len(WEBP) // 2],
    'cut_late.webp': WEBP[:-20],
    'cut_half.gif': GIF[: len(GIF) // 2],
    'cut_half.jp2': by_pil('JPEG2000')[:900],
    # files with wrong bytes inside
    'wrong_crc.png': b''.join([*png_chunks(PNG)[:2], png_chunks(PNG)[2][:-4] + b'\0\0\0\0', *png_chunks(PNG)[3:]]),
    'wrong_header_crc.png': PNG[:29] + b'\0\0\0\0' + PNG[33:],
    'wrong_pixels.png': overwritten(PNG, 0.5, 60, 0),
    'no_pixels.png': b''.join([*png_chunks(PNG)[:2], png_chunks(PNG)[-1]]),
    'junk_pixels.png': b''.join([*png_chunks(PNG)[:2], png_chunk(b'IDAT', b'junk' * 40), png_chunks(PNG)[-1]]),
    'no_palette.png': PNG[:25] + b'\3' + PNG[26:],
    'zeros_inside.jpg': overwritten(JPG, 0.5, 300, 0),
    'ones_inside.jpg': overwritten(JPG, 0.5, 300, 255),
    'wrong_tables.jpg': overwritten(JPG, 0.02, 60, 170),
    'no_tables.jpg': JPG[:2] + JPG[JPG.index(b'\xff\xc0') :],
    'zero_size.jpg': JPG.replace(struct.pack('>HH', HEIGHT, WIDTH), bytes(4), 1),
    'zeros_inside.webp': overwritten(WEBP, 0.5, 200, 0),
    'zeros_inside.tif': overwritten(by_pil('TIFF', compression='tiff_deflate'), 0.4, 200, 0),
    'wrong_offset.bmp': BMP[:10] + b'\xff\xff\xff\x7f' + BMP[14:],
    'negative_size.bmp': BMP[:18] + b'\xff\xff\xff\xff' + BMP[22:],
    'zeros_inside.gif': overwritten(GIF, 0.5, 200, 0),
    'line_ends.png': PNG.replace(b'\r\n', b'\n'),
    'as_text.png': PNG.decode('latin1').encode(),
    # sizes that nobody can hold
    'no_width.png': png_of_size(0, HEIGHT),
    'huge.png': png_of_size(100_000, 100_000),
    'wide.png': png_of_size(1_100_000, 1),
    # no images at all
    'empty.jpg': b'',
    'blank.jpg': bytes(2000),
    'one_byte.png': b'\x89',
    'signature.png': PNG[:8],
    'signature.jpg': JPG[:3],
    'page.jpg': b'<!DOCTYPE html><html><body>404 Not Found</body></html>',
    'picture.svg.png': b'<svg xmlns="x"><rect/></svg>',
    'text.bmp': b'BM is how this text begins, which is no image\n' * 20,
    'pointer.jpg': b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n',
    'photo.heic.jpg': b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(300),
    'document.pdf.jpg': b'%PDF-1.4\n1 0 obj<<>>endobj\n%%EOF',
    'archive.png': b'PK\x03\x04' + bytes(200),
    'partial.jpg': bytes(3000) + JPG,
    'icon.png': by_pil('ICO'),
    'targa.jpg': by_pil('TGA'),
}


def _make_links(folder: Path) -> None:
    (folder / 'folder.jpg').mkdir()
    (folder / 'dangling.jpg').symlink_to('nowhere.jpg')
    (folder / 'circular.jpg').symlink_to('circular.jpg')
    (folder / 'linked.jpg').symlink_to('plain.jpg')
    os.mkfifo(folder / 'pipe.jpg')
    (folder / 'device.jpg').symlink_to('/dev/zero')
    (folder / 'forbidden.jpg').write_bytes(JPG)
    (folder / 'forbidden.jpg').chmod(0)


LINKS = ('folder.jpg', 'dangling.jpg', 'circular.jpg', 'linked.jpg', 'pipe.jpg', 'device.jpg', 'forbidden.jpg')
READABLE = (
    'plain.jpg',
    'plain.png',
    'plain.bmp',
    'plain.tif',
    'plain.webp',
    'grey.jpg',
    'progressive.jpg',
    'cmyk.jpg',
    'alpha.png',
    'sixteen_bits.png',
    'palette.png',
    'one_bit.png',
    'png_named.jpg',
    'jpg_named.png',
    'pixel.png',
    'strip.png',
    'pole.png',
    'turned_6.jpg',
    'bytes_behind.jpg',
)
UNREADABLE = (
    'cut_half.png',
    'cut_header.jpg',
    'no_width.png',
    'huge.png',
    'wide.png',
    'empty.jpg',
    'blank.jpg',
    'page.jpg',
    'text.bmp',
    'archive.png',
    'photo.heic.jpg',
    'document.pdf.jpg',
    'pointer.jpg',
    'icon.png',
    'one_byte.png',
    'signature.png',
)


def write_damaged(folder: Path, links: bool = True) -> list[str]:
    """Writes one image of each kind.

    Args:
        folder: an empty one.
        links: also what is not a regular file.

    Returns:
        Their names.
    """
    for name, data in KINDS.items():
        (folder / name).write_bytes(data)
    if links:
        _make_links(folder)
    return [*KINDS, *(LINKS if links else ())]


def can_be_read(path: Path) -> bool:
    """Whether OpenCV decodes a file."""
    if not path.is_file():
        return False
    try:
        data = np.fromfile(path, np.uint8)
        return bool(len(data)) and cv2.imdecode(data, cv2.IMREAD_COLOR) is not None
    except (OSError, cv2.error):
        return False
