"""Less is kept for the backward pass; nothing else changes."""
import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config, ConfigDict

from mask_jepa.benchmark import bytes_kept_for_backward
from mask_jepa.engine import resolve_config
from mask_jepa.evaluation import encode_levels
from mask_jepa.models.activation_checkpointing import (checkpoint_activations,
                                                       layers_of)

NAMES = [
    'backbone', 'panoptic_head.pixel_decoder.encoder',
    'panoptic_head.transformer_decoder'
]
# All of them draw random numbers in training.
DROPOUT = {
    'panoptic_head.transformer_decoder.layer_cfg.ffn_cfg.ffn_drop': 0.2,
    'panoptic_head.pixel_decoder.encoder.layer_cfg.ffn_cfg.ffn_drop': 0.2
}
STOCK = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'


def forward(model, *args):
    """Total of the losses, and what is kept for the backward pass."""
    torch.manual_seed(3)
    totals = []

    def total():
        totals[:] = model.parse_losses(model.loss(*args))[:1]
        return totals[0]

    kept = bytes_kept_for_backward(total)
    return totals[0], kept


def step(model, images):
    total, kept = forward(model, images)
    total.backward()
    return total.detach(), kept, {
        name: parameter.grad for name, parameter in model.named_parameters()
        if parameter.requires_grad}


@pytest.mark.parametrize('autocast', [False, True], ids=['float32', 'bf16'])
def test_losses_and_gradients_are_the_same(make_model, images, autocast):
    plain = make_model(DROPOUT).train()
    saving = make_model(dict(DROPOUT, activation_checkpointing=NAMES)).train()
    assert list(plain.state_dict()) == list(saving.state_dict())
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        (loss, much, expected), (same, little, found) = (
            step(model, images) for model in (plain, saving))
    torch.testing.assert_close(same, loss, rtol=1e-6, atol=0)
    for name, gradient in expected.items():
        torch.testing.assert_close(
            found[name], gradient, rtol=1e-6, atol=1e-6, msg=name)
    assert little < 0.9 * much
    # Other numbers of the dropout would show.
    torch.manual_seed(4)
    assert not torch.allclose(plain.parse_losses(plain.loss(images))[0], loss)


def test_target_is_left_alone(make_model, images):
    plain = make_model()
    saving = make_model(dict(activation_checkpointing=NAMES))
    assert 'forward' in vars(saving.backbone.layer1[0])
    for module in saving.target.modules():
        assert 'forward' not in vars(module)
    saving.update_target(0.5)
    mine, other = (encode_levels(model, images, 'target')
                   for model in (saving, plain))
    assert all(map(torch.equal, mine.values(), other.values()))


def test_copy_runs_its_own_weights(make_model, images):
    model = make_model(dict(activation_checkpointing=NAMES)).eval()
    other = copy.deepcopy(model)
    before = other.encode(images)[0]
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.zero_()
    assert torch.equal(other.encode(images)[0], before)


def test_key_of_mmengine_is_the_model_s(tiny_config):
    config = tiny_config({'activation_checkpointing': NAMES})
    resolve_config(config)
    assert 'activation_checkpointing' not in config
    assert config.model.activation_checkpointing == NAMES
    config = tiny_config({'activation_checkpointing': 'backbone'})
    resolve_config(config)
    assert config.model.activation_checkpointing == ['backbone']


def test_unknown_module_is_named(make_model):
    with pytest.raises(ValueError, match='names backbone.layer7, which'):
        make_model(dict(activation_checkpointing=['backbone.layer7']))


def test_layers_of_lists_or_the_module_itself():
    lists = torch.nn.ModuleList(
        torch.nn.Sequential(*[torch.nn.Linear(1, 1) for _ in range(2)])
        for _ in range(3))
    parent = torch.nn.Module()
    parent.lists, parent.norm = lists, torch.nn.LayerNorm(1)
    flat = [layer for each in lists for layer in each]
    assert list(layers_of(parent)) == list(layers_of(lists)) == flat
    assert list(layers_of(parent.norm)) == [parent.norm]
    model = torch.nn.Module()
    model.part = parent
    checkpoint_activations(model, ['part.norm'])
    assert parent.norm(torch.ones(2, 1)).requires_grad


@pytest.mark.slow
def test_keeps_less_than_a_supervised_step(root):
    """ResNet-50, 4 images of 64 pixels."""
    config = Config.fromfile(str(root / 'configs/mask_jepa_r50_coco.py')).model
    config.backbone.init_cfg = None
    config.activation_checkpointing = NAMES
    _, ours = forward(MODELS.build(config), torch.randn(4, 3, 64, 64))
    stock = Config.fromstring(f'_base_ = {STOCK!r}', file_format='.py').model
    stock.backbone.init_cfg = None
    stock.data_preprocessor.batch_augments = None
    stock = MODELS.build(ConfigDict(stock))
    batch = stock.data_preprocessor(
        demo_mm_inputs(
            4, [(3, 64, 64)] * 4,
            num_items=[8] * 4,
            num_classes=80,
            with_mask=True,
            with_semantic=True), True)
    _, theirs = forward(stock, batch['inputs'], batch['data_samples'])
    assert ours <= 0.6 * theirs
