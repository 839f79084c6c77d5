//! Lets tests and examples find libtorch when started directly; see `sky-torch`. Without feature
//! `torch` there is nothing to find.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(lib) = std::env::var("DEP_SKY_TORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
