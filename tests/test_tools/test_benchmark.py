"""The benchmark, as a command."""
import json
import runpy
import sys

import pytest
from matplotlib.image import imread

TOOL = 'tools/benchmark.py'
TINY = 'configs/mask_jepa_r18_tiny.py'


@pytest.fixture
def benchmark(root, monkeypatch, capsys):

    def run(*arguments):
        monkeypatch.chdir(root)
        monkeypatch.setenv('COLUMNS', '120')
        monkeypatch.setattr(sys, 'path', list(sys.path))
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, arguments)])
        runpy.run_path(TOOL, run_name='__main__')
        return capsys.readouterr().out

    return run


@pytest.mark.slow
def test_every_arm_is_measured_and_drawn(benchmark, tmp_path):
    printed = benchmark(
        TINY, '--image-size', 64, '--steps', 2, '--warmup', 1, '--device',
        'cpu', '--cpu-time', '--out', tmp_path, '--cfg-options',
        'model.prototypes.stock_losses=False')
    result = json.loads((tmp_path / 'benchmark.json').read_text())
    assert list(result['arms']) == [
        'mask_jepa', 'supervised', 'supervised_same_attention', 'byol']
    for arm in result['arms'].values():
        assert len(arm['steps_ms']) == 2 and min(arm['steps_ms']) > 0
        for field in ('images_per_s', 'gflop', 'share_of_matmul_peak',
                      'memory_mb', 'forward_host_syncs',
                      'forward_operator_calls', 'optimizer_groups'):
            assert arm[field] > 0, field
    # That of mmdet waits more often, in its pixel decoder and its matching.
    syncs = {name: arm['forward_host_syncs']
             for name, arm in result['arms'].items()}
    assert syncs['mask_jepa'] == 2 < syncs['supervised_same_attention'] < (
        syncs['supervised'])
    for name, ratio in result['mask_jepa_to'].items():
        assert name in printed
        assert ratio['time_lowest'] <= ratio['time'] <= ratio['time_highest']
    assert result['clock'] == 'seconds of the process'
    assert imread(tmp_path / 'benchmark.png').shape[1] == 1800


@pytest.mark.slow
def test_growth_is_measured_and_drawn(benchmark, tmp_path):
    printed = benchmark(
        TINY, '--scale', 'batch_size', '--batch-size', 1, '--image-size', 64,
        '--steps', 1, '--warmup', 0, '--out', tmp_path)
    result = json.loads((tmp_path / 'scaling.json').read_text())
    points = result['scaling']['batch_size']['points']
    assert [point['size'] for point in points] == [1, 2, 4]
    assert 'doubled' in printed
    assert imread(tmp_path / 'scaling.png').size


@pytest.mark.parametrize('arguments, sentence', [
    (['--image-size', 100], 'multiple of 64'),
    (['--steps', 0], 'at least 1'),
    (['--device', 'cuda'], 'needs a GPU'),
    (['--device', 'cpu', '--amp'], '--amp needs a GPU'),
    (['--arms', 'byol', '--batch-size', 1], 'leave it out by --arms'),
])
def test_wrong_arguments_get_one_sentence(benchmark, monkeypatch, arguments,
                                          sentence, capsys):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(SystemExit) as caught:
        benchmark(TINY, *arguments)
    assert sentence in f'{caught.value}{capsys.readouterr().err}'
