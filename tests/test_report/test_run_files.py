import pytest

from projects.mask_jepa.report import read_run
from projects.mask_jepa.report.run_files import find_pictures


def test_config_and_environment(run):
    assert run.config.name == 'mask_jepa_r18_tiny'
    assert run.config.max_iters == 400
    assert 'markup' in run.config.text
    assert run.environment.text.startswith('System environment:')
    assert run.environment.text.endswith('GPU number: 2')


@pytest.mark.parametrize('content', ['{"verdict": "heal', '[]', '{}'])
def test_verdict_that_is_none_is_missing(begun_work_dir, content):
    (begun_work_dir / 'health.json').write_text(content)
    assert read_run(str(begun_work_dir)).health is None


def test_config_that_cannot_be_read_is_still_shown(begun_work_dir):
    (begun_work_dir / 'broken.py').write_text('train_cfg = dict(')
    config = read_run(str(begun_work_dir)).config
    assert config.text == 'train_cfg = dict('
    assert config.max_iters is None


def test_pictures_are_found_by_name_and_iteration(tmp_path):
    folder = tmp_path / 'vis_data' / 'vis_image'
    folder.mkdir(parents=True)
    for name in ('a_1.png', 'a_20.png', 'b_c_3.png', 'a.png', 'a_1.jpg'):
        (folder / name).touch()
    found = find_pictures(str(tmp_path))
    assert {name: set(steps) for name, steps in found.items()} == {
        'a': {1, 20},
        'b_c': {3}
    }
    assert find_pictures(str(tmp_path / 'nowhere')) == {}
