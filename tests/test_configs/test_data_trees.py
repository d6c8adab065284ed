"""Every data set config trains on a tree of its real layout.

The network is very small; the data part of each config is as it is.
"""
import sys

import pytest
from config_files import CONFIGS, FULL_SIZE, load, name, parse_finetuning

PRETRAINING = [path for path in sorted(CONFIGS.glob('mask_jepa_r50_*.py'))
               if path.stem.count('_') == 3]
FINETUNING = [path for path in FULL_SIZE
              if parse_finetuning(path)[1] == 'r50']
PANOPTIC = [path for path in FINETUNING if 'panoptic' in path.stem]
VIDEO = CONFIGS / (
    'finetune/mmdet/'
    'mask2former_r50-mask-jepa-pre_8xb2-8e_youtubevis2021.py')
OTHER_TASKS = [path for path in FINETUNING if path not in PANOPTIC]


@pytest.mark.parametrize('path', PRETRAINING, ids=name)
def test_pretraining_sees_the_images(train, tiny_config, path):
    config = load(path)
    config.model = tiny_config(
        {'model.masking.block_size': 2,
         'model.prediction_stride': 16}).model
    config.param_scheduler = None
    for hook in ('query_noise', 'health', 'monitoring_cost', 'export'):
        config.default_hooks.pop(hook)
    runner = train(config)
    sample = runner.train_dataloader.dataset[0]
    assert sample['inputs'].shape == (3, 512, 512)
    root = config.train_dataloader.dataset.data_root
    assert f'/{root}/' in f"/{sample['data_samples'].img_path}"


@pytest.mark.parametrize('path', OTHER_TASKS, ids=name)
def test_finetuning_sees_images_and_labels(train, shrink_network, path):
    config = load(path)
    library, _, task = parse_finetuning(path)
    shrink_network(config, library)
    runner = train(config)
    batch = next(iter(runner.train_dataloader))
    sample = batch['data_samples'][0]
    scores = runner.message_hub.log_scalars
    if library == 'mmseg':
        assert len(sample.gt_sem_seg.data.unique()) > 1
        assert 'val/mIoU' in scores
    else:
        assert len(runner.train_dataloader.dataset) >= 2
        assert sample.gt_instances.masks is not None
        assert any('segm_mAP' in key for key in scores)


def test_video_finetuning_sees_objects_through_time(train, shrink_network):
    config = load(VIDEO)
    shrink_network(config, 'mmdet')
    runner = train(config)
    sample = next(iter(runner.train_dataloader))['data_samples'][0]
    first, second = sample.video_data_samples
    assert first.frame_id != second.frame_id
    assert first.gt_instances.instances_ids.tolist(
    ) == second.gt_instances.instances_ids.tolist()
    assert len(first.gt_instances.masks) == 2


@pytest.mark.parametrize('path', PANOPTIC, ids=name)
def test_panoptic_finetuning_measures_panoptic_quality(
        train, panoptic_trees, shrink_network, path):
    config = load(path)
    shrink_network(config, 'mmdet')
    runner = train(config)
    dataset = runner.train_dataloader.dataset
    segments = dataset.get_data_info(0)['segments_info']
    things = config.model.panoptic_head.num_things_classes
    assert {segment['category'] < things for segment in segments
            if segment['is_thing']} == {True}
    assert any(segment['category'] >= things for segment in segments)
    batch = next(iter(runner.train_dataloader))
    sample = batch['data_samples'][0]
    assert len(sample.gt_sem_seg.sem_seg.unique()) > 1
    assert 'val/coco_panoptic/PQ' in runner.message_hub.log_scalars


@pytest.mark.parametrize('path', PANOPTIC, ids=name)
def test_panoptic_finetuning_names_the_package_it_lacks(
        train, monkeypatch, path):
    monkeypatch.setitem(sys.modules, 'panopticapi', None)
    with pytest.raises(
            ImportError,
            match='pip install git.https://github.com/cocodataset/panopticapi'
    ):
        train(load(path))
