"""The command: which runs it would make, and what it writes."""
import json
import re
import sys
from pathlib import Path

import pytest
from experiment import read_experiment
from matplotlib.image import imread
from run import main, write_results
from run_store import RunStore


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command; return what it prints."""

    def call(*arguments):
        monkeypatch.setenv('MASK_JEPA_DATA', 'data')
        monkeypatch.setattr(sys, 'argv', ['run.py', *arguments])
        main()
        return capsys.readouterr().out

    return call


@pytest.fixture
def make(log_scores):
    """Give a run of an experiment a score, by its place in the order."""

    def one(experiment, store, index, score):
        finetuning = experiment.finetunings[index]
        for run in filter(None, (finetuning.pretraining, finetuning)):
            folder = Path(store.folder(run))
            folder.mkdir(parents=True)
            (folder / 'code.txt').write_text('a1b2c3d\n')
            log_scores(folder, 'mIoU', {1: score})
            store.finish(run, 1)

    return one


def test_list_says_what_is_missing_and_makes_nothing(run, write_plan):
    first, *titles = run(write_plan(), '--list').splitlines()
    assert first == ('8 scores, 8 still to be made, with 2 pretrainings; runs '
                     'in work_dirs/experiments.')
    assert titles == [
        line for seed in (0, 1)
        for line in (f'pretraining ours, seed {seed}',
                     f'streets, 4 labels, none, seed {seed}',
                     f'streets, 4 labels, ours, seed {seed}',
                     f'streets, 16 labels, none, seed {seed}',
                     f'streets, 16 labels, ours, seed {seed}')
    ]
    folders = Path('work_dirs/experiments').iterdir()
    assert [folder.name for folder in folders] == ['small']
    assert list(Path('work_dirs/experiments/small').iterdir()) == []


@pytest.mark.parametrize('arguments, count, titles', [
    (['--seeds', '1', '--labels', '16'], '2 scores, 2', [
        'pretraining ours, seed 1', 'streets, 16 labels, none, seed 1',
        'streets, 16 labels, ours, seed 1'
    ]),
    (['--arms', 'none', '--labels', '4'], '2 scores, 2', [
        'streets, 4 labels, none, seed 0', 'streets, 4 labels, none, seed 1'
    ]),
])
def test_some_of_the_runs_can_be_chosen(run, write_plan, arguments, count,
                                        titles):
    first, *rest = run(write_plan(), '--list', *arguments).splitlines()
    assert first.startswith(f'{count} still to be made')
    assert rest == titles


@pytest.mark.parametrize('arguments, sentence', [
    (['--arms', 'our'], "--arms names 'our', but there are none, ours."),
    (['--labels', '5'], '--labels names 5, but there are 4, 16.'),
    (['--seeds', '0', '7'], '--seeds names 7, but there are 0, 1.'),
])
def test_what_the_experiment_does_not_have_is_refused(run, write_plan,
                                                      arguments, sentence):
    with pytest.raises(SystemExit, match=re.escape(sentence)):
        run(write_plan(), '--list', *arguments)


def test_equal_runs_are_made_once(run, write_plan):

    def change(plan):
        plan.update(seeds=[0], label_fractions=[1])
        plan['arms']['ours again'] = dict(pretraining='ours')

    first, *titles = run(write_plan(change), '--list').splitlines()
    assert first.startswith('3 scores, 2 still to be made, with 1 pretrain')
    assert titles[-1] == 'streets, 16 labels, ours, seed 0'


def test_results_bear_the_names_of_this_experiment(write_plan, make):
    experiment = read_experiment(write_plan())
    store = RunStore('runs', 'results.json')
    make(experiment, store, 0, 10.0)
    make(experiment, store, 1, 12.0)

    def rename(plan):
        plan['arms']['mine'] = plan['arms'].pop('ours')
        plan['tasks']['roads'] = plan['tasks'].pop('streets')

    renamed = read_experiment(write_plan(rename))
    write_results(renamed, store, 'out')
    results = json.loads(Path('out/results.json').read_text())
    found = [(each['task'], each['arm'], each['labels'], each['seed'],
              each['score']) for each in results['runs']]
    assert found == [('roads', 'none', 4, 0, 10.0),
                     ('roads', 'mine', 4, 0, 12.0)]
    assert results['experiment'] == 'small'
    assert results['question'] == 'Does it help?'
    assert results['images_seen'] == dict(ours=6)
    tables = Path('out/table.md').read_text()
    assert '| mine | 12.0 | 1 | +2.0, better in 1/1 |' in tables
    assert imread('out/plot.png').shape[1] == 1200


def test_without_a_score_nothing_is_written(write_plan):
    experiment = read_experiment(write_plan())
    store = RunStore('runs', 'results.json')
    write_results(experiment, store, 'out')
    assert not Path('out').exists()


def test_chosen_runs_are_printed_and_all_are_written(run, write_plan, make):
    plan = write_plan(lambda plan: plan.update(label_fractions=[1]))
    experiment = read_experiment(plan)
    for index, score in enumerate((10.0, 12.0, 20.0, 26.0)):
        make(experiment, RunStore('runs', ''), index, score)
    printed = run(plan, '--runs', 'runs', '--seeds', '1')
    assert '| ours | 26.0 | 1 | +6.0, better in 1/1 |' in printed
    assert 'better in 2/2' not in printed
    table = Path('runs/small/table.md').read_text()
    assert '| ours | 19.0 ± 9.9 | 2 | +4.0 [' in table
    results = json.loads(Path('runs/small/results.json').read_text())
    assert len(results['runs']) == 4


def test_published_scores_outlive_a_change_of_config(write_plan, make):
    experiment = read_experiment(write_plan())
    make(experiment, RunStore('runs', ''), 0, 10.0)
    write_results(experiment, RunStore('runs', ''), 'out')
    old, = json.loads(Path('out/results.json').read_text())['runs']

    def published():
        content = json.loads(Path('out/results.json').read_text())
        return content['runs'], content['earlier']

    Path('task.py').write_text(Path('task.py').read_text() + 'lr = 2.0\n')
    changed = read_experiment('small.py')
    # Neither where nothing of the new is known, nor where something is.
    write_results(changed, RunStore('others', 'out/results.json'), 'out')
    assert published() == ([old], [])
    make(changed, RunStore('others', ''), 0, 11.0)
    for _ in range(2):
        write_results(changed, RunStore('others', 'out/results.json'), 'out')
        (new, ), earlier = published()
        assert (new['score'], earlier) == (11.0, [old])
    # The change is taken back.
    write_results(experiment, RunStore('none', 'out/results.json'), 'out')
    assert published() == ([old], [new])


def test_what_was_made_is_tabulated_after_a_failure(run, write_plan, make,
                                                    monkeypatch):
    plan = write_plan()
    experiment = read_experiment(plan)
    make(experiment, RunStore('runs', ''), 0, 10.0)
    # There is no tools/train.py here.
    with pytest.raises(SystemExit, match='pretraining ours, seed 0 failed'):
        run(plan, '--runs', 'runs', '--arms', 'ours')
    assert '| none | 10.0 | 1 |' in Path('runs/small/table.md').read_text()


def test_results_of_something_else_are_refused(run, write_plan):
    Path('out').mkdir()
    for content in ('{', '[]', '{"runs": [{}]}'):
        Path('out/results.json').write_text(content)
        with pytest.raises(SystemExit, match='is not a results.json of an'):
            run(write_plan(), '--out', 'out')
        assert Path('out/results.json').read_text() == content


@pytest.mark.parametrize('arguments, sentence', [
    (['--jobs', '0'], 'must be 1 or more, but is 0'),
    (['--jobs', 'two'], 'must be 1 or more, but is two'),
    (['--jobs', '2', '--gpus', '0'], 'not allowed with argument --jobs'),
])
def test_workers_must_be_somewhere(run, write_plan, arguments, sentence,
                                   capsys):
    with pytest.raises(SystemExit):
        run(write_plan(), *arguments)
    assert sentence in capsys.readouterr().err


def test_a_plan_that_does_not_fit_ends_in_a_sentence(run, write_plan):
    plan = write_plan(lambda plan: plan.update(compare_with=['theirs']))
    for path, sentence in ((plan, "compare_with names 'theirs'"),
                           ('missing.py', 'no experiment at missing.py')):
        with pytest.raises(SystemExit, match=sentence):
            run(path)
    assert not Path('work_dirs').exists()


def test_a_package_that_a_task_lacks_is_named(run, monkeypatch, root):
    monkeypatch.setitem(sys.modules, 'panopticapi', None)
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit, match='panopticapi is not installed'):
        run('configs/experiments/small_coco_panoptic.py', '--list')
