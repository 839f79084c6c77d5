"""The peer of the optimizer's part of `cargo xtask bench train`: torch's fused AdamW alone, one JSON line a step.

    optimizer.py PARAMS THREADS STEPS

`f32` is its step over f32 weights and gradients that were clipped before it; `bf16` adds what mixed precision with f32 master
weights needs around it: gradients widened to f32 before, weights rounded to bf16 after.
"""
import json, sys, time

import torch

LAYER = 1 << 22


def main():
    params, threads, steps = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    masters = [torch.ones(LAYER, requires_grad=True) for _ in range(params // LAYER)]
    optimizer = torch.optim.AdamW(masters, lr=1e-4, weight_decay=0.01, fused=True)
    narrow = [torch.ones(LAYER, dtype=torch.bfloat16) for _ in masters]
    weights = [torch.ones(LAYER, dtype=torch.bfloat16) for _ in masters]
    for master in masters:
        master.grad = torch.ones(LAYER)
    for precision in ("f32", "bf16"):
        for _ in range(steps):
            began = time.perf_counter()
            if precision == "bf16":
                for master, grad in zip(masters, narrow):
                    master.grad.copy_(grad)
            torch._foreach_mul_([master.grad for master in masters], 0.5)
            optimizer.step()
            if precision == "bf16":
                with torch.no_grad():
                    torch._foreach_copy_(weights, masters)
            print(json.dumps({precision: time.perf_counter() - began}), flush=True)


main()
