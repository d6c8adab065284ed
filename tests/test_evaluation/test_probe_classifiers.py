"""The probe's classifiers against scikit-learn's."""
import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from projects.mask_jepa.evaluation.probe_classifiers import (
    NearestNeighborProbe, RidgeProbe)


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
