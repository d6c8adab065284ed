"""From a pretraining checkpoint into the stock libraries."""
import runpy
import sys
from glob import glob

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import MODELS as ALL_MODELS
from mmengine.registry import init_default_scope
from warm_python import run_script

from mask_jepa.weights import export_weights

PARTS = ['backbone', 'pixel_decoder', 'transformer_decoder']


@pytest.fixture(scope='session')
def scenes(tmp_path_factory):
    """Labelled scenes, laid out as the real data are."""
    folder = tmp_path_factory.mktemp('scenes')
    run_script('tools/misc/generate_scenes.py', folder, '--num-train', 4,
               '--num-val', 2)
    return folder


@pytest.fixture(scope='session')
def pretrained(tmp_path_factory, scenes):
    """Three iterations of the tiny config, with a checkpoint each."""
    folder = tmp_path_factory.mktemp('pretrained')
    run_script(
        'tools/train.py', 'configs/mask_jepa_r18_tiny.py', '--work-dir',
        folder, '--cfg-options', 'train_cfg.max_iters=3',
        'train_dataloader.batch_size=2', 'default_hooks.checkpoint.interval=1',
        'default_hooks.checkpoint.max_keep_ckpts=3',
        # A warming-up learning rate would not move float32 weights near 1.
        'param_scheduler.0.start_factor=1.0',
        MASK_JEPA_DATA=str(scenes))
    return folder


def finetune_config(library):
    return sorted(glob(f'configs/finetune/{library}/*r18-tiny*.py'))[0]


def stock_model(library, checkpoint):
    """A stock model, initialised from a file or, if None, by a seed."""
    config = Config.fromfile(finetune_config(library))
    init_default_scope(library)
    config.model.init_cfg = checkpoint and dict(
        type='Pretrained', checkpoint=str(checkpoint))
    torch.manual_seed(3)
    model = ALL_MODELS.build(config.model)
    model.init_weights()
    return model


@pytest.mark.parametrize('library, branch', [('mmdet', 'online'),
                                             ('mmseg', 'target')])
def test_export_verifies_completely(python, pretrained, library, branch,
                                    tmp_path):
    out = tmp_path / 'exported.pth'
    output = python('tools/export_pretrained.py', pretrained / 'iter_3.pth',
                    '--to', library, '--branch', branch, '--out', out)
    assert 'class predictor' in output
    output = python('tools/verify_pretrained.py', finetune_config(library),
                    out)
    assert '(100%)' in output
    # This file, and what the config itself begins with.
    needed = f"model.init_cfg=dict(type='Pretrained', checkpoint='{out}')."
    assert needed in output
    output = python('tools/verify_pretrained.py', finetune_config(library),
                    out, '--cfg-options', f'model.init_cfg.checkpoint={out}')
    assert '(100%)' in output and needed not in output


@pytest.mark.parametrize('library, branch, parts', [
    ('mmdet', 'online', ['pixel_decoder', 'transformer_decoder']),
    ('mmseg', 'target', ['backbone']),
])
def test_stock_model_takes_the_chosen_parts_only(python, pretrained, library,
                                                 branch, parts, tmp_path):
    checkpoint = tmp_path / 'iter_3.pth'
    checkpoint.symlink_to(pretrained / 'iter_3.pth')
    output = python('tools/export_pretrained.py', checkpoint, '--to', library,
                    '--branch', branch, '--parts', *parts)
    left_out = [part for part in PARTS if part not in parts]
    for part in PARTS:
        assert (f'--parts {part} takes it along' in output) == (
            part in left_out)
    # The file with all parts would be mask_jepa_<library>-<digits>.pth.
    out, = tmp_path.glob(f'mask_jepa_{library}_{"_".join(parts)}-*.pth')
    assert sorted(tmp_path.iterdir()) == [checkpoint, out]
    output = python('tools/verify_pretrained.py', finetune_config(library),
                    out)
    assert '(100%)' in output
    assert f'does not hold: {", ".join(left_out)}.' in output

    initial = stock_model(library, None).state_dict()
    own = stock_model(library, out).state_dict()
    whole = export_weights(
        torch.load(checkpoint, weights_only=True)['state_dict'], library,
        branch).state_dict
    distinct = set()
    for key, value in own.items():
        part = next(part for part, name in zip(
            PARTS, ('backbone.', '.pixel_decoder.', '')) if name in key)
        taken = part in parts and '.cls_embed.' not in key
        assert torch.equal(value, (whole if taken else initial)[key]), key
        if key in whole and not torch.equal(whole[key], initial[key]):
            distinct.add(part)
    assert distinct == set(PARTS)


@pytest.mark.parametrize('parts, complaint', [
    (['neck'], "invalid choice: 'neck'"),
    ([], 'expected at least one argument'),
])
def test_export_refuses_wrong_parts(root, monkeypatch, capsys, parts,
                                    complaint):
    tool = str(root / 'tools/export_pretrained.py')
    monkeypatch.setattr(
        sys, 'argv', [tool, 'any.pth', '--to', 'mmdet', '--parts', *parts])
    with pytest.raises(SystemExit, match='2'):
        runpy.run_path(tool, run_name='__main__')
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert f'argument --parts: {complaint}' in sentence
    assert not parts or all(part in sentence for part in PARTS)


def test_verify_fails_where_one_tensor_has_no_place(python, pretrained):
    output = python(
        'tools/verify_pretrained.py',
        finetune_config('mmdet'),
        pretrained / 'mask_jepa_mmdet.pth',
        '--cfg-options',
        'model.panoptic_head.num_queries=49',
        fails=True)
    assert '(99%)' in output


@pytest.mark.parametrize('config, name, sentence', [
    ('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
     'mask_jepa_mmdet.pth', 'The config describes another network than the '
     'one that was pretrained: backbone.conv1.weight is (32, 3, 7, 7) in the '
     'file, but (64, 3, 7, 7) in the model.'),
    (finetune_config('mmseg'), 'mask_jepa_mmdet.pth',
     'The file is for mmdet, but the config is one for mmseg: export the '
     'checkpoint of the pretraining by --to mmseg.'),
    (finetune_config('mmdet'), 'iter_3.pth',
     'The file is a checkpoint of the pretraining, not an exported one: '),
])
def test_verify_tells_the_causes_apart(refusal, pretrained, config, name,
                                       sentence):
    said = refusal('tools/verify_pretrained.py', config, pretrained / name)
    assert said.startswith(sentence) and '\n' not in said


DATA_ALONE = 'configs/_base_/camvid_probe.py'


@pytest.fixture
def refusal(root, monkeypatch):
    """What a tool, run in this process, says on giving up."""

    def run(tool, *arguments):
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, 'path', list(sys.path))
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(tool, run_name='__main__')
        return str(caught.value)

    return run


@pytest.mark.parametrize('config, sentence', [
    ('configs/no_such.py', 'There is no config file at configs/no_such.py.'),
    ('mmdet::mask2former/no_such.py', 'No installed library has a config '
     'mmdet::mask2former/no_such.py: '),
    (DATA_ALONE, f'{DATA_ALONE} describes no model: '),
])
def test_verify_refuses_other_configs_in_one_sentence(refusal, config,
                                                      sentence):
    said = refusal('tools/verify_pretrained.py', config, 'README.md')
    assert said.startswith(sentence) and '\n' not in said


@pytest.mark.parametrize('config, sentence', [
    ('configs/no_such.py', 'There is no config file at configs/no_such.py.'),
    ('mmdet::mask2former/no_such.py', 'No installed library has a config '
     'mmdet::mask2former/no_such.py: '),
    (DATA_ALONE, f'{DATA_ALONE} describes no model: give a whole config, '
     'such as mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py.'),
])
def test_describe_refuses_other_configs_in_one_sentence(
        refusal, capsys, config, sentence):
    said = refusal('tools/analysis_tools/describe_configs.py',
                   'configs/mask_jepa_r18_tiny.py', config)
    assert said.startswith(sentence) and '\n' not in said
    # Nothing is measured before all are known to be right.
    assert not capsys.readouterr().out


def without(key, config, path):
    """Write a config again, without one of its keys."""
    content = Config.fromfile(config).to_dict()
    del content[key]
    Config(content).dump(path)
    return path


def test_config_without_a_scope_is_verified(python, tmp_path):
    config = finetune_config('mmdet')
    model = stock_model('mmdet', None)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'weights.pth')
    output = python('tools/verify_pretrained.py',
                    without('default_scope', config, tmp_path / 'config.py'),
                    tmp_path / 'weights.pth')
    assert '(100%)' in output


def test_descriptions_are_written_into_a_page(python, root, tmp_path):
    config = 'configs/mask_jepa_r18_tiny.py'
    no_scope = without('default_scope', config, tmp_path / 'no_scope.py')
    content = Config.fromfile(config)
    content.pop('crop_size', None)
    content.train_dataloader.dataset.pop('crop_size', None)
    content.dump(tmp_path / 'no_crop.py')
    page = tmp_path / 'page.md'
    begin, end = '<!-- configs: begin -->', '<!-- configs: end -->'
    page.write_text(f'# Before\n{begin}\nold\n{end}\nafter\n')

    output = python('tools/analysis_tools/describe_configs.py', '--write',
                    page, config, no_scope, tmp_path / 'no_crop.py')
    rows = output.splitlines()[-3:]
    before, table = page.read_text().split(begin)
    table, after = table.split(end)
    assert (before, after) == ('# Before\n', '\nafter\n')
    assert table.startswith('\n\n| config |')
    assert table.endswith('\n'.join(['|', *rows, '', '']))

    tiny, same, large = rows
    assert tiny in (root / 'docs/configs.md').read_text().splitlines()
    assert same.replace('no_scope', 'mask_jepa_r18_tiny') == tiny
    small, large = tiny.split(' | '), large.split(' | ')
    assert [small[2], large[2]] == ['128', '512']
    # Sixteen times the places.
    assert float(large[3].split()[0]) > 10 * float(small[3].split()[0])


def test_page_without_a_place_for_the_table_is_refused(refusal):
    assert refusal(
        'tools/analysis_tools/describe_configs.py', '--write', 'README.md',
        'configs/mask_jepa_r18_tiny.py').startswith(
            'README.md says nowhere where the table goes: add the lines <!--')


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_finetuning_is_described(python, library):
    config = finetune_config(library)
    row = python('tools/analysis_tools/describe_configs.py',
                 config).splitlines()[-1].split(' | ')
    weights = stock_model(library, None).parameters()
    count = sum(value.numel() for value in weights)
    assert row[1] == f'{count / 1e6:.1f} M'
    assert float(row[3].removesuffix(' G')) > 1
    assert row[-3:] == ['4', '4', '160 iterations |']


def test_export_refuses_other_files_in_one_sentence(python, tmp_path):
    other = tmp_path / 'other.pth'
    torch.save(dict(state_dict={'backbone.conv1.weight': torch.ones(1)}),
               other)
    for path, sentence in {
            other: 'no Mask-JEPA checkpoint',
            tmp_path / 'missing.pth': 'There is no checkpoint at',
            'README.md': 'no checkpoint of tensors and plain types'
    }.items():
        output = python(
            'tools/export_pretrained.py', path, '--to', 'mmdet', fails=True)
        assert sentence in output
        assert 'Traceback' not in output


def test_training_changes_every_exported_tensor(pretrained):
    # In the first iteration the queries are pure noise, by design.
    first = torch.load(pretrained / 'iter_2.pth', weights_only=True)
    last = torch.load(pretrained / 'iter_3.pth', weights_only=True)
    for branch in ('online', 'target'):
        before, after = (
            export_weights(file['state_dict'], 'mmdet', branch).state_dict
            for file in (first, last))
        same = [key for key in after if torch.equal(before[key], after[key])]
        assert not same


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_stock_model_computes_the_same_features(pretrained, library,
                                                monkeypatch, scenes):
    monkeypatch.setenv('MASK_JEPA_DATA', str(scenes))
    state = torch.load(pretrained / 'iter_3.pth', weights_only=True)
    pretraining = Config.fromfile('configs/mask_jepa_r18_tiny.py')
    jepa = MODELS.build(pretraining.model)
    jepa.load_state_dict(state['state_dict'])
    jepa.eval()

    model = stock_model(library, pretrained / f'mask_jepa_{library}.pth')
    model.eval()
    head = model.panoptic_head if library == 'mmdet' else model.decode_head
    image = torch.randn(
        1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, _ = jepa.encode(image)
        actual, _ = head.pixel_decoder(model.backbone(image))
    # Deformable attention is computed in another order.
    torch.testing.assert_close(expected, actual, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.1


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_stock_tools_fine_tune_and_test(command, stock_tool, pretrained,
                                        library, scenes, tmp_path):
    config = finetune_config(library)
    exported = pretrained / f'mask_jepa_{library}.pth'
    work_dir = tmp_path / 'finetune'
    options = [
        '--work-dir', work_dir, '--cfg-options',
        f'model.init_cfg.checkpoint={exported}', 'train_cfg.max_iters=2',
        'train_cfg.val_interval=10', 'default_hooks.checkpoint.interval=2',
        'train_dataloader.batch_size=2'
    ]
    output = command(
        sys.executable,
        stock_tool(library, 'train.py'),
        config,
        *options,
        MASK_JEPA_DATA=str(scenes))
    # The class predictor, and nothing else, has to start from noise.
    missing = output.split('missing keys in source state_dict: ')[1]
    head = 'panoptic_head' if library == 'mmdet' else 'decode_head'
    assert missing.split('\n')[0] == (
        f'{head}.cls_embed.weight, {head}.cls_embed.bias')
    assert 'unexpected key' not in output
    assert 'size mismatch' not in output

    output = command(
        sys.executable,
        stock_tool(library, 'test.py'),
        config,
        work_dir / 'iter_2.pth',
        '--work-dir',
        tmp_path / 'test',
        MASK_JEPA_DATA=str(scenes),
        TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD='1')
    assert ('coco/segm_mAP' if library == 'mmdet' else 'mIoU') in output
