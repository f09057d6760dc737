"""The labels to check on the page of a training: every row as a card with picture, and where there are none."""

import re

import pytest

from tests.ymir_local.report import runs
from tests.ymir_local.report.reader import report
from ymir_local.platform.prepare import SOURCES_FILE
from ymir_local.report import labels as labels_module


@pytest.fixture
def rows(training, images, class_names):
    return runs.label_rows(training, images, class_names)


def figures(page):
    section = page.html.partition('<section id="labels">')[2].partition('</section>')[0]
    return re.findall('<figure>.*?</figure>', section, re.DOTALL)


def test_every_kind_has_a_card_with_label_and_prediction(training, tmp_path, rows):
    runs.store_label_rows(training, rows)
    page = report(training, tmp_path)
    cards = figures(page)
    assert [card.count('class="box truth"') for card in cards] == [1, 0, 1, 1]
    assert [card.count('class="box wrong"') for card in cards] == [1, 1, 0, 1]
    assert all('href="#picture' in card for card in cards)
    for card, row, words, zh in zip(
        cards,
        rows,
        ('Another class', 'Label missing', 'Nothing there', 'Loose box'),
        ('类别不同', '漏标', '此处无目标', '框不准'),
    ):
        assert words in card and zh in card and f'{row.score:.3f}' in card
        assert all(f'<b>{name}</b>' in card for name in (row.labelled, row.predicted) if name)
        assert {'training': '(<span class="en" lang="en">training', 'validation': '(<span class="en" lang="en">valid'}[
            row.part
        ] in card
    text = ' '.join(page.text)
    assert 'Labels that are more likely wrong than right: 3.' in text and 'Label missing' in text


def test_names_of_the_user(training, tmp_path, rows):
    names = [row.image.rpartition('/')[2] for row in rows]
    (training.work_dir / SOURCES_FILE).write_text(f'{names[0]}\t/photos/mine.jpg\n')
    runs.store_label_rows(training, rows)
    cards = figures(report(training, tmp_path))
    assert 'mine.jpg' in cards[0] and names[0] not in cards[0] and names[1] in cards[1]


def test_the_page_shows_the_first_and_counts_the_others(training, tmp_path, rows, monkeypatch):
    monkeypatch.setattr(labels_module, 'MAX_CARDS', 3)
    runs.store_label_rows(training, rows * 2, 'labels-to-check_2.csv')
    page = report(training, tmp_path)
    assert len(figures(page)) == 3
    assert '5 more are in labels-to-check_2.csv' in ' '.join(page.text)


def test_no_doubtful_label(training, tmp_path):
    runs.store_label_rows(training, [])
    text = ' '.join(report(training, tmp_path).text)
    assert 'The model contradicts no label with confidence.' in text and 'No label is more likely wrong' in text


def test_a_training_without_the_table_says_nothing_of_it(training, tmp_path):
    assert 'id="labels"' not in report(training, tmp_path).html


def test_a_damaged_table_is_a_note(training, tmp_path, rows):
    path = runs.store_label_rows(training, rows)
    path.write_text(path.read_text().replace('loose', 'odd'))
    page = report(training, tmp_path)
    assert 'id="labels"' not in page.html
    assert "line 5: kind is 'odd'; allowed: class, missing, extra, loose" in ' '.join(page.text)


def test_an_image_that_is_gone_keeps_its_card(training, tmp_path, rows):
    runs.store_label_rows(training, [rows[0]._replace(image='/nowhere/x.jpg')])
    assert 'class="no-picture"' in figures(report(training, tmp_path))[0]
