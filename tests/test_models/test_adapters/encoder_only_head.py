"""A family that neither library has, written from its description.

After `Your ViT is Secretly an Image Segmentation Model
<https://arxiv.org/abs/2503.19108>`_ (EoMT): no decoder at all; queries join
the patch tokens in the last blocks of the encoder.
"""
from typing import List, Sequence, Tuple

import torch
from mmdet.models.dense_heads import MaskFormerHead
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.model import BaseModule
from torch import Tensor, nn

from mask_jepa.models import ADAPTERS, MaskClassifierAdapter


class Upscaling(BaseModule):
    """Patch tokens at stride 16, and the same at stride 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upscale = nn.Sequential(
            nn.ConvTranspose2d(channels, channels, 2, stride=2), nn.GELU(),
            nn.ConvTranspose2d(channels, channels, 2, stride=2))

    def forward(self, features: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        return self.upscale(features[-1]), features[-1]


@MODELS.register_module()
class EncoderOnlyHead(MaskFormerHead):
    """The last blocks of the encoder; losses and post-processing are
    MaskFormer's."""

    def __init__(self, channels, num_queries, num_things_classes,
                 num_stuff_classes, num_blocks, num_heads, loss_cls, loss_mask,
                 loss_dice, train_cfg, test_cfg=None):
        BaseModule.__init__(self)
        self.num_queries = num_queries
        self.num_heads = num_heads
        self.num_things_classes = num_things_classes
        self.num_stuff_classes = num_stuff_classes
        self.num_classes = num_things_classes + num_stuff_classes
        self.pixel_decoder = Upscaling(channels)
        self.query_embed = nn.Embedding(num_queries, channels)
        self.blocks = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                channels, num_heads, 2 * channels, batch_first=True,
                norm_first=True, dropout=0.0),
            num_blocks, norm=nn.LayerNorm(channels),
            enable_nested_tensor=False)
        self.mask_embed = nn.Linear(channels, channels)
        self.cls_embed = nn.Linear(channels, self.num_classes + 1)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self.assigner = TASK_UTILS.build(train_cfg['assigner'])
        self.sampler = TASK_UTILS.build(
            train_cfg['sampler'], default_args=dict(context=self))
        self.class_weight = loss_cls['class_weight']
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_mask = MODELS.build(loss_mask)
        self.loss_dice = MODELS.build(loss_dice)

    def init_weights(self) -> None:
        """Keep torch's own."""

    def predict_masks(self, memory: Tensor, mask_features: Tensor,
                      queries: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        tokens = memory.flatten(2).transpose(1, 2)
        sequence = self.blocks(torch.cat([queries, tokens], dim=1))
        embeddings = sequence[:, :self.num_queries]
        mask_logits = torch.einsum('bnc,bchw->bnhw',
                                   self.mask_embed(embeddings), mask_features)
        return embeddings, self.cls_embed(embeddings), mask_logits

    def forward(self, x, batch_data_samples) -> Tuple[List[Tensor], ...]:
        mask_features, memory = self.pixel_decoder(x)
        queries = self.query_embed.weight.expand(len(memory), -1, -1)
        _, scores, masks = self.predict_masks(memory, mask_features, queries)
        return [scores], [masks]


# What joins it to Mask-JEPA.
@ADAPTERS.register_module()
class EncoderOnlyAdapter(MaskClassifierAdapter):

    head_class = EncoderOnlyHead

    @property
    def in_channels(self) -> List[int]:
        return [self.channels]

    @property
    def memory_channels(self) -> List[int]:
        return [self.channels]

    @property
    def num_heads(self) -> int:
        return self.head.num_heads

    @property
    def learned_queries(self) -> Tensor:
        return self.head.query_embed.weight

    def encode(self, features):
        mask_features, memory = self.head.pixel_decoder(features)
        return mask_features, [memory]

    def decode(self, memory, mask_features, queries):
        embeddings, scores, masks = self.head.predict_masks(
            memory[0], mask_features, queries)
        return embeddings, [scores], [masks]
