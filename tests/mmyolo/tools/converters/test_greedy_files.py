"""Checkpoints of other projects that would make gigabytes of a few bytes."""

import codecs
import io

import pytest
import torch

from mmyolo.tools.converters.checkpoints.reading import RestrictedUnpickler, read_torch


class Many:
    """Pickles to a call of a harmless class that would make gigabytes."""

    def __init__(self, function, *arguments):
        self.parts = (function, arguments)

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize(
    'part',
    [Many(bytes, 10**11), Many(bytearray, 10**11), Many(codecs.encode, 'x', 'punycode')],
    ids=lambda part: part.parts[0].__name__,
)
def test_a_few_bytes_that_would_become_many(tmp_path, part):
    torch.save({'model': part}, tmp_path / 'x.pt')
    with pytest.raises(ValueError, match='x.pt cannot be read as a file of torch.save'):
        read_torch(tmp_path / 'x.pt')


def test_a_high_number_for_one_object_makes_no_room_for_others():
    content = b'\x80\x02}r' + (1 << 31).to_bytes(4, 'little') + b'.'
    assert RestrictedUnpickler(io.BytesIO(content)).load() == {}
