"""What runs with other frameworks, apart from the mm libraries.

Call with the name of a function, the file of its argument and that of its
result, as torch.save writes them.
"""
import sys

import torch


def run_huggingface(content):
    """Load an exported folder with transformers, and run it on an image."""
    import transformers
    folder = content['folder']
    config = transformers.AutoConfig.from_pretrained(folder)
    network = getattr(transformers, config.architectures[0])
    model, info = network.from_pretrained(folder, output_loading_info=True)
    with torch.no_grad():
        result = model.eval()(content['image'], output_hidden_states=True)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    return dict(
        mask_features=result.pixel_decoder_last_hidden_state,
        mask_logits=result.masks_queries_logits,
        dtype=str(model.dtype),
        processor=type(processor).__name__,
        mean=list(processor.image_mean),
        missing=sorted(info['missing_keys']),
        unexpected=sorted(info['unexpected_keys']),
        mismatched=sorted(info['mismatched_keys']))


def save_huggingface(content):
    """Load a folder with transformers, and save it as transformers does;
    return the names in the file."""
    import transformers
    from safetensors import safe_open
    model = transformers.AutoModelForUniversalSegmentation.from_pretrained(
        content['folder'])
    model.save_pretrained(content['out'])
    with safe_open(f'{content["out"]}/model.safetensors', 'pt') as file:
        return list(file.keys())


def run_timm(content):
    """Load an exported backbone with timm; return what comes before its last
    norm."""
    import timm
    size = (
        dict(img_size=content['image'].shape[-1])
        if 'swin' in content['name'] else {})
    model = timm.create_model(content['name'], num_classes=0, **size).eval()
    missing, unexpected = model.load_state_dict(
        torch.load(content['path'], weights_only=True), strict=False)
    last = {'resnet50': 'layer4', 'swin_tiny_patch4_window7_224': 'layers',
            'convnext_tiny': 'stages'}[content['name']]
    maps = {}
    getattr(model, last).register_forward_hook(
        lambda module, inputs, output: maps.update(last=output))
    with torch.no_grad():
        model(content['image'])
    return dict(last=maps['last'], missing=missing, unexpected=unexpected)


if __name__ == '__main__':
    function, argument, result = sys.argv[1:]
    torch.save(globals()[function](torch.load(argument)), result)
