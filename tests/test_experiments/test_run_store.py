"""Where runs lie, who makes them, and what is known of them."""
import fcntl
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_runs import small_finetuning, small_pretraining

from mask_jepa.experiments.run_store import RunStore, describe_code

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
