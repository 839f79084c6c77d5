//! Qwen2 and Llama mathematics on libtorch, their weights, and a batched generator
