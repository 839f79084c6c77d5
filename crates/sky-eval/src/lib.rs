//! Benchmarks: tasks, pass@k, confidence intervals, the report
