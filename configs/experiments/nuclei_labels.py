"""Does it help instances, from an ImageNet backbone?"""
_base_ = './_base_/imagenet_arms.py'

tiles = 'work_dirs/experiments/data/nuclei_val_128'
nuclei = '{{$MASK_JEPA_DATA:../shared/data}}/nuclei'
preparations = {
    f'{tiles}/annotations.json': [
        'tools/dataset_converters/tile_coco.py',
        f'{nuclei}/annotations/instances_val.json', f'{nuclei}/val', '--size',
        '128', '--out', tiles
    ]
}
tasks = dict(
    nuclei=dict(
        config='configs/experiments/_base_/nuclei_task.py',
        library='mmdet',
        metric='coco/segm_mAP',
        scale=100,
        options=_base_.finetune_options))
pretrainings = {
    name:
    dict(
        config='configs/mask_jepa_efficientnet-lite0_tiny_nuclei.py',
        options=options)
    for name, options in _base_.recipes.items()
}
pretrainings['BYOL'] = dict(config=_base_.byol_config, library='mmpretrain')
