"""What tools settle in a config before they build a Runner."""
from mmengine.config import Config

from projects.mask_jepa.engine import resolve_config


def make(**options):
    return Config({
        'default_hooks': dict(timer=None, health=None, target=dict(type='X')),
        'train_dataloader': dict(dataset=dict(crop_size=96)),
        **options
    })


def test_hook_that_is_none_goes():
    config = make()
    resolve_config(config)
    # That of mmengine stays None: mmengine would put its own in its place.
    assert config.default_hooks == dict(timer=None, target=dict(type='X'))


def test_test_images_are_cropped_as_those_for_training():
    images = dict(type='UnlabeledImageDataset')
    config = make(test_dataloader=dict(dataset=images))
    resolve_config(config)
    assert config.test_dataloader.dataset.crop_size == 96
    own = make(test_dataloader=dict(dataset=dict(images, crop_size=32)))
    resolve_config(own)
    assert own.test_dataloader.dataset.crop_size == 32
    resolve_config(make(test_dataloader=None))


def test_crop_is_found_within_other_datasets():
    parts = [dict(type='X', dataset=dict(crop_size=96))]
    config = make(
        train_dataloader=dict(dataset=dict(type='Y', datasets=parts)),
        test_dataloader=dict(dataset=dict(type='UnlabeledImageDataset')))
    resolve_config(config)
    assert config.test_dataloader.dataset.crop_size == 96


def test_images_of_other_kinds_keep_their_arguments():
    config = make(test_dataloader=dict(dataset=dict(type='CocoDataset')))
    resolve_config(config)
    assert config.test_dataloader.dataset == dict(type='CocoDataset')
