"""The pixel decoder, compared with mmdet's."""
import copy

import pytest
import torch
from mmdet.models.layers import MSDeformAttnPixelDecoder
from mmdet.registry import MODELS
from torch.utils._python_dispatch import TorchDispatchMode

from mask_jepa.models import DeformableAttention, DeformablePixelDecoder

SIZES = ((20, 12), (10, 6), (5, 3), (3, 2))  # a side of 5 is no half of it


@pytest.fixture
def head_config(tiny_config):
    return tiny_config().model.panoptic_head


@pytest.fixture
def stock(head_config):
    """mmdet's, with weights that no initialisation leaves at zero."""
    torch.manual_seed(0)
    decoder = MODELS.build(head_config).pixel_decoder
    decoder.init_weights()
    for parameter in decoder.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    assert type(decoder) is MSDeformAttnPixelDecoder
    return decoder


@pytest.fixture
def own(stock):
    """Ours, adopted from a copy."""
    decoder = copy.deepcopy(stock)
    DeformablePixelDecoder.adopt(decoder)
    return decoder


@pytest.fixture
def features(head_config):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(2, channels, *size, generator=generator)
        for channels, size in zip(head_config.in_channels, SIZES)
    ]


def outputs(decoder, features):
    mask_features, memory = decoder(features)
    return [mask_features, *memory]


def test_outputs_and_gradients_equal_those_of_mmdet(stock, own, features):
    for mine, theirs in zip(outputs(own, features), outputs(stock, features)):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    for decoder in (own, stock):
        sum(each.square().mean()
            for each in outputs(decoder, features)).backward()
    theirs = dict(stock.named_parameters())
    for name, parameter in own.named_parameters():
        torch.testing.assert_close(
            parameter.grad, theirs[name].grad, rtol=1e-3, atol=1e-5)


def test_another_size_of_image_follows(stock, own, features):
    own(features)
    smaller = [level[..., :-1, :-1] for level in features]
    for mine, theirs in zip(outputs(own, smaller), outputs(stock, smaller)):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_trains_after_inference_mode(own, features):
    with torch.inference_mode():
        own(features)
    own(features)[0].sum().backward()


def test_config_builds_it_with_the_weights_of_mmdet(head_config, stock):
    head_config.pixel_decoder.update(
        type='DeformablePixelDecoder', operator='torch')
    built = MODELS.build(head_config).pixel_decoder
    built.load_state_dict(stock.state_dict())  # the same names
    attentions = [layer.self_attn for layer in built.encoder.layers]
    assert {type(each) for each in attentions} == {DeformableAttention}
    assert {each.operator for each in attentions} == {'torch'}


def test_unknown_operator_is_refused(head_config):
    head_config.pixel_decoder.update(
        type='DeformablePixelDecoder', operator='cuda')
    with pytest.raises(ValueError, match='mmcv, triton, torch, but is .cuda'):
        MODELS.build(head_config)


def test_heirs_of_mmdet_are_left_alone(stock):

    class Heir(MSDeformAttnPixelDecoder):
        pass

    stock.__class__ = Heir
    DeformablePixelDecoder.adopt(stock)
    assert type(stock) is Heir


def test_operator_is_named_in_the_log(stock, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mask_jepa.models.deformable_attention.triton_works',
        lambda: False)
    path = 'mask_jepa.models.deformable_pixel_decoder.'
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr(f'{path}print_log',
                        lambda message, **kwargs: said.append(message))
    DeformablePixelDecoder.adopt(stock)
    assert said == ['Deformable attention on a GPU is run by torch.']


class Reads(TorchDispatchMode):
    """Counts what would make the host wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += any(
            name in str(function) for name in
            ('_local_scalar_dense', 'nonzero', 'is_nonzero', '_unique'))
        return function(*args, **(kwargs or {}))


def test_the_host_reads_nothing(stock, own, features):
    with Reads() as reads:
        stock(features)
    assert reads.count > 10  # what the count would see
    own(features)
    with Reads() as reads:
        own(features)[0].sum().backward()
    assert reads.count == 0


def test_adapter_runs_it_under_bfloat16_autocast(make_model, images):
    model = make_model()
    model.eval()
    assert type(model.target.pixel_decoder) is DeformablePixelDecoder
    with torch.no_grad():
        exact, _ = model.encode(images)
        with torch.autocast('cpu', torch.bfloat16):
            mixed, _ = model.encode(images)
    assert mixed.dtype == torch.bfloat16
    error = (mixed - exact).norm() / exact.norm()
    assert 0 < error < 0.03
