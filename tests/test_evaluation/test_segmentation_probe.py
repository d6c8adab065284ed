"""The probe as MMEngine's validation loop, in real runs."""
import json
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook


@pytest.fixture
def probe_options(probe_config):

    def make(**extra):
        return {
            'train_cfg.max_iters': 4,
            'train_cfg.val_interval': 2,
            'val_dataloader': dict(
                _delete_=True, **probe_config['val_dataloader']),
            'val_evaluator': dict(
                _delete_=True, **probe_config['val_evaluator']),
            'val_cfg': dict(
                _delete_=True,
                type='SegmentationProbe',
                train_dataset=probe_config['train_dataset'],
                levels=['F_last', 'c4']),
            'default_hooks.checkpoint.interval': 2,
            'default_hooks.checkpoint.save_best': 'probe/linear_mIoU',
            **extra
        }

    return make


def scalars(runner):
    """The lines of all logs in the work directory."""
    files = sorted(Path(runner.work_dir).glob('*/vis_data/scalars.json'))
    return [json.loads(line) for file in files
            for line in file.read_text().splitlines()]


def probe_lines(runner):
    return {line['step']: line for line in scalars(runner)
            if 'probe/linear_mIoU' in line}


def test_scores_stand_beside_those_of_the_initial_weights(
        make_runner, probe_options):
    runner = make_runner(probe_options())
    runner.train()
    lines = probe_lines(runner)
    assert list(lines) == [0, 2, 4]
    names = {'linear', 'knn', 'c4_linear', 'c4_knn'}
    for step in (2, 4):
        for name in names:
            assert lines[step][f'probe/initial_{name}_mIoU'] == (
                lines[0][f'probe/{name}_mIoU'])
    log = next(Path(runner.work_dir).glob('*/*.log')).read_text()
    start, end = lines[0], lines[4]
    name = 'probe/linear_mIoU'
    assert (f'linear_mIoU {end[name]:.2f} (at the start {start[name]:.2f}, '
            f'{end[name] - start[name]:+.2f})') in log
    spent = runner.message_hub.get_info('monitoring_seconds')
    assert spent['probe'] > 0


class KeepInitialWeights(Hook):

    def before_train(self, runner):
        self.weights = {
            key: value.clone()
            for key, value in runner.model.state_dict().items()
        }


def test_initial_scores_are_those_of_the_initial_weights(
        make_runner, probe_options):
    keeper = KeepInitialWeights()
    runner = make_runner(probe_options(), hooks=[(keeper, 'VERY_HIGH')])
    runner.train()
    other = make_runner(
        probe_options(**{'default_hooks.checkpoint.save_best': None}),
        work_dir='other')
    other.model.load_state_dict(keeper.weights)
    metrics = other.val()
    for name, value in probe_lines(runner)[0].items():
        assert name == 'step' or metrics[name] == value


def test_best_checkpoint_is_that_of_the_best_score(make_runner,
                                                   probe_options):
    runner = make_runner(probe_options())
    runner.train()
    lines = probe_lines(runner)
    best = max((2, 4), key=lambda step: (lines[step]['probe/linear_mIoU'],
                                         -step))
    files = list(Path(runner.work_dir).glob('best*.pth'))
    assert [file.name for file in files] == [
        f'best_probe_linear_mIoU_iter_{best}.pth']
    weights = torch.load(files[0], weights_only=True)['state_dict']
    same_step = torch.load(
        Path(runner.work_dir) / f'iter_{best}.pth',
        weights_only=True)['state_dict']
    for key, value in same_step.items():
        assert torch.equal(weights[key], value), key


@pytest.mark.parametrize('dropout', [0.0, 0.1])
def test_weights_are_the_same_without_it(make_runner, probe_options, dropout):
    key = 'model.panoptic_head.transformer_decoder.layer_cfg.ffn_cfg.ffn_drop'
    options = {key: dropout, 'train_cfg.max_iters': 4}
    plain = make_runner(options)
    plain.train()
    probed = make_runner(probe_options(**options), work_dir='probed')
    probed.train()
    for (name, one), two in zip(plain.model.state_dict().items(),
                                probed.model.state_dict().values()):
        assert torch.equal(one, two), name


def test_resumed_run_keeps_the_initial_scores(make_runner, probe_options):
    first = make_runner(probe_options(**{'train_cfg.max_iters': 2}))
    first.train()
    initial = probe_lines(first)[0]['probe/knn_mIoU']
    resumed = make_runner(probe_options(resume=True))
    resumed.train()
    assert len([line for line in scalars(resumed) if line['step'] == 0]) == 1
    assert probe_lines(resumed)[4]['probe/initial_knn_mIoU'] == initial


def test_run_begun_without_the_probe(make_runner, probe_options):
    make_runner({'train_cfg.max_iters': 2,
                 'default_hooks.checkpoint.interval': 2}).train()
    resumed = make_runner(probe_options(resume=True))
    resumed.train()
    line = probe_lines(resumed)[4]
    assert 'probe/knn_mIoU' in line
    assert not [key for key in line if 'initial' in key]


def test_missing_images_stop_the_run_at_its_start(make_runner, probe_options):
    options = probe_options()
    options['val_cfg']['train_dataset']['data_prefix']['img_path'] = 'nowhere'
    runner = make_runner(options)
    with pytest.raises(
            FileNotFoundError, match='labelled images at .*nowhere.* Set '):
        runner.train()
    assert not list(Path(runner.work_dir).glob('*.pth'))


def test_all_that_watches_together_changes_no_weight(
        make_runner, probe_options, image_folder):
    """Health, pictures and probe, each as often as can be."""
    watched = make_runner(
        probe_options(
            **{
                'train_cfg.val_interval': 1,
                'FeatureHealthHook.interval': 1,
                'MonitoringCostHook.interval': 1,
                'default_hooks.visualization': dict(
                    _delete_=True,
                    type='PretrainVisualizationHook',
                    interval=1,
                    num_images=2),
                'test_dataloader.dataset.data_root': str(image_folder),
                'test_dataloader.dataset.pipeline.1.scale': 64,
                'test_dataloader.dataset.pipeline.2.crop_size': 64,
            }))
    watched.train()
    spent = watched.message_hub.get_info('monitoring_seconds')
    assert spent.keys() == {'health', 'pictures', 'probe'}

    plain = make_runner({'train_cfg.max_iters': 4}, work_dir='plain')
    plain._hooks = [
        hook for hook in plain.hooks if type(hook).__name__ not in
        ('FeatureHealthHook', 'MonitoringCostHook')
    ]
    plain.train()
    weights = plain.model.state_dict()
    for name, value in watched.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    states = plain.optim_wrapper.state_dict()['state']
    for index, state in watched.optim_wrapper.state_dict()['state'].items():
        for name, value in state.items():
            assert torch.equal(value, states[index][name])
