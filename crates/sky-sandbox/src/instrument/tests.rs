#![allow(clippy::unwrap_used)]

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    Instruction as I, MemArg, MemorySection, MemoryType, Module, RefType, TableSection, TableType,
    TypeSection, ValType,
};
use wasmtime::{Config, Engine, Instance, Store, Trap, Val};

use super::meter::FEW;
use super::{COUNTER, instrumented};

/// Where the stack pointer starts, and where the stack ends.
const STACK: (i32, i32) = (1_000_000, 800_000);
/// Bytes above the end at which it counts as full.
const SLACK: i32 = 1 << 16;
/// Global that counts the calls.
const CALLS: u32 = 1;

/// A module of these functions from i32 to i32, each callable by its number from 1, by address too,
/// exported by it.
fn module(functions: &[Vec<I<'static>>]) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    types.ty().function([ValType::I32], [ValType::I32]);
    let mut imports = ImportSection::new();
    imports.import("host", "sched_yield", EntityType::Function(0));
    let count = functions.len() as u32;
    let mut declared = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for (index, instructions) in (1..).zip(functions) {
        declared.function(1);
        exports.export(&index.to_string(), ExportKind::Func, index);
        // An accumulator, and loop counters.
        let mut function = Function::new([(10, ValType::I32)]);
        for instruction in [
            I::GlobalGet(CALLS),
            I::I32Const(1),
            I::I32Add,
            I::GlobalSet(CALLS),
        ] {
            function.instruction(&instruction);
        }
        for instruction in instructions {
            function.instruction(instruction);
        }
        function.instruction(&I::End);
        code.function(&function);
    }
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: u64::from(count) + 1,
        maximum: None,
        shared: false,
    });
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 2,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut globals = GlobalSection::new();
    for value in [STACK.0, 0] {
        let kind = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(kind, &ConstExpr::i32_const(value));
    }
    exports.export("stack", ExportKind::Global, 0);
    exports.export("calls", ExportKind::Global, CALLS);
    let mut elements = ElementSection::new();
    let all: Vec<u32> = (1..=count).collect();
    elements.active(
        None,
        &ConstExpr::i32_const(1),
        Elements::Functions(all.into()),
    );
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&declared)
        .section(&tables)
        .section(&memories)
        .section(&globals)
        .section(&exports)
        .section(&elements)
        .section(&code);
    module.finish()
}

struct Run {
    result: Result<i32, wasmtime::Error>,
    /// By the engine, where it counts.
    fuel: u64,
    /// By the module, where it counts.
    counted: i64,
    calls: u64,
    stack: i32,
}

/// What the engine gives a module that counts by itself: enough for any test that ends.
const ENOUGH: u64 = 1 << 32;
/// What the module has: `sched_yield` ends it.
const GIVEN: i64 = 1 << 26;

fn run(bytes: &[u8], function: u32, argument: i32) -> Run {
    let mut config = Config::new();
    config.consume_fuel(true).wasm_branch_hinting(true);
    let engine = Engine::new(&config).unwrap();
    let module = wasmtime::Module::new(&engine, bytes).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_fuel(ENOUGH).unwrap();
    let yields = wasmtime::Func::wrap(&mut store, || -> wasmtime::Result<i32> {
        Err(wasmtime::Error::msg("yields"))
    });
    let instance = Instance::new(&mut store, &module, &[yields.into()]).unwrap();
    let counter = instance.get_global(&mut store, COUNTER);
    if let Some(counter) = counter {
        counter.set(&mut store, Val::I64(GIVEN)).unwrap();
    }
    let before = store.get_fuel().unwrap();
    let result = instance
        .get_typed_func::<i32, i32>(&mut store, &function.to_string())
        .unwrap()
        .call(&mut store, argument);
    let mut global = |name| {
        instance
            .get_global(&mut store, name)
            .unwrap()
            .get(&mut store)
    };
    let (calls, stack) = (global("calls").unwrap_i32(), global("stack").unwrap_i32());
    Run {
        result,
        fuel: before - store.get_fuel().unwrap(),
        counted: counter.map_or(0, |counter| GIVEN - counter.get(&mut store).unwrap_i64()),
        calls: calls as u64,
        stack,
    }
}

/// Writes functions that end, out of everything that branches.
struct Writer {
    seed: u64,
    words: u64,
    found: Vec<I<'static>>,
}

impl Writer {
    fn pick(&mut self, below: u64) -> u64 {
        self.words += 1;
        sky_types::derive_seed(self.seed, "instrument", self.words) % below
    }

    fn statements(&mut self, depth: u32, index: u32) {
        for _ in 0..self.pick(4) {
            self.statement(depth, index);
        }
    }

    fn condition(&mut self) {
        let mask = self.pick(8) as i32;
        self.found
            .extend([I::LocalGet(1), I::I32Const(mask), I::I32And]);
    }

    fn compute(&mut self, times: u64) {
        for _ in 0..times {
            let constant = self.pick(1000) as i32;
            self.found.extend([
                I::LocalGet(1),
                I::I32Const(31),
                I::I32Mul,
                I::I32Const(constant),
                I::I32Add,
                I::LocalSet(1),
            ]);
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    fn statement(&mut self, depth: u32, index: u32) {
        if depth > 6 {
            return self.compute(1);
        }
        let inner = depth + 1;
        match self.pick(11) {
            0 => {
                self.condition();
                self.found.push(I::If(BlockType::Empty));
                self.statements(inner, index);
                self.found.push(I::Else);
                self.statements(inner, index);
                self.found.push(I::End);
            }
            1 => {
                self.condition();
                self.found.push(I::If(BlockType::Empty));
                self.statements(inner, index);
                self.found.push(I::End);
            }
            2 => {
                let (counter, times) = (2 + depth, self.pick(4) as i32 + 1);
                self.found.extend([
                    I::I32Const(times),
                    I::LocalSet(counter),
                    I::Loop(BlockType::Empty),
                ]);
                self.statements(inner, index);
                self.found.extend([
                    I::LocalGet(counter),
                    I::I32Const(1),
                    I::I32Sub,
                    I::LocalTee(counter),
                    I::BrIf(0),
                    I::End,
                ]);
            }
            3 => {
                self.found.push(I::Block(BlockType::Empty));
                self.statements(inner, index);
                self.condition();
                self.found.push(I::BrIf(0));
                self.statements(inner, index);
                self.found.push(I::End);
            }
            4 => {
                self.found.extend([const { I::Block(BlockType::Empty) }; 3]);
                self.condition();
                self.found.push(I::BrTable(vec![0, 1].into(), 2));
                self.found.push(I::End);
                self.statements(inner, index);
                self.found.extend([I::Br(1), I::End]);
                self.statements(inner, index);
                self.found.push(I::End);
            }
            5 if index > 1 => {
                let callee = 1 + self.pick(u64::from(index) - 1) as u32;
                self.found
                    .extend([I::LocalGet(1), I::Call(callee), I::LocalSet(1)]);
            }
            6 if index > 1 => {
                let callee = 1 + self.pick(u64::from(index) - 1) as i32;
                self.found.extend([
                    I::LocalGet(1),
                    I::I32Const(callee),
                    I::CallIndirect {
                        type_index: 1,
                        table_index: 0,
                    },
                    I::LocalSet(1),
                ]);
            }
            7 => {
                self.condition();
                self.found.extend([
                    I::I32Eqz,
                    I::If(BlockType::Empty),
                    I::LocalGet(1),
                    I::Return,
                    I::End,
                ]);
            }
            8 => {
                self.found.push(I::I32Const(64));
                self.found.push(I::LocalGet(1));
                self.condition();
                self.found.push(I::MemoryFill(0));
            }
            9 => self.compute(20),
            _ => self.compute(1),
        }
    }
}

#[test]
fn a_counted_module_does_the_same_and_pays_for_all_of_it() {
    let (mut exact, mut paid) = (0, 0);
    for seed in 0..150 {
        let functions: Vec<Vec<I<'static>>> = (1..=4)
            .map(|index| {
                let mut writer = Writer {
                    seed,
                    words: u64::from(index) << 32,
                    found: vec![I::LocalGet(0), I::LocalSet(1)],
                };
                writer.statements(0, index);
                writer.statement(0, index);
                writer.found.push(I::LocalGet(1));
                writer.found
            })
            .collect();
        let plain = module(&functions);
        let counted = instrumented(&plain, STACK.1).unwrap();
        for argument in [0, 7, -1, 123_456] {
            let expected = run(&plain, 4, argument);
            let found = run(&counted, 4, argument);
            assert_eq!(
                found.result.unwrap(),
                expected.result.unwrap(),
                "{seed} {argument}"
            );
            assert_eq!(found.calls, expected.calls);
            // The engine takes one for each call, and this nothing for a short function that the
            // host calls.
            let least = expected.fuel - expected.calls;
            let counted = found.counted as u64;
            assert!(counted + u64::from(FEW) >= least, "{seed} {argument}");
            exact += least;
            paid += counted;
        }
    }
    // What is paid and does not run is the smaller part.
    assert!(exact > 100_000 && paid < 2 * exact, "{paid} {exact}");
}

/// A function that calls `callee` twice with one less until it comes to 0, by name or by address.
fn branching(callee: u32, by_address: bool) -> Vec<I<'static>> {
    let mut found = vec![I::LocalGet(0), I::If(BlockType::Empty)];
    for _ in 0..2 {
        found.extend([I::LocalGet(0), I::I32Const(1), I::I32Sub]);
        if by_address {
            found.push(I::I32Const(callee as i32));
            found.push(I::CallIndirect {
                type_index: 1,
                table_index: 0,
            });
        } else {
            found.push(I::Call(callee));
        }
        found.push(I::Drop);
    }
    found.extend([I::End, I::I32Const(5)]);
    found
}

#[test]
fn what_never_ends_asks_for_more() {
    let endless = [
        vec![vec![
            I::Loop(BlockType::Empty),
            I::Br(0),
            I::End,
            I::Unreachable,
        ]],
        // 2^60 calls, never more than 60 deep.
        vec![branching(1, false)],
        vec![
            branching(2, false),
            branching(3, false),
            branching(1, false),
        ],
        vec![branching(1, true)],
        vec![branching(2, true), branching(1, false)],
    ];
    for (case, functions) in endless.iter().enumerate() {
        let bytes = instrumented(&module(functions), STACK.1).unwrap();
        let run = run(&bytes, 1, 60);
        let error = run.result.unwrap_err();
        assert_eq!(error.root_cause().to_string(), "yields", "{case}");
        assert!(run.counted >= GIVEN, "{case}");
        assert!(run.counted < GIVEN + 1000, "{case}");
    }
}

#[test]
fn bytes_that_one_instruction_fills_and_copies_are_counted() {
    let fill = vec![
        I::I32Const(0),
        I::I32Const(7),
        I::LocalGet(0),
        I::MemoryFill(0),
        I::I32Const(0),
        I::I32Load8U(MemArg {
            offset: 0,
            align: 0,
            memory_index: 0,
        }),
    ];
    let copy = vec![
        I::I32Const(10),
        I::I32Const(0),
        I::LocalGet(0),
        I::MemoryCopy {
            src_mem: 0,
            dst_mem: 0,
        },
        I::I32Const(1),
    ];
    let bytes = instrumented(&module(&[fill, copy]), STACK.1).unwrap();
    for (function, result) in [(1, 7), (2, 1)] {
        let run = run(&bytes, function, 100_000);
        assert_eq!(run.result.unwrap(), result);
        assert!((200_000..200_100).contains(&run.counted), "{}", run.counted);
    }
}

#[test]
fn the_stack_pointer_cannot_pass_the_floor() {
    let take = vec![
        I::GlobalGet(0),
        I::LocalGet(0),
        I::I32Sub,
        I::GlobalSet(0),
        I::GlobalGet(0),
    ];
    let bytes = instrumented(&module(&[take]), STACK.1).unwrap();
    let room = STACK.0 - STACK.1 - SLACK;
    for (taken, left) in [(room, STACK.1 + SLACK), (0, STACK.0), (-100, STACK.0 + 100)] {
        let run = run(&bytes, 1, taken);
        assert_eq!((run.result.unwrap(), run.stack), (left, left));
    }
    let over = run(&bytes, 1, room + 1);
    let trap = over.result.unwrap_err();
    assert_eq!(trap.downcast_ref(), Some(&Trap::UnreachableCodeReached));
    assert_eq!(over.stack, 0);
}

#[test]
fn modules_that_cannot_be_counted_or_made_fresh_are_refused() {
    let refused =
        |functions: &[Vec<I<'static>>]| instrumented(&module(functions), 0).unwrap_err().0;
    let tail = vec![I::LocalGet(0), I::ReturnCall(1)];
    assert!(refused(&[tail]).contains("ReturnCall"));
    let grow = vec![
        I::RefNull(wasm_encoder::HeapType::FUNC),
        I::I32Const(1),
        I::TableGrow(0),
    ];
    assert!(refused(&[grow]).contains("outside its memory"));
    assert!(instrumented(b"\0asm", 0).is_err());
    assert!(instrumented(b"", 0).is_err());
    // One function that is all there is.
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut empty = Function::new([]);
    empty.instruction(&I::End);
    let mut code = CodeSection::new();
    code.function(&empty);
    let mut none = Module::new();
    none.section(&types).section(&functions).section(&code);
    assert!(instrumented(&none.finish(), 0).is_err());
}
