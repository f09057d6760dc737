"""The list of images: what counts as a line, how it is distributed."""

import pytest

from tmi.errors import TaskError
from tmi.inference.image_list import iter_image_list, write_image_list
from ymir.candidates import count_candidates, iter_candidates
from ymir.errors import code_of


@pytest.fixture
def index_file(tmp_path):

    def write(content: bytes) -> str:
        path = tmp_path / 'candidate-index.tsv'
        path.write_bytes(content)
        return str(path)

    return write


@pytest.mark.parametrize(
    'content, paths',
    [
        (b'/a/1.jpg\n/a/2.jpg\n', ['/a/1.jpg', '/a/2.jpg']),
        (b'/a/1.jpg\r\n\r\n/a/2.jpg', ['/a/1.jpg', '/a/2.jpg']),
        (b'\n  \n /a/with space.jpg \n', ['/a/with space.jpg']),
        (b'/a/1.jpg\t/b/1.txt\n', ['/a/1.jpg']),
        (b'/a/1.jpg\n/a/1.jpg\n', ['/a/1.jpg', '/a/1.jpg']),
        ('/a/\u56fe.jpg\n'.encode(), ['/a/\u56fe.jpg']),
        (b'/a/\xff.jpg\n', ['/a/\udcff.jpg']),
    ],
)
def test_lines(index_file, content, paths):
    path = index_file(content)
    assert list(iter_candidates(path)) == paths
    assert count_candidates(path) == len(paths)


@pytest.mark.parametrize('world_size', [1, 2, 3, 8])
def test_every_image_goes_to_one_process_and_turns_restore_the_order(tmp_path, world_size):
    paths = [*(f'/{number}.jpg' for number in range(5)), '/\udcff\u56fe "a"\t\\.jpg', '/\r \u2028.jpg']
    write_image_list(iter(paths), tmp_path)
    shards = [list(iter_image_list(tmp_path, rank, world_size)) for rank in range(world_size)]
    in_turn = [shards[index % world_size][index // world_size] for index in range(7)]
    assert in_turn == list(iter_image_list(tmp_path)) == list(enumerate(paths))
    assert sum(map(len, shards)) == 7


@pytest.mark.parametrize('content', [b'', b'\n \r\n'])
def test_empty_list_is_an_error_of_the_data(index_file, content):
    with pytest.raises(TaskError, match='is empty: choose a data set') as caught:
        count_candidates(index_file(content))
    assert code_of(caught.value) == 300002


def test_missing_list_is_an_error_of_the_data(tmp_path):
    with pytest.raises(TaskError, match='nowhere.tsv does not exist') as caught:
        count_candidates(str(tmp_path / 'nowhere.tsv'))
    assert code_of(caught.value) == 300002
