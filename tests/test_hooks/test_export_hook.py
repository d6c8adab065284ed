from pathlib import Path

import pytest
import torch

from projects.mask_jepa.export import export_weights
from projects.mask_jepa.hooks import ExportHook


@pytest.mark.parametrize('branch', ['online', 'target'])
def test_writes_a_file_for_either_library(make_runner, branch):
    runner = make_runner({
        'train_cfg.max_iters': 3,
        'ExportHook.branch': branch
    })
    before = {name: value.clone()
              for name, value in runner.model.state_dict().items()}
    runner.train()
    for library, head in (('mmdet', 'panoptic_head.'),
                          ('mmseg', 'decode_head.')):
        path = Path(runner.work_dir) / f'mask_jepa_{library}.pth'
        content = torch.load(path, weights_only=True)
        weights = content['state_dict']
        assert content['meta']['library'] == library
        assert content['meta']['branch'] == branch
        assert {key.split('.')[0] for key in weights
                } == {'backbone', head.rstrip('.')}
        expected = export_weights(runner.model.state_dict(), library, branch)
        assert weights.keys() == expected.state_dict.keys()
        for key, value in weights.items():
            assert torch.equal(value, expected.state_dict[key]), key
        key = 'backbone.conv1.weight'
        own = runner.model.state_dict()
        source = key if branch == 'online' else f'target.{key}'
        assert torch.equal(weights[key], own[source])
        assert not torch.equal(weights[key], before[key])


def test_wrong_branch_is_named():
    with pytest.raises(ValueError, match='branch .*online, target.* teacher'):
        ExportHook(branch='teacher')
