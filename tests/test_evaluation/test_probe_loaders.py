"""Data loaders and evaluator of a probe, from mmseg configs."""
import pytest

from projects.mask_jepa.evaluation import (build_probe_evaluator,
                                           build_probe_loaders)


def test_same_pipeline_for_fitting_and_testing(probe_config):
    loaders = build_probe_loaders(probe_config['val_dataloader'],
                                  probe_config['train_dataset'])
    assert len(loaders['fit'].dataset) == 6
    assert len(loaders['test'].dataset) == 5
    pipelines = [
        [type(step) for step in loader.dataset.pipeline.transforms]
        for loader in loaders.values()
    ]
    assert pipelines[0] == pipelines[1]
    names = [step.__name__ for step in pipelines[0]]
    assert names == [
        'LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackSegInputs']
    # mmdet, whose scope a pretraining has, knows some of these names too.
    assert not [step for step in pipelines[0] if 'mmdet' in step.__module__]


def test_images_are_spread_evenly_and_in_order(probe_config):
    loaders = build_probe_loaders(
        probe_config['val_dataloader'],
        probe_config['train_dataset'],
        max_images=3)
    seen = {
        name: [sample.img_path[-5] for batch in loader
               for sample in batch['data_samples']]
        for name, loader in loaders.items()
    }
    assert seen == dict(fit=['0', '2', '5'], test=['0', '2', '4'])


def test_repeated_data_set_is_used_once(probe_config):
    repeated = dict(
        type='RepeatDataset', times=4, dataset=probe_config['train_dataset'])
    loaders = build_probe_loaders(probe_config['val_dataloader'], repeated)
    assert len(loaders['fit'].dataset) == 6


def test_several_data_sets_are_refused(probe_config):
    several = dict(
        type='ConcatDataset', datasets=[probe_config['train_dataset']] * 2)
    with pytest.raises(ValueError, match='fits on one data set'):
        build_probe_loaders(probe_config['val_dataloader'], several)


@pytest.mark.parametrize('config', [
    dict(type='IoUMetric', iou_metrics=['mDice']),
    [dict(type='IoUMetric', iou_metrics=['mFscore'])],
])
def test_whatever_the_config_measures_it_is_miou(config, probe_parts):
    dataset = probe_parts['test_loader'].dataset
    evaluator = build_probe_evaluator(config, dataset)
    metric, = evaluator.metrics
    assert metric.metrics == ['mIoU']
    assert metric.dataset_meta == dataset.metainfo
