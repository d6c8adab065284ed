import re
from pathlib import Path

FIELDS = ('lr', 'eta', 'time', 'data_time', 'loss', 'loss_jepa',
          'loss_reconstruction', 'loss_regularizer', 'loss_prototype_cls',
          'loss_prototype_mask', 'loss_prototype_dice')


def test_console_shows_the_losses_alone(make_runner, logged):
    """Every hook at work, in every iteration; the rest is in the files."""
    runner = make_runner({
        'train_cfg.max_iters': 12,
        'default_hooks.logger.interval': 3,
        'FeatureHealthHook.interval': 1,
        'MonitoringCostHook.interval': 1
    })
    runner.train()
    text = next(Path(runner._log_dir).glob('*.log')).read_text()
    lines = [line for line in text.splitlines() if 'Iter(train)' in line]
    assert [line.partition('Iter(train) ')[2].partition(']')[0]
            for line in lines] == ['[ 3/12', '[ 6/12', '[ 9/12', '[12/12']
    for line in lines:
        assert tuple(re.findall(r'(\w+): ', line)) == FIELDS
    assert logged(runner, 'grad_norm').keys() == {3, 6, 9, 12}
    assert logged(runner, 'ema/momentum').keys() == {3, 6, 9, 12}
    assert logged(runner, 'queries/sigma').keys() == {3, 6, 9, 12}
    assert len(logged(runner, 'health/leak')) == 12
