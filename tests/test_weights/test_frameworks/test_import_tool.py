"""From the files of other libraries back into a pretraining."""
import pickle
import runpy
import sys

import pytest
import torch

from mask_jepa.weights.frameworks import write_detectron2, write_huggingface

CLASS_PREDICTORS = {
    'mmdet': 'panoptic_head.cls_embed.weight',
    'mmseg': 'decode_head.cls_embed.weight',
    'huggingface': 'class_predictor.weight',
    'detectron2': 'sem_seg_head.predictor.class_embed.weight',
}


def write(source, weights, config, folder):
    """A file or folder as that library has it, with a class predictor."""
    extra = {CLASS_PREDICTORS[source]: torch.ones(3, 256)}
    path = folder / 'weights.pth'
    if source == 'huggingface':
        from safetensors.torch import load_file, save_file
        write_huggingface(weights, config, str(folder / 'hf'))
        file = folder / 'hf' / 'model.safetensors'
        save_file({**load_file(file), **extra}, file)
        return folder / 'hf'
    if source == 'detectron2':
        # As published: arrays, in a pickle.
        write_detectron2(weights, config, str(path))
        arrays = {name: value.numpy() for name, value in {
            **torch.load(path)['model'], **extra}.items()}
        path = folder / 'model_final.pkl'
        with open(path, 'wb') as file:
            pickle.dump(dict(model=arrays, __author__='someone'), file)
        return path
    head = dict(mmdet='panoptic_head.', mmseg='decode_head.')[source]
    torch.save(dict(state_dict={
        **{name.replace('panoptic_head.', head, 1): value
           for name, value in weights.items()}, **extra}), path)
    return path


@pytest.fixture
def run(root, monkeypatch):
    """Run tools/import_pretrained.py in this process."""

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['import', *map(str, arguments)])
        monkeypatch.setattr(sys, 'path', list(sys.path))
        runpy.run_path(
            str(root / 'tools/import_pretrained.py'), run_name='__main__')

    return call


@pytest.mark.parametrize('source', CLASS_PREDICTORS)
def test_every_tensor_returns_to_its_place(build, run, root, tmp_path, capsys,
                                           source):
    name = dict(detectron2='swin-t').get(source, 'r50')
    config, model, weights = build(f'mask_jepa_{name}_coco')
    path = write(source, weights, config, tmp_path)
    out = tmp_path / 'init.pth'
    run(path, '--from', source, '--config',
        root / f'configs/mask_jepa_{name}_coco.py', '--out', out)
    state = torch.load(out, weights_only=True)['state_dict']
    assert f'such as {CLASS_PREDICTORS[source]}.' in capsys.readouterr().out
    for key, value in state.items():
        if not key.endswith('num_batches_tracked'):
            assert torch.equal(value, weights[key]), key
    # And the pretraining takes it, target included.
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert not any(key.startswith(('backbone.', 'target.'))
                   for key in missing)
    model.load_state_dict(
        {key: torch.full_like(value, 2) for key, value in state.items()},
        strict=False)
    assert all((value == 2).all()
               for value in model.target.state_dict().values())


def test_another_network_is_refused(build, run, root, tmp_path):
    config, _, weights = build('mask_jepa_r50_coco')
    path = write('mmdet', weights, config, tmp_path)
    out = tmp_path / 'init.pth'
    with pytest.raises(SystemExit, match=r'does not fit .* for example'):
        run(path, '--from', 'mmdet', '--config',
            root / 'configs/mask_jepa_swin-t_coco.py', '--out', out)
    assert not out.exists()


def test_what_transformers_saved_comes_back(build, run, run_apart, root,
                                            tmp_path):
    """Without the positions in a window, which transformers computes."""
    config, _, weights = build('mask_jepa_swin-t_coco')
    write_huggingface(weights, config, str(tmp_path / 'ours'))
    theirs = str(tmp_path / 'theirs')
    names = run_apart('save_huggingface',
                      dict(folder=str(tmp_path / 'ours'), out=theirs))
    assert not [name for name in names if 'relative_position_index' in name]
    out = tmp_path / 'init.pth'
    run(theirs, '--from', 'huggingface', '--config',
        root / 'configs/mask_jepa_swin-t_coco.py', '--out', out)
    state = torch.load(out, weights_only=True)['state_dict']
    # The computed positions are those of the network that was exported.
    assert state.keys() == weights.keys()
    for key, value in state.items():
        assert torch.equal(value, weights[key]), key


@pytest.mark.parametrize('source', CLASS_PREDICTORS)
def test_config_that_is_no_pretraining_is_refused(run, root, tmp_path, source):
    path, out = tmp_path / 'weights.pth', tmp_path / 'init.pth'
    torch.save({'backbone.conv1.weight': torch.ones(1)}, path)
    config = root / ('configs/finetune/mmdet/mask2former_r50-mask-jepa-pre_'
                     '8xb2-lsj-50e_coco.py')
    with pytest.raises(SystemExit) as caught:
        run(path, '--from', source, '--config', config, '--out', out)
    assert str(caught.value) == (f'{config} is no pretraining config: give '
                                 'one such as configs/mask_jepa_r50_coco.py.')
    assert not out.exists()


def test_place_is_checked_before_anything_is_loaded(run, tmp_path):
    with pytest.raises(SystemExit, match=f'{tmp_path} is a folder, but a '):
        run('no.pth', '--from', 'mmdet', '--config', 'no.py', '--out',
            tmp_path)
