"""Small experiments, the logs of their runs, and the command."""
import json
import runpy
import sys
from pathlib import Path

import pytest
from small_runs import small_pretraining

COUNT_IMAGES = 'mask_jepa.experiments.experiment.count_images'


@pytest.fixture
def run(monkeypatch, capsys, root):
    """Call the command; return what it prints."""
    tool = runpy.run_path(str(root / 'tools' / 'run_experiment.py'))

    def call(*arguments, data='data'):
        monkeypatch.setenv('MASK_JEPA_DATA', str(data))
        monkeypatch.setattr(sys, 'argv', ['run_experiment.py', *arguments])
        tool['main']()
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
            (folder / 'data.txt').write_text(run.data)
            log_scores(folder, 'mIoU', {1: score})
            store.finish(run, 1)

    return one


@pytest.fixture
def log_scores():
    """Write the log of a run, as the train tool of mmseg or mmdet does."""

    def write(folder, metric, scores, time='20260101_000000'):
        log = Path(folder, time, 'vis_data', 'scalars.json')
        log.parent.mkdir(parents=True)
        rows = [dict(loss=1.0, iter=step, step=step) for step in scores]
        rows += [{metric: score, 'step': step}
                 for step, score in scores.items()]
        rows.sort(key=lambda row: row['step'])
        log.write_text(''.join(json.dumps(row) + '\n' for row in rows))

    return write


@pytest.fixture
def write_plan(tmp_path, monkeypatch):
    """Write the file of a small experiment, with the configs it names.

    Its tasks have 16 images each, which nobody counts.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(COUNT_IMAGES, lambda *arguments: 16)
    Path('pretraining.py').write_text('train_cfg = dict(max_iters=3)\n'
                                      'train_dataloader = dict(batch_size=2)\n'
                                      'hooks = [dict(type="Hook")]\n')
    Path('task.py').write_text(
        'train_dataloader = dict(dataset=dict(type="Images"))\n'
        'model = dict(init_cfg=dict(type="Pretrained", checkpoint="old"))\n')
    plan = dict(
        seeds=[0, 1],
        label_fractions=[0.25, 1],
        pretrainings=dict(ours=dict(config='pretraining.py')),
        tasks=dict(
            streets=dict(config='task.py', library='mmseg', metric='mIoU')),
        arms=dict(none=dict(), ours=dict(pretraining='ours')),
        compare_with=['none'])

    def write(change=lambda plan: None):
        change(plan)
        lines = [f'{key} = {value!r}\n' for key, value in plan.items()]
        path = Path('small.py')
        path.write_text('"""Does it help?\n\nPerhaps.\n"""\n' + ''.join(lines))
        return str(path)

    return write


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
