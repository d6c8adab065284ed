from abc import ABCMeta, abstractmethod
from typing import Dict, List, Tuple, Union

from mmdet.structures import OptSampleList, SampleList
from mmengine.model import BaseModel
from torch import Tensor


class BasePretrainer(BaseModel, metaclass=ABCMeta):
    """The three modes of a model that learns without labels."""

    def forward(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        mode: str = 'tensor'
    ) -> Union[Dict[str, Tensor], SampleList, Tuple[Tensor, List[Tensor]]]:
        """Run one of three modes, as in every OpenMMLab model.

        Args:
            inputs (Tensor): Preprocessed images, (B, 3, H, W).
            data_samples (list[:obj:`DetDataSample`], optional): One for each
                image; no annotation is read.
            mode (str): 'loss', 'predict' or 'tensor'.

        Returns:
            dict | list | tuple: See :meth:`loss`, :meth:`predict` and
            :meth:`encode`.

        Raises:
            ValueError: If the mode is another one.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.encode(inputs)
        raise ValueError(f'mode must be "loss", "predict" or "tensor", but '
                         f'is {mode!r}.')

    @abstractmethod
    def loss(self, inputs: Tensor,
             data_samples: OptSampleList) -> Dict[str, Tensor]:
        """Take one step, up to the losses."""

    @abstractmethod
    def predict(self, inputs: Tensor,
                data_samples: OptSampleList) -> SampleList:
        """Show what the model sees and predicts."""

    @abstractmethod
    def encode(self, image: Tensor) -> Tuple[Tensor, List[Tensor]]:
        """Run the encoder."""
