"""The parts of a probe: labels, loaders and classifiers."""
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from mask_jepa.evaluation import build_probe_evaluator, build_probe_loaders
from mask_jepa.evaluation.label_grid import count_classes, upsample_scores
from mask_jepa.evaluation.probe_classifiers import (ClusterProbe,
                                                    NearestNeighborProbe,
                                                    RidgeProbe)

# Labels on the grid of the features, and scores back on that of labels.


def test_counts_by_hand():
    labels = torch.tensor([
        [0, 0, 1, 1],
        [0, 2, 1, 255],
        [2, 2, 255, 255],
        [2, 2, 255, 255],
    ])
    counts = count_classes(labels, 3, (4, 4), (4, 4), (2, 2))
    assert counts.tolist() == [[3, 0, 1], [0, 3, 0], [0, 0, 4], [0, 0, 0]]


def test_labels_at_another_resolution_than_the_image():
    """Of a label map twice as large, a cell gets four times the pixels."""
    labels = torch.randint(
        0, 5, (6, 8), generator=torch.Generator().manual_seed(1))
    larger = labels.repeat_interleave(2, 0).repeat_interleave(2, 1)
    counts = count_classes(labels, 5, (6, 8), (6, 8), (3, 2))
    assert torch.equal(
        count_classes(larger, 5, (6, 8), (6, 8), (3, 2)), 4 * counts)
    assert counts.sum() == labels.numel()


def test_padding_has_no_label():
    """An image of 6x8 in an input of 8x12: cells of 4x4 pixels."""
    labels = torch.ones(6, 8, dtype=torch.long)
    counts = count_classes(labels, 2, (6, 8), (8, 12), (2, 3))
    assert counts[:, 1].view(2, 3).tolist() == [[16, 16, 0], [8, 8, 0]]
    assert counts[:, 0].sum() == 0


@pytest.mark.parametrize('wrong', [255, -1, 3])
def test_values_outside_the_classes_are_ignored(wrong):
    labels = torch.full((4, 4), wrong)
    assert count_classes(labels, 3, (4, 4), (4, 4), (2, 2)).sum() == 0


def test_scores_return_to_where_their_labels_were():
    """Counting, then upsampling, finds each quarter of an image again."""
    labels = torch.zeros(40, 60, dtype=torch.long)
    labels[20:, :30], labels[:20, 30:], labels[20:, 30:] = 1, 2, 3
    shapes = dict(image_shape=(64, 96), input_shape=(64, 128))
    grid = (16, 32)
    counts = count_classes(labels, 4, grid=grid, **shapes)
    scores = upsample_scores(
        counts.T.unflatten(1, grid), label_shape=labels.shape, **shapes)
    agree = (scores.argmax(0) == labels).float()
    assert scores.shape == (4, 40, 60)
    assert agree.mean() > 0.98
    assert agree[2:18, 2:28].all() and agree[22:38, 32:58].all()


# Data loaders and evaluator of a probe, from mmseg configs.


def test_same_pipeline_for_fitting_and_testing(probe_config):
    loaders = build_probe_loaders(probe_config['val_dataloader'],
                                  probe_config['train_dataset'])
    assert len(loaders['fit'].dataset) == 6
    assert len(loaders['test'].dataset) == 5
    pipelines = [
        [type(step) for step in loader.dataset.pipeline.transforms]
        for loader in loaders.values()
    ]
    assert pipelines[0] == pipelines[1]
    names = [step.__name__ for step in pipelines[0]]
    assert names == [
        'LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackSegInputs']
    # mmdet, whose scope a pretraining has, knows some of these names too.
    assert not [step for step in pipelines[0] if 'mmdet' in step.__module__]


def test_images_are_spread_evenly_and_in_order(probe_config):
    loaders = build_probe_loaders(
        probe_config['val_dataloader'],
        probe_config['train_dataset'],
        max_images=3)
    seen = {
        name: [sample.img_path[-5] for batch in loader
               for sample in batch['data_samples']]
        for name, loader in loaders.items()
    }
    assert seen == dict(fit=['0', '2', '5'], test=['0', '2', '4'])


def test_repeated_data_set_is_used_once(probe_config):
    repeated = dict(
        type='RepeatDataset', times=4, dataset=probe_config['train_dataset'])
    loaders = build_probe_loaders(probe_config['val_dataloader'], repeated)
    assert len(loaders['fit'].dataset) == 6


def test_several_data_sets_are_refused(probe_config):
    several = dict(
        type='ConcatDataset', datasets=[probe_config['train_dataset']] * 2)
    with pytest.raises(ValueError, match='fits on one data set'):
        build_probe_loaders(probe_config['val_dataloader'], several)


@pytest.mark.parametrize('config', [
    dict(type='IoUMetric', iou_metrics=['mDice']),
    [dict(type='IoUMetric', iou_metrics=['mFscore'])],
])
def test_whatever_the_config_measures_it_is_miou(config, probe_parts):
    dataset = probe_parts['test_loader'].dataset
    evaluator = build_probe_evaluator(config, dataset)
    metric, = evaluator.metrics
    assert metric.metrics == ['mIoU']
    assert metric.dataset_meta == dataset.metainfo


# The probe's classifiers against scikit-learn's.


@pytest.fixture
def places():
    """Features of very uneven scale, off zero, and shares of classes."""
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(400, 12, generator=generator)
    features = features * torch.logspace(1, -3, 12) + 5
    mixed = features[:, :4] + 3 * torch.randn(400, 4, generator=generator)
    return features, torch.softmax(mixed, dim=1)


def fitted(probe, features, targets, cuts=(150, 151)):
    """Fit on pieces, as they come from several images."""
    for piece, target in zip(
            features.tensor_split(cuts), targets.tensor_split(cuts)):
        probe.add(piece, target)
    probe.fit()
    return probe


@pytest.mark.parametrize('regularization', [1e-3, 0.3])
def test_ridge_equals_scikit_learn(places, regularization):
    features, targets = places
    probe = fitted(RidgeProbe(regularization), features, targets)
    rows = features.double().numpy()
    scaler = StandardScaler().fit(rows)
    ridge = Ridge(alpha=len(rows) * regularization)
    ridge.fit(scaler.transform(rows), targets.double().numpy())
    new = rows[::3] * 1.7 - 2
    np.testing.assert_allclose(
        probe.predict(torch.from_numpy(new)).numpy(),
        ridge.predict(scaler.transform(new)),
        rtol=1e-6,
        atol=1e-8)


def test_ridge_is_no_constant(places):
    features, targets = places
    scores = fitted(RidgeProbe(), features, targets).predict(features)
    right = scores.argmax(1) == targets.argmax(1)
    assert right.float().mean() > 0.4 > 1 / targets.shape[1]


def test_ridge_ignores_a_constant_channel(places):
    features, targets = places
    constant = torch.full((len(features), 1), 7.0)
    wider = torch.cat([features, constant], dim=1)
    torch.testing.assert_close(
        fitted(RidgeProbe(), wider, targets).predict(wider),
        fitted(RidgeProbe(), features, targets).predict(features))


@pytest.mark.parametrize('num_neighbors', [1, 7])
def test_neighbours_equal_scikit_learn(places, num_neighbors):
    features, targets = places
    probe = fitted(NearestNeighborProbe(num_neighbors), features, targets)
    centre = features.mean(0)
    reference = KNeighborsClassifier(num_neighbors, metric='cosine').fit(
        (features - centre).numpy(), targets.argmax(1).numpy())
    new = features[::3] * 1.1 - 0.2
    np.testing.assert_allclose(
        probe.predict(new).numpy(),
        reference.predict_proba((new - centre).numpy()),
        atol=1e-6)


def test_neighbours_do_not_depend_on_the_chunks(places, monkeypatch):
    features, targets = places
    probe = fitted(NearestNeighborProbe(5), features, targets)
    whole = probe.predict(features)
    monkeypatch.setattr(NearestNeighborProbe, 'chunk_size', 33)
    assert torch.equal(probe.predict(features), whole)


def test_fewer_places_than_neighbours(places):
    features, targets = places
    probe = fitted(
        NearestNeighborProbe(20), features[:6], targets[:6], cuts=(2, ))
    votes = probe.predict(features)
    shares = torch.nn.functional.one_hot(targets[:6].argmax(1),
                                         4).float().mean(0)
    torch.testing.assert_close(votes, shares.expand_as(votes))


def test_clusters_score_the_classes_by_their_share():
    """Two directions, at any length; one holds two classes, three to one."""
    directions = torch.tensor([[3.0, -1, -2], [-2, 3, -1]])
    features = directions[[0, 0, 0, 0, 1, 1]] * torch.tensor(
        [1.0, 2, 3, 4, 5, 6])[:, None] + 1
    targets = torch.eye(3)[[0, 0, 2, 0, 1, 1]]
    probe = fitted(ClusterProbe(2), features, targets, cuts=(3, ))
    torch.testing.assert_close(
        probe.predict(7 * directions),
        torch.tensor([[0.75, 0, 0.25], [0, 1, 0]]))


@pytest.mark.parametrize('count', [0, 7])
def test_more_clusters_than_places_are_refused(places, count):
    features, targets = places
    with pytest.raises(ValueError, match='--num-clusters between 1 and 6'):
        fitted(ClusterProbe(count), features[:6], targets[:6], cuts=(2, ))


# Two ranks fit the same classifiers as one.


def few_places():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(120, 6, generator=generator)
    targets = torch.softmax(
        3 * features[:, :3] + torch.randn(120, 3, generator=generator), 1)
    return features, targets


def scores(rows):
    """Of all few_places, by classifiers fitted on some rows."""
    features, targets = few_places()
    predicted = []
    for probe in (RidgeProbe(), NearestNeighborProbe(5)):
        probe.add(features[rows], targets[rows])
        probe.fit()
        predicted.append(probe.predict(features))
    return predicted


def fit_half(rank, folder):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.save(scores(slice(rank, None, 2)), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


def test_two_ranks_fit_what_one_fits(tmp_path):
    multiprocessing.spawn(fit_half, (str(tmp_path), ), nprocs=2)
    alone = scores(slice(None))
    half = scores(slice(0, None, 2))
    for rank in range(2):
        together = torch.load(tmp_path / f'{rank}.pth')
        for one, two, part in zip(alone, together, half):
            torch.testing.assert_close(two, one)
            assert not torch.allclose(part, one)
