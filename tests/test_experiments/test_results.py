"""What is known of an experiment, and the files that tell it."""
import json
from pathlib import Path

from matplotlib.image import imread

from projects.mask_jepa.experiments import (RunStore, read_experiment,
                                            write_results)


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
