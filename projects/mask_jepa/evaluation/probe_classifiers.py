import torch
import torch.nn.functional as F
from mmengine.dist import all_gather_object, all_reduce
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


class NearestNeighborProbe:
    """Classifier of places by their k nearest labelled places.

    Nearness is the cosine between features, centred on the mean of the
    labelled ones; each neighbour has one vote. It equals scikit-learn's
    ``KNeighborsClassifier(metric='cosine')`` on centred features.
    """

    chunk_size = 4096  # places compared at a time, for the memory

    def __init__(self, num_neighbors: int = 20) -> None:
        self.num_neighbors = num_neighbors
        self.features = []
        self.targets = []

    def add(self, features: Tensor, targets: Tensor) -> None:
        """Remember labelled places, as for :meth:`RidgeProbe.add`.

        The largest share of a class is the label of its place.
        """
        self.features.append(features.float())
        self.targets.append(targets.argmax(1))
        self.num_classes = targets.shape[1]

    def fit(self) -> None:
        """Put the places of all ranks together."""
        device = self.features[0].device
        own = (torch.cat(self.features).cpu(), torch.cat(self.targets).cpu())
        features, labels = zip(*all_gather_object(own))
        features = torch.cat(features).to(device)
        self.mean = features.mean(0)
        self.bank = F.normalize(features - self.mean, dim=1)
        self.labels = torch.cat(labels).to(device)

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
