"""One small experiment, with the train tools of both sides."""
import functools
import json
import os
import re
import runpy
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.utils import register_all_modules

from mask_jepa.utils import stock_tool

pytestmark = pytest.mark.slow

# Only the queries and the mask predictor learn, in leaps, so that the scores
# change while the checkpoints keep the initial weights of everything else.
FROZEN = ('backbone', 'pixel_decoder', 'transformer_decoder', 'cls_embed')
FINETUNE_OPTIONS = {
    'train_cfg.max_iters': 2,
    'train_cfg.val_interval': 1,
    # Two steps of a long schedule.
    'param_scheduler.0.end': 160,
    'val_dataloader.dataset.indices': 3,
    'test_dataloader.dataset.indices': 3,
    'default_hooks.checkpoint.interval': 2,
    'optim_wrapper.optimizer.lr': 0.05,
    **{
        f'optim_wrapper.paramwise_cfg.custom_keys.{part}.lr_mult': 0.0
        for part in FROZEN
    }
}
PRETRAIN_OPTIONS = {
    'train_cfg.max_iters': 2,
    'train_dataloader.batch_size': 2,
    # A warming-up learning rate would not move float32 weights near 1.
    'param_scheduler.0.start_factor': 1.0,
    'default_hooks.checkpoint.interval': 2,
    'visualizer.vis_backends': [dict(type='LocalVisBackend')],
    'val_dataloader': None,
    'val_evaluator': None,
    'val_cfg': None,
    'default_hooks.checkpoint.save_best': None,
}
PLAN = dict(
    seeds=[1],
    label_fractions=[1 / 4],
    pretrainings={
        'Mask-JEPA':
        dict(config='configs/mask_jepa_r18_tiny.py', options=PRETRAIN_OPTIONS)
    },
    tasks=dict(
        CamVid=dict(
            config='configs/finetune/mmseg/mask2former_r18-tiny-mask-jepa-pre_'
            '1xb4-160i_camvid-128x128.py',
            library='mmseg',
            metric='mIoU',
            options=FINETUNE_OPTIONS)),
    arms={
        'none': {},
        'whole': dict(pretraining='Mask-JEPA'),
        'backbone': dict(pretraining='Mask-JEPA', parts=['backbone']),
        'again': dict(pretraining='Mask-JEPA')
    },
    compare_with=['none'])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('experiment')


@pytest.fixture(scope='module')
def arguments(folder):
    """Of the command."""
    return [
        str(folder / 'plan.py'), '--runs',
        str(folder / 'runs'), '--out',
        str(folder / 'out'), '--jobs', '2'
    ]


def execute(root, folder, *command, **environment):
    """Run a tool on the scenes; return its output."""
    result = subprocess.run([sys.executable, *command],
                            cwd=root,
                            env={
                                **os.environ,
                                'MASK_JEPA_DATA': str(folder / 'scenes'),
                                'OMP_NUM_THREADS': '1',
                                **environment
                            },
                            stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT,
                            text=True)
    assert result.returncode == 0, result.stdout[-4000:]
    return result.stdout


@pytest.fixture(scope='module')
def output(folder, arguments, root):
    """Make the experiment, on generated scenes."""
    tool = runpy.run_path(str(root / 'tools/misc/generate_scenes.py'))
    tool['write_scenes'](str(folder / 'scenes'), 16, 4, 0)
    lines = [f'{key} = {value!r}\n' for key, value in PLAN.items()]
    (folder / 'plan.py').write_text('"""Does it run?"""\n' + ''.join(lines))
    return execute(root, folder, 'tools/run_experiment.py', *arguments)


@pytest.fixture(scope='module')
def runs(folder, output):
    """Folders of the fine-tunings, by arm."""
    found = {
        path.parent.name.split('_')[3]: path.parent
        for path in (folder / 'runs').glob('finetune_*/result.json')
    }
    assert found.keys() == {'none', 'whole', 'backbone'}
    return found


@pytest.fixture(scope='module')
def results(folder, output):
    """Content of results.json, by arm."""
    content = json.loads((folder / 'out' / 'results.json').read_text())
    return {each['arm']: each for each in content['runs']}


@pytest.fixture(scope='module')
def states(runs):
    """Weights after the fine-tunings, by arm."""
    # The stock tool wrote more than tensors into these files.
    return {
        arm: torch.load(path / 'iter_2.pth', weights_only=False)['state_dict']
        for arm, path in runs.items()
    }


@pytest.fixture(scope='module')
def pretrained(folder, output):
    """Weights after the pretraining, named as mmseg does."""
    path, = (folder / 'runs').glob('pretrain_*/iter_2.pth')
    state = torch.load(path, weights_only=True)['state_dict']
    return {
        key.replace('panoptic_head.', 'decode_head.'): value
        for key, value in state.items()
    }


def test_every_arm_has_its_score(folder, output, results):
    first = output[output.index('4 scores'):]
    assert first.startswith('4 scores, 3 still to be made, with 1 pretraining')
    assert list(results) == ['none', 'whole', 'backbone', 'again']
    # The same run under two names.
    assert results['again'] == dict(results['whole'], arm='again')
    table = (folder / 'out' / 'table.md').read_text()
    assert table in output
    for arm, result in results.items():
        assert (result['seed'], result['labels']) == (1, 4)
        assert f'| {arm} | {result["score"]:.1f} | 1 |' in table
    assert (folder / 'out' / 'plot.png').stat().st_size > 10000


def test_scores_are_those_of_the_last_validation(runs, results):
    for arm, path in runs.items():
        validations = re.findall(r'Iter\(val\) \[3/3\].* mIoU: ([\d.]+)',
                                 (path / 'log.txt').read_text())
        assert len(validations) == 2
        assert results[arm]['score'] == float(validations[-1])
        assert results[arm]['curve'] == {
            str(step): float(score)
            for step, score in enumerate(validations, 1)
        }
    # Else the last could not be told from the first.
    assert any(len(set(each['curve'].values())) > 1
               for each in results.values())


def test_the_stock_test_tool_says_the_same(runs, results, root, tmp_path,
                                           folder):
    output = execute(root, folder, stock_tool('mmseg', 'test.py'),
                     runs['whole'] / 'config.py', runs['whole'] / 'iter_2.pth',
                     '--work-dir', tmp_path,
                     TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD='1')
    score = re.findall(r'Iter\(test\) \[3/3\].* mIoU: ([\d.]+)', output)
    assert [float(each) for each in score] == [results['whole']['score']]


def test_arms_differ_in_what_was_pretrained_alone(states, pretrained):
    """The others begin with the same random weights, bit for bit."""
    taken = dict(
        none=(), backbone=('backbone.', ), whole=('backbone.', 'decode_head.'))
    compared = set()
    for key, value in states['none'].items():
        part = next((part for part in FROZEN if part in key), None)
        if part is None:
            continue
        compared.add(part)
        for arm, state in states.items():
            is_taken = key.startswith(taken[arm]) and part != 'cls_embed'
            expected = pretrained[key] if is_taken else value
            assert torch.equal(state[key], expected), (arm, key)
    assert compared == set(FROZEN)


def test_every_part_was_pretrained_and_some_were_fine_tuned(
        states, pretrained):
    for part in FROZEN[:-1]:
        assert any(not torch.equal(value, pretrained[key])
                   for key, value in states['none'].items() if part in key)
    key = 'decode_head.query_feat.weight'
    assert not torch.equal(states['whole'][key], pretrained[key])


def test_arms_see_the_same_images(runs):
    configs = [Config.fromfile(path / 'config.py') for path in runs.values()]
    images = [config.train_dataloader.dataset.indices for config in configs]
    assert len(set(images[0])) == 4
    assert images == images[:1] * 3


def first_batches(config):
    """Names and pixels of what a fine-tuning learns from first."""
    register_all_modules(init_default_scope=True)
    loop = Runner.from_cfg(config).train_loop
    batches = [next(loop.dataloader_iterator) for _ in range(3)]
    return [([sample.img_path for sample in batch['data_samples']],
             torch.stack(batch['inputs'])) for batch in batches]


def test_arms_see_the_same_pixels_in_the_same_order(runs, tmp_path):
    seen = {}
    for arm, path in runs.items():
        config = Config.fromfile(path / 'config.py')
        config.work_dir = str(tmp_path / arm)
        seen[arm] = first_batches(config)
    names = [name for batch, _ in seen['none'] for name in batch]
    # More than one round of the four images.
    assert len(set(names[:4])) == 4 and names[:4] != names[4:8]
    for arm in ('whole', 'backbone'):
        for one, other in zip(seen['none'], seen[arm]):
            assert one[0] == other[0]
            assert torch.equal(one[1], other[1])


@pytest.fixture
def again(run, monkeypatch, root, folder):
    """Call the command once more; return what it prints."""
    monkeypatch.chdir(root)
    return functools.partial(run, data=folder / 'scenes')


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


def test_nothing_is_made_again(again, arguments, folder, output, results):
    before = times(folder / 'runs')
    printed = again(*arguments)
    assert '4 scores, 0 still to be made, with 0 pretrainings' in printed
    assert (folder / 'out' / 'table.md').read_text() in printed
    assert times(folder / 'runs') == before


def test_published_results_are_not_made_again(again, arguments, folder,
                                              output, results, tmp_path):
    path = folder / 'out' / 'results.json'
    before = path.read_text()
    printed = again(*arguments, '--runs', str(tmp_path / 'empty'))
    assert '4 scores, 0 still to be made, with 0 pretrainings' in printed
    assert list((tmp_path / 'empty').iterdir()) == []
    assert path.read_text() == before
