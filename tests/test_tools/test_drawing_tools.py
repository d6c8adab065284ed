"""The tools that draw."""
import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from PIL import Image

from mask_jepa.visualization import draw_inputs
from mask_jepa.visualization.sheet import GAP

FOLDER = 'tools/analysis_tools'
TINY_CONFIG = 'configs/mask_jepa_r18_tiny.py'


@pytest.fixture
def options(image_folder):
    """A very small run on the generated scenes."""
    return {
        'train_dataloader.dataset.data_root': str(image_folder),
        'test_dataloader.dataset.data_root': str(image_folder),
        'test_dataloader.dataset.pipeline.1.scale': 64,
        'test_dataloader.dataset.pipeline.2.crop_size': 64,
        # No probe, which has a test of its own.
        'val_dataloader': None,
        'val_evaluator': None,
        'val_cfg': None,
    }


@pytest.fixture
def config_file(tiny_config, options, tmp_path):
    """The very small run, as a file."""
    path = tmp_path / 'config.py'
    tiny_config(options).dump(path)
    return path


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    """Weights of the very small network."""
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=tiny_model.state_dict()), path)
    return path


@pytest.fixture
def run_here(root, monkeypatch):
    """Run a tool in this process, which spares it all imports."""

    def run(tool, *arguments):
        path = str(root / FOLDER / tool)
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, 'argv',
                            [path, *(str(argument) for argument in arguments)])
        monkeypatch.setattr(sys, 'path', list(sys.path))
        runpy.run_path(path, run_name='__main__')

    return run


def read(path):
    picture = np.array(Image.open(path))
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    return picture


def panels(sheet, rows, columns, height, width):
    """Cut a sheet into its panels, which end at its lower right corner."""
    top = sheet.shape[0] - rows * (height + GAP)
    left = sheet.shape[1] - columns * (width + GAP)
    assert 0 < top < 60 and 0 < left < 60
    return [[
        sheet[y:y + height, x:x + width]
        for x in range(left, sheet.shape[1], width + GAP)
    ] for y in range(top, sheet.shape[0], height + GAP)]


def test_pretraining_sheet_of_a_checkpoint(python, config_file, checkpoint,
                                           tmp_path):
    out = tmp_path / 'sheet.png'
    output = python(f'{FOLDER}/visualize_pretraining.py', config_file,
                    checkpoint, '--out', out, '--num-images', '2')
    assert 'Drew 2 images' in output
    for row in panels(read(out), 2, 13, 150, 150):
        *pictures, query_masks, error = row
        # The one of an untrained network may be grey, the other saturated.
        assert all(picture.std() > 10 for picture in pictures)
        assert not np.array_equal(query_masks, error)


def test_features_of_three_kinds_of_models(python, config_file, checkpoint,
                                           real_data, tmp_path):
    out = tmp_path / 'features.png'
    output = python(
        f'{FOLDER}/visualize_features.py', *real_data, '--num-images', '2',
        '--model', 'ours', config_file, checkpoint, '--model', 'detector',
        'configs/finetune/mmdet/'
        'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_small-coco-instance.py',
        'none', '--model', 'segmenter', 'configs/finetune/mmseg/'
        'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py',
        'none', '--image-size', '96', '--out', out)
    for number, name in enumerate(['ours', 'detector', 'segmenter'], 1):
        assert f'[{number}/3] {name}: 2 images' in output
    sheet = read(out)
    # Seven rows: the images, and two for each model.
    assert sheet.shape[0] > 7 * (150 + GAP)
    assert sheet.shape[1] <= 2 * (240 + GAP) + 60
    assert sheet.std() > 40


def test_features_have_no_padding(run_here, config_file, checkpoint, tmp_path):
    folder = tmp_path / 'folder'
    (folder / 'nested').mkdir(parents=True)
    # White from edge to edge, so that padding would be dark.
    Image.new('RGB', (130, 97), 'white').save(folder / 'nested' / 'white.png')
    out = tmp_path / 'features.png'
    run_here('visualize_features.py', folder, '--model', 'ours', config_file,
             checkpoint, '--branch', 'target', '--out', out, '--num-clusters',
             '2', '--image-size', '97')
    # 128x96 pixels of the 130x97, on panels of 240.
    picture = panels(read(out), 3, 1, 180, 240)[0][0]
    assert (picture == 255).all()


@pytest.mark.parametrize('wrong, sentence', [
    ('empty', 'empty holds no image'),
    ('missing', 'There is no image folder or list at '),
    ('broken.jpg', 'An image cannot be read: .*broken.jpg'),
    ('checkpoint', 'Model ours: There is no checkpoint at '),
    ('other', 'Model ours: .* does not fit the config'),
    ('config', 'Model ours: .*no_config.py'),
    ('branch', 'Model ours: .* has no target branch'),
])
def test_features_refuse_in_one_sentence(run_here, config_file, checkpoint,
                                         image_folder, tmp_path, wrong,
                                         sentence):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'broken.jpg').write_bytes(b'not a picture')
    model = {
        'checkpoint': [config_file, tmp_path / 'no.pth'],
        'other': [TINY_CONFIG, checkpoint],
        'config': [tmp_path / 'no_config.py', checkpoint],
        'branch': ['configs/finetune/mmdet/mask2former_r18-tiny-mask-jepa-'
                   'pre_1xb4-160i_small-coco-instance.py', 'none'],
    }.get(wrong)
    images = image_folder if model else tmp_path / wrong
    extra = ['--branch', 'target'] if wrong == 'branch' else []
    with pytest.raises(SystemExit, match=sentence) as raised:
        run_here('visualize_features.py', images, '--model', 'ours',
                 *(model or [config_file, checkpoint]), '--out',
                 tmp_path / 'out.png', '--image-size', '64', *extra)
    assert '\n' not in str(raised.value)
    assert not (tmp_path / 'out.png').exists()


class Watch(Hook):
    """Record what the encoder of a run sees."""

    def before_train(self, runner):
        self.names, self.seen = [], []
        corrupt = runner.model.corrupt

        def record(image, generator):
            view, hidden, noisy_image = corrupt(image, generator)
            if runner.model.training:  # Other hooks look at the model, too.
                self.seen.append((image, hidden, noisy_image))
            return view, hidden, noisy_image

        runner.model.corrupt = record

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.names.append([
            sample.img_path.split('/')[-1]
            for sample in data_batch['data_samples']
        ])


def test_browsed_inputs_are_those_of_the_run(run_here, make_runner, options,
                                             config_file, tmp_path, capsys):
    watch = Watch()
    runner = make_runner({
        **options, 'train_cfg.max_iters': 2
    }, hooks=[(watch, 'NORMAL')])
    runner.train()
    capsys.readouterr()
    run_here('browse_inputs.py', config_file, '--output-dir', tmp_path / 'in')
    assert capsys.readouterr().out.count('Drew 2 images to ') == 2
    preprocessor = runner.model.data_preprocessor
    assert len(watch.seen) == 2
    for number, (seen, names) in enumerate(zip(watch.seen, watch.names), 1):
        expected = draw_inputs(*seen, preprocessor.mean, preprocessor.std,
                               names)
        sheet = read(tmp_path / 'in' / f'batch_{number}.png')
        assert np.array_equal(sheet, expected)


def test_browsing_real_images_shows_what_is_hidden(python, real_data,
                                                   tmp_path):
    listed = tmp_path / 'list.txt'
    listed.write_text('\n'.join(str(path) for path in real_data))
    output = python(
        f'{FOLDER}/browse_inputs.py', TINY_CONFIG, '--output-dir',
        tmp_path / 'in', '--num-batches', '1', '--cfg-options',
        f'train_dataloader.dataset.data_root={listed}',
        'train_dataloader.batch_size=3', 'train_dataloader.num_workers=0',
        'model.masking.ratio=0.25')
    assert 'Drew 3 images to ' in output
    assert [path.name for path in (tmp_path / 'in').iterdir()] == [
        'batch_1.png']
    for clean, hidden, noisy in panels(
            read(tmp_path / 'in' / 'batch_1.png'), 3, 3, 200, 200):
        # A quarter of the 4x4 cells of 50 pixels, and nothing else.
        cells = (hidden != clean).any(-1).reshape(4, 50, 4, 50)
        assert (cells.mean((1, 3)) > 0.5).sum() == 4
        assert cells.mean() <= 0.25
        assert (noisy != clean).mean() > 0.9


@pytest.mark.parametrize('tool, arguments', [
    ('browse_inputs.py', []),
    ('visualize_pretraining.py', ['no.pth']),
])
def test_missing_config_is_named(run_here, tool, arguments):
    with pytest.raises(SystemExit, match='There is no config file at no.py'):
        run_here(tool, 'no.py', *arguments)


@pytest.mark.parametrize('tool, arguments, sentence', [
    ('browse_inputs.py', [TINY_CONFIG, '--num-batches', '0'],
     'must be at least 1'),
    ('visualize_features.py',
     ['a.jpg', '--model', 'a', 'b', 'c', '--image-size', '16'],
     'must be at least 32'),
    ('visualize_features.py',
     ['a.jpg', '--model', 'a', 'b', 'c', '--num-clusters', '30'],
     r'must lie in [2, 20]'),
    ('visualize_features.py',
     ['a.jpg', '--model', 'a', 'b', 'c', '--model', 'a', 'd', 'e'],
     'each --model needs a name of its own'),
    ('visualize_features.py', ['a.jpg'], '--model'),
    ('visualize_pretraining.py', ['a.py', 'b.pth', '--num-clusters', '25'],
     'must lie in [2, 20]'),
    ('visualize_pretraining.py', ['a.py', 'b.pth', '--num-images', '0'],
     'must be at least 1'),
])
def test_wrong_options_are_named(run_here, capsys, tool, arguments, sentence):
    with pytest.raises(SystemExit) as raised:
        run_here(tool, *arguments)
    assert raised.value.code == 2
    assert sentence in capsys.readouterr().err
