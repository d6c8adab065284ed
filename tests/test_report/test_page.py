"""The page of a run."""
import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mask_jepa.report import read_run, write_report
from mask_jepa.report.page import LARGE_PICTURE, embed_picture

SMALL_TEXT = """() => {
  const walker = document.createTreeWalker(
    document.body, NodeFilter.SHOW_TEXT);
  const small = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const size = parseFloat(getComputedStyle(parent).fontSize);
    if (walker.currentNode.data.trim() && size < 11 &&
        parent.getClientRects().length)
      small.push(`${size}: ${walker.currentNode.data}`);
  }
  return small;
}"""


# Whether the browser may scroll when a finger touches the first chart.
TOUCH_SCROLLS = """() => {
  const target = document.querySelector('.chart .nsewdrag');
  const box = target.getBoundingClientRect();
  const touch = new Touch({
    identifier: 1, target, clientX: box.x + 50, clientY: box.y + 50});
  const init = {
    bubbles: true, cancelable: true, touches: [touch],
    targetTouches: [touch], changedTouches: [touch]};
  const scrolls = target.dispatchEvent(new TouchEvent('touchstart', init));
  target.dispatchEvent(new TouchEvent('touchend', {
    bubbles: true, cancelable: true, changedTouches: [touch]}));
  return scrolls;
}"""


@pytest.fixture(scope='module')
def report(resumed_work_dir, tmp_path_factory):
    """The page about the resumed run."""
    path = tmp_path_factory.mktemp('report') / 'report.html'
    write_report(read_run(str(resumed_work_dir)), str(path))
    return path


def test_what_others_wrote_is_no_markup(report):
    text = report.read_text()
    assert '<script>alert(1)' not in text
    assert 'Rank 14 &lt;script&gt;alert(1)' in text
    assert '<b>markup' not in text
    assert '<title>killed &amp; resumed' in text


def test_summary_of_the_run(report):
    text = ' '.join(re.sub('<[^>]+>', '', report.read_text()).split())
    assert 'Iteration 60 of 400' in text
    assert ('Images: pretrained on /my/a, /b; pictures and tests '
            '/my/held_out.') in text
    assert '1 line(s) of scalars.json could not be read' in text
    assert ('At iteration 60 the linear probe of the frozen features scores '
            '21.5 mIoU, 6.2 above the initial weights.') in text
    assert 'Linear 21.5 15.2 +6.2 24.0 40' in text
    assert 'target_rank &lt; 16 14.25 yes: partial collapse' in text
    assert 'target_std &lt; 0.1 nan no' in text


def test_browser_shows_all_without_a_request(report, open_page):
    page = open_page(report, viewport=dict(width=1280, height=900))
    num_charts = page.locator('.chart').count()
    assert num_charts == 19
    assert page.locator('.js-plotly-plot').count() == num_charts
    # Each chart has drawn its curves.
    assert page.evaluate('''() => [...document.querySelectorAll('.chart')]
        .every(chart => chart.querySelector('svg .scatterlayer path'))''')

    page.locator('.chart').first.hover(position=dict(x=200, y=100))
    label = page.locator('.chart').first.locator('.hoverlayer .legend')
    label.wait_for()
    assert 'iteration' in label.text_content()
    assert 'jepa : 0.5' in label.text_content()
    assert page.requests == [report.as_uri()]
    assert page.complaints == []


def test_slider_goes_through_the_pictures(report, open_page):
    page = open_page(report)
    image = page.locator('.album img')
    caption = page.locator('.album figcaption')
    last = image.get_attribute('src')
    assert caption.text_content() == 'Iteration 60 (2 of 2)'
    page.locator('.album input').press('ArrowLeft')
    assert caption.text_content() == 'Iteration 20 (1 of 2)'
    assert image.get_attribute('src') != last
    page.locator('.play').click()
    page.get_by_text('Iteration 60 (2 of 2)').wait_for()
    assert image.get_attribute('src') == last
    assert page.complaints == []


def test_phone_scrolls_only_down(report, open_page):
    page = open_page(
        report,
        viewport=dict(width=390, height=844),
        is_mobile=True,
        has_touch=True,
        color_scheme='dark')
    for summary in page.locator('summary').all():
        summary.tap()
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
    assert page.evaluate(SMALL_TEXT) == []
    assert page.evaluate(TOUCH_SCROLLS)
    assert page.evaluate('''() => {
        const box = document.querySelector('.window');
        return box.scrollWidth > box.clientWidth;
    }''')
    page.locator('.picture').tap()
    shown = page.locator('dialog img')
    assert shown.bounding_box()['width'] == 800  # pixels of the file
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
    page.get_by_role('button', name='Close').tap()
    assert not shown.is_visible()
    assert page.complaints == []


def test_page_of_a_run_that_has_just_begun_names_what_is_missing(
        begun_work_dir, open_page, tmp_path):
    path = tmp_path / 'begun.html'
    write_report(read_run(str(begun_work_dir)), str(path))
    page = open_page(path)
    sentences = page.locator('.missing').all_text_contents()
    for key in ('default_hooks.health', 'val_cfg',
                'default_hooks.logger.interval',
                'default_hooks.visualization', 'vis_backends', 'log_level'):
        assert any(key in sentence for sentence in sentences), key
    assert len(sentences) == 7
    assert page.complaints == []


def test_small_picture_is_embedded_as_it_is(tmp_path):
    path = tmp_path / 'a_1.png'
    Image.new('RGB', (8, 8), 'red').save(path)
    head, content = embed_picture(str(path)).split(',')
    assert head == 'data:image/png;base64'
    assert base64.b64decode(content) == path.read_bytes()


def test_large_picture_shrinks_in_bytes_not_in_pixels(tmp_path):
    path = tmp_path / 'a_1.png'
    ramp = np.linspace(0, 200, 500)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 8, (400, 500, 3))
    pixels = (ramp + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    assert path.stat().st_size > LARGE_PICTURE
    head, content = embed_picture(str(path)).split(',')
    assert head == 'data:image/webp;base64'
    content = base64.b64decode(content)
    assert len(content) < path.stat().st_size / 2
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (500, 400)
        difference = np.asarray(picture).astype(float) - pixels
    assert np.abs(difference).mean() < 10


def test_torn_picture_is_left_out(tmp_path):
    path = tmp_path / 'a_1.png'
    Image.new('RGB', (64, 64), 'red').save(path)
    path.write_bytes(path.read_bytes()[:60])
    assert embed_picture(str(path)) == ''


# The page of a run that this project has just made.


@pytest.fixture
def work_dir(make_runner, image_folder):
    runner = make_runner({
        'train_cfg.max_iters': 4,
        'FeatureHealthHook.interval': 1,
        'default_hooks.visualization': dict(
            _delete_=True,
            type='PretrainVisualizationHook',
            interval=2,
            num_images=2),
        'test_dataloader.dataset.data_root': str(image_folder),
        'test_dataloader.dataset.pipeline.1.scale': 64,
        'test_dataloader.dataset.pipeline.2.crop_size': 64,
    })
    runner.train()
    return Path(runner.work_dir)


def test_page_shows_what_the_hooks_wrote(work_dir, open_page):
    path = work_dir / 'report.html'
    write_report(read_run(str(work_dir)), str(path))
    page = open_page(path, viewport=dict(width=390, height=844))
    text = page.locator('body').text_content()
    health = json.loads((work_dir / 'health.json').read_text())
    assert health['verdict'] in text
    for rule in health['rules']:
        assert rule['condition'] in text
    # Nothing that the hooks log lacks a place.
    titles = page.locator('h3').all_text_contents()
    assert {'Losses', 'Effective rank', 'Gradient norms', 'Update ratios',
            'Query noise', 'Share of monitoring'} <= set(titles)
    assert 'Other' not in titles
    assert page.locator('.album figcaption').text_content() == (
        'Iteration 4 (3 of 3)')
    assert page.locator('.album img').evaluate('image => image.naturalWidth')
    assert page.requests == [path.as_uri()]
    assert page.complaints == []
