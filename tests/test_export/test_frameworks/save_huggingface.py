"""Load a folder with transformers, and save it as transformers does; return
the names in the file."""
import sys

import torch
import transformers
from safetensors import safe_open

content = torch.load(sys.argv[1])
model = transformers.AutoModelForUniversalSegmentation.from_pretrained(
    content['folder'])
model.save_pretrained(content['out'])
with safe_open(f'{content["out"]}/model.safetensors', 'pt') as file:
    torch.save(list(file.keys()), sys.argv[2])
