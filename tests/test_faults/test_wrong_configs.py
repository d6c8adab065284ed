"""Wrong configs, each refused in a sentence before anything is built."""
import copy
from argparse import ArgumentParser
from pathlib import Path

import pytest
from mmengine.config import Config
from warm_python import ROOT, run_script

from mask_jepa.engine import check_config, find_unused_settings
from mask_jepa.utils import CFG_OPTIONS, load_config

DATA = 'train_dataloader.dataset'
TABLE = (Path(__file__).parent / 'wrong_configs.txt').read_text()
WRONG = [row.split('\n') for row in TABLE.strip().split('\n\n')[1:]]


def read_options(text):
    """Read settings as --cfg-options does."""
    parser = ArgumentParser()
    parser.add_argument('options', **CFG_OPTIONS)
    return parser.parse_args(text.split(' ')).options


def test_table_is_long():
    assert len(WRONG) == len({tuple(row) for row in WRONG}) >= 100


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The tiny config, with images of which nothing is read."""
    config = load_config(str(ROOT / 'configs' / 'mask_jepa_r18_tiny.py'))
    config.train_dataloader.dataset.data_root = str(
        tmp_path_factory.mktemp('images'))
    return config


@pytest.mark.parametrize('options, sentence', WRONG)
def test_config_is_refused(whole, options, sentence):
    config = copy.deepcopy(whole)
    config.merge_from_dict(read_options(options))
    with pytest.raises(ValueError) as caught:
        check_config(config)
    assert str(caught.value) == sentence


@pytest.mark.parametrize('loop', ['IterBasedTrainLoop', 'PassBasedTrainLoop'])
@pytest.mark.parametrize('schedule', [{}, dict(by_epoch=True)],
                         ids=['unsaid', 'said'])
def test_schedules_in_epochs_are_refused(whole, loop, schedule):
    """As MMEngine counts where nothing is said."""
    config = copy.deepcopy(whole)
    if loop == 'PassBasedTrainLoop':
        config.train_cfg = dict(
            type=loop, max_passes=8, max_images=400, min_images=40)
    config.param_scheduler = [
        dict(type='CosineAnnealingLR', eta_min=0, **schedule)]
    with pytest.raises(ValueError, match='^param_scheduler.0.by_epoch=True '
                       'never comes .*: write by_epoch=False.$'):
        check_config(config)


def test_norms_of_timm_are_not_to_be_replaced(whole):
    config = copy.deepcopy(whole)
    config.model.backbone = dict(
        type='FrozenNormTIMMBackbone', model_name='tf_efficientnet_lite0')
    config.sync_bn = 'torch'
    with pytest.raises(ValueError, match="sync_bn='torch' would take the act"):
        check_config(config)


@pytest.mark.parametrize('size', [{}, dict(size_divisor=32),
                                  dict(size=(64, 64))])
def test_the_preprocessor_of_mmseg_pads_to_a_size(whole, size):
    config = copy.deepcopy(whole)
    config.model.data_preprocessor = dict(
        type='mmseg.SegDataPreProcessor', mean=[127.5] * 3, std=[60.0] * 3,
        **size)
    if size:
        check_config(config)
        return
    with pytest.raises(ValueError, match='write size_divisor=32.'):
        check_config(config)


def test_all_faults_are_said_at_once(whole):
    config = copy.deepcopy(whole)
    config.merge_from_dict({
        'optim_wrapper.optimizer.lrr': 1.0,
        'model.noise.gama': 0.5,
        'default_hooks.checkpoint.interval': 0
    })
    with pytest.raises(ValueError) as caught:
        check_config(config)
    assert str(caught.value).splitlines() == [
        'default_hooks.checkpoint.interval=0 must be a whole number of at '
        'least 1.',
        'There is no key model.noise.gama: write gamma.',
        'There is no key optim_wrapper.optimizer.lrr: write lr.',
    ]


@pytest.mark.parametrize('options', [
    {},
    {
        'my_own_key': 1,
        'train_dataset': dict(a=1),
        'base_lr': 0.1
    },
    {
        'custom_hooks': [dict(type='EmptyCacheHook', priority='LOW')]
    },
    {
        'default_hooks.health': None
    },
    {
        'train_cfg.max_iters': 1e5
    },
    {
        'model.backbone.norm_cfg': dict(
            _delete_=True, type='SyncBN', requires_grad=True)
    },
    {
        'optim_wrapper.clip_grad':
        dict(_delete_=True, type='value', clip_value=1.0)
    },
    {
        'optim_wrapper': dict(type='AmpOptimWrapper', dtype='bfloat16')
    },
    {
        'param_scheduler.1.type': 'mmengine.CosineAnnealingLR'
    },
    {
        'default_hooks.checkpoint.interval': -1
    },
    {
        'visualizer.vis_backends':
        [dict(type='WandbVisBackend', init_kwargs=dict(project='x'))]
    },
    {
        f'{DATA}.img_suffixes': '.png'
    },
])
def test_what_may_be_meant_is_let_through(whole, options):
    config = copy.deepcopy(whole)
    config.merge_from_dict(options)
    check_config(config)


@pytest.mark.parametrize('name', [
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    'mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py',
    'mmseg::mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512.py',
    'mmseg::maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py',
    'mmpretrain::byol/byol_resnet50_16xb256-coslr-200e_in1k.py',
])
def test_stock_configs_are_let_through(name):
    check_config(load_config(name))


@pytest.mark.parametrize(
    'options, sentence',
    [
        (['optim_wraper.optimizer.lr=1'
          ], 'There is no key optim_wraper: write optim_wrapper.'),
        (['param_scheduler.7.end=1'
          ], '--cfg-options does not fit the config (KeyError: '),
        # What is known when the network has been built.
        (['model.panoptic_head.in_channels=[32,64,128,250]'
          ], 'The backbone gives maps of [32, 64, 128, 256] channels, but '
         'model.panoptic_head.in_channels is [32, 64, 128, 250]: set it'),
    ])
def test_command_ends_with_the_sentence_alone(tmp_path, image_folder, options,
                                              sentence):
    command = [
        'tools/train.py', 'configs/mask_jepa_r18_tiny.py', '--work-dir',
        tmp_path / 'work', '--cfg-options', f'{DATA}.data_root={image_folder}',
        'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None',
        'default_hooks.checkpoint.save_best=None', *options
    ]
    output = run_script(*command, fails=True)
    assert output.splitlines()[-1].startswith(sentence)
    assert 'Traceback' not in output
    if sentence.startswith('There'):
        assert not (tmp_path / 'work').exists()
        assert 'Traceback' in run_script(*command, '--traceback', fails=True)


@pytest.mark.parametrize('options, sentences', [
    (None, []),
    ({'train_cfg.max_iters': 3, 'custom_hooks': [], 'work_dir': 'a'}, []),
    ({'max_iters': 3}, ['max_iters is not used by anything: write '
                        'train_cfg.max_iters.']),
    ({'train_pipeline.0.max_pixels': 3, 'my_name': 'x'},
     ['train_pipeline is not used by anything.',
      'my_name is not used by anything.']),
])
def test_settings_that_reach_nothing_are_named(whole, options, sentences):
    config = copy.deepcopy(whole)
    config.merge_from_dict(options or {})
    path = str(ROOT / 'configs' / 'mask_jepa_r18_tiny.py')
    assert find_unused_settings(config, path, options) == sentences


def test_variables_that_reach_nothing_are_named(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(f"""
_base_ = '{ROOT}/configs/mask_jepa_r18_tiny.py'
batch_size, max_iters = 4, 10
crop_size = 64
sides = 2 * crop_size
lr = 0.1
train_dataloader = dict(dataset=dict(crop_size=sides))
""")
    assert find_unused_settings(load_config(str(path)), str(path), None) == [
        'batch_size is not used by anything: write '
        'train_dataloader.batch_size.',
        'max_iters is not used by anything: write train_cfg.max_iters.',
        'lr is not used by anything: write optim_wrapper.optimizer.lr.']
    # The whole config of a run has much on top that was read before.
    load_config(str(path)).dump(path)
    assert find_unused_settings(load_config(str(path)), str(path), None) == []


@pytest.mark.parametrize('path', sorted(
    (ROOT / 'configs').glob('mask_jepa_*.py')), ids=lambda path: path.stem)
def test_our_own_configs_use_what_they_set(path):
    assert find_unused_settings(Config(), str(path), None) == []


@pytest.mark.parametrize('options, sentence', [
    (['optim_wraper.optimizer.lr=1'
      ], 'There is no key optim_wraper: write optim_wrapper.'),
    (['test_dataloader.dataset.data_root=/no/such/folder'],
     'There is no image folder or list at /no/such/folder: give it by '
     '--data, or set test_dataloader.dataset.data_root.'),
    (['test_dataloader=None'], 'test_dataloader is missing: '),
    (['model.panoptic_head.in_channels=[32,64]'], 'model.panoptic_head.in_ch'),
])
def test_test_tool_checks_its_config(tmp_path, options, sentence):
    """Without the images for training."""
    (tmp_path / 'weights.pth').touch()
    output = run_script(
        'tools/test.py',
        'configs/mask_jepa_r18_tiny.py',
        tmp_path / 'weights.pth',
        '--cfg-options',
        f'{DATA}.data_root=/no/such/folder',
        f'test_dataloader.dataset.data_root={tmp_path}',
        *options,
        fails=True)
    assert output.startswith(sentence) and output.count('\n') == 1


def test_config_that_is_no_python_is_named(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('model = dict(')
    with pytest.raises(ValueError, match='config.py cannot be read as a conf'):
        load_config(str(path))
