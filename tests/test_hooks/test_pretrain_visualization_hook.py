import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from PIL import Image
from scenes_and_globals import numpy_state
from tensorboard.backend.event_processing.event_accumulator import \
    EventAccumulator

from mask_jepa.hooks import (PretrainVisualizationHook,
                             pretrain_visualization_hook)
from mask_jepa.models.step_random import first_step

KEY = 'default_hooks.visualization'


class Watch(Hook):
    """Record which modules are in training mode after each iteration."""

    def __init__(self):
        self.modes = []

    def after_train_iter(self, runner, **kwargs):
        self.modes.append({name: module.training
                           for name, module in runner.model.named_modules()})


@pytest.fixture
def options(image_folder):
    """A run of three iterations that draws the generated scenes."""
    return {
        KEY: dict(type='PretrainVisualizationHook', interval=2, num_images=3,
                  num_clusters=4),
        'test_dataloader.dataset.data_root': str(image_folder),
        'test_dataloader.dataset.pipeline.1.scale': 64,
        'test_dataloader.dataset.pipeline.2.crop_size': 64,
        # No probe, which has a test of its own.
        'val_dataloader': None,
        'val_evaluator': None,
        'val_cfg': None,
        'train_cfg.max_iters': 3,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.checkpoint.max_keep_ckpts': 3,
        'visualizer.vis_backends': [
            dict(type='LocalVisBackend'),
            dict(type='TensorboardVisBackend')
        ],
    }


@pytest.fixture
def calls(monkeypatch):
    """Record what is drawn in a run, and what becomes of it."""
    draw = pretrain_visualization_hook.draw_pretraining
    recorded = []

    def record(samples, mean, std, num_clusters, reference):
        sheet, clusters = draw(samples, mean, std, num_clusters, reference)
        recorded.append(
            dict(samples=samples, reference=reference, sheet=sheet,
                 clusters=clusters))
        return sheet, clusters

    monkeypatch.setattr(pretrain_visualization_hook, 'draw_pretraining',
                        record)
    return recorded


def sheets(runner):
    """The local pictures of a run, by step."""
    paths = (Path(runner._log_dir) / 'vis_data' / 'vis_image').glob('*.png')
    return {
        int(path.stem.replace('pretraining_', '')):
        np.array(Image.open(path))
        for path in paths
    }


def test_training_is_the_same_bit_for_bit(make_runner, options, calls):
    runs = {}
    for name in ('with', 'without'):
        if name == 'without':
            options[KEY] = dict(_delete_=True, type='DetVisualizationHook')
        watch = Watch()
        runner = make_runner(options, name, hooks=[(watch, 'VERY_LOW')])
        runner.train()
        runs[name] = (runner.model.state_dict(), watch.modes,
                      torch.get_rng_state(), numpy_state())
        assert len(calls) == 3
    weights, modes, torch_state, state = runs['with']
    assert int(weights['random.step']) == 3
    for key, value in runs['without'][0].items():
        assert torch.equal(weights[key], value), key
    assert modes == runs['without'][1]
    assert any(modes[-1].values())
    assert torch.equal(torch_state, runs['without'][2])
    assert state == runs['without'][3]


def test_sheets_of_the_same_images_reach_every_backend(make_runner, options,
                                                       calls, image_folder):
    runner = make_runner(options)
    runner.train()
    # Before the first step, at each interval and at the end.
    steps = [0, 2, 3]
    local = sheets(runner)
    assert sorted(local) == steps
    for step, call in zip(steps, calls):
        assert np.array_equal(local[step], call['sheet'])
    events = EventAccumulator(str(Path(runner._log_dir) / 'vis_data'),
                              size_guidance=dict(images=0)).Reload()
    logged = events.Images('pretraining')
    assert [event.step for event in logged] == steps
    height, width = local[0].shape[:2]
    assert {(event.height, event.width) for event in logged} == {(height,
                                                                  width)}

    first = calls[0]['samples']
    names = sorted(
        str(path.relative_to(image_folder))
        for path in image_folder.rglob('*.jpg'))
    assert [sample.img_path for sample in first] == [
        str(image_folder / names[index]) for index in (0, 4, 7)
    ]
    for call in calls[1:]:
        for sample, before in zip(call['samples'], first):
            for field in ('clean_image', 'noisy_image', 'hidden'):
                assert torch.equal(sample.get(field), before.get(field))
            assert not torch.equal(sample.mask_features, before.mask_features)

    spent = runner.message_hub.get_info('monitoring_seconds')
    assert 0 < spent['pictures'] < 60


def test_colours_are_kept_over_a_resume(make_runner, options, calls):
    whole = make_runner(options, 'whole')
    whole.train()
    for before, after in zip(calls, calls[1:]):
        assert np.array_equal(after['reference'], before['clusters'])
    assert calls[0]['reference'] is None
    first_half = calls[1]['clusters']
    calls.clear()

    resumed = make_runner({
        **options, 'resume': True,
        'load_from': str(Path(whole.work_dir) / 'iter_2.pth')
    }, 'resumed')
    resumed.train()
    assert np.array_equal(calls[0]['reference'], first_half)
    one, other = sheets(whole), sheets(resumed)
    assert sorted(other) == [3]
    assert np.array_equal(one[3], other[3])


def test_model_is_put_back_when_drawing_fails(tiny_model):
    tiny_model.train()
    tiny_model.random.step = 7
    modes = [module.training for module in tiny_model.modules()]
    assert not all(modes)  # The frozen target is in eval mode, for example.
    with pytest.raises(RuntimeError, match='no space'):
        with first_step(tiny_model):
            assert not any(module.training for module in tiny_model.modules())
            assert int(tiny_model.random.step) == 0
            raise RuntimeError('no space')
    assert [module.training for module in tiny_model.modules()] == modes
    assert int(tiny_model.random.step) == 7


def test_other_ranks_do_nothing(monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.is_main_process', lambda: False)
    hook = PretrainVisualizationHook()
    # Anything that was done would need the runner.
    hook.before_train(None)
    hook.after_train_iter(None, 0)


@pytest.mark.parametrize('name, value', [('interval', 0), ('interval', -5),
                                         ('num_images', 0),
                                         ('num_clusters', 1),
                                         ('num_clusters', 21)])
def test_wrong_option_is_named(name, value):
    with pytest.raises(
            ValueError, match=f'default_hooks.visualization.{name} .*{value}'):
        PretrainVisualizationHook(**{name: value})


def runner_like(config):
    return SimpleNamespace(
        cfg=config,
        iter=1,
        logger=SimpleNamespace(info=lambda message: None),
        train_dataloader=SimpleNamespace(dataset=None))


@pytest.mark.parametrize('wrong', ['empty', 'missing', 'none', 'own'])
def test_no_image_is_said_at_the_start(tiny_config, tmp_path, wrong):
    (tmp_path / 'empty').mkdir()
    key, dataset = 'test_dataloader.dataset or train_dataloader.dataset', None
    config = tiny_config({
        'test_dataloader.dataset.data_root': str(tmp_path / wrong),
        'train_dataloader.dataset.data_root': str(tmp_path / wrong)
    })
    if wrong == 'none':
        config.test_dataloader = None
    if wrong == 'own':
        key, dataset = f'{KEY}.dataset', copy.deepcopy(
            config.test_dataloader.dataset)
    hook = PretrainVisualizationHook(dataset=dataset)
    with pytest.raises(ValueError, match=f'no image to draw in {key}: give'):
        hook.before_train(runner_like(config))


def test_training_images_serve_where_there_are_no_others(
        tiny_config, tmp_path, image_folder):
    config = tiny_config({
        'test_dataloader.dataset.data_root': str(tmp_path / 'missing'),
        'train_dataloader.dataset.data_root': str(image_folder)
    })
    hook = PretrainVisualizationHook(num_images=3)
    hook.before_train(runner_like(config))
    samples = hook._batch['data_samples']
    assert len({sample.img_path for sample in samples}) == 3
    assert all(str(image_folder) in sample.img_path for sample in samples)


def test_other_kinds_of_training_data_do_not_disturb(tiny_config,
                                                     image_folder):
    config = tiny_config({
        'test_dataloader.dataset.data_root': str(image_folder),
    })
    part = config.train_dataloader.dataset
    config.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[part, part])
    hook = PretrainVisualizationHook(num_images=2)
    hook.before_train(runner_like(config))
    assert len(hook._batch['data_samples']) == 2
