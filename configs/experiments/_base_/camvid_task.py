"""CamVid, scored on scenes of all its drives.

The validation set, 101 frames of a few seconds in a single street, says
little: much hangs on whether the one row of trees there is called a building
or a tree. So the last third of each drive of the training set is
held out, from pretraining too, and every fifth frame of the validation set
joins it in the test.
"""
_base_ = [
    '../../finetune/mmseg/'
    'mask2former_r18-tiny-mask-jepa-pre_1xb4-160i_camvid-128x128.py',
    './camvid_split.py'
]

train_dataloader = dict(dataset=dict(indices=_base_.pool))
dataset = _base_.val_dataloader.dataset
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(dataset, indices=list(range(0, 101, 5))),
            dict(
                dataset,
                data_prefix=_base_.train_dataloader.dataset.data_prefix,
                indices=_base_.held_out),
        ]))
test_dataloader = val_dataloader
