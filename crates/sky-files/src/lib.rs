//! Files a run stands on: atomic writes, journals, JSON lines, manifests
