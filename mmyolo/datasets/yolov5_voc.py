"""Pascal VOC for the YOLO recipes.

mmdet's reader takes UTF-8, UTF-16, Latin-1 and ASCII; here a file may be in any encoding that it declares, such as the
gb2312 of older Chinese tools, and what is wrong with a file is reported with its path.
"""

import logging
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mmdet.datasets import VOCDataset
from mmengine.fileio import get
from mmengine.logging import print_log

from mmyolo.registry import DATASETS

from .class_names import differing_names
from .yolov5_coco import BatchShapePolicyDataset

_DECLARATION = re.compile(rb'^\s*<\?xml\b[^>]*?\bencoding\s*=\s*["\']([\w.:-]+)["\'][^>]*\?>')
_WIDER = {b'gb2312': 'gb18030', b'gbk': 'gb18030'}


@DATASETS.register_module()
class YOLOv5VOCDataset(BatchShapePolicyDataset, VOCDataset):
    """mmdet's VOCDataset with batch shapes and mix transforms; objects of classes that are left out are counted."""

    def load_data_list(self) -> list[dict]:
        """Read the list of images and their annotations.

        Returns:
            A dict per image.
        """
        self._named_objects = Counter()
        images = super().load_data_list()
        sentence = differing_names(self.ann_file, self.metainfo['classes'], self._named_objects)
        if sentence:
            print_log(sentence, 'current', logging.WARNING)
        return images

    def parse_data_info(self, img_info: dict) -> dict | list[dict]:
        """Read the annotation of an image.

        Args:
            img_info: `img_id`, `file_name` and `xml_path`.

        Raises:
            ValueError: The XML file is damaged, or is not in the encoding that it declares.
        """
        path = img_info['xml_path']
        try:
            try:
                return super().parse_data_info(img_info)
            except (ElementTree.ParseError, ValueError, LookupError) as error:
                data = get(path, backend_args=self.backend_args)
                found = _DECLARATION.match(data)
                if found is None:
                    raise
                encoding = found.group(1)
                try:
                    text = data[found.end() :].decode(_WIDER.get(encoding.lower(), encoding.decode()))
                except UnicodeDecodeError:
                    raise error from None
                with tempfile.TemporaryDirectory() as folder:
                    copy = Path(folder) / 'utf-8.xml'
                    copy.write_text(text, encoding='utf-8')
                    return dict(super().parse_data_info(dict(img_info, xml_path=str(copy))), xml_path=path)
        except (ElementTree.ParseError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f'{path} cannot be read as an annotation of VOC: {error}') from error

    def _parse_instance_info(self, raw_ann_info: Any, minus_one: bool = True) -> list[dict]:
        self._named_objects.update(name.text for name in raw_ann_info.findall('object/name'))
        return super()._parse_instance_info(raw_ann_info, minus_one)
