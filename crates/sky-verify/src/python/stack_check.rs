//! A floor under the guest's own stack.
//!
//! Compiled C keeps arrays and whatever has an address on a stack of its own in the guest's memory, which WebAssembly does not
//! guard: recursion deep enough, through functions with large frames, would run it into the heap, and a program could write over
//! the interpreter. So each function that moves the stack pointer does it through one that looks first.

use wasm_encoder::{CodeSection, Function, FunctionSection, Instruction, Module, RawSection};
use wasmparser::{
    BinaryReader, CodeSectionReader, FunctionBody, Operator, Parser, Payload, TypeRef, ValType,
};

/// The stack pointer is global 0.
const STACK_POINTER: u32 = 0;
/// Bytes above the end of the stack at which it counts as full: functions that call no others may use some below their pointer.
const SLACK: i32 = 1 << 16;

/// The module with every change of its stack pointer checked: what would bring it below `end`, plus some slack, makes it 0 and
/// traps.
///
/// # Errors
/// When the module is not one that this understands, with the reason.
pub(super) fn with_floor(module: &[u8], end: i32) -> Result<Vec<u8>, String> {
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let mut found = Module::new();
    let mut setter_type = None;
    let mut functions = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(text)?;
        match &payload {
            Payload::TypeSection(reader) => {
                let types = reader.clone().into_iter_err_on_gc_types().enumerate();
                for (index, kind) in types {
                    let kind = kind.map_err(text)?;
                    if kind.params() == [ValType::I32] && kind.results().is_empty() {
                        setter_type.get_or_insert(index as u32);
                    }
                }
            }
            Payload::ImportSection(reader) => {
                for import in reader.clone().into_imports() {
                    if matches!(import.map_err(text)?.ty, TypeRef::Func(_)) {
                        functions += 1;
                    }
                }
            }
            Payload::FunctionSection(reader) => {
                let mut section = FunctionSection::new();
                for index in reader.clone() {
                    section.function(index.map_err(text)?);
                    functions += 1;
                }
                section.function(setter_type.ok_or("it has no function of one i32 and no result")?);
                found.section(&section);
                continue;
            }
            Payload::CodeSectionStart { range, .. } => {
                // The new function comes after all others, so that none changes its number.
                found.section(&code(&module[range.clone()], range.start, functions, end)?);
                continue;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            let data = &module[range];
            found.section(&RawSection { id, data });
        }
    }
    Ok(found.finish())
}

/// The code section with its changes of the stack pointer handed to function `setter`, which is added.
fn code(bytes: &[u8], offset: usize, setter: u32, end: i32) -> Result<CodeSection, String> {
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let mut section = CodeSection::new();
    for body in CodeSectionReader::new(BinaryReader::new(bytes, offset)).map_err(text)? {
        section.raw(&redirected(&body.map_err(text)?, bytes, offset, setter)?);
    }
    let mut function = Function::new([]);
    for instruction in [
        Instruction::LocalGet(0),
        Instruction::I32Const(end.saturating_add(SLACK)),
        Instruction::I32LtU,
        Instruction::If(wasm_encoder::BlockType::Empty),
        Instruction::I32Const(0),
        Instruction::GlobalSet(STACK_POINTER),
        Instruction::Unreachable,
        Instruction::End,
        Instruction::LocalGet(0),
        Instruction::GlobalSet(STACK_POINTER),
        Instruction::End,
    ] {
        function.instruction(&instruction);
    }
    section.function(&function);
    Ok(section)
}

/// One function's body, byte for byte but for what sets the stack pointer.
fn redirected(
    body: &FunctionBody<'_>,
    bytes: &[u8],
    offset: usize,
    setter: u32,
) -> Result<Vec<u8>, String> {
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let range = body.range();
    let mut found = Vec::with_capacity(range.len());
    let mut copied = range.start;
    let mut operators = body.get_operators_reader().map_err(text)?;
    while !operators.eof() {
        let at = operators.original_position();
        let operator = operators.read().map_err(text)?;
        // A guest that has run is made fresh by restoring its memory alone.
        if matches!(
            operator,
            Operator::TableSet { .. }
                | Operator::TableGrow { .. }
                | Operator::TableFill { .. }
                | Operator::TableCopy { .. }
                | Operator::TableInit { .. }
                | Operator::ElemDrop { .. }
                | Operator::MemoryInit { .. }
                | Operator::DataDrop { .. }
        ) {
            return Err(format!(
                "it has {operator:?}, which changes state outside its memory"
            ));
        }
        if matches!(
            operator,
            Operator::GlobalSet {
                global_index: STACK_POINTER
            }
        ) {
            found.extend_from_slice(&bytes[copied - offset..at - offset]);
            wasm_encoder::Encode::encode(&Instruction::Call(setter), &mut found);
            copied = operators.original_position();
        }
    }
    found.extend_from_slice(&bytes[copied - offset..range.end - offset]);
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasm_encoder::{
        ConstExpr, EntityType, ExportKind, ExportSection, GlobalSection, GlobalType, ImportSection,
        TypeSection, ValType as EncodedType,
    };
    use wasmtime::{Engine, Instance, Module, Store, Trap};

    use super::*;

    /// `take(n)` lowers the stack pointer by n and gives it, or 7 for 0; `untouched()` sets another global.
    fn guest() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([EncodedType::I32], []);
        types.ty().function([EncodedType::I32], [EncodedType::I32]);
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("host", "nothing", EntityType::Function(0));
        let mut functions = FunctionSection::new();
        functions.function(1).function(2);
        let mut globals = GlobalSection::new();
        for value in [1_000_000, 5] {
            let kind = GlobalType {
                val_type: EncodedType::I32,
                mutable: true,
                shared: false,
            };
            globals.global(kind, &ConstExpr::i32_const(value));
        }
        let mut exports = ExportSection::new();
        exports
            .export("sp", ExportKind::Global, 0)
            .export("other", ExportKind::Global, 1)
            .export("take", ExportKind::Func, 1)
            .export("untouched", ExportKind::Func, 2);
        let mut take = Function::new([(2, EncodedType::I64)]);
        for instruction in [
            Instruction::LocalGet(0),
            Instruction::I32Eqz,
            Instruction::If(wasm_encoder::BlockType::Empty),
            Instruction::I32Const(7),
            Instruction::Return,
            Instruction::End,
            Instruction::GlobalGet(0),
            Instruction::LocalGet(0),
            Instruction::I32Sub,
            Instruction::GlobalSet(0),
            Instruction::GlobalGet(0),
            Instruction::End,
        ] {
            take.instruction(&instruction);
        }
        let mut untouched = Function::new([]);
        for instruction in [
            Instruction::I32Const(1),
            Instruction::GlobalSet(1),
            Instruction::End,
        ] {
            untouched.instruction(&instruction);
        }
        let mut code = CodeSection::new();
        code.function(&take).function(&untouched);
        let mut module = wasm_encoder::Module::new();
        module
            .section(&types)
            .section(&imports)
            .section(&functions)
            .section(&globals)
            .section(&exports)
            .section(&code);
        module.finish()
    }

    #[test]
    fn the_stack_pointer_cannot_pass_the_floor() {
        let engine = Engine::default();
        let bytes = with_floor(&guest(), 900_000 - SLACK).unwrap();
        let module = Module::new(&engine, bytes).unwrap();
        let mut store = Store::new(&engine, ());
        let nothing = wasmtime::Func::wrap(&mut store, |_: i32| {});
        let instance = Instance::new(&mut store, &module, &[nothing.into()]).unwrap();
        let take = instance
            .get_typed_func::<i32, i32>(&mut store, "take")
            .unwrap();
        let sp = instance.get_global(&mut store, "sp").unwrap();
        let other = instance.get_global(&mut store, "other").unwrap();
        assert_eq!(take.call(&mut store, 0).unwrap(), 7);
        assert_eq!(take.call(&mut store, 100_000).unwrap(), 900_000);
        assert_eq!(take.call(&mut store, -100).unwrap(), 900_100);
        let trap = take.call(&mut store, 101).unwrap_err();
        assert_eq!(trap.downcast_ref(), Some(&Trap::UnreachableCodeReached));
        assert_eq!(sp.get(&mut store).i32(), Some(0));
        let untouched = instance
            .get_typed_func::<(), ()>(&mut store, "untouched")
            .unwrap();
        untouched.call(&mut store, ()).unwrap();
        assert_eq!(other.get(&mut store).i32(), Some(1));
    }

    #[test]
    fn other_modules_are_refused_or_left_alone() {
        // One function of nothing, and no type to make the setter from.
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut empty = Function::new([]);
        empty.instruction(&Instruction::End);
        let mut code = CodeSection::new();
        code.function(&empty);
        let mut none = wasm_encoder::Module::new();
        none.section(&types).section(&functions).section(&code);
        let none = none.finish();
        assert!(with_floor(&none, 0).unwrap_err().contains("one i32"));
        assert!(with_floor(b"\0asm", 0).is_err());
    }
}
