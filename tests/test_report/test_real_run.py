"""The page of a run that this project has just made."""
import json
from pathlib import Path

import pytest

from projects.mask_jepa.report import read_run, write_report


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
