"""Pascal VOC: an XML file per image, its far corner inside the box, and lists of names per split.

Read are `VOCdevkit/VOC20xx` (several years together), `Annotations` and `JPEGImages` with `ImageSets/Main` or without,
XML files beside their images, and any of these with sub-folders, `train`, `val` and `test` among them. Classes are in
the order of `classes.txt`, `labels.txt` or `labelmap.txt` where there is one, else alphabetical. As on the platform,
corners count from 0.
"""
import re
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple
from xml.etree import ElementTree

from ymir_exc.annotations.xml_text import decode_xml, parse_xml
from ymir_exc.errors import DatasetError

from ..hashing import in_threads
from ..labels import Dataset, LabelledImage
from .file_names import FileNames, plain_name, without_address
from .files import SPLITS, files_below, images_below, is_image, read_lines, split_folders, split_of
from .raw import UNLABELLED, RawBox, RawDataset, RawImage, size_in_file
from .writing import ImagePlaces, Written

LOOKS_FOR = 'VOCdevkit/VOC20xx, a folder Annotations of .xml files, or .xml files beside images'
_ANNOTATION_FOLDERS = ('Annotations', 'annotations', 'gt', 'xmls', 'xml')
_IMAGE_FOLDERS = ('JPEGImages', 'images', 'Images', 'JPEGimages', 'img')
_HEAD_BYTES = 4096
_ROOT = re.compile(r'<annotation[\s>/]')  # CVAT's own files begin with <annotations>
_BACKGROUND = ('background', '__background__', '_background_', '__ignore__')
_CLASS_FILES = ('classes.txt', 'labels.txt', 'labelmap.txt')


def is_voc(root: Path) -> bool:
    """Whether there is a VOC data set."""
    return bool(_parts(root))


def _is_annotation(path: Path) -> bool:
    """Whether a file looks like an annotation, from its first bytes: other programs write .xml too."""
    if path.suffix.lower() != '.xml' or not path.is_file():
        return False
    with open(path, 'rb') as stream:
        head = stream.read(_HEAD_BYTES)
    try:
        return bool(_ROOT.search(decode_xml(head, 'ignore')))
    except ValueError:
        return False


def _has_xml(folder: Path) -> bool:
    return folder.is_dir() and any(_is_annotation(path) for path in files_below(folder))


def _annotations_of(root: Path) -> Optional[Path]:
    return next((root / name for name in _ANNOTATION_FOLDERS if _has_xml(root / name)), None)


def _parts(root: Path) -> List[Tuple[Path, Path]]:
    """(root of the part, folder of its XML files): the root itself or its years, and all below the root else."""
    if not root.is_dir():
        return []
    years = [year for base in (root, root / 'VOCdevkit') if base.is_dir() for year in sorted(base.glob('VOC20*'))]
    for candidates in ([root], years):
        found = [(part, folder) for part in candidates for folder in [_annotations_of(part)] if folder]
        if found:
            return found
    return [(root, root)] if _has_xml(root) else []


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
    for part, annotations in parts:
        _read_part(raw, part, annotations)
    if len(raw.splits) > 1 and 'all' in raw.splits:
        raw.splits['train'] = raw.splits.get('train', []) + raw.splits.pop('all')
    used = {box.class_name for images in raw.splits.values() for image in images for box in image.boxes}
    names = _listed_classes(root, parts, used)
    raw.class_names = names + sorted(used - set(names))
    return raw


def _read_part(raw: RawDataset, root: Path, annotations: Path) -> None:
    files = FileNames()
    images = ImagesOfPart(root, files)
    by_name = {path.relative_to(annotations).with_suffix('').as_posix(): path for path in files_below(annotations)
               if path.suffix.lower() == '.xml'}
    sets = _sets(raw, root, by_name)
    if not sets:
        for name in by_name:  # train/a.xml, annotations/train/a.xml, train/Annotations/a.xml
            split = next(filter(None, map(split_of, name.split('/')[:-1])), 'all')
            sets.setdefault(split, []).append(name)
    listed = {name for names in sets.values() for name in names}
    for name in by_name:
        if name not in listed:
            raw.warnings.add('annotations in no set', f'{by_name[name]} is in no list of {root / "ImageSets/Main"}; it '
                             'is left out')
    wanted = [name for name in by_name if name in listed]
    read_images = dict(zip(wanted, in_threads(lambda name: read_xml(by_name[name], images), wanted)))
    files.report(raw.warnings)
    for split, names in sets.items():
        for name in names:
            result = read_images.get(name)
            if result is None:
                image = images.find(annotations / f'{name}.xml', '')
                raw.unlabelled += [RawImage(image, root / 'ImageSets' / 'Main', ())] if image else []
                raw.warnings.add('images without annotation', f'{root / "ImageSets/Main"}: {name} has no '
                                 f'{annotations / (name + ".xml")}; {UNLABELLED}')
            elif isinstance(result, str):
                raw.warnings.add('annotations left out', f'{by_name[name]}: {result}; the image is left out')
            else:
                raw.splits.setdefault(split, []).append(result)
    if not (root / 'ImageSets').is_dir():
        found = {result.path for result in read_images.values() if isinstance(result, RawImage)}
        for path in images.beside(found):
            raw.unlabelled.append(RawImage(path, annotations, ()))
            raw.warnings.add('images without annotation', f'{path} has no .xml file; {UNLABELLED}')


class ImagesOfPart:
    """Finds the image of an XML file: beside it, or where the folder of annotations is one of images.

    Args:
        root: of the part.
        files: notes images whose names differ in letters.
    """

    def __init__(self, root: Path, files: FileNames) -> None:
        self._root = root
        self._files = files
        self._by_folder: Dict[Path, Dict[str, Path]] = {}  # by name and by stem; a name wins
        self._by_plain_name: Dict[Path, Dict[str, Set[Path]]] = {}  # the same of each folder by plain name
        for path in images_below(root):
            names = self._by_folder.setdefault(path.parent, {})
            names.setdefault(path.stem, path)
            names[path.name] = path
            plain = self._by_plain_name.setdefault(path.parent, {})
            for name in (path.stem, path.name):
                plain.setdefault(plain_name(name), set()).add(path)
        self._folders_of = lru_cache(maxsize=None)(self._find_folders)

    def _find_folders(self, folder: Path) -> List[Path]:
        """Where the images of the XML files of a folder may lie, the best first."""
        parts = folder.relative_to(self._root).parts
        swapped = [Path(self._root, *parts[:position], name, *parts[position + 1:])
                   for position in range(len(parts) - 1, -1, -1) if parts[position] in _ANNOTATION_FOLDERS
                   for name in _IMAGE_FOLDERS]
        flat = [parent / name for parent in (folder.parent, self._root) for name in _IMAGE_FOLDERS]
        folders = dict.fromkeys((*swapped, folder, *flat, folder.parent, self._root))
        return [path for path in folders if path in self._by_folder]

    def find(self, annotation: Path, file_name: str) -> Optional[Path]:
        """The image of an XML file; None if there is none.

        Args:
            annotation: the XML file.
            file_name: what it says the image is called.
        """
        name, bare = (text.rpartition('/')[2] for text in (file_name.replace('\\', '/'), without_address(file_name)))
        names = [annotation.stem, name, Path(name).stem, bare, Path(bare).stem]
        if Path(name).stem == annotation.stem:
            names.insert(0, name)
        folders = self._folders_of(annotation.parent)
        found = next((self._by_folder[folder][name] for name in names for folder in folders
                      if name in self._by_folder[folder]), None)
        return found or self._with_other_letters(annotation, names, folders)

    def _with_other_letters(self, annotation: Path, names: List[str], folders: List[Path]) -> Optional[Path]:
        """The only image whose name differs in what copying changes, if it has no XML file of its own."""
        for name in filter(None, names):
            for folder in folders:
                fitting = self._by_plain_name[folder].get(plain_name(name), ())
                if len(fitting) == 1:
                    image = next(iter(fitting))
                    if not annotation.with_name(f'{image.stem}{annotation.suffix}').is_file():
                        self._files.note(name if is_image(Path(name)) else name + image.suffix, image, annotation)
                        return image
        return None

    def beside(self, found: Set[Path]) -> List[Path]:
        """The images that are not among these, but in a folder with one of them."""
        folders = dict.fromkeys(path.parent for path in sorted(found))
        paths = (path for folder in folders for path in dict.fromkeys(self._by_folder.get(folder, {}).values()))
        return [path for path in paths if path not in found]


def _sets(raw: RawDataset, root: Path, by_name: Dict[str, Path]) -> Dict[str, List[str]]:
    """Names of the images of each split, from ImageSets/Main."""
    main = root / 'ImageSets' / 'Main'
    sets = {split: _names(main / f'{split}.txt', by_name) for split in SPLITS if (main / f'{split}.txt').is_file()}
    both = main / 'trainval.txt'
    if both.is_file() and 'train' not in sets:
        val = set(sets.get('val', ()))
        sets['train'] = [name for name in _names(both, by_name) if name not in val]
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


def _names(file: Path, by_name: Dict[str, Path]) -> List[str]:
    """Names of a list; a name may hold spaces, and lists of one class have 1, 0 or -1 behind it."""
    names = []
    by_plain_name: Dict[str, List[str]] = {}
    for name in by_name:
        by_plain_name.setdefault(plain_name(name), []).append(name)
    for line in read_lines(file):
        if line not in by_name:
            name, _, mark = line.rpartition(' ')
            line = name.strip() if mark in ('1', '0', '-1') and name else line
        line = Path(line).with_suffix('').as_posix() if line not in by_name and is_image(Path(line)) else line
        fitting = by_plain_name.get(plain_name(line), [])
        names.append(fitting[0] if line not in by_name and len(fitting) == 1 else line)
    return names


def read_xml(path: Path, images: Optional[ImagesOfPart] = None) -> object:
    """The image of an XML file, or what is wrong with the file.

    Args:
        path: the file.
        images: finds the image.
    """
    try:
        root = parse_xml(path.read_bytes())
    except (OSError, ValueError) as error:
        return f'it is no readable XML file ({error})'
    image = images.find(path, (root.findtext('filename') or '').strip()) if images else None
    boxes = [_box(item, f'object {number}') for number, item in enumerate(root.iter('object'), 1)]
    return RawImage(image or path.with_suffix('.jpg'), path, boxes,
                    size=size_in_file(root.findtext('size/width'), root.findtext('size/height')))


def _box(item: ElementTree.Element, place: str) -> RawBox:
    def number(name: str) -> float:
        try:
            return float(item.findtext(f'bndbox/{name}') or '')
        except ValueError:
            return float('nan')

    corners = number('xmin'), number('ymin'), number('xmax') + 1, number('ymax') + 1
    difficult = (item.findtext('difficult') or '').strip() in ('1', 'true', 'True')
    return RawBox((item.findtext('name') or '').strip(), corners, place, difficult)


def _listed_classes(root: Path, parts: List[Tuple[Path, Path]], used: Set[str]) -> List[str]:
    folders = dict.fromkeys((root, *(part for part, _ in parts), *(folder for _, folder in split_folders(root))))
    file = next((folder / name for folder in folders for name in _CLASS_FILES if (folder / name).is_file()), None)
    if file is None:
        return []
    lines = read_lines(file)
    if file.name == 'labelmap.txt':  # of CVAT: name:colour:parts:actions
        lines = [line.split(':')[0] for line in lines if not line.startswith('#')]
    return [line for line in lines if line in used or line.lower() not in _BACKGROUND]


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
