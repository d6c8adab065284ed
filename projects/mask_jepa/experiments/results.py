"""What is known of an experiment, and the files that tell it."""
import json
import os.path as osp
from typing import List

from ..utils import AtomicLocalBackend
from .comparison import draw, group_scores, make_tables
from .curves import draw_curves
from .experiment import Experiment
from .run_store import RunStore, check_data


def find_results(experiment: Experiment,
                 store: RunStore,
                 earlier: bool = False) -> List[dict]:
    """Look up what is known so far.

    Args:
        experiment (Experiment): All of it, or what was chosen.
        store (RunStore): Where its runs lie.
        earlier (bool): Whether a score that was published under the same
            names, by a run whose config has changed since, stands for one
            that is still to be made.

    Returns:
        list[dict]: Results of its fine-tunings, in their order.

    Raises:
        ValueError: If one came out of other data.
    """
    names = 'task', 'labels', 'arm', 'seed', 'metric'
    published = {}
    for result in store.published.values() if earlier else ():
        # The newest come first.
        published.setdefault(tuple(result[name] for name in names), result)
    found = []
    for run in experiment.finetunings:
        result = store.result(run) or published.get(
            (run.task.name, run.num_labels, run.arm, run.seed,
             run.task.metric))
        if result is not None:
            check_data(run, result.get('data', ''))
            # Another experiment may have made it under another name.
            found.append(dict(result, arm=run.arm, task=run.task.name))
    return found


def require_own_results(experiment: Experiment, store: RunStore,
                        out: str) -> None:
    """Refuse to write over results none of which is of a run of today."""
    published = store.published.keys()
    if published and published.isdisjoint(run.digest
                                          for run in experiment.finetunings):
        raise ValueError(
            f'{out} holds {len(published)} results, all of runs whose configs '
            'have changed since: give another --out, and they are kept.')


def write_results(experiment: Experiment, store: RunStore, out: str) -> None:
    """Write what is known so far: results.json, table.md and plot.png; and
    curves.png, where fine-tunings were scored on their way.

    What was published before and is no run of the experiment any more, since
    its config has changed, is kept as ``earlier``. The folder stays as it is
    while nothing is known.
    """
    found = find_results(experiment, store)
    if not found:
        return
    current = {result['digest'] for result in found}
    content = dict(
        experiment=experiment.name,
        question=experiment.question,
        images_seen={
            each.name: each.images_seen
            for each in experiment.pretrainings
        },
        runs=found,
        earlier=[
            result for digest, result in store.published.items()
            if digest not in current
        ])
    backend = AtomicLocalBackend()
    backend.put_text(
        json.dumps(content, indent=1) + '\n', osp.join(out, 'results.json'))
    cells = group_scores(found)
    backend.put_text(
        make_tables(cells, experiment.compare_with), osp.join(out, 'table.md'))
    reference, title = experiment.compare_with[0], experiment.question
    draw(cells, reference, title).savefig(osp.join(out, 'plot.png'), dpi=100)
    curves = draw_curves(found, reference, title)
    if curves:
        curves.savefig(osp.join(out, 'curves.png'), dpi=100)
