"""A small labelled data set: coloured quarters, in mmseg's layout."""
import numpy as np
import pytest
from PIL import Image

from mask_jepa.evaluation import build_probe_evaluator, build_probe_loaders

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])


def draw_labelled(folder, split, count, seed):
    """Write images of 60x80 pixels, and their labels."""
    rng = np.random.default_rng(seed)
    for kind in ('images', 'labels'):
        (folder / kind / split).mkdir(parents=True)
    for index in range(count):
        labels = rng.integers(0, 3, (2, 2)).repeat(30, 0).repeat(40, 1)
        image = COLOURS[labels] + rng.normal(0, 20, (60, 80, 3))
        labels[:4, :4] = 255
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
            folder / 'images' / split / f'{index}.png')
        Image.fromarray(labels.astype(np.uint8)).save(
            folder / 'labels' / split / f'{index}.png')


@pytest.fixture
def probe_config(tmp_path):
    """``val_dataloader``, ``val_evaluator`` and ``train_dataset``."""
    folder = tmp_path / 'labelled'
    draw_labelled(folder, 'train', 6, seed=0)
    draw_labelled(folder, 'val', 5, seed=1)

    def dataset(split):
        return dict(
            type='BaseSegDataset',
            data_root=str(folder),
            data_prefix=dict(
                img_path=f'images/{split}', seg_map_path=f'labels/{split}'),
            metainfo=dict(classes=('red', 'green', 'blue')),
            img_suffix='.png',
            reduce_zero_label=False,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(86, 64), keep_ratio=True),
                dict(type='LoadAnnotations', reduce_zero_label=False),
                dict(type='PackSegInputs')
            ])

    train_dataset = dataset('train')
    train_dataset['pipeline'] = [dict(type='NoSuchTransform')]
    return dict(
        val_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset('val')),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        train_dataset=train_dataset)


@pytest.fixture
def probe_parts(probe_config):
    """Data loaders and evaluator, built."""
    loaders = build_probe_loaders(probe_config['val_dataloader'],
                                  probe_config['train_dataset'])
    return dict(
        fit_loader=loaders['fit'],
        test_loader=loaders['test'],
        evaluator=build_probe_evaluator(probe_config['val_evaluator'],
                                        loaders['test'].dataset))
