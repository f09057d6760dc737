"""Pascal VOC: an XML file per image, its far corner inside the box, and lists of names per split.

Read are `VOCdevkit/VOC20xx` (several years together), `Annotations` and `JPEGImages` with `ImageSets/Main` or without,
XML files beside their images, and any of these with sub-folders, `train`, `val` and `test` among them. Classes are in
the order of `classes.txt`, `labels.txt` or `labelmap.txt` where there is one, else alphabetical. As on the platform,
corners count from 0.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

from ymir_exc.annotations.xml_text import decode_xml, parse_xml
from ymir_exc.errors import DatasetError
from ymir_exc.threads import in_threads

from ..platform.annotations import add_elements
from ..platform.labels import Dataset, LabelledImage
from .class_lists import take_classes
from .file_names import FileNames, plain_name
from .files import SPLITS, files_below, is_image, read_head, read_lines, split_folders, split_of
from .image_writer import ImagePlaces, Written
from .images_of_labels import ImagesOfLabels
from .raw import UNLABELLED, RawBox, RawDataset, RawImage, size_in_file

LOOKS_FOR = 'VOCdevkit/VOC20xx, a folder Annotations of .xml files, or .xml files beside images'
_ANNOTATION_FOLDERS = ('Annotations', 'annotations', 'gt', 'xmls', 'xml')
_ROOT = re.compile(r'<annotation[\s>/]')  # CVAT's own files begin with <annotations>


def is_voc(root: Path) -> bool:
    """Return whether there is a VOC data set."""
    return bool(_parts(root))


def _is_annotation(path: Path) -> bool:
    """Return whether a file looks like an annotation, from its first bytes: other programs write .xml too."""
    if path.suffix.lower() != '.xml' or not path.is_file():
        return False
    try:
        return bool(_ROOT.search(decode_xml(read_head(path), 'ignore')))
    except ValueError:
        return False


def _has_xml(folder: Path) -> bool:
    return folder.is_dir() and any(_is_annotation(path) for path in files_below(folder))


def _annotations_of(root: Path) -> Path | None:
    return next((root / name for name in _ANNOTATION_FOLDERS if _has_xml(root / name)), None)


def _parts(root: Path) -> list[tuple[Path, Path]]:
    """Return (root of the part, folder of its XML files): the root itself or its years, and all below the root else."""
    if not root.is_dir():
        return []
    years = [year for base in (root, root / 'VOCdevkit') if base.is_dir() for year in sorted(base.glob('VOC20*'))]
    for candidates in ([root], years):
        found = [(part, folder) for part in candidates for folder in [_annotations_of(part)] if folder]
        if found:
            return found
    return [(root, root)] if _has_xml(root) else []


def read(root: Path) -> RawDataset:
    """Read a VOC data set; see the module.

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
    raw.rest_to_train()
    take_classes(raw, (root, *(part for part, _ in parts), *(folder for _, folder in split_folders(root))))
    return raw


def _read_part(raw: RawDataset, root: Path, annotations: Path) -> None:
    files = FileNames()
    images = ImagesOfLabels(root, files, _ANNOTATION_FOLDERS)
    by_name = {
        path.relative_to(annotations).with_suffix('').as_posix(): path
        for path in files_below(annotations)
        if path.suffix.lower() == '.xml'
    }
    sets = _sets(raw, root, by_name)
    if not sets:
        for name in by_name:  # train/a.xml, annotations/train/a.xml, train/Annotations/a.xml
            split = next(filter(None, map(split_of, name.split('/')[:-1])), 'all')
            sets.setdefault(split, []).append(name)
    listed = {name for names in sets.values() for name in names}
    for name in by_name:
        if name not in listed:
            raw.warnings.add(
                'annotations in no set', f'{by_name[name]} is in no list of {root / "ImageSets/Main"}; it is left out'
            )
    wanted = [name for name in by_name if name in listed]
    read_images = dict(zip(wanted, in_threads(lambda name: read_xml(by_name[name], images), wanted)))
    files.report(raw.warnings)
    for split, names in sets.items():
        for name in names:
            result = read_images.get(name)
            if result is None:
                image = images.find(annotations / f'{name}.xml', '')
                raw.unlabelled += [RawImage(image, root / 'ImageSets' / 'Main', ())] if image else []
                raw.warnings.add(
                    'images without annotation',
                    f'{root / "ImageSets/Main"}: {name} has no {annotations / (name + ".xml")}; {UNLABELLED}',
                )
            elif isinstance(result, str):
                raw.warnings.add('annotations left out', f'{by_name[name]}: {result}; the image is left out')
            else:
                raw.splits.setdefault(split, []).append(result)
    if not (root / 'ImageSets').is_dir():
        found = {result.path for result in read_images.values() if isinstance(result, RawImage)}
        for path in images.beside(found):
            raw.unlabelled.append(RawImage(path, annotations, ()))
            raw.warnings.add('images without annotation', f'{path} has no .xml file; {UNLABELLED}')


def _sets(raw: RawDataset, root: Path, by_name: dict[str, Path]) -> dict[str, list[str]]:
    """Return the names of the images of each split, from ImageSets/Main."""
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
                    raw.warnings.add(
                        'images in two sets', f'{main / split}.txt: {name} is in {seen[name]}.txt too; it stays there'
                    )
    return result


def _names(file: Path, by_name: dict[str, Path]) -> list[str]:
    """Return the names of a list; a name may hold spaces, and lists of one class have 1, 0 or -1 behind it."""
    names = []
    by_plain_name: dict[str, list[str]] = {}
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


def read_xml(path: Path, images: ImagesOfLabels | None = None) -> object:
    """Return the image of an XML file, or what is wrong with the file.

    Args:
        path: the file.
        images: finds the image.
    """
    try:
        root = parse_xml(path.read_bytes())
    except (OSError, ValueError) as error:
        return f'it is not a readable XML file ({error})'
    image = images.find(path, (root.findtext('filename') or '').strip()) if images else None
    boxes = [_box(item, f'object {number}') for number, item in enumerate(root.iter('object'), 1)]
    return RawImage(
        image or path.with_suffix('.jpg'),
        path,
        boxes,
        size=size_in_file(root.findtext('size/width'), root.findtext('size/height')),
    )


def _box(item: ElementTree.Element, place: str) -> RawBox:
    def number(name: str) -> float:
        try:
            return float(item.findtext(f'bndbox/{name}') or '')
        except ValueError:
            return float('nan')

    corners = number('xmin'), number('ymin'), number('xmax') + 1, number('ymax') + 1
    difficult = (item.findtext('difficult') or '').strip() in ('1', 'true', 'True')
    return RawBox((item.findtext('name') or '').strip(), corners, place, difficult)


def _xml(image: LabelledImage, file_name: str, class_names: tuple[str, ...]) -> bytes:
    root = ElementTree.Element('annotation')
    add_elements(root, folder='JPEGImages', filename=file_name)
    add_elements(ElementTree.SubElement(root, 'size'), width=image.width, height=image.height, depth=3)
    add_elements(root, segmented=0)
    for box in image.boxes:
        item = ElementTree.SubElement(root, 'object')
        name, difficult = class_names[box.class_index], int(box.difficult)
        add_elements(item, name=name, pose='Unspecified', truncated=0, difficult=difficult)
        add_elements(ElementTree.SubElement(item, 'bndbox'), **box.corners())
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding='utf-8') + b'\n'


def write(dataset: Dataset, folder: Path, places: ImagePlaces) -> Written:
    """Write `Annotations`, `JPEGImages`, `labels.txt` and, where there are splits, `ImageSets/Main`.

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
