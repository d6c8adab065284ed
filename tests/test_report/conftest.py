"""Work directories of runs that never were."""
import json
import shutil

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from mask_jepa.report import read_run

PARTS = ('backbone', 'pixel_decoder', 'transformer_decoder',
         'pretraining_parts')
HEALTH_KEYS = ('target_std', 'online_std', 'target_rank', 'online_rank',
               'target_cosine_within', 'target_cosine_between',
               'online_cosine_within', 'online_cosine_between', 'target_norm',
               'online_norm', 'mask_entropy', 'queries_used',
               'logits_above_zero', 'places_covered', 'leak', 'momentum',
               'sigma', 'peak_host_memory', 'monitoring_share')
CONFIG = """train_cfg = dict(max_iters=400)
train_dataloader = dict(batch_size=8, dataset=dict(data_root=['/my/a', '/b']))
test_dataloader = dict(dataset=dict(data_root='/my/held_out'))
val_dataloader = None
note = '<b>markup</b>'
"""
LOG = """2026/11/21 10:10:32 - mmengine - INFO -
------------------------------------------------------------
System environment:
    PyTorch: 2.11.0

Runtime environment:
    GPU number: 2
------------------------------------------------------------

2026/11/21 10:10:33 - mmengine - INFO - Config:
"""
HEALTH = dict(
    verdict='partial collapse',
    reason='Rank 14 <script>alert(1)</script> is low.',
    iteration=60,
    values=dict(target_rank=14.25),
    rules=[
        dict(
            name='rank',
            verdict='partial collapse',
            condition='target_rank < 16',
            value=14.25,
            threshold=16.0,
            fired=True),
        dict(
            name='spread',
            verdict='collapsed',
            condition='target_std < 0.1',
            value=float('nan'),
            threshold=0.1,
            fired=False)
    ])
CHROMIUM_ARGUMENTS = [
    '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run',
    '--disable-quic'
]


def training_line(step, **values):
    """A line of the training log with every known key."""
    line = dict.fromkeys(HEALTH_KEYS, 0.5)
    for part in PARTS:
        line[f'gradient_{part}'] = 0.1
        line[f'update_ratio_{part}'] = 1e-3
    line.update(
        base_lr=1e-3,
        lr=1e-3,
        data_time=0.1,
        grad_norm=1.0,
        loss=1.0 + 1 / step,
        loss_jepa=0.5,
        time=0.4,
        iter=step,
        memory=2048,
        step=step)
    line.update(values)
    return line


def grouped_lines(line):
    """What is written in place of such a line after release 0.1.0."""
    groups = dict(momentum='ema/momentum', sigma='queries/sigma',
                  monitoring_share='monitoring/share',
                  peak_host_memory='monitoring/peak_host_memory')
    lines = [{}, {}]
    for key, value in line.items():
        is_health = key in HEALTH_KEYS or key.startswith(
            ('gradient_', 'update_ratio_'))
        lines[is_health][groups.get(key, f'health/{key}')
                         if is_health else key] = value
    return [{**lines[True], 'step': line['step']}, lines[False]]


def probe_line(step, linear, knn):
    """A line of a probe whose start was 15.25 and 12.5."""
    line = {
        'probe/linear_mIoU': linear,
        'probe/knn_mIoU': knn,
        'probe/F_3_linear_mIoU': linear + 1,
        'data_time': 0.1,
        'time': 0.2,
        'step': step
    }
    if step:
        line['probe/initial_linear_mIoU'] = 15.25
        line['probe/initial_knn_mIoU'] = 12.5
    return line


def write_session(work_dir, timestamp, lines, ending=''):
    """Write what mmengine leaves of one start of a training."""
    folder = work_dir / timestamp
    (folder / 'vis_data' / 'vis_image').mkdir(parents=True)
    text = ''.join(f'{json.dumps(line)}\n' for line in lines)
    (folder / 'vis_data' / 'scalars.json').write_text(text + ending)
    return folder


def write_picture(folder, step, colour, name='pretraining'):
    """Save a picture of one colour as a session would."""
    path = folder / 'vis_data' / 'vis_image' / f'{name}_{step}.png'
    Image.new('RGB', (800, 300), colour).save(path)


@pytest.fixture(scope='session')
def resumed_work_dir(tmp_path_factory):
    """A run of release 0.1.0 that was killed after iteration 60.

    It was resumed from 40 with a later release.
    """
    work_dir = tmp_path_factory.mktemp('work') / 'killed & resumed'
    first = write_session(
        work_dir,
        '20261121_101032', [
            probe_line(0, 15.25, 12.5),
            training_line(20, surprise=7),
            training_line(40),
            probe_line(40, 24.0, 11.5),
            training_line(60, loss=99.0)
        ],
        ending='{"loss": 1.2, "st')
    second = write_session(work_dir, '20261121_121032', [
        *grouped_lines(training_line(60, loss=float('nan'), time=0.5)),
        probe_line(60, 21.5, 13.0)
    ])
    (second / 'vis_data' / 'config.py').write_text(CONFIG)
    (work_dir / 'mask_jepa_r18_tiny.py').write_text(CONFIG)
    (first / '20261121_101032.log').write_text(LOG)
    write_picture(first, 20, 'red')
    write_picture(first, 60, 'green')
    write_picture(second, 60, 'blue')
    (work_dir / 'health.json').write_text(json.dumps(HEALTH))
    return work_dir


@pytest.fixture
def run(resumed_work_dir):
    return read_run(str(resumed_work_dir))


@pytest.fixture
def begun_work_dir(tmp_path):
    """A run that has logged nothing yet."""
    write_session(tmp_path / 'begun', '20261121_101032', [])
    return tmp_path / 'begun'


@pytest.fixture(scope='session')
def browser():
    """A headless Chromium."""
    names = ('chromium', 'chromium-browser', 'google-chrome')
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        # No Python package: run_tests.sh cannot bring it, .ci/run does.
        pytest.skip(f'No browser is installed ({", ".join(names)}).')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a page; note what it complains of and asks for."""
    contexts = []

    def open_(path, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.complaints, page.requests = [], []
        page.on('console', lambda message: page.complaints.append(message.text)
                if message.type in ('error', 'warning') else None)
        page.on('pageerror', lambda error: page.complaints.append(str(error)))
        page.on('request', lambda request: page.requests.append(request.url)
                if not request.url.startswith('data:') else None)
        page.goto(path.as_uri(), timeout=120_000)  # on a busy machine
        return page

    yield open_
    for context in contexts:
        context.close()
