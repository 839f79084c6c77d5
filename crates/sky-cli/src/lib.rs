//! What every Sky program shares: recipes, stages, progress bars, exit codes
