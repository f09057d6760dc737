"""The page of a mining: why the first images stand where they do, a map, and what is left without the summary."""

import re
from dataclasses import replace

import pytest
import yaml

from tests.ymir_local.report import runs
from tests.ymir_local.report.reader import Page, report
from ymir_exc.mining_summary import MAX_POINTS, FirstImage, PoolMap, read_mining_summary, write_mining_summary
from ymir_exc.reading import DetectedObject, read_mining_result
from ymir_local.cli.task_run import _read_why, _what_ranks
from ymir_local.demo.sample_data import generate
from ymir_local.platform.prepare import hyper_parameters
from ymir_local.report.mining import FALLBACKS, MAX_DRAWN, TOP, boxes_in_words

NUM_IMAGES = 30


@pytest.fixture
def mining(tmp_path, class_names):
    """A finished mining of hybrid with its summary."""
    images = generate(tmp_path / 'pool', num_images=NUM_IMAGES, num_classes=3, size_range=(64, 96))
    task = runs.candidates(tmp_path / 'mining', [image.path for image in images], class_names, mining=True)
    runs.write_hybrid_ranking(task, runs.jittered(images, class_names), class_names)
    runs.finish(task)
    return task


def text_of(html: str) -> str:
    """The English text of a part of a page, spaces made one."""
    html = re.sub(r'<(span|tspan) class="zh".*?</\1>|<title.*?</title>', '', html, flags=re.S)
    return ' '.join(re.sub(r'<[^>]*>', ' ', html).split())


def cards_of(page: Page) -> list[str]:
    return re.findall(r'<figure (?:class="why" )?id="rank\d+">.*?</figure>', page.html, re.S)


def test_a_card_says_why(mining, tmp_path):
    page, summary = report(mining, tmp_path), read_mining_summary(mining.out_dir)
    cards = cards_of(page)
    assert len(cards) == NUM_IMAGES == len(summary.first)
    ranks = {image.path: rank for rank, image in enumerate(summary.first, 1)}
    for rank, (card, image) in enumerate(zip(cards, summary.first), 1):
        words = text_of(card)
        count = {0: 'no boxes', 1: '1 box'}.get(len(image.boxes), f'{len(image.boxes)} boxes')
        assert f'#{rank} ' in words and f'{image.uncertainty:.3g} · {count}' in words
        assert ('exploration' in words) == image.explored
        assert f'× {image.class_gain:.3g}' in words
        if image.nearest:
            assert f'Most alike #{ranks[image.nearest]} distance {image.distance:.2f}' in words
        elif rank == 1:
            assert 'Most alike no image before it' in words
        else:
            assert f'Most alike an image labelled before distance {image.distance:.2f}' in words
        # the orange boxes: the fewest that make up half of the uncertainty
        shares = sorted((box[6] for box in image.boxes), reverse=True)
        fewest = next((k for k in range(len(shares) + 1) if sum(shares[:k]) >= sum(shares) / 2 - 1e-12), 0)
        assert card.count('class="box doubtful"') == fewest
        assert card.count('class="box ') == len(image.boxes)
    assert page.html.count('<image id=') == NUM_IMAGES  # the small pictures are the same data


def test_of_many_boxes_those_that_count_most_are_drawn(mining, tmp_path):
    summary = read_mining_summary(mining.out_dir)
    assert 'At most' not in report(mining, tmp_path).html
    boxes = [[2 * k, 1, 5, 5, 0, k / 1000, k % 7] for k in range(30)]
    summary.first[0].boxes = boxes
    write_mining_summary(mining.out_dir, summary)
    page = report(mining, tmp_path)
    drawn = re.findall(r'<title[^>]*>target (0\.\d\d)', cards_of(page)[0])
    assert len(drawn) == MAX_DRAWN == 25 and '30 boxes' in text_of(cards_of(page)[0])
    assert 'At most 25 boxes of an image are drawn' in page.html
    left_out = sorted(boxes, key=lambda box: (box[6], box[5]))[:5]
    assert drawn.count('0.00') == sum(f'{box[5]:.2f}' == '0.00' for box in boxes if box not in left_out)


def test_what_the_pool_was_like(mining, tmp_path):
    html = report(mining, tmp_path).html
    words = text_of(html)
    assert 'hybrid: uncertain images, each unlike those before it' in words
    assert 'Near-duplicates passed over 6' in words and 'Exploration among the first 30 3' in words
    assert '6 images that are nearly the same as one ranked before them stand further back.' in words
    assert 'images are compared with each other alone' in words and '只在候选图像之间比较' in html
    assert 'mining_diversity 1.0' in words
    assert 'the first 30 of 30 are shown below' in words and 'Scores fall' not in words
    assert f'Ranks {TOP + 1} to 30' in words
    summary = read_mining_summary(mining.out_dir)
    write_mining_summary(mining.out_dir, replace(summary, near_duplicates=1, fallbacks=['the <b>moon</b>']))
    html = report(mining, tmp_path).html
    assert '1 image that is nearly the same as one ranked before it stands further back.' in html
    assert '<li>the &lt;b&gt;moon&lt;/b&gt;</li>' in html


def test_what_mining_does_without_is_said_in_both_languages():
    """Fails when tmi/mining learns to do without something that the page cannot say in Chinese."""
    from tmi.mining.stats import load_stats

    missing = load_stats([], '', ['cat'])[1]
    assert missing and set(missing) <= FALLBACKS.keys()


def test_the_map(mining, tmp_path):
    html = report(mining, tmp_path).html
    links = re.findall(r'<a href="#(rank\d+)"><circle class="spot (\w+)"', html)
    assert sorted(links) == sorted(
        (f'rank{rank}', 'explored' if rank % 10 == 0 else 'pick') for rank in range(1, NUM_IMAGES + 1)
    )
    assert all(f' id="{anchor}"' in html for anchor, _ in links) and 'class="cloud' not in html
    assert 'Drawn are' not in html
    # fewer images explained than ranked: the rest lies in clouds, by rank
    summary = read_mining_summary(mining.out_dir)
    write_mining_summary(mining.out_dir, replace(summary, first=summary.first[:2]))
    html = report(mining, tmp_path).html
    sizes = {kind: path.count('M') for kind, path in re.findall(r'class="cloud (\w+)" d="([^"]*)"', html)}
    assert html.count('class="spot') == 2 and sizes == {'p0': 1, 'p1': 6, 'p2': 21}
    assert html.index('cloud p2') < html.index('cloud p0')  # the best are on top
    # one point only, and none
    write_mining_summary(mining.out_dir, replace(summary, map=PoolMap([[1, 2]], [0])))
    assert report(mining, tmp_path).html.count('class="spot') == 1
    write_mining_summary(mining.out_dir, replace(summary, map=PoolMap()))
    assert 'Map of all images' not in report(mining, tmp_path).html


def test_a_map_of_many_images_stays_small(mining, tmp_path):
    (mining.out_dir / 'infer-result.json').unlink(missing_ok=True)
    count = 20_000
    total = ''.join(f'/in/assets/{k}.jpg\t{(count - k) / count:.9g}\n' for k in range(count))
    (mining.out_dir / 'result.tsv').write_text(total)
    summary = replace(
        read_mining_summary(mining.out_dir),
        num_images=count,
        first=[FirstImage('/in/assets/0.jpg', 1.0)],
        map=PoolMap([[k, k * k] for k in range(count)], list(range(count))),
    )
    write_mining_summary(mining.out_dir, summary)
    page = report(mining, tmp_path)
    assert sum(path.count('M') for path in re.findall(r'class="cloud \w+" d="([^"]*)"', page.html)) <= MAX_POINTS
    assert len(page.html) < 250_000 and f'Drawn are {MAX_POINTS:,} of 20,000 images' in page.html


def test_without_the_summary(mining, tmp_path):
    (mining.out_dir / 'mining-summary.json').unlink()
    page = report(mining, tmp_path)
    words = text_of(page.html)
    assert 'There is no out/mining-summary.json' in words and 'only repeat the order' in words
    assert 'Scores fall' not in words and 'Highest score' not in words and 'Distribution' not in page.html
    cards = cards_of(page)
    assert len(cards) == NUM_IMAGES and not any('dl' in card or '·' in card for card in cards[TOP:])
    assert text_of(cards[0]).startswith('#1 ')


@pytest.mark.parametrize(
    'change, told',
    [
        (lambda summary: replace(summary, num_images=31), 'belongs to another ranking'),
        (lambda summary: replace(summary, first=summary.first[::-1]), 'belongs to another ranking'),
        (lambda summary: replace(summary, unreadable='x'), 'unreadable must be a count'),
    ],
)
def test_a_summary_that_does_not_fit_is_told_and_not_used(mining, tmp_path, change, told):
    write_mining_summary(mining.out_dir, change(read_mining_summary(mining.out_dir)))
    html = report(mining, tmp_path).html
    assert told in html and 'class="why"' not in html and len(cards_of(Page(tmp_path / 'report.html'))) == NUM_IMAGES


def test_other_algorithms(mining, tmp_path):
    """Without diversity there is no distance; without boxes that count, none is orange; without a model, nothing."""
    summary = read_mining_summary(mining.out_dir)
    first = [
        replace(
            image,
            distance=None,
            nearest=None,
            class_gain=None,
            explored=False,
            boxes=[[*box[:6], 0] for box in image.boxes],
        )
        for image in summary.first
    ]
    write_mining_summary(mining.out_dir, replace(summary, algorithm='aldd', first=first))
    html = report(mining, tmp_path).html
    assert 'Uncertainty' in html and '<rect class="box doubtful"' not in html and 'Orange:' not in html
    assert not any(word in html for word in ('Most alike', 'Class gain', 'Near-duplicates passed', 'exploration'))
    first = [FirstImage(image.path) for image in first]
    write_mining_summary(mining.out_dir, replace(summary, algorithm='random', first=first, near_duplicates=0))
    html = report(mining, tmp_path).html
    assert 'The order is random' in html and '<dt><span class="en" lang="en">Uncertainty' not in html


def test_images_that_could_not_be_read(mining, tmp_path):
    summary = read_mining_summary(mining.out_dir)
    write_mining_summary(mining.out_dir, replace(summary, first=summary.first[:20], unreadable=3))
    cards = [text_of(card) for card in cards_of(report(mining, tmp_path))]
    assert [rank for rank, card in enumerate(cards, 1) if 'could not be read' in card] == [28, 29, 30]
    assert 'Images that could not be read, which stand last: 3' in report(mining, tmp_path).html


def test_the_table_at_the_end_of_a_mining(mining):
    def table():
        ranking = read_mining_result(mining.out_dir / 'result.tsv')
        return _what_ranks(_read_why(mining, ranking), ranking)

    first = read_mining_summary(mining.out_dir).first
    assert table() == ('uncertainty', [f'{image.uncertainty:.4g}' for image in first[:10]])
    (mining.out_dir / 'mining-summary.json').write_text('[')
    assert table() == ('', [''] * 10)
    (mining.out_dir / 'result.tsv').write_text('/in/a\t3.5\n/in/b\t0.25\n')
    assert table() == ('score', ['3.5', '0.25'])


def test_every_text_stands_in_both_languages(mining, tmp_path):
    html = report(mining, tmp_path).html
    assert html.count('class="en"') == html.count('class="zh"') > 100
    assert '不确定、彼此不同且偏重稀有类别的图像' in html


def test_mining_and_inference(tmp_path, images, class_names):
    objects = [[('star', 0.5, 1, 1, 9, 9), ('crate', 0.25, 2, 2, 9, 9)], [], *[[('star', 0.9, 1, 1, 9, 9)]] * 4]
    task = runs.candidates(tmp_path / 'mining', [image.path for image in images], class_names, mining=True)
    runs.write_detections(task, objects)
    runs.write_ranking(task, objects)
    runs.finish(task)
    page = report(task, tmp_path)
    text = ' '.join(page.text)
    assert '#1 · 1' in text and '2 boxes, 1 with a score below 0.5' in text
    assert '#6 · 0' in text and 'no boxes' in text
    assert text.index(images[0].path.name) < text.index(images[1].path.name)
    assert 'Mining and inference report' in text
    listed = re.search(r'<pre[^>]*>(.*?)</pre>', page.html, re.S).group(1).split()
    assert sorted(listed) == sorted(str(image.path) for image in images) and listed[0] == str(images[0].path)


@pytest.mark.parametrize(
    'scores, words',
    [([0.5, 0.25], '2 boxes, 1 with a score below 0.5'), ([0.25], '1 box, 1 with a score below 0.5'), ([], 'no boxes')],
)
def test_boxes_in_words(scores, words):
    assert boxes_in_words([DetectedObject('a', score, (0, 0, 1, 1)) for score in scores]).en == words


def test_of_another_executor_nothing_is_claimed(tmp_path, images, class_names):
    objects = [[('star', 0.5, 1, 1, 9, 9)]] * len(images)
    task = runs.candidates(tmp_path / 'mining', [image.path for image in images], class_names, mining=True)
    runs.write_detections(task, objects)
    runs.write_ranking(task, objects)
    html = report(task, tmp_path).html
    assert 'There is no out/mining-summary.json' in html and '1 box, 0 with a score below 0.5' in html
    # the same algorithm of an image whose template has other keys
    (task.in_dir / 'config.yaml').write_text('{mining_algorithm: entropy, conf_threshold: 0.1, class_names: [star]}')
    html = report(task, tmp_path).html
    assert 'The score is all that the result holds' in html and 'with a score below' not in html
    assert 'mining-summary.json' not in html
    # the platform leaves out keys that are empty, 0 or false
    kept = {key: value for key, value in hyper_parameters('mining').items() if value}
    (task.in_dir / 'config.yaml').write_text(yaml.safe_dump(dict(kept, class_names=['star'])))
    assert 'The score is all that the result holds' not in report(task, tmp_path).html


def test_a_ranking_out_of_order_and_without_numbers_is_told(tmp_path, images, class_names):
    task = runs.candidates(tmp_path / 'mining', [image.path for image in images], class_names, mining=True)
    (task.out_dir / 'result.tsv').write_text('/in/assets/a.jpg\t0.1\n/in/assets/b.jpg\tnan\n/in/assets/c.jpg\t0.4\n')
    html = report(task, tmp_path).html
    assert 'is not sorted' not in html and 'Lines of result.tsv without a finite score: 1' in html
    (task.out_dir / 'result.tsv').write_text('/in/assets/a.jpg\t0.1\n/in/assets/c.jpg\t0.4\n')
    assert 'is not sorted' in report(task, tmp_path).html


@pytest.mark.parametrize('path', ['a' * 5000, 'a\0b', '\ud800', '/'])
def test_a_nearest_image_whose_path_can_be_none_has_no_picture(mining, tmp_path, path):
    summary = read_mining_summary(mining.out_dir)
    summary.first[1].nearest = path
    write_mining_summary(mining.out_dir, summary)
    assert len(cards_of(report(mining, tmp_path))) == NUM_IMAGES
