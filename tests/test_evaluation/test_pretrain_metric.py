import numpy as np
import pytest
import torch

from mask_jepa.evaluation import PretrainMetric


def make_sample(seed, reconstruction=True):
    generator = torch.Generator().manual_seed(seed)
    sample = dict(
        target_on_grid=4 * torch.randn(6, 3, 4, generator=generator) + 1,
        prediction=2 * torch.randn(6, 3, 4, generator=generator),
        hidden=torch.rand(3, 4, generator=generator) > 0.5,
        clean_image=torch.randn(3, 8, 8, generator=generator),
        noisy_image=torch.randn(3, 8, 8, generator=generator))
    if reconstruction:
        sample['reconstruction'] = torch.randn(3, 8, 8, generator=generator)
    return sample


def squared_error(one, other):
    return np.mean((one.numpy().astype(float) - other.numpy())**2)


def prediction_error(sample):
    """Smooth-L1 to the normalised target, place by place."""
    errors = []
    for row, column in np.argwhere(sample['hidden'].numpy()):
        target = sample['target_on_grid'][:, row, column].double().numpy()
        target = (target - target.mean()) / np.sqrt(target.var() + 1e-5)
        error = np.abs(sample['prediction'][:, row, column].numpy() - target)
        errors.append(np.where(error < 1, error**2 / 2, error - 0.5).mean())
    return np.mean(errors)


def evaluate(samples, batch_size=2):
    metric = PretrainMetric()
    for start in range(0, len(samples), batch_size):
        metric.process({}, samples[start:start + batch_size])
    return metric.evaluate(len(samples))


def test_equals_the_formula():
    samples = [make_sample(seed) for seed in range(5)]
    found = evaluate(samples)
    assert found == {
        'pretrain/prediction_error':
        pytest.approx(np.mean([*map(prediction_error, samples)]), rel=1e-5),
        'pretrain/reconstruction_error':
        pytest.approx(
            np.mean([
                squared_error(sample['reconstruction'], sample['clean_image'])
                for sample in samples
            ]), rel=1e-5),
        'pretrain/input_error':
        pytest.approx(
            np.mean([
                squared_error(sample['noisy_image'], sample['clean_image'])
                for sample in samples
            ]), rel=1e-5),
    }


def test_without_reconstruction():
    found = evaluate([make_sample(1, reconstruction=False)])
    assert found.keys() == {'pretrain/prediction_error',
                            'pretrain/input_error'}


def test_perfect_prediction_costs_nothing():
    sample = make_sample(2)
    target = sample['target_on_grid']
    centred = target - target.mean(0)
    sample['prediction'] = centred / (centred.square().mean(0) + 1e-5).sqrt()
    sample['reconstruction'] = sample['clean_image']
    found = evaluate([sample])
    assert found['pretrain/prediction_error'] == pytest.approx(0, abs=1e-9)
    assert found['pretrain/reconstruction_error'] == 0


def test_visible_places_do_not_count():
    sample = make_sample(3)
    before = evaluate([sample])
    sample['prediction'] = torch.where(
        sample['hidden'], sample['prediction'], torch.tensor(99.))
    assert evaluate([sample]) == before


def test_nothing_hidden_costs_nothing():
    sample = make_sample(4)
    sample['hidden'] = torch.zeros_like(sample['hidden'])
    assert evaluate([sample])['pretrain/prediction_error'] == 0


def test_takes_what_the_model_predicts(tiny_model, images):
    """The fields that `predict` sets are those that the metric reads."""
    from mmdet.structures import DetDataSample
    samples = tiny_model.eval().predict(images,
                                        [DetDataSample() for _ in images])
    found = evaluate([sample.to_dict() for sample in samples])
    assert found['pretrain/prediction_error'] == pytest.approx(
        np.mean([prediction_error(sample.to_dict()) for sample in samples]),
        rel=1e-4)
    loss = tiny_model.eval()(images, mode='loss')['loss_jepa'].item()
    assert found['pretrain/prediction_error'] == pytest.approx(loss, rel=1e-4)
