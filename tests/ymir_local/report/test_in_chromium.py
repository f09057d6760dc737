"""The pages in a real browser: everything is drawn, nothing complains, nothing is fetched."""

import re

import pytest

from tests.ymir_local.report import chromium, runs
from ymir_local.demo.sample_data import generate
from ymir_local.report import write_report

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(chromium.find() is None, reason='no Chromium here (Debian: apt-get install chromium)'),
]
NAMES = ['target', '<img src="x.png" onerror="console.log(1)"></title></svg>', '星形 ⭐']  # the second asks and logs


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    """One page of each kind, by name."""
    folder = tmp_path_factory.mktemp('pages')
    images = generate(folder / 'source', num_images=12, num_classes=3, size_range=(200, 400))
    objects = runs.jittered(images, NAMES)
    paths = [image.path for image in images]
    infer, mining = (
        runs.candidates(folder / name, paths, NAMES, mining=name == 'mining') for name in ('infer', 'mining')
    )
    for task in (infer, mining):
        runs.write_detections(task, objects)
        runs.finish(task)
    runs.write_hybrid_ranking(mining, objects, NAMES)
    training = runs.training(folder / 'training', images, NAMES, {'model_name': 'yolov8_s'})
    runs.write_events(
        training,
        {
            'loss': [(k, 10 / k) for k in range(1, 200)],
            'loss_cls': [(k, 4 / k) for k in range(1, 200)],
            'lr': [(k, 0.01 / k) for k in range(1, 200)],
            'coco/bbox_mAP': [(5, 0.1), (10, 0.25)],
            'coco/bbox_mAP_50': [(5, 0.2), (10, 0.35)],
        },
    )
    runs.write_stages(training, {'best': 0.25, 'last': 0.2}, 'best')
    runs.store_label_rows(training, runs.label_rows(training, images, NAMES))
    runs.finish(training, 0.5, 4, 300103, 'CUDA out of memory.', 'one\ntwo')
    return {
        'infer': write_report(
            infer.out_dir, folder / 'infer.html', labels=runs.dataset(images, NAMES), language='both'
        ),
        'mining': write_report(mining.out_dir, folder / 'mining.html', language='both'),
        'training': write_report(training.out_dir, folder / 'training.html', language='both'),
    }


@pytest.mark.parametrize('language, dark', [('en-US', False), ('zh-CN', True)])
@pytest.mark.parametrize('name, pictures, charts', [('infer', 20, 5), ('mining', 24, 4), ('training', 4, 4)])
def test_page(pages, tmp_path, name, pictures, charts, language, dark):
    seen = chromium.visit(pages[name], tmp_path / 'browser', language, dark)
    probe = seen.probe
    assert not seen.console
    assert not seen.requests
    assert probe['decoded'] == probe['images'] and probe['images'] >= pictures * 0.5
    assert probe['shown'] == probe['filled'] == probe['pictures'] >= pictures
    assert probe['drawn'] == probe['charts'] >= charts
    assert probe['overflow'] <= 0
    assert probe['faint'] == []
    assert (probe['background'] != 'rgb(255, 255, 255)') == dark
    chinese = len(re.findall('[\u4e00-\u9fff]', probe['text'].replace('星形', '')))
    assert chinese > 100 if language == 'zh-CN' else chinese == 0
    assert ('Ranking' in probe['text'] or 'What was trained' in probe['text'] or 'Classes' in probe['text']) == (
        language == 'en-US'
    )


@pytest.mark.parametrize('name', ['infer', 'mining', 'training'])
def test_page_fits_a_telephone(pages, tmp_path, name):
    probe = chromium.visit(pages[name], tmp_path / 'browser', width=375).probe
    assert probe['overflow'] <= 0 and probe['faint'] == []
    assert probe['shown'] == probe['pictures'] and probe['drawn'] == probe['charts']


def test_everything_changes_its_language(pages, tmp_path):
    probe = chromium.visit(pages['infer'], tmp_path / 'browser', 'zh-CN').probe
    assert probe['title'] == '推理报告' and any(text.startswith('正确 0.') for text in probe['hover'])
    assert not any(word in text for text in probe['hover'] for word in ('right', 'wrong', 'left over', 'all classes'))


def test_a_click_on_a_heading_sorts(pages, tmp_path):
    order = {}
    for clicks in (0, 1, 2):
        page = tmp_path / f'{clicks}.html'
        page.write_text(
            pages['infer']
            .read_text(encoding='utf-8')
            .replace(
                '</body>',
                f"<script>addEventListener('DOMContentLoaded', () => {{ for (let k = 0; k < {clicks}; k++) "
                "document.querySelectorAll('#classes th button')[5].click(); });</script></body>",
            ),
            encoding='utf-8',
        )
        order[clicks] = chromium.visit(page, tmp_path / f'browser{clicks}').probe['ap50']
    assert order[1] == sorted(order[0], reverse=True) and order[2] == sorted(order[0]) and len(set(order[0])) == 3


def test_the_probe_sees_what_is_wrong(pages, tmp_path):
    html = pages['infer'].read_text(encoding='utf-8')
    html = re.sub(r'href="data:image/jpeg;base64,[^"]{40}', 'href="data:image/jpeg;base64,', html, count=1)
    html = re.sub(r'<meta http-equiv[^>]*>', '', html)
    html = html.replace(
        '</main>',
        '<p style="color:#bbb">x</p><img src="http://example.invalid/a.png" alt=""></main><script>nowhere()</script>',
    )
    bad = tmp_path / 'bad.html'
    bad.write_text(html, encoding='utf-8')
    seen = chromium.visit(bad, tmp_path / 'browser')
    assert seen.probe['decoded'] == seen.probe['images'] - 1
    assert any('nowhere is not defined' in line for line in seen.console)
    assert any('example.invalid' in address for address in seen.requests)
    assert seen.probe['faint'] == ['P.']
