from statistics import fmean
from typing import Dict, List, Sequence

import torch.nn.functional as F
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from ..losses import prediction_error


@METRICS.register_module()
class PretrainMetric(BaseMetric):
    """How well features and pixels are predicted on held-out images.

    - ``prediction_error``: smooth-L1 to the layer-normalised target at the
      hidden places (the JEPA loss, beta 1), zero where nothing is hidden. It
      compares checkpoints of *one* run at best: the target moves with the
      model.
    - ``reconstruction_error``: mean squared error to the clean image, in
      normalised pixels, and ``input_error``: that of the noisy image.
    """

    default_prefix = 'pretrain'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Measure what ``MaskJEPA.predict`` returned for a batch."""
        for sample in data_samples:
            distance = prediction_error(sample['prediction'],
                                        sample['target_on_grid'])
            hidden = sample['hidden']
            total = distance[hidden].sum() / hidden.sum().clamp(min=1)
            result = dict(
                prediction_error=total.item(),
                input_error=F.mse_loss(sample['noisy_image'],
                                       sample['clean_image']).item())
            if 'reconstruction' in sample:
                result['reconstruction_error'] = F.mse_loss(
                    sample['reconstruction'], sample['clean_image']).item()
            self.results.append(result)

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Average over the images."""
        return {
            name: fmean(result[name] for result in results)
            for name in results[0]
        }
