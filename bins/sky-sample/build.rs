//! Tells the program where libtorch's libraries lie, when it is built with a model in process.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_LOCAL").is_some()
        && let Ok(lib) = std::env::var("DEP_SKY_TORCH_LIB")
    {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
