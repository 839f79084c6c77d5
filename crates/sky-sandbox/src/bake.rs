//! Bakes the guest: starts the interpreter, imports the library, defines the driver, stops the
//! guest in the middle of a clock call, and keeps its memory as the snapshot.
//!
//! The driver fills the heap's holes, then reads the clock; the host takes the snapshot there. The
//! order matters: what the driver allocated after the holes are filled would lie among the objects
//! that every run writes to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module, Store};

use crate::SandboxError;
use crate::engine::{MAX_LINEAR_MEMORY, SHADOW_STACK, compatibility};
use crate::files::{self, Files};
use crate::host::{Heap, Host};
use crate::host_trap::HostTrap;
use crate::image::{self, STACK_POINTER, WASM_PAGE};
use crate::instrument::instrumented;
use crate::layout::{Functions, Layout};
use crate::{digest, wasi};

const BOOT: &str = include_str!("guest/boot.py");
/// The sources that `boot.py` reads, by the name under which it opens them.
const OURS: [(&str, &str); 9] = [
    ("support.py", include_str!("guest/support.py")),
    ("wide.py", include_str!("guest/wide.py")),
    ("driver.py", include_str!("guest/driver.py")),
    ("calls.py", include_str!("guest/calls.py")),
    ("values.py", include_str!("guest/values.py")),
    ("numpy_subset.py", include_str!("guest/numpy_subset.py")),
    ("stand_ins.py", include_str!("guest/stand_ins.py")),
    (
        "test_frameworks.py",
        include_str!("guest/test_frameworks.py"),
    ),
    ("answers.py", include_str!("guest/answers.py")),
];

/// Part of the cache key. Raise it when a change of this crate makes old snapshots unusable and
/// nothing else in the key changes.
const FORMAT: u32 = 6;
/// The module inside the guest's folder.
const MODULE: &str = "python3.11.wasm";
/// The standard library, under the guest's folder and in the guest's own file system.
const LIBRARY: &str = "lib/python3.11";

/// Offset of `tp_call` in CPython 3.11's `PyTypeObject` on a 32-bit machine.
const TYPE_CALL: u32 = 64;
/// Offset of `tp_new` there.
const TYPE_NEW: u32 = 156;
/// Offset of `m_ml` in `PyCFunctionObject`.
const METHOD_DEF: u32 = 8;
/// Offset of `ml_meth` in `PyMethodDef`.
const METHOD_ENTRY: u32 = 4;

/// The folders that [`Sandbox::with_paths`](crate::Sandbox::with_paths) reads and writes.
#[derive(Clone, Debug)]
pub struct GuestPaths {
    /// The folder with `python3.11.wasm` and `lib/python3.11`. Sources in an optional folder `site`
    /// are added to the library.
    pub guest: PathBuf,
    /// The folder that baked guests are kept in. It is created when it is missing; otherwise it
    /// must belong to the user who runs this.
    pub cache: PathBuf,
}

impl GuestPaths {
    /// The folders that `cargo xtask setup` uses under `sky_home`.
    pub fn new(sky_home: &Path) -> Self {
        Self {
            guest: sky_home.join("python-guest"),
            cache: sky_home.join("cache").join("python"),
        }
    }
}

/// The guest's files, found and hashed, before they are baked.
pub(crate) struct Source {
    module: Part,
    /// Python sources, by the path that the guest will see.
    library: BTreeMap<String, Part>,
    /// Hash of everything the baked guest depends on.
    pub(crate) key: String,
}

/// A baked guest, compiled.
pub(crate) struct CompiledGuest {
    /// Machine code for this engine and processor.
    pub(crate) code: Vec<u8>,
    pub(crate) layout: Layout,
}

/// The guest as it is at the snapshot.
struct BootedGuest {
    memory: Vec<u8>,
    /// The stack pointer that runs start with.
    stack_pointer: i32,
    addresses: Addresses,
}

/// A file of the guest.
struct Part {
    path: PathBuf,
    digest: String,
}

/// What the driver reports right before the snapshot: addresses in the guest's memory.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    functions: Functions,
    answering: u32,
    function_type: u32,
    code_type: u32,
    no_arguments: u32,
    none: u32,
    cell: u32,
    silenced: Vec<u32>,
    silent: u32,
    failed: Vec<String>,
}

impl Source {
    /// Finds and hashes the guest.
    pub(crate) fn find(paths: &GuestPaths, engine: &Engine) -> Result<Self, SandboxError> {
        // First: when everything is missing, its absence makes the better message.
        let path = paths.guest.join(MODULE);
        let digest = File::open(&path)
            .and_then(|file| digest::of_file(&file))
            .map_err(|source| SandboxError::Guest {
                path: path.clone(),
                source,
            })?;
        let module = Part { path, digest };
        let mut library = BTreeMap::new();
        files::sources(&paths.guest.join(LIBRARY), LIBRARY, &mut library)?;
        let extra = paths.guest.join("site");
        if extra.is_dir() {
            files::sources(&extra, LIBRARY, &mut library)?;
        }
        let (names, paths): (Vec<_>, Vec<_>) = library.into_iter().unzip();
        let digests = digest::of_files(&paths)?;
        let parts = paths.into_iter().zip(digests);
        let parts = parts.map(|(path, digest)| Part { path, digest });
        let library: BTreeMap<_, _> = names.into_iter().zip(parts).collect();
        let mut hash = Sha256::new();
        hash.update(FORMAT.to_le_bytes());
        hash.update(compatibility(engine));
        hash.update((SHADOW_STACK as u64).to_le_bytes());
        let ours = [("", BOOT)]
            .iter()
            .chain(&OURS)
            .map(|&(name, text)| (name, text));
        let theirs = library
            .iter()
            .map(|(name, part)| (name.as_str(), part.digest.as_str()));
        for (name, text) in ours.chain(theirs).chain([("", module.digest.as_str())]) {
            for part in [name, text] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        Ok(Self {
            module,
            library,
            key: format!("{:x}", hash.finalize()),
        })
    }

    /// Bakes the guest. Takes about 30 s on two cores.
    pub(crate) fn bake(self, engine: &Engine) -> Result<CompiledGuest, SandboxError> {
        let path = self.module.path.clone();
        let unsuitable = |reason| SandboxError::Unsuitable {
            path: path.clone(),
            reason,
        };
        let mut files = Files::default();
        for (name, part) in &self.library {
            files.insert(name, part.read()?);
        }
        for (name, text) in OURS {
            files.insert(name, text.as_bytes());
        }
        let exposed = image::expose(&self.module.read()?).map_err(unsuitable)?;
        let module = Module::from_binary(engine, &exposed)
            .map_err(SandboxError::engine("compile the guest"))?;
        let BootedGuest {
            mut memory,
            stack_pointer,
            addresses,
        } = boot(&path, files, engine, &module)?;
        if !addresses.failed.is_empty() {
            return Err(unsuitable(format!(
                "modules failed: {}",
                addresses.failed.join("; ")
            )));
        }
        let layout = arrange(&mut memory, &addresses).ok_or_else(|| {
            unsuitable("the driver's addresses lie outside its memory".to_owned())
        })?;
        drop(module);
        let baked = image::bake(&exposed, &memory, stack_pointer).map_err(unsuitable)?;
        let stack_end = stack_pointer.saturating_sub(SHADOW_STACK as i32);
        let baked = instrumented(&baked, stack_end).map_err(|refused| unsuitable(refused.0))?;
        let code = engine
            .precompile_module(&baked)
            .map_err(SandboxError::engine("compile the snapshot"))?;
        Ok(CompiledGuest { code, layout })
    }
}

impl Part {
    /// Reads the file and checks that it is still the one that was hashed, since that hash is in
    /// the cache key.
    fn read(&self) -> Result<Vec<u8>, SandboxError> {
        let fail = |source| SandboxError::Guest {
            path: self.path.clone(),
            source,
        };
        let bytes = std::fs::read(&self.path).map_err(fail)?;
        if digest::of_bytes(&bytes) == self.digest {
            Ok(bytes)
        } else {
            Err(fail(io::Error::other("it changes while it is read")))
        }
    }
}

/// Runs the interpreter up to the snapshot.
fn boot(
    path: &Path,
    files: Files,
    engine: &Engine,
    module: &Module,
) -> Result<BootedGuest, SandboxError> {
    let unsuitable = |reason| SandboxError::Unsuitable {
        path: path.to_owned(),
        reason,
    };
    let heap = Heap::new(MAX_LINEAR_MEMORY);
    let mut host = Host::new(Vec::new(), 1 << 20, u64::MAX, heap);
    host.arguments = ["python", "-S", "-I", "-B", "-c", BOOT]
        .map(str::to_owned)
        .to_vec();
    host.environment = vec!["PYTHONHOME=/".to_owned()];
    host.bake = Some(files);
    let linker = wasi::linker(engine, module).map_err(SandboxError::engine("link the guest"))?;
    let mut store = Store::new(engine, host);
    store.limiter(|host| &mut host.heap);
    let instance = linker
        .instantiate(&mut store, module)
        .map_err(SandboxError::engine("instantiate the guest"))?;
    let start = instance
        .get_typed_func::<(), ()>(&mut store, "_start")
        .map_err(|error| unsuitable(error.to_string()))?;
    let ended = start.call(&mut store, ());
    let stderr = String::from_utf8_lossy(&store.data().stderr).into_owned();
    match &ended {
        Err(error) if error.downcast_ref::<HostTrap>() == Some(&HostTrap::Snapshot) => {}
        Err(error) => return Err(unsuitable(format!("it ended with {error:#}: {stderr}"))),
        Ok(()) => {
            return Err(unsuitable(format!(
                "it ended before the snapshot: {stderr}"
            )));
        }
    }
    let addresses = serde_json::from_slice(&store.data().control_out)
        .map_err(|error| unsuitable(format!("the driver's addresses: {error}; {stderr}")))?;
    let memory = instance
        .get_memory(&mut store, "memory")
        .ok_or_else(|| unsuitable("it exports no memory".to_owned()))?;
    // Control never returns to the frames that the snapshot was taken in. So programs get a new,
    // deep stack behind everything else.
    let old = memory
        .grow(&mut store, (SHADOW_STACK / WASM_PAGE) as u64)
        .map_err(SandboxError::engine("grow the guest's stack"))?;
    let top = old * WASM_PAGE as u64 + SHADOW_STACK as u64 - 64;
    let stack_pointer =
        i32::try_from(top).map_err(|_| unsuitable("its memory is over 2 GiB".to_owned()))?;
    if instance.get_global(&mut store, STACK_POINTER).is_none() {
        return Err(unsuitable("it has no stack pointer".to_owned()));
    }
    Ok(BootedGuest {
        memory: memory.data(&store).to_vec(),
        stack_pointer,
        addresses,
    })
}

/// Disarms in the image the functions that the driver names, and finds the call slot.
///
/// `sys.settrace` and its like stay callable and do nothing: their C entry points are replaced by
/// that of a function without effect. Deleting the Python names would not do, since a program can
/// re-create a module; it then finds the same harmless functions.
fn arrange(memory: &mut [u8], addresses: &Addresses) -> Option<Layout> {
    let silent = read(
        memory,
        read(memory, addresses.silent + METHOD_DEF)? + METHOD_ENTRY,
    )?;
    for function in &addresses.silenced {
        let entry = read(memory, function + METHOD_DEF)? + METHOD_ENTRY;
        write(memory, entry, silent)?;
    }
    // Without `tp_new` no code object can be built: hand-made bytecode reads and writes raw memory.
    write(memory, addresses.code_type + TYPE_NEW, 0)?;
    Some(Layout {
        call: read(memory, addresses.function_type + TYPE_CALL)?,
        functions: addresses.functions,
        answering: addresses.answering,
        no_arguments: addresses.no_arguments,
        none: addresses.none,
        cell: addresses.cell,
        memory: memory.len() as u64,
    })
}

fn read(memory: &[u8], at: u32) -> Option<u32> {
    let bytes = memory.get(at as usize..)?.get(..4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn write(memory: &mut [u8], at: u32, value: u32) -> Option<()> {
    memory
        .get_mut(at as usize..)?
        .get_mut(..4)?
        .copy_from_slice(&value.to_le_bytes());
    Some(())
}
