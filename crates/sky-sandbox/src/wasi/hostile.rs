//! A guest that no compiler made, calling the host with pointers that lead nowhere.
#![allow(clippy::unwrap_used)]

use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    Instruction, MemorySection, MemoryType, TypeSection,
};
use wasmtime::{Engine, Func, Instance, Module, Store, Val, ValType};

use super::abi::{FAULT, INVAL, MODULE, NOENT, NOTCAPABLE};
use super::linker;
use crate::host::{Heap, Host};
use crate::host_trap::HostTrap;

const PAGE: u32 = 1 << 16;
const OUTPUT: u64 = 1 << 20;
/// Inside, at the edges, outside, and where sums wrap around.
const POINTERS: [u32; 14] = [
    0,
    1,
    3,
    8,
    1024,
    PAGE - 8,
    PAGE - 4,
    PAGE - 1,
    PAGE,
    PAGE + 1,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
];

/// The calls to the host and what they take: `i` 32 bits, `I` 64. Each answers with 32 bits.
const CALLS: [(&str, &str); 21] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("poll_oneoff", "iiii"),
    ("random_get", "ii"),
    ("fd_read", "iiii"),
    ("fd_write", "iiii"),
    ("fd_fdstat_get", "ii"),
    ("fd_filestat_get", "ii"),
    ("fd_close", "i"),
    ("fd_seek", "iIii"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_readdir", "iiiIi"),
    ("path_open", "iiiiiIIii"),
    ("path_filestat_get", "iiiii"),
    ("path_unlink_file", "iii"),
    // One that the host does not know: it is denied.
    ("sock_recv", "iiiiii"),
];

/// A guest with a page of memory and nothing else but the calls to the host, for a test to make
/// with pointers of its choice.
fn bytes() -> Vec<u8> {
    let mut types = TypeSection::new();
    let mut imports = ImportSection::new();
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for (index, (name, parameters)) in (0_u32..).zip(CALLS) {
        let kinds = parameters.as_bytes().iter().map(|kind| match kind {
            b'I' => wasm_encoder::ValType::I64,
            _ => wasm_encoder::ValType::I32,
        });
        types.ty().function(kinds, [wasm_encoder::ValType::I32]);
        imports.import(MODULE, name, EntityType::Function(index));
        functions.function(index);
        exports.export(name, ExportKind::Func, CALLS.len() as u32 + index);
        let mut body = Function::new([]);
        for parameter in 0..parameters.len() as u32 {
            body.instruction(&Instruction::LocalGet(parameter));
        }
        body.instruction(&Instruction::Call(index));
        body.instruction(&Instruction::End);
        code.function(&body);
    }
    exports.export("memory", ExportKind::Memory, 0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut module = wasm_encoder::Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&memories)
        .section(&exports)
        .section(&code);
    module.finish()
}

struct Guest {
    store: Store<Host>,
    instance: Instance,
}

impl Guest {
    fn new(engine: &Engine, module: &Module) -> Self {
        let mut host = Host::new(vec![7; 100_000], OUTPUT, 1 << 40, Heap::new(1 << 20));
        host.arguments = vec!["one".to_owned(), "two".to_owned()];
        let mut store = Store::new(engine, host);
        store.limiter(|host| &mut host.heap);
        let instance = linker(engine, module)
            .unwrap()
            .instantiate(&mut store, module)
            .unwrap();
        Self { store, instance }
    }

    fn call(&mut self, function: &Func, arguments: &[Val]) -> Result<i32, wasmtime::Error> {
        let mut results = [Val::I32(0)];
        function.call(&mut self.store, arguments, &mut results)?;
        Ok(results[0].unwrap_i32())
    }

    fn named(&mut self, name: &str, arguments: &[u32]) -> i32 {
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let arguments: Vec<Val> = arguments.iter().map(|&a| Val::I32(a as i32)).collect();
        self.call(&function, &arguments).unwrap()
    }

    fn write(&mut self, at: u32, words: &[u32]) {
        let memory = self.instance.get_memory(&mut self.store, "memory").unwrap();
        for (index, word) in words.iter().enumerate() {
            let at = at as usize + 4 * index;
            memory
                .write(&mut self.store, at, &word.to_le_bytes())
                .unwrap();
        }
    }
}

fn module() -> (Engine, Module) {
    let engine = Engine::default();
    let module = Module::new(&engine, bytes()).unwrap();
    (engine, module)
}

#[test]
fn no_pointer_makes_the_host_panic_or_touch_anything_else() {
    let (engine, module) = module();
    let names: Vec<String> = module
        .exports()
        .filter(|export| export.ty().func().is_some())
        .map(|export| export.name().to_owned())
        .collect();
    assert_eq!(names.len(), CALLS.len());
    let (mut answered, mut ended) = (0, 0);
    for name in names {
        let mut guest = Guest::new(&engine, &module);
        let mut function = guest.instance.get_func(&mut guest.store, &name).unwrap();
        let kinds: Vec<ValType> = function.ty(&guest.store).params().collect();
        let ways = POINTERS.len().pow(kinds.len().min(4) as u32);
        for round in 0..ways {
            // Every combination of the first four arguments, the others along with them.
            let mut rest = round;
            let arguments: Vec<Val> = kinds
                .iter()
                .enumerate()
                .map(|(index, kind)| {
                    let pointer = POINTERS[(rest + index / 4) % POINTERS.len()];
                    rest /= POINTERS.len();
                    match kind {
                        ValType::I64 => Val::I64(i64::from(pointer as i32)),
                        _ => Val::I32(pointer as i32),
                    }
                })
                .collect();
            // Lists of buffers that point anywhere, in a different order each time.
            let words: Vec<u32> = (0..64)
                .map(|i| POINTERS[(round + i * 5) % POINTERS.len()])
                .collect();
            guest.write(0, &words);
            match guest.call(&function, &arguments) {
                Ok(errno) => {
                    assert!((0..=76).contains(&errno), "{name} {arguments:?}: {errno}");
                    answered += 1;
                }
                Err(error) => {
                    assert!(
                        error.downcast_ref::<HostTrap>().is_some(),
                        "{name} {arguments:?}: {error}"
                    );
                    ended += 1;
                    guest = Guest::new(&engine, &module);
                    function = guest.instance.get_func(&mut guest.store, &name).unwrap();
                }
            }
            let host = guest.store.data();
            assert!((host.stdout.len() + host.stderr.len()) as u64 <= OUTPUT);
        }
    }
    assert!(answered > 100_000 && ended > 0, "{answered} {ended}");
}

#[test]
fn what_points_outside_is_a_fault() {
    let (engine, module) = module();
    let mut guest = Guest::new(&engine, &module);
    // One buffer, at its end and beyond it.
    for (pointer, len, errno) in [
        (PAGE - 4, 4, 0),
        (PAGE - 4, 5, FAULT.0),
        (PAGE, 0, 0),
        (PAGE, 1, FAULT.0),
        (u32::MAX, 2, FAULT.0),
        (4, u32::MAX, FAULT.0),
    ] {
        guest.write(0, &[pointer, len]);
        assert_eq!(
            guest.named("fd_read", &[0, 0, 1, 16]),
            errno,
            "{pointer} {len}"
        );
        assert_eq!(
            guest.named("fd_write", &[1, 0, 1, 16]),
            errno,
            "{pointer} {len}"
        );
    }
    assert_eq!(guest.named("fd_read", &[0, PAGE - 4, 1, 16]), FAULT.0);
    assert_eq!(guest.named("fd_read", &[0, u32::MAX - 3, 1, 16]), FAULT.0);
    assert_eq!(guest.named("fd_read", &[0, 0, 1025, 16]), INVAL.0);
    assert_eq!(guest.named("fd_read", &[0, 0, u32::MAX, 16]), INVAL.0);
    assert_eq!(guest.named("fd_write", &[1, 0, 0, PAGE - 3]), FAULT.0);
    assert_eq!(guest.named("args_get", &[0, PAGE - 4]), FAULT.0);
    assert_eq!(guest.named("random_get", &[PAGE - 8, 8]), 0);
    assert_eq!(guest.named("random_get", &[PAGE - 8, 9]), FAULT.0);
    assert_eq!(guest.named("poll_oneoff", &[0, PAGE, 1, 16]), FAULT.0);
    assert_eq!(
        guest.named("path_filestat_get", &[3, 0, 0, 5000, 0]),
        INVAL.0
    );
    assert_eq!(guest.named("path_filestat_get", &[3, 0, 0, 5, 0]), NOENT.0);
    assert_eq!(
        guest.named("path_filestat_get", &[3, 0, PAGE, 5, 0]),
        FAULT.0
    );
    assert_eq!(guest.named("sock_recv", &[0; 6]), NOTCAPABLE.0);
}
