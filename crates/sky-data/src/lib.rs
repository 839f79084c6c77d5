//! Problems in, training data out: sources, generator, selection, ShareGPT, chat template, tokens, packing
