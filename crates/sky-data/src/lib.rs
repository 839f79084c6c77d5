//! Problems in, training data out: sources, generator, selection, ShareGPT, chat template, tokens, packing

#[cfg(feature = "tokenizer")]
mod chat;
#[cfg(feature = "tokenizer")]
mod tokenizer;

#[cfg(feature = "tokenizer")]
pub use chat::ChatTemplate;
#[cfg(feature = "tokenizer")]
pub use tokenizer::{GgufVocab, TextError, Tokenizer};
