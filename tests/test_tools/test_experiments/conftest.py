"""Make the harness of the experiments importable, and fill its folders."""
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# As a script's folder is: its modules import each other by name.
sys.path.insert(0, str(ROOT / 'tools' / 'experiments'))


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
    monkeypatch.setattr('experiment.count_images', lambda *arguments: 16)
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
