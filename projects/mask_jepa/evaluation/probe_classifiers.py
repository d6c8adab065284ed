from typing import Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import all_gather_object, all_reduce
from sklearn.cluster import KMeans
from torch import Tensor


class RidgeProbe:
    r"""Linear classifier of places, by ridge regression in closed form.

    .. math:: W = (\hat X^T \hat X / n + \lambda I)^{-1} \hat X^T Y / n

    on standardised features :math:`\hat X`, with an intercept: deterministic,
    without a learning rate, and of every place of every image, since only
    sums are kept. It equals scikit-learn's ``StandardScaler`` and
    ``Ridge(alpha=n * regularization)``.

    Args:
        regularization (float): :math:`\lambda`, above zero.
    """

    def __init__(self, regularization: float = 1e-3) -> None:
        self.regularization = regularization
        self.sums = None

    def add(self, features: Tensor, targets: Tensor) -> None:
        """Take more places into account.

        Args:
            features (Tensor): (n, C).
            targets (Tensor): Share of each class in the place, (n, K).
        """
        ones = features.new_ones(len(features), 1, dtype=torch.float64)
        rows = torch.cat([ones, features.double()], dim=1)
        sums = rows.T @ torch.cat([rows, targets.double()], dim=1)
        self.sums = sums if self.sums is None else self.sums + sums

    def fit(self) -> None:
        """Solve for the weights, from the places of all ranks."""
        all_reduce(self.sums)
        means = self.sums / self.sums[0, 0]
        num_channels = len(means) - 1
        feature_mean, target_mean = means[0, 1:].tensor_split([num_channels])
        covariance, cross_covariance = (means[1:, 1:] - torch.outer(
            feature_mean, means[0, 1:])).tensor_split([num_channels], dim=1)
        # A constant channel says nothing, at any scale.
        variance = covariance.diagonal()
        scale = torch.where(variance > 1e-12, variance, 1).sqrt()
        correlation = covariance / torch.outer(scale, scale)
        correlation.diagonal().add_(self.regularization)
        weights = torch.linalg.solve(correlation,
                                     cross_covariance / scale[:, None])
        self.weights = weights / scale[:, None]
        self.bias = target_mean - feature_mean @ self.weights

    def predict(self, features: Tensor) -> Tensor:
        """Score the classes, (n, K), by features, (n, C)."""
        return features.double() @ self.weights + self.bias


class StoredPlaces:
    """Labelled places, kept as they are; what compares with them inherits."""

    def __init__(self) -> None:
        self.features = []
        self.targets = []

    def add(self, features: Tensor, targets: Tensor) -> None:
        """Remember labelled places, as for :meth:`RidgeProbe.add`."""
        self.features.append(features.float())
        self.targets.append(targets.float())

    def gather(self) -> Tuple[Tensor, Tensor]:
        """Put the places of all ranks together: features and targets."""
        device = self.features[0].device
        own = (torch.cat(self.features).cpu(), torch.cat(self.targets).cpu())
        features, targets = zip(*all_gather_object(own))
        return torch.cat(features).to(device), torch.cat(targets).to(device)


class NearestNeighborProbe(StoredPlaces):
    """Classifier of places by their k nearest labelled places.

    Nearness is the cosine between features, centred on the mean of the
    labelled ones; each neighbour has one vote, for the class with the largest
    share of its place. It equals scikit-learn's
    ``KNeighborsClassifier(metric='cosine')`` on centred features.
    """

    chunk_size = 4096  # places compared at a time, for the memory

    def __init__(self, num_neighbors: int = 20) -> None:
        super().__init__()
        self.num_neighbors = num_neighbors

    def fit(self) -> None:
        """Put the places of all ranks together."""
        features, targets = self.gather()
        self.num_classes = targets.shape[1]
        self.mean = features.mean(0)
        self.bank = F.normalize(features - self.mean, dim=1)
        self.labels = targets.argmax(1)

    def predict(self, features: Tensor) -> Tensor:
        """Share the votes, (n, K), by features, (n, C)."""
        features = F.normalize(features.float() - self.mean, dim=1)
        count = min(self.num_neighbors, len(self.bank))
        votes = []
        for chunk in features.split(self.chunk_size):
            nearest = (chunk @ self.bank.T).topk(count, dim=1).indices
            labels = self.labels[nearest]
            ballot = chunk.new_zeros(len(chunk), self.num_classes)
            vote = chunk.new_full(labels.shape, 1 / count)
            votes.append(ballot.scatter_add_(1, labels, vote))
        return torch.cat(votes)


class ClusterProbe(StoredPlaces):
    """Classifier of places by k-means clusters, each named by its labels.

    It tells how far clusters, which have seen no label, are classes: what
    :class:`~mask_jepa.models.Prototypes` would make masks of. Features are
    layer-normalised; a cluster scores the classes by their share in it, as in
    the many-to-one matching of unsupervised segmentation.

    Args:
        num_clusters (int): K, at least 1.
    """

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters = num_clusters

    def fit(self) -> None:
        """Cluster the places of all ranks, and name the clusters.

        Raises:
            ValueError: If there are fewer places than clusters.
        """
        features, targets = self.gather()
        if not 1 <= self.num_clusters <= len(features):
            raise ValueError(
                f'The probe cannot make {self.num_clusters} clusters of '
                f'{len(features)} labelled places: write --num-clusters '
                f'between 1 and {len(features)}.')
        self.kmeans = KMeans(self.num_clusters, n_init=3, random_state=0)
        owners = torch.from_numpy(self.kmeans.fit_predict(_normed(features)))
        shares = torch.zeros(self.num_clusters, targets.shape[1])
        shares.index_add_(0, owners.long(), targets.cpu())
        self.shares = (shares / shares.sum(1, keepdim=True)).to(targets)

    def predict(self, features: Tensor) -> Tensor:
        """Score the classes, (n, K), by features, (n, C)."""
        owners = self.kmeans.predict(_normed(features))
        return self.shares[torch.from_numpy(owners).long()]


def _normed(features: Tensor) -> np.ndarray:
    features = features.float()
    return F.layer_norm(features, features.shape[1:]).cpu().numpy()
