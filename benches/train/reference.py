"""Our logits and gradients beside transformers', one JSON line: `cargo xtask bench train`'s part `reference`.

    reference.py MODEL ROWS.json THREADS OURS-f32.safetensors OURS-bf16.safetensors

transformers takes each row by itself, ours are packed. `apart` is how far ours and transformers' in f32 are from each other;
`ours` and `theirs`, by precision, how far each is from transformers in f64. Each is three numbers: `logits`, the largest
difference of any; `gradients`, the norm of the difference of all gradients over that of the gradients; and `worst`, the largest
such ratio of a single parameter.
"""
import json, math, sys

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM
from transformers.utils import logging

KINDS = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16}


def transformers(path, rows, precision):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=KINDS[precision])
    model.config.use_cache = False
    wide = torch.float64 if precision == "f64" else torch.float32
    logits = []
    for row in rows:
        ids = torch.tensor([row])
        out = model(input_ids=ids).logits[0]
        torch.nn.functional.cross_entropy(out[:-1].to(wide), ids[0, 1:], reduction="sum").backward()
        logits.append(out.detach().to(wide))
    return {"logits": torch.cat(logits)} | {name: p.grad.to(wide) for name, p in model.named_parameters()}


def compare(found, truth):
    norms = {name: ((found[name] - value).norm().item(), value.norm().item()) for name, value in truth.items() if name != "logits"}
    whole = math.hypot(*(off for off, _ in norms.values())) / math.hypot(*(norm for _, norm in norms.values()))
    return {"logits": (found["logits"] - truth["logits"]).abs().max().item(), "gradients": whole, "worst": max(off / norm for off, norm in norms.values())}


def main():
    path, rows, threads, *files = sys.argv[1:]
    with open(rows) as file:
        rows = json.load(file)
    torch.set_num_threads(int(threads))
    logging.disable_progress_bar()
    truth = transformers(path, rows, "f64")
    found = {"ours": {}, "theirs": {}}
    for precision, file in zip(("f32", "bf16"), files):
        with safe_open(file, "pt") as tensors:
            assert set(tensors.keys()) == {"loss", *truth}, "the parameters have other names"
            ours = {name: tensors.get_tensor(name) for name in truth}
        theirs = transformers(path, rows, precision)
        found["ours"][precision], found["theirs"][precision] = compare(ours, truth), compare(theirs, truth)
        if precision == "f32":
            found["apart"] = compare(ours, theirs)
    print(json.dumps(found))


main()
