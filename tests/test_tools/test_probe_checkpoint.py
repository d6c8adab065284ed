"""The probe of a finished checkpoint, as a command."""
import json
import runpy
import sys
from types import SimpleNamespace

import pytest

TINY = 'configs/mask_jepa_r18_tiny.py'
MMSEG = ('configs/finetune/mmseg/'
         'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py')
MMDET = ('configs/finetune/mmdet/'
         'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_small-coco-instance.py')


@pytest.fixture
def probe(python, watched, tmp_path):
    """Run the command; return what it measured."""

    def run(config, checkpoint, *options):
        out = tmp_path / 'out.json'
        python(
            'tools/analysis_tools/probe_checkpoint.py',
            config,
            checkpoint,
            '--out',
            out,
            *options,
            MASK_JEPA_DATA=str(watched / 'scenes'))
        return json.loads(out.read_text())

    return run


def logged_scores(watched):
    file, = (watched / 'run').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line for line in lines if 'probe/linear_mIoU' in line]


LIKE_THE_RUN = ('--data', TINY, '--max-images', 32, '--levels', 'F_last',
                'F_3', 'c4')


def test_pretraining_checkpoint_scores_as_in_its_run(probe, watched):
    measured = probe(TINY, watched / 'run' / 'iter_3.pth', *LIKE_THE_RUN)
    logged = logged_scores(watched)[-1]
    for name in ('linear_mIoU', 'F_3_linear_mIoU', 'c4_linear_mIoU'):
        assert measured[name] == pytest.approx(logged[f'probe/{name}'])


@pytest.mark.parametrize('config, file', [(MMSEG, 'mask_jepa_mmseg.pth'),
                                          (MMDET, 'mask_jepa_mmdet.pth')])
def test_exported_file_in_the_stock_model_scores_alike(
        probe, watched, config, file):
    measured = probe(config, watched / 'run' / file, *LIKE_THE_RUN)
    logged = logged_scores(watched)[-1]
    assert measured['linear_mIoU'] == pytest.approx(
        logged['probe/linear_mIoU'])


def test_stock_checkpoint_of_another_data_set(probe, watched, command,
                                              stock_tool, tmp_path):
    """Written by stock mmseg, which puts objects beside the tensors."""
    command(
        sys.executable,
        stock_tool('mmseg', 'train.py'),
        MMSEG,
        '--work-dir',
        tmp_path / 'stock',
        '--cfg-options',
        f'model.init_cfg.checkpoint={watched / "run/mask_jepa_mmseg.pth"}',
        'train_cfg.max_iters=1',
        'train_cfg.val_interval=10',
        'default_hooks.checkpoint.interval=1',
        MASK_JEPA_DATA=str(watched / 'scenes'))
    measured = probe(MMSEG, tmp_path / 'stock' / 'iter_1.pth', '--data',
                     MMSEG, '--levels', 'F_last')
    assert measured.keys() == {'linear_mIoU', 'knn_mIoU'}
    assert 0 < measured['linear_mIoU'] <= 100


@pytest.mark.parametrize('arguments, sentence', [
    ((TINY, 'nowhere.pth', '--data', TINY), 'no checkpoint at nowhere.pth'),
    ((MMSEG, 'run/iter_3.pth', '--data', TINY), 'does not fit the config'),
    ((TINY, 'none', '--data', 'configs/_base_/r18_tiny_network.py'),
     'has no labelled images'),
    ((TINY, 'none', '--data', 'mmseg::_base_/datasets/ade20k.py'),
     'with --data-root'),
])
def test_wrong_arguments_get_one_sentence(watched, root, arguments, sentence,
                                          monkeypatch):
    config, checkpoint, *options = arguments
    if checkpoint.startswith('run'):
        checkpoint = str(watched / checkpoint)
    monkeypatch.chdir(root)
    monkeypatch.setenv('MASK_JEPA_DATA', str(watched / 'scenes'))
    tool = 'tools/analysis_tools/probe_checkpoint.py'
    monkeypatch.setattr(sys, 'argv', [tool, config, checkpoint, *options])
    with pytest.raises(SystemExit, match=sentence):
        runpy.run_path(tool, run_name='__main__')


def test_stock_analyze_logs_reads_our_log(command, stock_tool, watched,
                                          tmp_path):
    """mmdet's tool passes over lines of names with a slash."""
    log, = (watched / 'run').glob('*/vis_data/scalars.json')
    tool = stock_tool('mmdet', 'analysis_tools/analyze_logs.py')
    assert 'health/target_rank' in log.read_text()
    for key in ('loss', 'loss_jepa', 'grad_norm'):
        out = tmp_path / f'{key}.png'
        command(sys.executable, tool, 'plot_curve', log, '--keys', key,
                '--out', out, MPLBACKEND='Agg')
        assert out.stat().st_size > 5000
    output = command(sys.executable, tool, 'cal_train_time', log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    times = [line['time'] for line in lines if 'loss' in line]
    mean = sum(times[1:]) / len(times[1:])
    assert f'average iter time: {mean:.4f} s/iter' in output


def test_two_processes_score_as_one(command, watched, free_port, tmp_path):
    """Seven images to fit on, of which each process sees some."""
    command(
        'bash',
        'tools/dist_train.sh',
        TINY,
        2,
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        'train_cfg.max_iters=1',
        'train_dataloader.batch_size=2',
        'val_dataloader.batch_size=3',
        PORT=free_port,
        PATH=f'{sys.prefix}/bin:/usr/bin:/bin',
        MASK_JEPA_DATA=str(watched / 'scenes'))
    alone, together = logged_scores(watched), logged_scores(tmp_path)
    assert [line['step'] for line in together] == [0, 1]
    # Ranks begin with equal weights, those of the run in one process.
    for name, value in together[0].items():
        assert value == pytest.approx(alone[0][name], abs=0.05), name


def test_data_root_is_that_of_the_wrapped_set(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    (tmp_path / 'data.py').write_text(
        'dataset = dict(type="BaseSegDataset", data_root="old")\n'
        'train_dataloader = dict(dataset=dict(\n'
        '    type="RepeatDataset", times=2, dataset=dataset))\n'
        'val_dataloader = dict(dataset=dataset)\n'
        'val_evaluator = dict(type="IoUMetric")\n')
    prepare = runpy.run_path(
        'tools/analysis_tools/probe_checkpoint.py')['read_data']
    seen = []

    def look(loader, train_dataset, max_images):
        seen.extend([loader.dataset, train_dataset])
        raise FileNotFoundError('Seen.')

    monkeypatch.setitem(prepare.__globals__, 'build_probe_loaders', look)
    with pytest.raises(ValueError, match='Seen.'):
        prepare(SimpleNamespace(data=str(tmp_path / 'data.py'), max_images=4,
                                cfg_options=None, data_root='new'))
    assert seen[0].data_root == seen[1].dataset.data_root == 'new'
    assert 'data_root' not in seen[1]
