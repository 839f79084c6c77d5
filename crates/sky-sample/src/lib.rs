//! Samples over any Generate: journal and resume, rewriting, an OpenAI-style client
