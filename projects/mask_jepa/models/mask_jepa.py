from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.structures import OptSampleList, SampleList
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor

from ..losses import MaskLabels, MatchedMaskLoss
from ..utils import global_seed, require_share
from .activation_checkpointing import checkpoint_activations
from .adapters import find_adapter
from .block_masking import BlockMasking, resize_mask
from .feature_levels import count_channels, resize_map
from .input_noise import InputNoise
from .mask_tokens import MaskTokens
from .photometric_change import PhotometricChange
from .place_centering import PlaceCentering
from .prototypes import Prototypes, segment
from .pseudo_instances import PseudoInstances
from .query_to_map import QueryToMap
from .random_queries import RandomQueries
from .reconstruction_head import ReconstructionHead
from .step_random import StepRandom
from .target_encoder import TargetEncoder
from .target_prediction import TargetPrediction, write_predictions


@MODELS.register_module()
class MaskJEPA(BaseModel):
    """Label-free pretraining of a whole mask classifier.

    Backbone and pixel decoder are the encoder of a Joint-Embedding Predictive
    Architecture, the transformer decoder is its predictor, an exponential
    moving average of the encoder gives the targets, and denoising keeps edges
    sharp. See `Joint-Embedding Predictive Architecture for Self-Supervised
    Learning of Mask Classification Architecture
    <https://arxiv.org/abs/2407.10733>`_ (ECCV 2024).

    :meth:`loss` is the method, step by step. The target moves in
    :class:`~mask_jepa.hooks.EMATargetHook`, after the optimiser.

    Args:
        backbone, panoptic_head (dict): Configs as in mmdet's detector; the
            head's family is one that :data:`ADAPTERS` knows.
        neck (dict, optional): Config of what lies between, for a backbone
            with maps of one size.
        photometric_change (dict, optional): Arguments of
            :class:`PhotometricChange`; None leaves the image as it is.
        noise (dict): Arguments of :class:`InputNoise`. Defaults to dict().
        masking (dict): Arguments of :class:`BlockMasking`. Defaults to
            dict().
        clean_share (float): Share of the images that are encoded as they are,
            with nothing hidden and no noise, in [0, 1], drawn image by image:
            they teach the masks alone. Defaults to 0.0, the paper's.
        query_sigma (float): Noise of the queries where no hook schedules it,
            in [0, 1]. Defaults to 1.0, the paper's.
        prediction_stride (int): Stride of the grid on which the target is
            predicted, in pixels; it divides ``masking.stride``.
            Defaults to 8.
        target_levels (Sequence[str]): What of the target is predicted and
            clustered, by the names of :func:`name_levels`: several are laid
            side by side. Where the backbone has learned before, its stages
            (``['c2', 'c3', 'c4']``) mean something from the first step, and
            F_last does not yet. Defaults to ('F_last', ), the paper's.
        reconstruction (bool): The paper's first ablation switch: predict the
            image without noise and with nothing hidden, in the light in which
            the online encoder sees it, from F_last. Defaults to True.
        denoising (bool): The paper's second switch: Gaussian noise on the
            visible input. Off means ``noise.gamma=1``; what
            ``noise.masked_gamma`` hides stays hidden. Defaults to True.
        auxiliary_self_attention (bool): The paper's third switch.
            Defaults to True.
        loss_jepa, loss_reconstruction (dict): Configs of these losses.
        loss_mask_level (dict, optional): Config of the loss that ties the
            mask logits to the level they have downstream; None switches it
            off.
        loss_regularizer (dict, optional): Config of the loss that keeps the
            rank of the features; None switches it off.
        centering (dict, optional): Arguments of :class:`PlaceCentering`;
            None leaves the target as it is.
        prototypes (dict, optional): Arguments of :class:`Prototypes`, one
            for each class of the head; None: no masks of prototypes.
        pseudo_instances (dict, optional): Arguments of
            :class:`PseudoInstances`, whose class is the last one of the head,
            and no prototype's; None: no masks of single things.
            Defaults to None.
        seed (int, optional): Seed of noise, masks and queries; None follows
            the Runner's ``randomness.seed``. Defaults to None.
        channels_last (bool): Keep the weights of the backbone's convolutions,
            and so its maps, in the memory layout of tensor cores. Not where it
            has group norm, for which a GPU would turn each map back. Values
            and checkpoints are the same, but that a seed gives other random
            weights. Defaults to False.
        activation_checkpointing (Sequence[str]): Names of modules for
            :func:`checkpoint_activations`; the target keeps no activations
            anyway. Defaults to none.
        data_preprocessor, init_cfg (dict, optional): As in mmdet.

    Raises:
        TypeError: If no adapter fits the head.
        ValueError: If a config value lies outside its range, or prototypes
            are to be learned by a head without matching of masks.
    """

    def __init__(self,
                 backbone: ConfigType,
                 panoptic_head: ConfigType,
                 neck: OptConfigType = None,
                 photometric_change: OptConfigType = None,
                 noise: ConfigType = dict(),
                 masking: ConfigType = dict(),
                 clean_share: float = 0.0,
                 query_sigma: float = 1.0,
                 prediction_stride: int = 8,
                 target_levels: Sequence[str] = ('F_last', ),
                 reconstruction: bool = True,
                 denoising: bool = True,
                 auxiliary_self_attention: bool = True,
                 loss_jepa: ConfigType = dict(type='JEPALoss'),
                 loss_reconstruction: ConfigType = dict(
                     type='ReconstructionLoss'),
                 loss_mask_level: OptConfigType = None,
                 loss_regularizer: OptConfigType = dict(
                     type='VarianceCovarianceLoss'),
                 centering: OptConfigType = None,
                 prototypes: OptConfigType = None,
                 pseudo_instances: OptConfigType = None,
                 seed: Optional[int] = None,
                 channels_last: bool = False,
                 activation_checkpointing: Sequence[str] = (),
                 data_preprocessor: OptConfigType = None,
                 init_cfg: OptMultiConfig = None) -> None:
        super().__init__(
            data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.num_channels = backbone.get('in_channels', 3)  # of the images
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else nn.Identity()
        self.panoptic_head = MODELS.build(panoptic_head)
        adapter_class = find_adapter(self.panoptic_head)
        self.adapter = adapter_class(self.panoptic_head)
        learns_masks = prototypes is not None or pseudo_instances is not None
        for name in self.adapter.class_modules:
            getattr(self.panoptic_head, name).requires_grad_(learns_masks)
        self.target = TargetEncoder(adapter_class, self.backbone, self.neck,
                                    self.panoptic_head.pixel_decoder,
                                    target_levels)
        self.target_moves = False  # until a hook says that it moves it

        channels = self.adapter.channels
        target_channels = count_channels(self.adapter, self.neck,
                                         target_levels)
        self.random = StepRandom(seed)
        self.photometric_change = None
        if photometric_change is not None:
            self.photometric_change = PhotometricChange(**photometric_change)
        self.noise = InputNoise(**noise)
        if not denoising:
            self.noise.gamma = 1.0
        self.masking = BlockMasking(**masking)
        require_share('model.clean_share', clean_share)
        self.clean_share = clean_share
        self.mask_tokens = MaskTokens(self.adapter.memory_channels)
        self.random_queries = RandomQueries(query_sigma)
        self.query_to_map = QueryToMap(channels, self.adapter.num_heads,
                                       auxiliary_self_attention,
                                       target_channels)
        self.reconstruction_head = None
        if reconstruction:
            self.reconstruction_head = ReconstructionHead(
                channels, self.num_channels)
        if self.masking.stride % prediction_stride:
            raise ValueError(
                f'model.prediction_stride={prediction_stride} must divide '
                f'model.masking.stride={self.masking.stride}.')
        self.prediction_stride = prediction_stride
        self.centering = None
        if centering is not None:
            self.centering = PlaceCentering(target_channels, **centering)
        self.learns_masks = learns_masks
        if learns_masks:
            self.adapter.require_mask_losses()
        self.prototypes = self.pseudo_instances = None
        num_prototypes = self.adapter.num_classes
        if pseudo_instances is not None:
            num_prototypes -= 1  # the last class is that of things
            self.pseudo_instances = PseudoInstances(num_prototypes,
                                                    **pseudo_instances)
        if prototypes is not None:
            self.prototypes = Prototypes(num_prototypes, target_channels,
                                         **prototypes)
        self.stock_losses = bool(prototypes) and self.prototypes.stock_losses
        if learns_masks and not self.stock_losses:
            self.loss_masks = MatchedMaskLoss.of_head(self.panoptic_head)

        self.loss_jepa = MODELS.build(loss_jepa)
        self.loss_reconstruction = MODELS.build(loss_reconstruction)
        self.loss_mask_level = (
            MODELS.build(loss_mask_level) if loss_mask_level else None)
        self.loss_regularizer = (
            MODELS.build(loss_regularizer) if loss_regularizer else None)
        if channels_last and not any(
                isinstance(module, nn.GroupNorm)
                for module in self.backbone.modules()):
            # Before the wrapper of distributed training lays out its buckets.
            for backbone in (self.backbone, self.target.backbone):
                backbone.to(memory_format=torch.channels_last)
        # After the target was copied.
        checkpoint_activations(self, activation_checkpointing)

    def init_weights(self) -> None:
        """Initialise the online branch and copy it to the target."""
        super().init_weights()
        self.update_target(momentum=0.0)

    def update_target(self, momentum: float) -> None:
        """Move the target towards the online weights; ``momentum``, in [0, 1],
        is the share of it that stays."""
        self.target.update(self.backbone, self.neck,
                           self.panoptic_head.pixel_decoder, momentum)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict:
        """Train as any model of OpenMMLab; a RuntimeError if nothing moves the
        target."""
        if not self.target_moves:
            raise RuntimeError(
                'The target would never move: train with '
                'default_hooks.target=dict(type="EMATargetHook").')
        return super().train_step(data, optim_wrapper)

    def _load_from_state_dict(self, state_dict: Dict[str, Tensor], prefix: str,
                              *args, **kwargs) -> None:
        """Let the target start from the online weights of a detector."""
        self.target.add_missing_weights(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        mode: str = 'tensor'
    ) -> Union[Dict[str, Tensor], SampleList, Tuple[Tensor, List[Tensor]]]:
        """Run one of the three modes of every OpenMMLab model: 'loss',
        'predict', or 'tensor', which is :meth:`encode`; a ValueError if the
        mode is another one."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.encode(inputs)
        raise ValueError(f'mode must be "loss", "predict" or "tensor", but '
                         f'is {mode!r}.')

    def encode(self, image: Tensor) -> Tuple[Tensor, List[Tensor]]:
        """Run the online encoder: backbone, neck if any, pixel decoder.

        Returns:
            tuple[Tensor, list[Tensor]]: Mask features (B, C, H/4, W/4) and
            memory, coarse to fine, each (B, C, h_i, w_i).
        """
        return self.adapter.encode(self.neck(self.backbone(image)))

    def loss(self,
             inputs: Tensor,
             data_samples: OptSampleList = None) -> Dict[str, Tensor]:
        """Take one step of Mask-JEPA on clean images x, up to the losses."""
        # Steps 1 to 7.
        generator = self.random(inputs.device)
        step = self.predict_target(
            inputs, generator, full_masks=self.stock_losses)

        # 8. JEPA loss, at the hidden places.
        losses = dict(
            loss_jepa=self.loss_jepa(step.prediction, step.target_on_grid,
                                     step.hidden_on_grid))

        # 9. Reconstruction without noise, from the mask features.
        if self.reconstruction_head is not None:
            losses['loss_reconstruction'] = self.loss_reconstruction(
                self.reconstruction_head(step.mask_features), step.view)

        # 10. What keeps masks calibrated and features of full rank; with the
        #     coarsest memory, a batch has too few places for statistics.
        if self.loss_mask_level is not None:
            losses['loss_mask_level'] = self.loss_mask_level(
                step.logits_on_grid)
        if self.loss_regularizer is not None:
            losses['loss_regularizer'] = self.loss_regularizer(
                [step.mask_features, *step.memory[1:]])

        # 11. The head's own losses, with what recurs in the target, and single
        #     things in the image, as labels.
        if self.learns_masks:
            weight = (self.prototypes or self.pseudo_instances).loss_weight
            labels = self.pseudo_labels(inputs, step.target_on_grid)
            predicted = (step.class_scores, step.mask_logits)
            if self.stock_losses:
                with global_seed(generator):
                    mask_losses = self.adapter.mask_losses(
                        *predicted, labels.instances())
            else:
                mask_losses = self.loss_masks(*predicted, labels, generator)
            for name, loss in mask_losses.items():
                losses[f'loss_prototype_{name}'] = weight * loss

        # 12. Each loss has its weight; the sum is MMEngine's, and the target
        #     moves after the optimiser's step (EMATargetHook).
        return losses

    def pseudo_labels(self, image: Tensor, target: Tensor) -> MaskLabels:
        """Label clean images: what recurs in the target, and single things."""
        if self.pseudo_instances is None:
            return self.prototypes(target)
        things = self.pseudo_instances(image)
        if self.prototypes is None:
            return things
        return self.prototypes(target).join(things)

    def corrupt(self, image: Tensor,
                generator: torch.Generator) -> Tuple[Tensor, Tensor, Tensor]:
        """Change the light, hide places, and add noise.

        Returns:
            tuple[Tensor, Tensor, Tensor]: The images in another light,
            (B, 3, H, W), the hidden cells, bool (B, 1, h, w) at the stride of
            the masking, and the noisy images, (B, 3, H, W).
        """
        view = image
        if self.photometric_change is not None:
            view = self.photometric_change(image, generator)
        hidden = self.masking(view, generator)
        hidden_pixels = resize_mask(hidden, view.shape[-2:])
        noisy = self.noise(view, hidden_pixels, generator)
        if self.clean_share:
            clean = torch.rand((len(view), 1, 1, 1),
                               generator=generator,
                               device=view.device) < self.clean_share
            hidden = hidden & ~clean
            noisy = torch.where(clean, view, noisy)
        return view, hidden, noisy

    def predict_target(self,
                       image: Tensor,
                       generator: Optional[torch.Generator] = None,
                       full_masks: bool = True) -> TargetPrediction:
        """Predict the target's features of clean images x from noisy ones.

        The method, from top to bottom. It returns what the losses, the health
        checks and the pictures look at. Without ``full_masks`` the mask
        logits are made on the grid alone, which is cheaper.
        """
        generator = generator or self.random(image.device)
        grid = tuple(side // self.prediction_stride
                     for side in image.shape[-2:])

        # 1. Another light, and noise. The places that step 4 hides are drawn
        #    first, since the input is hidden there as well.
        view, hidden, noisy_image = self.corrupt(image, generator)

        # 2. Online encoder, on the noisy image.
        mask_features, memory = self.encode(noisy_image)

        # 3. Target encoder, on the clean image, without gradient, and without
        #    what is alike in all images.
        target_features = self.target(image, grid)
        target_on_grid = resize_map(target_features, grid)
        if self.centering is not None:
            target_on_grid = self.centering(target_on_grid)

        # 4. Feature masking: tokens in place of the hidden memory.
        masked_memory = self.mask_tokens(memory, hidden)

        # 5. Random queries.
        queries = self.random_queries(self.adapter.learned_queries, len(image),
                                      generator)

        # 6. Predictor: the transformer decoder.
        inputs = masked_memory, mask_features, queries
        mask_grid = grid
        if self.pseudo_instances is not None:
            mask_grid = tuple(side // self.pseudo_instances.stride
                              for side in image.shape[-2:])
        query_embeddings, class_scores, mask_logits = (
            self.adapter.decode(*inputs)
            if full_masks else self.adapter.decode_on_grid(*inputs, mask_grid))

        # 7. From queries back to a map, through the masks.
        logits_on_grid = mask_logits[-1]
        if logits_on_grid.shape[-2:] != grid:
            logits_on_grid = F.interpolate(logits_on_grid, grid, mode='area')
        prediction, mask_weights = self.query_to_map(query_embeddings,
                                                     logits_on_grid)

        return TargetPrediction(
            view=view,
            noisy_image=noisy_image,
            hidden_on_grid=resize_mask(hidden, grid),
            mask_features=mask_features,
            memory=memory,
            target_features=target_features,
            target_on_grid=target_on_grid,
            class_scores=class_scores,
            mask_logits=mask_logits,
            logits_on_grid=logits_on_grid,
            mask_weights=mask_weights,
            prediction=prediction)

    @torch.no_grad()
    def predict(self,
                inputs: Tensor,
                data_samples: OptSampleList = None) -> SampleList:
        """Show, by the fields of :func:`write_predictions`, what the model
        sees and predicts; in eval mode always alike."""
        step = self.predict_target(inputs)
        optional = {}
        if self.reconstruction_head is not None:
            optional['reconstruction'] = self.reconstruction_head(
                step.mask_features)
        if self.prototypes is not None:
            optional['prototypes'] = self.prototypes.assign(
                step.target_on_grid).argmax(1)
            optional['predicted_prototypes'] = segment(step.class_scores[-1],
                                                       step.mask_logits[-1])
        return write_predictions(data_samples, inputs, step,
                                 *self.encode(inputs), optional)
