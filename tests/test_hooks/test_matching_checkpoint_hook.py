import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config


def save(tmp_path, state_dict):
    path = tmp_path / 'given.pth'
    torch.save(dict(state_dict=state_dict, meta=dict()), path)
    return str(path)


def start_from(make_runner, path):
    runner = make_runner({'train_cfg.max_iters': 1, 'load_from': path})
    runner.train()
    return runner.model


def test_another_network_is_refused_in_one_sentence(make_runner, make_model,
                                                    tmp_path):
    other = make_model({'panoptic_head.num_queries': 9})
    path = save(tmp_path, other.state_dict())
    with pytest.raises(ValueError, match='2 of .* panoptic_head.query_'):
        start_from(make_runner, path)


def test_a_detector_starts_online_and_target_branch(make_runner, tiny_config,
                                                    tmp_path):
    stock = Config.fromstring(
        "_base_ = 'mmdet::mask2former/"
        "mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'",
        file_format='.py').model
    config = tiny_config().model
    stock.backbone, stock.panoptic_head = config.backbone, config.panoptic_head
    torch.manual_seed(7)
    detector = MODELS.build(stock)
    detector.init_weights()
    weights = detector.state_dict()
    runner = make_runner({
        'train_cfg.max_iters': 1,
        # Nothing moves, so that what was loaded can be seen.
        'optim_wrapper.optimizer.lr': 0.0,
        'load_from': save(tmp_path, weights)
    })
    runner.train()
    state = runner.model.state_dict()
    for part in ('backbone.', 'pixel_decoder.'):
        names = [name for name in state if name.startswith(f'target.{part}')]
        assert names
        for name in names:
            online = name[len('target.'):]
            if part == 'pixel_decoder.':
                online = f'panoptic_head.{online}'
            torch.testing.assert_close(state[name], weights[online])
