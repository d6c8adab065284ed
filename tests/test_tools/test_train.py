"""Training and testing, by the tools and by their scripts."""
import os
import shutil
import subprocess
import sys
import tarfile
from logging import getLogger
from types import SimpleNamespace

import mmengine
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from PIL import Image

from mask_jepa.apis.pretrain import count_accumulated
from mask_jepa.engine import choose_checkpoint, use_gpu

# Training, resumed and started from weights.


TINY = 'configs/mask_jepa_r18_tiny.py'


@pytest.fixture
def config_file(tiny_config, image_folder, tmp_path):
    """A very small run, as a file."""
    path = tmp_path / 'config.py'
    tiny_config({
        'train_dataloader.dataset.data_root': str(image_folder),
        'test_dataloader.dataset.data_root': str(image_folder),
        'test_dataloader.num_workers': 0,
        'train_cfg.max_iters': 4,
        'default_hooks.checkpoint.interval': 2,
    }).dump(path)
    return path


def load(path):
    return torch.load(path, weights_only=True)


def test_train_resume_init_and_test(python, config_file, image_folder,
                                    tmp_path):
    work_dir = tmp_path / 'work'
    python('tools/train.py', config_file, '--work-dir', work_dir)
    names = {path.name for path in work_dir.iterdir()}
    assert {
        'iter_2.pth', 'iter_4.pth', 'last_checkpoint', 'mask_jepa_mmdet.pth',
        'mask_jepa_mmseg.pth'
    } <= names

    # From the first half, in another place, to the same end, also if there
    # are more images now.
    listed = (work_dir / 'image_list.txt').read_text().splitlines()
    assert listed == sorted(str(path.relative_to(image_folder))
                            for path in image_folder.rglob('*.jpg'))
    shutil.copy(image_folder / 'scene_0.jpg', image_folder / 'later.jpg')
    other = tmp_path / 'other'
    output = python('tools/train.py', config_file, '--work-dir', other,
                    '--resume', work_dir / 'iter_2.pth')
    assert 'Left out: 1 images' in output
    assert (other / 'image_list.txt').read_text().splitlines() == listed
    whole, resumed = load(work_dir / 'iter_4.pth'), load(other / 'iter_4.pth')
    for key, value in whole['state_dict'].items():
        assert torch.equal(value, resumed['state_dict'][key]), key

    # --init takes the weights and starts a new run.
    third = tmp_path / 'third'
    python('tools/train.py', config_file, '--work-dir', third, '--init',
           work_dir / 'iter_4.pth', '--cfg-options', 'train_cfg.max_iters=1',
           'default_hooks.checkpoint.interval=1')
    assert load(third / 'iter_1.pth')['meta']['iter'] == 1

    output = python('tools/test.py', config_file, work_dir / 'iter_4.pth',
                    '--work-dir', tmp_path / 'test', '--out',
                    tmp_path / 'out.pkl', '--show-dir', tmp_path / 'pictures')
    assert 'pretrain/prediction_error' in output
    predictions = mmengine.load(tmp_path / 'out.pkl')
    assert len(predictions) == 9
    assert predictions[0]['mask_features'].shape[1:] == (16, 16)
    # Sheets with as many rows as a batch has images.
    first, second = sorted((tmp_path / 'pictures').iterdir())
    assert Image.open(first).height > 8 * 64 > Image.open(second).height

    # Of an exported file what predicts would be noise.
    assert 'tensors of the whole model are missing' in python(
        'tools/test.py', config_file, work_dir / 'mask_jepa_mmdet.pth',
        '--work-dir', tmp_path / 'test', fails=True)

    # A new run does not write over an old one, by mistake.
    before = (work_dir / 'iter_4.pth').read_bytes()
    assert 'is of an earlier run: go on with it by --resume' in python(
        'tools/train.py', config_file, '--work-dir', work_dir, fails=True)
    assert (work_dir / 'iter_4.pth').read_bytes() == before

    # Nor does one that goes on from a checkpoint of another folder.
    (tmp_path / 'elsewhere').mkdir()
    shutil.copy(work_dir / 'iter_2.pth', tmp_path / 'elsewhere')
    assert 'is of an earlier run' in python(
        'tools/train.py', config_file, '--work-dir', work_dir, '--resume',
        tmp_path / 'elsewhere/iter_2.pth', fails=True)
    assert (work_dir / 'iter_4.pth').read_bytes() == before

    # The newest one is damaged, and nothing says which is the newest.
    (work_dir / 'last_checkpoint').unlink()
    damaged = bytearray(before)
    damaged[len(damaged) // 2] ^= 1
    (work_dir / 'iter_4.pth').write_bytes(damaged)
    sentence = f'{work_dir / "iter_4.pth"} is a damaged checkpoint'
    for command in (('tools/test.py', config_file, work_dir / 'iter_4.pth'),
                    ('tools/train.py', config_file, '--init',
                     work_dir / 'iter_4.pth', '--work-dir', tmp_path / 'new'),
                    ('tools/export_pretrained.py', work_dir / 'iter_4.pth',
                     '--to', 'mmdet', '--out', tmp_path / 'export.pth')):
        output = python(*command, fails=True)
        assert output.splitlines()[-1].startswith(sentence)
        assert 'Traceback' not in output
    output = python('tools/train.py', config_file, '--work-dir', work_dir,
                    '--resume')
    assert sentence in output and 'iter_2.pth' in output
    again = load(work_dir / 'iter_4.pth')
    for key, value in whole['state_dict'].items():
        assert torch.equal(value, again['state_dict'][key]), key


@pytest.mark.parametrize('resume, init, config, expected', [
    (None, None, {}, (False, None)),
    (None, 'b.pth', {}, (False, 'b.pth')),
    ('a.pth', None, {}, (True, 'a.pth')),
    # As in mmdet, the config's own count where there are no options.
    (None, None, dict(load_from='c.pth'), (False, 'c.pth')),
    (None, None, dict(load_from='c.pth', resume=True), (True, 'c.pth')),
    (None, 'b.pth', dict(load_from='c.pth', resume=True), (False, 'b.pth')),
    ('auto', None, dict(load_from='c.pth'), (False, None)),
    (None, None, dict(resume=True), (False, None)),
])
def test_weights_come_from(tiny_config, tmp_path, resume, init, config,
                           expected):
    config = tiny_config({'work_dir': str(tmp_path), **config})
    assert choose_checkpoint(config, resume, init) == []
    assert (config.resume, config.load_from) == expected


def test_a_job_begins_and_goes_on_by_one_command(tiny_config, tmp_path):
    init, path = str(tmp_path / 'init.pth'), str(tmp_path / 'iter_2.pth')
    config = tiny_config({'work_dir': str(tmp_path)})
    with pytest.raises(ValueError, match='no checkpoint at .*init.pth: give'):
        choose_checkpoint(config, 'auto', init)
    torch.save(dict(state_dict={}), init)
    assert choose_checkpoint(config, 'auto', init) == []
    assert (config.resume, config.load_from) == (False, init)
    shutil.move(init, path)
    assert choose_checkpoint(config, 'auto', init) == []
    assert (config.resume, config.load_from) == (True, path)


BFLOAT16 = dict(
    type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))
FLOAT16 = dict(
    type='AmpOptimWrapper', clip_grad=dict(error_if_nonfinite=False))
OWN = dict(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
SCALED = dict(OWN, clip_grad=dict(error_if_nonfinite=False))


@pytest.fixture
def on_gpu(monkeypatch):
    """Prepare a config for a GPU that has bfloat16, or has it not."""

    def use(config, *amp, has_bfloat16=True):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        # Before Ampere, bfloat16 is emulated.
        monkeypatch.setattr(
            torch.cuda, 'is_bf16_supported',
            lambda including_emulation=True: including_emulation or
            has_bfloat16)
        use_gpu(config, *amp)
        return config

    yield use
    torch.set_float32_matmul_precision('highest')


@pytest.mark.parametrize('amp, has_bfloat16, own, expected', [
    (None, True, {}, BFLOAT16),
    (None, False, {}, {}),
    (True, True, {}, BFLOAT16),
    (True, False, {}, FLOAT16),
    (False, True, {}, {}),
    (None, True, OWN, SCALED),
    (True, True, OWN, SCALED),
    (None, True, dict(OWN, loss_scale=512.0), dict(OWN, loss_scale=512.0)),
    (False, True, OWN, {}),
    (None, True, dict(type='OptimWrapperDict'), dict(type='OptimWrapperDict')),
])
def test_mixed_precision_is_what_the_gpu_has(tiny_config, on_gpu, amp,
                                             has_bfloat16, own, expected):
    config, wanted = tiny_config(), tiny_config()
    assert wanted.optim_wrapper.clip_grad.error_if_nonfinite
    config.merge_from_dict(dict(optim_wrapper=own))
    on_gpu(config, amp, has_bfloat16=has_bfloat16)
    wanted.merge_from_dict(dict(optim_wrapper=expected))
    assert config.optim_wrapper == wanted.optim_wrapper


def test_a_gpu_gets_what_makes_it_faster(tiny_config, on_gpu):
    config = on_gpu(tiny_config())
    assert torch.get_float32_matmul_precision() == 'high'
    assert config.env_cfg.cudnn_benchmark
    assert config.model.channels_last
    assert config.sync_bn == 'torch'


def test_a_gpu_leaves_what_the_config_sets(tiny_config, on_gpu):
    config = on_gpu(
        tiny_config({
            'model.channels_last': False,
            'sync_bn': 'mmcv'
        }))
    assert not config.model.channels_last
    assert config.sync_bn == 'mmcv'


def test_norms_of_timm_stay_as_they_are(tiny_config, on_gpu):
    config = on_gpu(tiny_config({'model.backbone.type': 'TIMMBackbone'}))
    assert config.get('sync_bn') is None


@pytest.mark.parametrize('batch_size, accumulative_counts, expected', [
    (8, 1, 1.0), (2, 4, 1.0), (2, 1, 0.25), (8, 4, 4.0)])
def test_learning_rate_scales_with_the_images_of_a_step(
        tiny_config, batch_size, accumulative_counts, expected):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    runner = SimpleNamespace(
        cfg=tiny_config(
            {'optim_wrapper.accumulative_counts': accumulative_counts}),
        auto_scale_lr=dict(enable=True, base_batch_size=8), world_size=1,
        _train_dataloader=dict(batch_size=batch_size), param_schedulers=[],
        logger=getLogger())
    count_accumulated(runner)
    Runner.scale_lr(runner, OptimWrapper(optimizer), runner.auto_scale_lr)
    assert optimizer.param_groups[0]['lr'] == expected


def test_other_models_are_not_told_of_channels_last(tiny_config, on_gpu):
    config = tiny_config({'model.type': 'Mask2Former'})
    assert 'channels_last' not in on_gpu(config).model


def test_a_cpu_changes_nothing(tiny_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for amp in (None, False):
        config = tiny_config()
        use_gpu(config, amp)
        assert config.to_dict() == tiny_config().to_dict()
    assert torch.get_float32_matmul_precision() == 'highest'
    with pytest.raises(ValueError, match='--amp needs a GPU, and torch sees'):
        use_gpu(tiny_config(), True)


@pytest.mark.parametrize('options, sentence', [
    (['no_such_config.py'], 'There is no config file at no_such_config.py'),
    (['configs/mask_jepa_r18_tiny.py', '--resume', 'a.pth', '--init', 'b.pth'],
     'give one of them'),
    (['configs/mask_jepa_r18_tiny.py', '--init', 'b.pth'],
     'There is no checkpoint at b.pth: give another --init'),
    ([
        'configs/mask_jepa_r18_tiny.py', '--cfg-options',
        'train_dataloader.dataset.data_root=no/such/folder'
    ], 'There is no image folder or list at no/such/folder'),
    (['configs/mask_jepa_r18_tiny.py', '--data', 'no such/folder'],
     'There is no image folder or list at no such/folder'),
])
def test_wrong_arguments_get_one_sentence(python, options, sentence, tmp_path):
    assert sentence in python(
        'tools/train.py', *options, '--work-dir', tmp_path, fails=True)


def test_weights_of_another_network_get_one_sentence(
        python, config_file, tmp_path):
    torch.save(dict(state_dict={'a': torch.ones(2)}), tmp_path / 'other.pth')
    output = python(
        'tools/train.py', config_file, '--work-dir', tmp_path / 'work',
        '--init', tmp_path / 'other.pth', fails=True)
    *_, last = output.splitlines()
    assert last.startswith('The checkpoint does not fit the config: ')
    assert 'Traceback' not in output


def test_two_gloo_processes_hold_the_same_weights(
        command, python, config_file, free_port, tmp_path):
    work_dir = tmp_path / 'work'
    output = command(
        'bash',
        'tools/dist_train.sh',
        config_file,
        2,
        '--work-dir',
        work_dir,
        PORT=free_port,
        PATH=f'{sys.prefix}/bin:/usr/bin:/bin')
    assert 'All 2 ranks hold the same' in output
    # Each rank saw other images, noise and queries than a single process.
    python_dir = tmp_path / 'single'
    python('tools/train.py', config_file, '--work-dir', python_dir)
    key = 'mask_tokens.tokens.0'
    assert not torch.equal(
        load(work_dir / 'iter_4.pth')['state_dict'][key],
        load(python_dir / 'iter_4.pth')['state_dict'][key])


@pytest.mark.slow
def test_images_of_a_tar_train_as_those_of_their_folder(
        python, config_file, image_folder, tmp_path):
    archive = tmp_path / 'images.tar'
    with tarfile.open(archive, 'w') as file:
        file.add(image_folder, '.')
    weights = []
    for source in (image_folder, archive):
        work_dir = tmp_path / f'of {source.name}'
        output = python('tools/train.py', config_file, '--work-dir', work_dir,
                        '--data', source, image_folder / 'nested',
                        '--cfg-options',
                        'train_dataloader.sampler.source_weights=[3,1]')
        assert f'from {source} (0.75 of all draws), ' in output
        weights.append(load(work_dir / 'iter_4.pth')['state_dict'].values())
    assert all(map(torch.equal, *weights))


def test_one_key_changes_the_crop(python, image_folder, tmp_path):
    """Training, its pictures and the test follow; a path may be any."""
    folder = tmp_path / 'it\'s, [my] "写真" (1) =2'
    image_folder.rename(folder)
    output = python(
        'tools/train.py', TINY, '--work-dir',
        folder / 'work', '--data', folder, '--cfg-options',
        'train_dataloader.dataset.crop_size=64', 'train_cfg.max_iters=2',
        'train_dataloader.batch_size=2',
        'default_hooks.checkpoint.interval=2', 'default_hooks.health=None',
        'default_hooks.monitoring_cost.interval=1')
    assert 'Health of the features' not in output
    assert 'Watching took' in output
    weights = load(folder / 'work/iter_2.pth')
    assert weights['state_dict']['centering.mean'].shape[-2:] == (8, 8)
    picture, *_ = sorted((folder / 'work').rglob('vis_image/*.png'))
    assert Image.open(picture).width > 64
    assert 'pretrain/prediction_error' in python(
        'tools/test.py', TINY,
        folder / 'work/iter_2.pth', '--work-dir', tmp_path / 'test', '--data',
        folder, '--cfg-options', 'train_dataloader.dataset.crop_size=64')


def test_run_without_the_target_hook_stops_at_start(python, tmp_path):
    output = python(
        'tools/train.py', TINY, '--work-dir',
        tmp_path, '--cfg-options', 'default_hooks.target=None', fails=True)
    assert 'The target would never move: there is no EMATargetHook' in output


# What dist_train.sh and dist_test.sh start, with a python that tells it.


@pytest.fixture
def start(root, tmp_path):
    """Run a script; give its exit status and what it would start or says."""
    (tmp_path / 'python').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / 'python').chmod(0o755)

    def run(script, *arguments, **environment):
        result = subprocess.run(
            ['bash', f'tools/{script}', *arguments], cwd=root, text=True,
            capture_output=True,
            env={'PATH': f'{tmp_path}:{os.environ["PATH"]}', **environment})
        return result.returncode, result.stdout.splitlines(), result.stderr

    return run


@pytest.mark.parametrize('script, arguments, tool', [
    ('dist_train.sh', ['a.py', '2'], ['tools/train.py', 'a.py']),
    ('dist_test.sh', ['a.py', 'b c.pth', '2'],
     ['tools/test.py', 'a.py', 'b c.pth']),
])
def test_both_start_their_tool(start, script, arguments, tool):
    options = ['--work-dir', 'my runs']
    status, command, _ = start(script, *arguments, *options, PORT='7')
    assert status == 0
    first = command.index(tool[0])
    assert command[0] == 'tools/misc/launch.py'
    assert {'--nproc_per_node=2', '--master_port=7', '--nnodes=1'
            } < set(command[:first])
    # The order of options and the others is free.
    rest = command[first:]
    for part in (['--launcher', 'pytorch'], options):
        place = rest.index(part[0])
        assert rest[place:place + 2] == part
        del rest[place:place + 2]
    assert rest == tool


@pytest.mark.parametrize('script, arguments, usage', [
    ('dist_train.sh', ['a.py'], 'CONFIG GPUS [options of tools/train.py]'),
    ('dist_test.sh', ['a.py', 'b.pth'],
     'CONFIG CHECKPOINT GPUS [options of tools/test.py]'),
])
def test_usage_is_told(start, script, arguments, usage):
    status, command, message = start(script, *arguments)
    assert status == 2 and not command
    assert message == f'usage: tools/{script} {usage}\n'
