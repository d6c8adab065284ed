"""A training in two processes: its messages, its resume, what it refuses."""
import copy
import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import convert_sync_batchnorm, is_model_wrapper
from mmengine.runner import Runner
from scenes_and_globals import draw_scene, forget_globals
from torch import multiprocessing

from mask_jepa.engine import resolve_config
from mask_jepa.utils import prepare_cpu_distributed

pytestmark = pytest.mark.slow
MESSAGES = ('all_reduce', 'all_gather', 'all_gather_object', 'broadcast',
            'reduce', 'gather', 'scatter', 'barrier')
BATCH_NORM = {
    'model.backbone.norm_cfg': dict(
        _delete_=True, type='BN', requires_grad=True),
    'model.backbone.norm_eval': False
}
LAYERS = 'model.panoptic_head.transformer_decoder.num_layers'


class Count(Hook):
    """Keep the messages of each iteration."""

    priority = 'VERY_HIGH'

    def __init__(self):
        self.steps, self.sent = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.sent.clear()

    def after_train_iter(self, runner, *args, **kwargs):
        self.steps.append(list(self.sent))


def watch_messages(sent):
    for name in MESSAGES:

        def send(*args, name=name, function=getattr(dist, name), **kwargs):
            sent.append(name)
            return function(*args, **kwargs)

        setattr(dist, name, send)


def train(config, work_dir, options, hook=None):
    forget_globals()
    config = Config.fromfile(config)
    config.merge_from_dict({
        'launcher': 'pytorch',
        'work_dir': work_dir,
        'experiment_name': os.path.basename(work_dir),
        **options
    })
    prepare_cpu_distributed(config)
    resolve_config(config)
    runner = Runner.from_cfg(config)
    if hook:
        runner.register_hook(hook)
    runner.train()
    return runner


def refused(*args):
    try:
        train(*args)
    except ValueError as error:
        return str(error)


def work(rank, folder, config):
    os.environ.update(LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    found = {}
    found['batch_norm'] = refused(config, f'{folder}/norm', BATCH_NORM)
    found['one_layer'] = refused(config, f'{folder}/layer', {LAYERS: 1})
    train(config, f'{folder}/found', {
        LAYERS: 1, 'find_unused_parameters': True})
    hook = Count()
    watch_messages(hook.sent)
    runner = train(config, f'{folder}/whole', {}, hook)
    assert is_model_wrapper(runner.model)
    found['messages'] = hook.steps
    found['gradients_are_views'] = runner.model.gradient_as_bucket_view
    train(config, f'{folder}/resumed', dict(
        resume=True, load_from=f'{folder}/whole/iter_1.pth'))
    torch.save(found, f'{folder}/{rank}.pth')
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def ranks(tmp_path_factory, base_config):
    """What the two found, and the folder of their runs."""
    folder = tmp_path_factory.mktemp('ranks')
    (folder / 'images').mkdir()
    for index in range(8):
        draw_scene(index).save(folder / 'images' / f'{index}.png')
    config = copy.deepcopy(base_config)
    config.merge_from_dict({
        'train_dataloader.dataset.data_root': str(folder / 'images'),
        'train_cfg.max_iters': 2,
        'default_hooks.checkpoint.interval': 1,
        # Slower than all else, and it has tests of its own.
        'default_hooks.health': None,
    })
    config.dump(folder / 'config.py')
    multiprocessing.spawn(
        work, (str(folder), str(folder / 'config.py')), nprocs=2)
    return folder, [torch.load(folder / f'{rank}.pth') for rank in range(2)]


def test_a_step_sends_five_small_messages(ranks):
    """Mean of the centring; places for idle prototypes; two rounds of
    k-means; number of masks. The gradients are sent by torch's DDP."""
    for found in ranks[1]:
        assert len(found['messages']) == 2
        for step in found['messages']:
            assert sorted(step) == 4 * ['all_reduce'] + ['broadcast']


def test_gradients_lie_in_the_buckets(ranks):
    assert all(found['gradients_are_views'] for found in ranks[1])


def test_resumed_run_equals_the_straight_one(ranks):
    whole, resumed = (
        torch.load(ranks[0] / name / 'iter_2.pth', weights_only=True)
        for name in ('whole', 'resumed'))
    first = torch.load(ranks[0] / 'whole/iter_1.pth', weights_only=True)
    name = 'mask_tokens.tokens.0'
    assert not torch.equal(first['state_dict'][name],
                           whole['state_dict'][name])
    for name, value in whole['state_dict'].items():
        assert torch.equal(value, resumed['state_dict'][name]), name
    moments = whole['optimizer']['state']
    assert len(moments) > 100
    for index, values in moments.items():
        for key, value in values.items():
            assert torch.equal(
                value, resumed['optimizer']['state'][index][key]), key


def test_parameters_without_gradient_are_named(ranks):
    for found in ranks[1]:
        assert found['one_layer'].startswith(
            '2 parameters get no gradient, so that nothing would train them: '
            'mask_tokens.tokens.1, mask_tokens.tokens.2;')
    # Nothing was saved, and with the setting that is named a run goes on.
    assert not list(Path(ranks[0], 'layer').glob('*.pth'))
    assert Path(ranks[0], 'found/iter_2.pth').is_file()


def test_batch_statistics_of_one_process_are_refused(ranks):
    for found in ranks[1]:
        assert found['batch_norm'].startswith(
            'Batch norm backbone.bn1 (of 20) would take the statistics')


def test_target_follows_synchronised_batch_norm(tiny_config):
    """What sync_bn="torch" makes of a model, on GPUs alone."""
    model = MODELS.build(tiny_config(BATCH_NORM).model)
    names = model.state_dict().keys()
    model = convert_sync_batchnorm(model, 'torch')
    assert model.state_dict().keys() == names
    with torch.no_grad():
        model.backbone.bn1.running_mean.fill_(3)
        model.backbone.bn1.weight.fill_(2)
    model.update_target(0.0)
    assert isinstance(model.target.backbone.bn1, torch.nn.SyncBatchNorm)
    assert (model.target.backbone.bn1.running_mean == 3).all()
    assert (model.target.backbone.bn1.weight == 2).all()
