//! Is this reply right? Math by value; code in a wasmtime sandbox (feature python)
