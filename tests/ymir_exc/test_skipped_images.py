from ymir_exc.skipped_images import SKIPPED_IMAGES_FILE, SkippedImage, read_skipped_images, write_skipped_images


def test_what_is_written_is_read_again(tmp_path):
    images = [
        SkippedImage('training', '/in/a b.jpg', 'cut'),
        SkippedImage('validation', '/in/\u732b\udcff.jpg', 'two: words'),
    ]
    assert write_skipped_images(str(tmp_path), iter(images)) == 2
    assert read_skipped_images(str(tmp_path)) == images


def test_a_name_that_looks_like_a_formula_is_text_to_spreadsheets(tmp_path):
    images = [SkippedImage('training', '=1.jpg', '-5 is no size')]
    write_skipped_images(str(tmp_path), images)
    assert (tmp_path / SKIPPED_IMAGES_FILE).read_text() == "training\t'=1.jpg\t'-5 is no size\n"
    assert read_skipped_images(str(tmp_path)) == images


def test_a_reason_is_one_line(tmp_path):
    write_skipped_images(str(tmp_path), [SkippedImage('candidates', '/a', 'several\n  lines\tand columns')])
    assert read_skipped_images(str(tmp_path))[0].reason == 'several lines and columns'


def test_without_images_there_is_no_file(tmp_path):
    write_skipped_images(str(tmp_path), [SkippedImage('candidates', '/a', 'cut')])
    assert write_skipped_images(str(tmp_path), []) == 0
    assert not (tmp_path / SKIPPED_IMAGES_FILE).exists() and read_skipped_images(str(tmp_path)) == []
