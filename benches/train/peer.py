"""The peer of `cargo xtask bench train`: transformers and torch's fused AdamW in a plain loop, one JSON line a step.

    peer.py MODEL ROWS.jsonl SETTINGS.json

The loop is leaner than a Trainer's: no logging, no accelerate, nothing between the steps. SETTINGS has `precision` (f32; bf16:
weights and moments in bf16 too; autocast: f32 weights and moments, bf16 compute), `checkpointing`, `layout` (pad, pack),
`micro_batch_tokens` (rows of like length go together, up to that many tokens, padding counted; 0: all at once), `steps`,
`threads`, `learning_rate`, `weight_decay` and `max_grad_norm`, and may have `adapter`: the folder of one, which PEFT puts on the model
and which alone is trained; and `device` (cpu). MODEL is a folder, or a configuration alone whose weights are then random.
"""
import json, sys, time

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging


def batch(rows, layout):
    """Model inputs for all rows at once, and how many tokens have a loss. The first token of a row never has one."""
    labels = [[-100] + [i if t else -100 for i, t in zip(r["ids"][1:], r["target"][1:])] for r in rows]
    targets = sum(label != -100 for row in labels for label in row)
    if layout == "pack":
        ids = torch.tensor([[i for r in rows for i in r["ids"]]])
        positions = torch.tensor([[p for r in rows for p in range(len(r["ids"]))]])
        return {"input_ids": ids, "position_ids": positions}, torch.tensor([[i for row in labels for i in row]]), targets
    longest = max(len(r["ids"]) for r in rows)
    pad = lambda values, fill: values + [fill] * (longest - len(values))
    inputs = {"input_ids": torch.tensor([pad(r["ids"], 0) for r in rows])}
    if any(len(r["ids"]) < longest for r in rows):
        inputs["attention_mask"] = torch.tensor([pad([1] * len(r["ids"]), 0) for r in rows])
    return inputs, torch.tensor([pad(row, -100) for row in labels]), targets


def grouped(rows, layout, tokens):
    """Micro-batches: the longest rows first; a row that is longer than `tokens` goes alone."""
    if not tokens:
        return [rows]
    groups = []
    for row in sorted(rows, key=lambda row: -len(row["ids"])):
        size = lambda group: len(group) * len(group[0]["ids"]) if layout == "pad" else sum(len(r["ids"]) for r in group)
        if groups and size(groups[-1] + [row]) <= tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def peak(device):
    if device == "cuda":
        # What torch once took it keeps: what is gone is the peak, as it is counted for ours.
        free, total = torch.cuda.mem_get_info()
        return total - free
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def load(path, **how):
    if not path.endswith(".json"):
        return AutoModelForCausalLM.from_pretrained(path, **how)
    with open(path) as file:
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**json.load(file)), **how)


def main():
    model, rows, settings = sys.argv[1:]
    with open(settings) as file:
        settings = json.load(file)
    with open(rows) as file:
        rows = [json.loads(line) for line in file]
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(1)
    logging.disable_progress_bar()
    precision = settings["precision"]
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    device = settings.get("device", "cpu")
    with torch.device(device):
        model = load(model, dtype=dtype, attn_implementation="sdpa").to(device)
    if settings.get("adapter"):
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, settings["adapter"], is_trainable=True)
    model.config.use_cache = False
    model.train()
    if settings["checkpointing"]:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.dim() > 1]
    others = [p for p in trained if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": settings["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings["learning_rate"], betas=(0.9, 0.999), eps=1e-8, fused=True)
    tokens = sum(len(r["ids"]) for r in rows)
    for step in range(1, settings["steps"] + 1):
        began = time.perf_counter()
        micro = [batch(group, settings["layout"]) for group in grouped(rows, settings["layout"], settings.get("micro_batch_tokens", 0))]
        targets = sum(of[2] for of in micro)
        loss = torch.zeros((), device=device)
        for inputs, labels, _ in micro:
            inputs, labels = {name: value.to(device) for name, value in inputs.items()}, labels.to(device)
            with torch.autocast(device, torch.bfloat16, enabled=precision == "autocast"):
                part = model(**inputs, labels=labels, num_items_in_batch=targets).loss
            part.backward()
            loss += part.detach()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings["max_grad_norm"])
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        line = {"step": step, "loss": loss.item(), "grad_norm": norm.item(), "tokens": tokens, "targets": targets,
                "seconds": seconds, "peak_bytes": peak(device)}
        print(json.dumps(line), flush=True)


main()
