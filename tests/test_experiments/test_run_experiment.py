"""The command: which runs it would make, and what it writes."""
import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from mask_jepa.experiments import RunStore, read_experiment, write_results

ROOT = Path(__file__).resolve().parents[2]
COUNT_IMAGES = 'mask_jepa.experiments.experiment.count_images'


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
    assert not Path('work_dirs').exists()


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
    (['--arms', 'our'], "--arms names 'our', but known are none, ours."),
    (['--labels', '5'], '--labels names 5, but known are 4, 16.'),
    (['--seeds', '0', '7'], '--seeds names 7, but known are 0, 1.'),
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


def test_published_scores_are_read_after_a_change_of_config(
        run, write_plan, make):
    plan = write_plan(lambda plan: plan.update(label_fractions=[1]))
    experiment = read_experiment(plan)
    for index, score in enumerate((10.0, 12.0, 20.0)):
        make(experiment, RunStore('old', ''), index, score)
    write_results(experiment, RunStore('old', ''), 'out')
    published = Path('out/results.json').read_text()
    with open('task.py', 'a') as file:
        file.write('optim_wrapper = dict(lr=2.0)\n')
    changed = read_experiment(plan)
    make(changed, RunStore('new', ''), 1, 17.0)
    printed = run(plan, '--runs', 'new', '--out', 'out', '--list')
    # To be made anew they are all the same.
    assert printed.startswith('4 scores, 3 still to be made')
    assert 'Of the scores below, 2 were published before the' in printed
    assert '| none | 15.0 ± 7.1 | 2 |' in printed
    assert '| ours | 17.0 | 1 | +7.0, better in 1/1 |' in printed
    chosen = run(plan, '--out', 'out', '--list', '--seeds', '1')
    assert '| none | 20.0 | 1 |' in chosen and 'ours |' not in chosen
    assert Path('out/results.json').read_text() == published


@pytest.mark.parametrize('config', ['', 'optim_wrapper = dict(lr=2.0)\n'],
                         ids=['same', 'changed'])
def test_published_scores_of_other_data_are_refused(run, write_plan, make,
                                                    config, monkeypatch):
    plan = write_plan(lambda plan: plan.update(label_fractions=[1]))
    for data in ('one', 'two'):
        Path(data).mkdir()
        Path(data, 'a.png').write_text(data * len(data))
    Path('two/a.png').write_text('another size')
    with open('task.py', 'a') as file:
        file.write('val_dataloader = dict('
                   'dataset=dict(data_root="{{$MASK_JEPA_DATA:}}"))\n')
    monkeypatch.setenv('MASK_JEPA_DATA', 'one')
    experiment = read_experiment(plan)
    make(experiment, RunStore('old', ''), 0, 10.0)
    write_results(experiment, RunStore('old', ''), 'out')
    with open('task.py', 'a') as file:
        file.write(config)
    arguments = plan, '--runs', 'new', '--out', 'out', '--list'
    assert '| none | 10.0 | 1 |' in run(*arguments, data='one')
    with pytest.raises(SystemExit, match='labels, none, seed 0 was made from '
                       'other data than those in two'):
        run(*arguments, data='two')


PUBLISHED = sorted(
    path.parent for folder in ('docs', 'projects')
    for path in (ROOT / folder).rglob('experiments/*/results.json'))


@pytest.mark.slow
@pytest.mark.parametrize('folder', PUBLISHED, ids=lambda path: path.name)
def test_what_this_repository_publishes_is_read(run, monkeypatch, folder,
                                                tmp_path):
    monkeypatch.chdir(ROOT)
    # So many are left to choose from; the data need not be here.
    images = dict(
        nuclei_labels=dict(mmdet=652),
        camvid_full_labels=dict(mmseg=367),
        camvid_full_steps=dict(mmseg=367)).get(
            folder.name, dict(mmseg=82, mmdet=39))
    monkeypatch.setattr(
        COUNT_IMAGES, lambda config, library: images[library])
    printed = run(f'configs/experiments/{folder.name}.py', '--list', '--runs',
                  str(tmp_path), '--out', str(folder))
    assert (folder / 'table.md').read_text() in printed


def test_nothing_below_imports_the_experiments():
    package = ROOT / 'projects' / 'mask_jepa'
    below = [path for path in package.rglob('*.py')
             if path.parent.name != 'experiments']
    assert len(below) > 50
    for path in below:
        assert not re.search(r'^\s*(from|import)\b.*\bexperiments\b',
                             path.read_text(), re.MULTILINE), path


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


def test_what_is_missing_is_prepared_once(tmp_path, monkeypatch, capfd):
    prepare = runpy.run_path(str(ROOT / 'tools/run_experiment.py'))['prepare']
    monkeypatch.chdir(tmp_path)
    Path('have.py').write_text('import pathlib, sys\n'
                               'pathlib.Path(sys.argv[1]).mkdir()\n'
                               'print("made", sys.argv[1])\n')
    Path('cannot.py').write_text('raise SystemExit("There is no source.")')
    for _ in range(2):
        prepare({'data': ['have.py', 'data']})
    assert capfd.readouterr().out == 'made data\n'
    with pytest.raises(RuntimeError, match='cannot.py has not made tiles'):
        prepare({'data': ['have.py', 'data'], 'tiles': ['cannot.py']})


def test_what_was_prepared_from_other_data_is_refused(tmp_path, monkeypatch):
    prepare = runpy.run_path(str(ROOT / 'tools/run_experiment.py'))['prepare']
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MASK_JEPA_DATA', 'source')
    Path('source').mkdir()
    Path('source/a.png').write_text('a')
    Path('have.py').write_text('import pathlib, sys\n'
                               'pathlib.Path("tiles").mkdir()\n'
                               'pathlib.Path("tiles/a").touch()\n')
    preparations = {'tiles/a': ['have.py', 'source/a.png']}
    prepare(preparations)
    prepare(preparations)
    Path('source/a.png').write_text('another')
    with pytest.raises(ValueError, match='tiles/a was made from other data '
                       'than those in source, or with other options: remove '
                       'tiles.'):
        prepare(preparations)
    Path('source/a.png').write_text('a')
    prepare(preparations)
    preparations['tiles/a'] += ['--size', '64']
    with pytest.raises(ValueError, match='or with other options'):
        prepare(preparations)
    # An older release has noted the data alone.
    Path('tiles/a.data.txt').write_text(
        Path('tiles/a.data.txt').read_text().split()[0])
    prepare(preparations)


def test_published_results_of_other_configs_are_not_written_over(
        run, write_plan, make):
    """Their table would be one of the first new run."""
    plan = write_plan(lambda plan: plan.update(label_fractions=[1]))
    make(read_experiment(plan), RunStore('runs', ''), 0, 10.0)
    run(plan, '--runs', 'runs', '--arms', 'none', '--seeds', '0')
    results = Path('runs/small/results.json')
    content = json.loads(results.read_text())
    content['runs'][0]['digest'] = '0123456789'
    results.write_text(json.dumps(content))
    run(plan, '--runs', 'others', '--out', 'runs/small', '--list')
    with pytest.raises(SystemExit, match='runs/small holds 1 results, all of'):
        run(plan, '--runs', 'others', '--out', 'runs/small')
    assert json.loads(results.read_text()) == content
