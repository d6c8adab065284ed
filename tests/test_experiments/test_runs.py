"""Pretraining and fine-tuning: what they consist of."""
import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_runs import small_finetuning, small_pretraining

from mask_jepa.experiments import choose_images
from mask_jepa.experiments.runs import Pretraining, slug


def test_labelled_images_are_some_of_those_that_the_task_leaves():
    left = list(range(5, 37, 2))
    run = small_finetuning(
        seed=3, train_dataloader=dict(dataset=dict(indices=left)))
    assert run.config.train_dataloader.dataset.indices == [
        left[index] for index in choose_images(16, 0.25, seed=3)
    ]


def test_arms_of_a_seed_share_everything_but_their_origin():
    arms = [
        small_finetuning('none', seed=3),
        small_finetuning('ours', seed=3, pretraining=small_pretraining())
    ]
    first, second = (arm.config.to_dict() for arm in arms)
    assert first == second
    assert first['randomness'] == dict(seed=3)
    assert first['train_dataloader']['dataset']['indices'] == (
        choose_images(16, 0.25, seed=3))
    # Not the weights that the task's config names.
    assert first['model']['init_cfg'] is None
    # By epoch, mmdet would log every validation at step 0.
    assert first['default_hooks']['logger']['log_metric_by_epoch'] is False
    assert arms[0].num_labels == 4
    assert arms[0].digest != arms[1].digest


def test_name_of_an_arm_does_not_count():
    arms = [
        small_finetuning(arm, pretraining=small_pretraining(name=arm))
        for arm in ('ours', 'ours again')
    ]
    assert arms[0].digest == arms[1].digest
    assert arms[0].pretraining.digest == arms[1].pretraining.digest


def test_digest_tells_fine_tunings_apart():
    ours = small_pretraining()
    variants = [
        small_finetuning(),
        small_finetuning(seed=1),
        small_finetuning(fraction=0.5),
        small_finetuning(optim_wrapper=dict(lr=2.0)),
        small_finetuning(metric='mAcc'),
        small_finetuning(scale=100),
        small_finetuning(pretraining=ours),
        small_finetuning(pretraining=ours, branch='target'),
        small_finetuning(pretraining=ours, parts=('backbone', )),
        small_finetuning(pretraining=small_pretraining(seed=1)),
        small_finetuning(
            pretraining=small_pretraining(optim_wrapper=dict(lr=2.0))),
    ]
    assert len({run.digest for run in variants}) == len(variants)
    again = small_finetuning(pretraining=small_pretraining())
    assert again.digest == variants[6].digest


def test_digest_tells_pretrainings_apart():
    variants = [
        small_pretraining(),
        small_pretraining(seed=1),
        small_pretraining(optim_wrapper=dict(lr=2.0)),
        small_pretraining(randomness=dict(deterministic=True)),
    ]
    assert len({run.digest for run in variants}) == len(variants)
    assert small_pretraining(name='other').digest == variants[0].digest
    assert variants[3].config.randomness == dict(deterministic=True, seed=0)
    assert variants[0].images_seen == 3 * 2


def test_normalisation_of_mmpretrain_counts():
    """It stands beside the model there, where mmseg has another variable."""
    config = small_pretraining().config
    other = copy.deepcopy(config)
    other.data_preprocessor = dict(mean=[0.0, 0.0, 0.0])
    for library, differ in (('mmpretrain', True), ('mask_jepa', False)):
        digests = {Pretraining('b', 0, library, each).digest
                   for each in (config, other)}
        assert len(digests) == 1 + differ
    other = copy.deepcopy(config)
    other.auto_scale_lr = dict(enable=False, base_batch_size=16)
    assert Pretraining('b', 0, 'mask_jepa', other).digest == (
        small_pretraining().digest)
    other.auto_scale_lr.enable = True
    assert Pretraining('b', 0, 'mask_jepa', other).digest != (
        small_pretraining().digest)


def test_what_watches_a_run_does_not_count():
    run = small_pretraining()
    config = run.config
    config.merge_from_dict({
        'custom_imports.imports': ['elsewhere'],
        'default_hooks.another': dict(type='IterTimerHook'),
        'visualizer.type': 'Visualizer'})
    assert Pretraining('ours', 0, 'mask_jepa', config).digest == run.digest
    for name in ('target', 'query_noise'):
        changed = copy.deepcopy(config)
        changed.merge_from_dict({f'default_hooks.{name}.type': 'Hook'})
        assert Pretraining(
            'ours', 0, 'mask_jepa', changed).digest != run.digest


def read_where(monkeypatch, tmp_path, data):
    """Digest of a config with paths in it, the data lying here."""
    path = tmp_path / 'config.py'
    path.write_text('root = "{{$MASK_JEPA_DATA:../shared/data}}"\n'
                    'data = [root, root + "/camvid/", "other/data"]\n'
                    'train_dataloader = dict(data_root=root + "/a")\n')
    if data is None:
        monkeypatch.delenv('MASK_JEPA_DATA', raising=False)
    else:
        monkeypatch.setenv('MASK_JEPA_DATA', data)
    return Pretraining('ours', 0, 'mask_jepa', Config.fromfile(path)).digest


def test_digest_does_not_depend_on_where_the_data_lie(monkeypatch, tmp_path):
    expected = read_where(monkeypatch, tmp_path, None)
    # Names that occur elsewhere, and one that JSON writes otherwise.
    for data in ('/mnt/data', 'data', 'a', '../shared/data', '/mnt/Müll'):
        assert read_where(monkeypatch, tmp_path, data) == expected, data


def test_another_folder_of_the_data_is_another_digest(monkeypatch):
    monkeypatch.setenv('MASK_JEPA_DATA', '/mnt/data')
    digests = {
        small_pretraining(model=dict(data_root=folder)).digest
        for folder in ('/mnt/data/a', '/mnt/data/b', '/mnt/database/a')
    }
    assert len(digests) == 3


def test_data_are_told_apart_wherever_they_lie(write_images, tmp_path):
    run = write_images('first')
    first = run.data
    assert len(first) == 10
    # Lists that make_subset.py writes beside the data are none of them.
    (tmp_path / 'first/train/splits').mkdir()
    for name in ('splits/train_1-16_seed2.txt', 'a_8-images_balanced.json'):
        (tmp_path / 'first/train' / name).write_text('a')
    assert run.data == first
    assert write_images('second Müll').data == first
    assert write_images('third', size=4).data != first
    # What no config names does not count, and neither does its root.
    Path(tmp_path / 'third' / 'README.md').write_text('Images.')
    assert write_images('third').data == first
    Path(tmp_path / 'third/train/c.png').write_text('x')
    assert write_images('third').data != first
    # Nobody knows what data that are gone were like.
    assert small_pretraining().data == ''


def test_pretraining_of_ours_resumes(tmp_path):
    run = small_pretraining(seed=4)
    tool, config, *options = run.prepare(str(tmp_path))
    assert tool == 'tools/train.py'
    assert options == ['--work-dir', str(tmp_path), '--resume']
    assert Config.fromfile(config).to_dict() == run.config.to_dict()
    assert Config.fromfile(config).randomness.seed == 4


def is_train_tool_of(library, tool):
    return Path(tool).is_file() and tool.endswith(
        f'/{library}/.mim/tools/train.py')


def test_pretraining_elsewhere_takes_the_stock_tool(tmp_path):
    run = small_pretraining(library='mmpretrain')
    tool, _, *options = run.prepare(str(tmp_path))
    assert is_train_tool_of('mmpretrain', tool)
    assert options == ['--work-dir', str(tmp_path)]


def test_fine_tuning_takes_the_stock_tool(tmp_path):
    tool, config, *options = small_finetuning().prepare(str(tmp_path))
    assert is_train_tool_of('mmseg', tool)
    assert options == ['--work-dir', str(tmp_path)]
    assert Config.fromfile(config).model.init_cfg is None


def test_weights_of_other_libraries_are_taken_as_they_are(tmp_path):
    pretraining = small_pretraining(library='mmpretrain')
    # The folder was moved since.
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_3.pth')
    run = small_finetuning(pretraining=pretraining, parts=('backbone', ))
    _, config, *_ = run.prepare(str(tmp_path), str(tmp_path))
    assert Config.fromfile(config).load_from == str(tmp_path / 'iter_3.pth')


def test_weights_of_ours_are_exported(tmp_path, tiny_model):
    torch.save(
        dict(state_dict=tiny_model.state_dict(), meta={}),
        tmp_path / 'iter_3.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_3.pth')
    out = tmp_path / 'initial_weights.pth'
    run = small_finetuning(
        pretraining=small_pretraining(), parts=('backbone', ))
    _, config, *_ = run.prepare(str(tmp_path), str(tmp_path))
    config = Config.fromfile(config)
    # Not as init_cfg of the model, which would leave the rest of it random.
    assert config.load_from == str(out)
    assert config.model.init_cfg is None
    weights = torch.load(out, weights_only=True)['state_dict']
    expected = tiny_model.backbone.state_dict()
    assert weights.keys() == {f'backbone.{key}' for key in expected}
    for key, value in expected.items():
        assert torch.equal(weights[f'backbone.{key}'], value), key


@pytest.mark.parametrize('name, folder', [
    ('Mask-JEPA, backbone only', 'mask-jepa-backbone-only'),
    ('1/16 (CamVid)', '1-16-camvid'),
])
def test_names_become_fit_for_folders(name, folder):
    assert slug(name) == folder
    assert slug(folder) == folder
