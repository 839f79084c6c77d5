//! Builds the C++ shim against libtorch's headers and tells the crates above where its libraries
//! lie.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::exit,
};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=shim");
    let libtorch = env::var_os("LIBTORCH")
        .map(PathBuf::from)
        .unwrap_or_default();
    let include = libtorch.join("include");
    let lib = libtorch.join("lib");
    for needed in [
        include.join("torch/csrc/autograd/engine.h"),
        lib.join("libtorch_cpu.so"),
    ] {
        if !needed.is_file() {
            fail(&format!(
                "libtorch is not set up ({} is missing): run `cargo xtask setup`",
                needed.display()
            ));
        }
        println!("cargo:rerun-if-changed={}", needed.display());
    }
    // Libraries of their own: the stubs must come before libtorch's own headers for one source and
    // not for the other.
    let build = |name: &str, source: &str, stub: bool, opt_level: u32| {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .pic(true)
            .warnings(false)
            .std("c++17")
            .opt_level(opt_level)
            .define("_GLIBCXX_USE_CXX11_ABI", "1");
        if build.get_compiler().is_like_gnu() {
            // libtorch's `parallel_for` is a plain loop without it.
            build.flag("-fopenmp");
            // A root that may set `errno` is not turned into vector code.
            build.flag("-fno-math-errno");
        }
        if stub {
            build.include("shim/stub");
        }
        build
            .include(&include)
            .include(include.join("torch/csrc/api/include"))
            .file(source)
            .compile(name);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| build("sky_torch", "shim/ops.cpp", false, 2));
        // Loops that have to become vector code.
        scope.spawn(|| build("sky_fused", "shim/fused.cpp", false, 3));
        scope.spawn(|| build("sky_adamw", "shim/adamw.cpp", false, 3));
        scope.spawn(|| build("sky_attention", "shim/attention.cpp", false, 3));
        scope.spawn(|| build("sky_allocator", "shim/allocator.cpp", false, 2));
        scope.spawn(|| build("sky_varlen", "shim/varlen.cpp", false, 2));
        scope.spawn(|| build("sky_c10d", "shim/c10d.cpp", true, 2));
    });
    // After the static shim, so that the linker resolves its symbols here.
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=dylib=torch_cpu");
    println!("cargo:rustc-link-lib=dylib=c10");
    println!("cargo:rustc-link-lib=dylib=dl");
    // The threads of libtorch itself, not a second set of them.
    println!("cargo:rustc-link-lib=dylib:+verbatim=libgomp.so.1");
    // For whoever starts a binary directly: dependants read DEP_SKY_TORCH_LIB and pass the same
    // argument.
    println!("cargo:lib={}", lib.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    search_path_for_doctests(&libtorch);
}

/// Link arguments do not reach doctests. Cargo puts library folders inside the target folder on the
/// loader's path, so a link to libtorch there makes doctests of this crate and of those above it
/// run.
fn search_path_for_doctests(libtorch: &Path) {
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    let link = out.join("libtorch");
    if fs::read_link(&link).is_ok_and(|target| target == libtorch) || replace_link(libtorch, &link)
    {
        println!(
            "cargo:rustc-link-search=native={}",
            link.join("lib").display()
        );
    }
}

fn replace_link(target: &Path, link: &Path) -> bool {
    fs::remove_file(link).ok();
    std::os::unix::fs::symlink(target, link).is_ok()
}

fn fail(message: &str) -> ! {
    println!("cargo:warning={message}");
    eprintln!("{message}");
    exit(1)
}
