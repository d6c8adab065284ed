"""Segmentation with frozen features."""
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scenes_and_globals import numpy_state
from sklearn.linear_model import Ridge
from sklearn.metrics import jaccard_score
from sklearn.preprocessing import StandardScaler

from mask_jepa.evaluation import DenseProbe, dense_probe


def measure(model, parts, **options):
    return DenseProbe(**parts, **options).measure(model)


def test_features_that_hold_the_classes_segment(tiny_model, probe_parts,
                                                monkeypatch):
    """The colours themselves, at every fourth pixel."""
    monkeypatch.setattr(
        dense_probe, 'encode_levels', lambda model, image, branch: dict(
            F_last=F.avg_pool2d(image, 4), c4=torch.ones_like(image)))
    metrics = measure(
        tiny_model, probe_parts, levels=['F_last', 'c4'], num_neighbors=5,
        num_clusters=3)
    assert metrics.keys() == {
        'linear_mIoU', 'knn_mIoU', 'c4_linear_mIoU', 'c4_knn_mIoU',
        'clusters_mIoU', 'c4_clusters_mIoU'}
    assert metrics['linear_mIoU'] > 95
    assert metrics['knn_mIoU'] > 95
    assert metrics['clusters_mIoU'] > 95
    # Constant features leave the most frequent class.
    assert metrics['c4_linear_mIoU'] < 20


def features_and_labels(model, loader):
    """Every sample's F_last, of the padded image, and its label map."""
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        with torch.no_grad():
            maps = model.encode(data['inputs'])[0]
        for features, sample in zip(maps, data['data_samples']):
            labels = sample.gt_sem_seg.data[0]
            yield features, labels, sample.img_shape


def test_linear_miou_equals_one_made_of_scikit_learn(tiny_model, probe_parts):
    model = tiny_model.eval()
    rows, shares = [], []
    for features, labels, (height, width) in features_and_labels(
            model, probe_parts['fit_loader']):
        # Every place sees 4x4 pixels of the image, and 3.75x3.72 labels.
        _, grid_height, grid_width = features.shape
        labels = labels.numpy()
        counts = np.zeros((grid_height, grid_width, 3))
        for y, x in np.ndindex(labels.shape):
            if labels[y, x] < 3:
                row = int((y + 0.5) * height / labels.shape[0] / 4)
                column = int((x + 0.5) * width / labels.shape[1] / 4)
                counts[row, column, labels[y, x]] += 1
        seen = counts.sum(-1) > 0
        rows.append(features.permute(1, 2, 0).double().numpy()[seen])
        shares.append(counts[seen] / counts[seen].sum(-1, keepdims=True))
    rows, shares = np.concatenate(rows), np.concatenate(shares)
    scaler = StandardScaler().fit(rows)
    ridge = Ridge(alpha=1e-2 * len(rows)).fit(scaler.transform(rows), shares)

    true, predicted = [], []
    for features, labels, (height, width) in features_and_labels(
            model, probe_parts['test_loader']):
        scores = ridge.predict(
            scaler.transform(features.flatten(1).T.double().numpy()))
        scores = torch.from_numpy(scores.T).float().unflatten(
            1, features.shape[1:])
        scores = F.interpolate(
            scores[None], scale_factor=4, mode='bilinear')
        scores = F.interpolate(
            scores[..., :height, :width], labels.shape, mode='bilinear')
        valid = labels < 3
        true.append(labels[valid])
        predicted.append(scores[0].argmax(0)[valid])
    reference = jaccard_score(
        torch.cat(true), torch.cat(predicted), average='macro')

    metrics = measure(
        model, probe_parts, levels=['F_last'], regularization=1e-2)
    # mmseg rounds to two digits.
    assert metrics['linear_mIoU'] == pytest.approx(100 * reference, abs=0.01)


def test_measuring_changes_nothing(tiny_model, probe_parts):
    tiny_model.train()
    before = {key: value.clone()
              for key, value in tiny_model.state_dict().items()}
    states = [torch.get_rng_state(), numpy_state(),
              random.getstate()]
    first = measure(tiny_model, probe_parts)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert numpy_state() == states[1]
    assert random.getstate() == states[2]
    assert tiny_model.training
    for key, value in tiny_model.state_dict().items():
        assert torch.equal(value, before[key]), key
    torch.manual_seed(7)
    assert measure(tiny_model, probe_parts) == first


def test_branches_are_told_apart(tiny_model, probe_parts):
    online = measure(tiny_model, probe_parts, levels=['F_last'])
    assert measure(
        tiny_model, probe_parts, levels=['F_last'], branch='target') == online
    with torch.no_grad():
        tiny_model.backbone.conv1.weight.mul_(-1)
    changed = measure(tiny_model, probe_parts, levels=['F_last'])
    assert changed != online
    assert measure(
        tiny_model, probe_parts, levels=['F_last'], branch='target') == online


def test_unknown_level_is_named(tiny_model, probe_parts):
    with pytest.raises(ValueError, match='no level F_9: choose among c1'):
        measure(tiny_model, probe_parts, levels=['F_9'])


def test_levels_side_by_side(tiny_model, probe_parts, monkeypatch):

    def encode(model, image, branch):
        colours = F.avg_pool2d(image, 4)
        levels = dict(c1=colours, c2=colours.square())
        normed = [F.layer_norm(level.movedim(1, -1), (3, )).movedim(-1, 1)
                  for level in levels.values()]
        return dict(levels, both=torch.cat(normed, 1))

    monkeypatch.setattr(dense_probe, 'encode_levels', encode)
    metrics = measure(tiny_model, probe_parts, levels=['c1+c2', 'both', 'c1'])
    assert metrics['linear_mIoU'] == metrics['both_linear_mIoU']
    assert metrics['knn_mIoU'] == metrics['both_knn_mIoU']
    assert metrics['linear_mIoU'] != metrics['c1_linear_mIoU']
    with pytest.raises(ValueError, match='no level c3: choose among c1, c2'):
        measure(tiny_model, probe_parts, levels=['c1+c3'])


def test_no_level_is_refused(probe_parts):
    with pytest.raises(ValueError, match='at least one level'):
        DenseProbe(**probe_parts, levels=[])


def test_too_few_images_are_refused(probe_parts, monkeypatch):
    monkeypatch.setattr(dense_probe, 'get_world_size', lambda: 6)
    with pytest.raises(ValueError, match='5 images for testing, .* 6 proc'):
        DenseProbe(**probe_parts)


def test_as_many_neighbour_places_from_each_image(tiny_model, probe_parts):
    probe = DenseProbe(
        **probe_parts, levels=['F_last'], num_neighbor_places=60)
    classifiers = probe._fit(tiny_model.eval())
    assert len(classifiers['F_last']['knn'].bank) == 60
