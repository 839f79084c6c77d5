//! What tch lacks: backward with an upstream gradient, fused AdamW, process groups, loading CUDA
