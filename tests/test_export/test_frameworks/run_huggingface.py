"""Load an exported folder with transformers, and run it on an image."""
import sys

import torch
import transformers

content = torch.load(sys.argv[1])
folder = content['folder']
config = transformers.AutoConfig.from_pretrained(folder)
model, info = getattr(transformers, config.architectures[0]).from_pretrained(
    folder, output_loading_info=True)
with torch.no_grad():
    result = model.eval()(content['image'], output_hidden_states=True)
processor = transformers.AutoImageProcessor.from_pretrained(folder)
torch.save(
    dict(
        mask_features=result.pixel_decoder_last_hidden_state,
        mask_logits=result.masks_queries_logits,
        dtype=str(model.dtype),
        processor=type(processor).__name__,
        mean=list(processor.image_mean),
        missing=sorted(info['missing_keys']),
        unexpected=sorted(info['unexpected_keys']),
        mismatched=sorted(info['mismatched_keys'])), sys.argv[2])
