"""The parameters of a prediction: what the platform sends, what stands beside the weights, and which weights.

What is given counts before what stands beside the weights, but for the network, which the weights decide on.
"""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pie.description import description_file, read_description
from pie.labels import Label, read_labels
from pie.parameter_source import Source
from pie.parameters import (
    KNOWN,
    STRIDE,
    Parameters,
    Side,
    Text,
    as_number,
    as_sides,
    as_switch,
    checked,
    flat_content,
    rounded_size,
)
from pie.storage import Storage
from pie.texts import PieError, say, warn
from pie.weights import SUFFIXES, fetch_weights

CONFIDENCE = 0.25  # of boxes, where a training did not find out a better one
OVERLAP = 4  # a part shares its shorter side divided by this with its neighbours, down to a multiple of STRIDE
FORMATS = {'tif': 'tif', 'tiff': 'tif', 'geotiff': 'tif', 'geojson': 'geojson', 'json': 'geojson'}
IDS = frozenset({'estimate_id', 'predict_id', 'training_id', 'dataset_id', 'batch_size', 'n_class'})
LISTED = 5


def _format(value: Any) -> Any:
    return FORMATS.get(value.strip().lower().lstrip('.'), value) if isinstance(value, str) else value


class PredictParameters(BaseModel):
    """What a prediction is told.

    Args:
        image_path: The picture, a local file or an S3 URL; two with ';' between them for change detection.
        resume_path: The weights: a file or folder, local or in S3; '' for those beside the script.
        model_name: The network, or the name of the weights file.
        weight_name: The name of the weights file without `.th`; that of the network if ''.
        label: The classes, in the order of the outputs.
        class_name: Only compared with the former.
        load_size: (width, height) of the input.
        tile_size: (width, height) in pixels of the parts in which a picture is predicted, each resized to load_size.
        overlap: Pixels that neighbouring parts share; None for a quarter of a part.
        confidence: From which on boxes count.
        gpu_num: 0 for the CPU, else the first GPU.
        type: 1 segmentation, 2 detection, 3 change detection; None where it is not sent.
        output_format: 'tif' or 'geojson'; None for 'geojson' of boxes and 'tif' of the others.
        output_bands: 1 for class_value, 3 for class_color.
    """

    model_config = ConfigDict(extra='ignore', frozen=True, protected_namespaces=())

    image_path: Annotated[Text, Field(min_length=1)]
    resume_path: Text = ''
    model_name: Annotated[Text, Field(min_length=1)]
    weight_name: Text = ''
    label: Any
    class_name: Text = ''
    load_size: Annotated[tuple[Side, Side], BeforeValidator(as_sides)]
    tile_size: Annotated[tuple[Side, Side], BeforeValidator(as_sides)] | None = None
    overlap: Annotated[int, BeforeValidator(as_number), Field(ge=0, le=4096)] | None = None
    confidence: Annotated[float, BeforeValidator(as_number), Field(ge=0, le=1, allow_inf_nan=False)] = CONFIDENCE
    gpu_num: Annotated[int, BeforeValidator(as_number), Field(ge=0, le=1024)] = 1
    type: Annotated[Literal[1, 2, 3], BeforeValidator(as_switch)] | None = None
    output_format: Annotated[Literal['tif', 'geojson'], BeforeValidator(_format)] | None = None
    output_bands: Annotated[Literal[1, 3], BeforeValidator(as_switch)] = 1

    task = Parameters.task

    def labels(self) -> list[Label]:
        """Return the classes.

        Raises:
            PieError: `label` cannot be read, or `class_name` does not fit it.
        """
        return read_labels(self.label, self.class_name)

    def input_size(self) -> tuple[int, int]:
        """Return (width, height) of the input of a network of pixels."""
        return rounded_size('load_size', self.load_size, STRIDE)

    def tiling(self) -> tuple[tuple[int, int], int]:
        """Return (width, height) of the parts, and the pixels that neighbours share.

        Raises:
            PieError: They share all of a part.
        """
        tile = rounded_size('tile_size', self.tile_size or self.load_size, STRIDE)
        asked = min(tile) // OVERLAP if self.overlap is None else self.overlap
        overlap = asked // STRIDE * STRIDE
        if self.overlap not in (None, overlap):
            say('overlap_changed', given=asked, used=overlap, stride=STRIDE)
        if 2 * overlap > min(tile):
            raise PieError('overlap_too_large', overlap=overlap, tile='{},{}'.format(*tile), most=min(tile) // 2)
        return tile, overlap


def read_content(source: Source) -> dict[str, Any]:
    """Return what was given, in the flat form; empty texts count as not given.

    Args:
        source: As it was given.
    """
    content = {key: value for key, value in flat_content(source).items() if value != ''}
    unknown = sorted({*content} - {*PredictParameters.model_fields} - KNOWN - IDS)
    if unknown:
        warn('keys_unknown', keys=', '.join(unknown), place=source.place)
    if not str(content.get('image_path', '')).strip():  # before anything is looked for
        checked(PredictParameters, {**content, 'model_name': 'x', 'label': [], 'load_size': 32}, source.place)
    return content


def with_description(content: Mapping[str, Any], weights: Path, place: str) -> PredictParameters:
    """Return typed parameters.

    Args:
        content: What was given.
        weights: The local file of weights.
        place: Where the parameters stood, for messages.

    Raises:
        PieError: The first fault, by key, with what is allowed; or something is not known.
    """
    beside = read_description(weights)
    merged = {**beside, **content}
    if beside.get('model_name'):
        merged['model_name'] = beside['model_name']
    absent = [key for key in ('model_name', 'label', 'load_size') if not merged.get(key)]
    if absent:
        raise PieError(
            'model_not_described', keys=', '.join(absent), path=description_file(weights), weights=weights, place=place
        )
    return checked(PredictParameters, merged, place)


def find_weights(content: Mapping[str, Any], storage: Callable[[], Storage], base: Path, folder: Path) -> Path:
    """Return the local file of weights, with its description beside it where there is one.

    Args:
        content: What was given.
        storage: Returns the storage when it is called.
        base: Folder of the script.
        folder: Where files from the storage go.

    Raises:
        PieError: There are none, or several.
    """
    name = PurePosixPath(str(content.get('weight_name') or content.get('model_name') or '').strip()).name
    stem = name.rpartition('.')[0] if PurePosixPath(name).suffix.lower() in SUFFIXES else name
    given = str(content.get('resume_path') or '').strip()
    if '://' in given:
        return fetch_weights(storage(), given, stem, folder, with_description=True)
    places = [Path(given).expanduser()] if given else [base, base / 'output/files', base / 'output']
    for place in places:
        if place.is_file():
            return place
        files = sorted(path for path in place.glob('*') if path.suffix.lower() in SUFFIXES)
        chosen = next((path for path in files if path.stem == stem), files[0] if len(files) == 1 else None)
        if chosen is not None:
            say('predict_weights', url=chosen)
            return chosen
        if files:
            names = ', '.join(path.name for path in files[:LISTED])
            raise PieError('several_weights', folder=place, names=names)
    raise PieError('no_local_weights', places=', '.join(map(str, places)), name=f'{stem or "*"}.th')
