"""Pascal VOC: an XML file per image, its far corner inside the box, and lists of names per split.

Read are `VOCdevkit/VOC20xx` (several years together), `Annotations` and `JPEGImages` with `ImageSets/Main` or without,
XML files beside their images, and either of these in folders `train`, `val` and `test`. Classes are in the order of
`classes.txt`, `labels.txt` or `labelmap.txt` where there is one, else alphabetical. As on the platform, corners count
from 0.
"""
from pathlib import Path
from typing import Dict, List, Optional, Tuple
from xml.etree import ElementTree

from ymir_exc.errors import DatasetError

from ..hashing import in_threads
from ..labels import Dataset, LabelledImage
from .files import SPLITS, ImagesByStem, files_below, is_image, read_lines, split_folders, split_of
from .raw import RawBox, RawDataset, RawImage
from .writing import ImagePlaces, Written

LOOKS_FOR = 'VOCdevkit/VOC20xx, a folder Annotations of .xml files, or .xml files beside images'
_ANNOTATION_FOLDERS = ('Annotations', 'annotations', 'gt', 'xmls', 'xml')
_IMAGE_FOLDERS = ('JPEGImages', 'images', 'Images', 'JPEGimages', 'img')
_HEAD_BYTES = 1024
_CLASS_FILES = ('classes.txt', 'labels.txt', 'labelmap.txt')


def is_voc(root: Path) -> bool:
    """Whether there is a VOC data set."""
    return bool(_parts(root))


def _is_annotation(path: Path) -> bool:
    """Whether a file looks like an annotation, from its first bytes: other programs write .xml too."""
    if path.suffix.lower() != '.xml' or not path.is_file():
        return False
    with open(path, 'rb') as stream:
        return b'<annotation' in stream.read(_HEAD_BYTES)


def _has_xml(folder: Path) -> bool:
    return folder.is_dir() and any(_is_annotation(path) for path in sorted(folder.iterdir()))


def _annotations_of(root: Path) -> Optional[Path]:
    return next((root / name for name in _ANNOTATION_FOLDERS if _has_xml(root / name)), None)


def _parts(root: Path) -> List[Tuple[Optional[str], Path, Path]]:
    """(split or None, root of the part, folder of its XML files)."""
    if not root.is_dir():
        return []
    found = [(None, root, annotations) for annotations in [_annotations_of(root)] if annotations]
    if not found:
        years = [year for base in (root, root / 'VOCdevkit') if base.is_dir() for year in sorted(base.glob('VOC20*'))]
        found = [(None, year, annotations) for year in years for annotations in [_annotations_of(year)] if annotations]
    if not found:
        found = [(split, part, part if _has_xml(part) else _annotations_of(part))
                 for split, part in split_folders(root).items() if _has_xml(part) or _annotations_of(part)]
    if not found and _has_xml(root):
        found = [(None, root, root)]
    if not found:  # annotations/train/*.xml beside images/train/*.jpg, or folders of any name with both
        folders: List[Path] = []
        for path in files_below(root):
            if path.parent not in folders[-1:] and _is_annotation(path):
                folders.append(path.parent)
        found = [(split_of(folder.name), root, folder) for folder in folders]
    return found


def read(root: Path) -> RawDataset:
    """Reads a VOC data set; see the module.

    Args:
        root: its folder.

    Raises:
        DatasetError: there is none.
    """
    raw = RawDataset()
    parts = _parts(root)
    if not parts:
        raise DatasetError(f'{root} holds no VOC data set; looked for {LOOKS_FOR}')
    for split, part, annotations in parts:
        _read_part(raw, split, part, annotations)
    if len(raw.splits) > 1 and 'all' in raw.splits:
        raw.splits['train'] = raw.splits.get('train', []) + raw.splits.pop('all')
    names = _listed_classes(root, parts)
    used = {box.class_name for images in raw.splits.values() for image in images for box in image.boxes}
    raw.class_names = names + sorted(used - set(names))
    return raw


def _read_part(raw: RawDataset, split: Optional[str], root: Path, annotations: Path) -> None:
    folders = [root / name for name in _IMAGE_FOLDERS]
    if annotations.parent != root:  # annotations/train
        folders = [folder / annotations.name for folder in folders] + folders
    images = [ImagesByStem(folder) for folder in (*folders, annotations, root) if folder.is_dir()]
    files = sorted(path for path in annotations.iterdir() if path.suffix.lower() == '.xml')
    by_stem = {path.stem: path for path in files}
    sets = _sets(raw, root, by_stem) if split is None else {}
    if not sets:
        sets = {split or 'all': list(by_stem)}
    listed = {stem for stems in sets.values() for stem in stems}
    for stem in by_stem:
        if stem not in listed:
            raw.warnings.add('annotations in no set', f'{by_stem[stem]} is in no list of {root / "ImageSets/Main"}; it '
                             'is left out')
    wanted = [path for path in files if path.stem in listed]
    read_images = dict(zip((path.stem for path in wanted), in_threads(lambda path: read_xml(path, images), wanted)))
    for name, stems in sets.items():
        for stem in stems:
            result = read_images.get(stem)
            if result is None:
                raw.warnings.add('images without annotation', f'{root / "ImageSets/Main"}: {stem} has no '
                                 f'{annotations / (stem + ".xml")}; the image is left out, for it may show objects')
            elif isinstance(result, str):
                raw.warnings.add('annotations left out', f'{by_stem[stem]}: {result}; the image is left out')
            else:
                raw.splits.setdefault(name, []).append(result)
    if not (root / 'ImageSets').is_dir():
        for folder in {finder.folder for finder in images if finder.folder == annotations}:
            for path in ImagesByStem(folder).paths.values():
                if path.stem not in by_stem:
                    raw.warnings.add('images without annotation', f'{path} has no .xml file beside it; it is left out, '
                                     'for it may show objects')


def _sets(raw: RawDataset, root: Path, by_stem: Dict[str, Path]) -> Dict[str, List[str]]:
    """Names of the images of each split, from ImageSets/Main."""
    main = root / 'ImageSets' / 'Main'
    sets = {split: _names(main / f'{split}.txt', by_stem) for split in SPLITS if (main / f'{split}.txt').is_file()}
    both = main / 'trainval.txt'
    if both.is_file() and 'train' not in sets:
        val = set(sets.get('val', ()))
        sets['train'] = [name for name in _names(both, by_stem) if name not in val]
    result, seen = {}, {}
    for split in SPLITS:
        if split in sets:
            result[split] = []
            for name in dict.fromkeys(sets[split]):
                if seen.setdefault(name, split) == split:
                    result[split].append(name)
                else:
                    raw.warnings.add('images in two sets', f'{main / split}.txt: {name} is in {seen[name]}.txt too; it '
                                     'stays there')
    return result


def _names(file: Path, by_stem: Dict[str, Path]) -> List[str]:
    """Names of a list; a name may hold spaces, and lists of one class have 1, 0 or -1 behind it."""
    names = []
    for line in read_lines(file):
        if line not in by_stem:
            name, _, mark = line.rpartition(' ')
            line = name.strip() if mark in ('1', '0', '-1') and name else line
        names.append(Path(line).stem if line not in by_stem and is_image(Path(line)) else line)
    return names


def read_xml(path: Path, images: List[ImagesByStem]) -> object:
    """The image of an XML file, or what is wrong with the file.

    Args:
        path: the file.
        images: where to look for the image, by its own name and by that in the file.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        return f'it is no readable XML file ({error})'
    stems = dict.fromkeys((path.stem, Path((root.findtext('filename') or '').strip().replace('\\', '/')).stem))
    found = (finder.paths[stem] for stem in stems for finder in images if stem in finder.paths)
    image = next(found, None) or path.with_suffix('.jpg')
    return RawImage(image, path, [_box(item, f'object {number}') for number, item in enumerate(root.iter('object'), 1)])


def _box(item: ElementTree.Element, place: str) -> RawBox:
    def number(name: str) -> float:
        try:
            return float(item.findtext(f'bndbox/{name}') or '')
        except ValueError:
            return float('nan')

    corners = number('xmin'), number('ymin'), number('xmax') + 1, number('ymax') + 1
    difficult = (item.findtext('difficult') or '').strip() in ('1', 'true', 'True')
    return RawBox((item.findtext('name') or '').strip(), corners, place, difficult)


def _listed_classes(root: Path, parts: List[Tuple[Optional[str], Path, Path]]) -> List[str]:
    folders = dict.fromkeys((root, *(part for _, part, _ in parts)))
    file = next((folder / name for folder in folders for name in _CLASS_FILES if (folder / name).is_file()), None)
    if file is None:
        return []
    lines = [line for line in read_lines(file) if not line.startswith('#')]
    if file.name == 'labelmap.txt':  # of CVAT: name:colour:parts:actions
        lines = [line.split(':')[0] for line in lines]
    return [line for line in lines if line.lower() not in ('background', '__background__', '_background_')]


def _xml(image: LabelledImage, file_name: str, class_names: Tuple[str, ...]) -> bytes:
    root = ElementTree.Element('annotation')

    def add(parent: ElementTree.Element, name: str, text: object = None) -> ElementTree.Element:
        child = ElementTree.SubElement(parent, name)
        child.text = None if text is None else str(text)
        return child

    add(root, 'folder', 'JPEGImages')
    add(root, 'filename', file_name)
    size = add(root, 'size')
    for name, value in (('width', image.width), ('height', image.height), ('depth', 3)):
        add(size, name, value)
    add(root, 'segmented', 0)
    for box in image.boxes:
        item = add(root, 'object')
        for name, value in (('name', class_names[box.class_index]), ('pose', 'Unspecified'), ('truncated', 0),
                            ('difficult', int(box.difficult))):
            add(item, name, value)
        corners = add(item, 'bndbox')
        for name, value in (('xmin', box.x), ('ymin', box.y), ('xmax', box.x + box.w - 1), ('ymax', box.y + box.h - 1)):
            add(corners, name, value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding='utf-8') + b'\n'


def write(dataset: Dataset, folder: Path, places: ImagePlaces) -> Written:
    """Writes `Annotations`, `JPEGImages`, `labels.txt` and, where there are splits, `ImageSets/Main`.

    Args:
        dataset: what to write.
        folder: empty.
        places: takes the images.
    """
    annotations, main = folder / 'Annotations', folder / 'ImageSets' / 'Main'
    annotations.mkdir()
    (folder / 'labels.txt').write_text(''.join(f'{name}\n' for name in dataset.class_names), encoding='utf-8')
    for split, images in dataset.splits.items():
        names = places.add('JPEGImages', images)
        for image, name in zip(images, names):
            (annotations / f'{Path(name).stem}.xml').write_bytes(_xml(image, name, dataset.class_names))
        if split != 'all':
            main.mkdir(parents=True, exist_ok=True)
            (main / f'{split}.txt').write_text(''.join(f'{Path(name).stem}\n' for name in names), encoding='utf-8')
    return places.written()
