//! Fine-tuning: plan, optimizer, checkpoints, trainer
