"""Pretraining and fine-tuning: what they consist of, and what is kept."""
import copy
import fcntl
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_runs import small_finetuning, small_pretraining

from mask_jepa.experiments import choose_images
from mask_jepa.experiments.run_store import RunStore, describe_code
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


@pytest.fixture
def write_images(tmp_path, monkeypatch):
    """Write two images of some size, of a folder that configs name."""

    def write(root, size=3):
        (tmp_path / root / 'train').mkdir(parents=True, exist_ok=True)
        for name in ('a.png', 'b.png'):
            (tmp_path / root / 'train' / name).write_text('x' * size)
        monkeypatch.setenv('MASK_JEPA_DATA', str(tmp_path / root))
        dataset = dict(data_root=str(tmp_path / root / 'train'))
        return small_pretraining(val_dataloader=dict(dataset=dataset))

    return write


def test_data_are_told_apart_wherever_they_lie(write_images, tmp_path):
    first = write_images('first').data
    assert len(first) == 10
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


# Where runs lie, who makes them, and what is known of them.


DESCRIBE_CODE = 'mask_jepa.experiments.run_store.describe_code'
PUBLISHED = 'results.json'


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty one, in a folder whose name is no pattern."""
    monkeypatch.chdir(tmp_path)
    return RunStore('runs [of mine]', PUBLISHED)


@pytest.fixture
def make(store, log_scores):
    """Make a fine-tuning, all but the training."""

    def run(run, scores, metric='mIoU'):
        store.prepare(run)
        log_scores(store.folder(run), metric, scores)
        return store.finish(run, 12.3)

    return run


def test_result_holds_the_last_score(store, make):
    run = small_finetuning('ours', seed=2)
    assert store.result(run) is None
    result = make(run, {100: 30.5, 200: 31.25, 300: 28.75})
    assert result['score'] == 28.75
    assert result['curve'] == {100: 30.5, 200: 31.25, 300: 28.75}
    expected = dict(
        digest=run.digest,
        seed=2,
        seconds=12,
        arm='ours',
        task='streets',
        labels=4,
        metric='mIoU',
        score=28.75)
    kept = store.result(run)
    assert expected.items() <= kept.items()
    assert RunStore(store.root, PUBLISHED).result(run) == kept


def test_scores_of_mmdet_are_found_and_scaled(make):
    run = small_finetuning(metric='coco/segm_mAP', scale=100)
    result = make(run, {100: 0.125, 200: 0.25}, 'coco/segm_mAP')
    assert (result['score'], result['curve']) == (25, {100: 12.5, 200: 25})


def test_what_came_out_of_other_data_is_refused(store, write_images):
    run = write_images('data')
    store.prepare(run)
    assert store.finish(run, 5)['data'] == run.data
    moved = write_images('moved')
    assert store.result(moved)['digest'] == run.digest
    other = write_images('other', size=4)
    assert other.digest == run.digest
    with pytest.raises(ValueError, match='made from other data than those in '
                       '.*other: give other folders as --runs and --out'):
        store.result(other)


def test_pretraining_goes_on_with_the_data_it_began_with(store, write_images):
    store.prepare(write_images('data'))
    store.prepare(write_images('moved'))
    with pytest.raises(ValueError, match='made from other data'):
        store.prepare(write_images('other', size=4))


def test_a_run_without_its_score_is_no_result(store, make):
    run = small_finetuning(metric='mAcc')
    with pytest.raises(ValueError, match='logged no mAcc'):
        make(run, {100: 30.5})
    assert store.result(run) is None


def test_result_is_found_under_another_name(store, make):
    make(small_finetuning('ours'), {100: 30.5})
    again = small_finetuning('ours again')
    assert store.result(again)['score'] == 30.5
    assert Path(store.folder(again)).name == small_finetuning('ours').folder
    for other in (small_finetuning('ours', seed=1),
                  small_finetuning('ours', optim_wrapper=dict(lr=2.0))):
        assert store.result(other) is None


def test_published_results_count(store, make, tmp_path):
    run, pretraining = small_finetuning(), small_pretraining()
    result = make(run, {100: 30.5})
    store.prepare(pretraining)
    published = dict(runs=[result, store.finish(pretraining, 5)])
    Path(PUBLISHED).write_text(json.dumps(published))
    elsewhere = RunStore('elsewhere', PUBLISHED)
    assert elsewhere.result(run)['score'] == 30.5
    assert elsewhere.result(small_finetuning(seed=1)) is None
    # Fine-tunings start from the folder of a pretraining.
    assert elsewhere.result(pretraining) is None


def test_own_result_goes_before_a_published_one(store, make):
    run = small_finetuning()
    published = dict(make(run, {100: 30.5}), score=1.0)
    Path(PUBLISHED).write_text(json.dumps(dict(runs=[published])))
    assert RunStore(store.root, PUBLISHED).result(run)['score'] == 30.5


def torn(store, run):
    """Stop a run in the middle; start it again; is what it left there?"""
    store.prepare(run)
    left = Path(store.folder(run), 'iter_1.pth')
    left.touch()
    assert store.result(run) is None
    command = store.prepare(run)
    assert Path(command[1]).is_file()
    return left.exists(), '--resume' in command


def test_torn_runs_of_stock_tools_start_anew(store):
    assert torn(store, small_finetuning()) == (False, False)
    elsewhere = small_pretraining(library='mmpretrain')
    assert torn(store, elsewhere) == (False, False)


def test_torn_pretraining_of_ours_goes_on(store):
    assert torn(store, small_pretraining()) == (True, True)


def test_pretraining_is_made_when_it_has_a_result(store):
    run = small_pretraining('ours', seed=1)
    store.prepare(run)
    result = store.finish(run, 60)
    assert store.result(run) == result
    assert (result['pretraining'], result['images_seen']) == ('ours', 6)
    assert store.result(small_pretraining('ours', seed=2)) is None


def test_every_version_of_the_code_is_kept(store, make, monkeypatch):
    pretraining = small_pretraining()
    for version in ('a1', 'a1', 'b2+'):
        monkeypatch.setattr(DESCRIBE_CODE, lambda: version)
        store.prepare(pretraining)
    assert store.finish(pretraining, 60)['code'] == 'a1 b2+'

    # A torn run of a stock tool starts anew, with the newest code.
    elsewhere = small_pretraining(library='mmpretrain')
    for version in ('a1', 'c3'):
        monkeypatch.setattr(DESCRIBE_CODE, lambda: version)
        store.prepare(elsewhere)
    assert store.finish(elsewhere, 60)['code'] == 'c3'
    Path(store.folder(elsewhere), 'last_checkpoint').write_text('iter_3.pth')
    result = make(small_finetuning(pretraining=elsewhere), {100: 30.5})
    assert (result['code'], result['pretraining_code']) == ('c3', 'c3')
    assert 'pretraining_code' not in make(small_finetuning(), {100: 30.5})


def test_fine_tuning_starts_from_the_folder_of_its_pretraining(store):
    pretraining = small_pretraining('first name', library='mmpretrain')
    store.prepare(pretraining)
    folder = Path(store.folder(pretraining))
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_3.pth'))
    same = small_pretraining('second name', library='mmpretrain')
    config = Path(store.prepare(small_finetuning(pretraining=same))[1])
    assert str(folder / 'iter_3.pth') in config.read_text()


def test_code_is_named_by_its_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
    for variable in ('GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE'):
        monkeypatch.delenv(variable, raising=False)

    def git(*arguments):
        return subprocess.run(
            ['git', '-c', 'user.name=A', '-c', 'user.email=a@b', *arguments],
            check=True,
            capture_output=True,
            text=True).stdout.strip()

    assert describe_code() == ''
    git('init')
    Path('code.py').write_text('1')
    git('add', 'code.py')
    git('commit', '--message', 'First')
    commit = git('rev-parse', '--short', 'HEAD')
    Path('untracked.py').touch()
    assert describe_code() == commit
    Path('code.py').write_text('2')
    assert describe_code() == f'{commit}+'
    monkeypatch.setenv('PATH', '')
    assert describe_code() == ''


def is_free(store, run):
    with open(Path(store.root, 'locks', run.digest)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_run_is_free_before_and_after_it_is_made(store, capsys):
    run = small_finetuning()
    for _ in range(2):
        with store.lock(run):
            assert not is_free(store, run)
        assert is_free(store, run)
    with pytest.raises(RuntimeError, match='out of luck'):
        with store.lock(run):
            raise RuntimeError('out of luck')
    assert is_free(store, run)
    assert capsys.readouterr().out == ''


def test_training_keeps_the_lock_of_the_command_that_died(store, capsys):
    run = small_finetuning()
    with store.lock(run) as lock:
        training = subprocess.Popen(
            [sys.executable, '-c', 'input()'],
            stdin=subprocess.PIPE,
            pass_fds=[lock])
    assert not is_free(store, run)

    def wait_for_it():
        with store.lock(run):
            return 'held'

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait_for_it)
        while 'being made by another' not in capsys.readouterr().out:
            time.sleep(0.02)
        assert not waiting.done()
        training.communicate(b'\n')
        assert waiting.result() == 'held'
    assert training.returncode == 0
