//! Instruments the guest: it counts its instructions (`meter.rs`) and checks its own stack
//! (`stack_check.rs`).
//!
//! Both insert instructions into function bodies and change nothing else in them. What this code
//! does not understand is refused, since an uncounted or unguarded path would be a hole.

mod call_graph;
mod insertion;
mod meter;
mod stack_check;

use wasm_encoder::{
    BranchHint, BranchHints, CodeSection, ConstExpr, Encode, ExportKind, GlobalType, Instruction,
    Module, RawSection, ValType,
};
use wasmparser::{
    BinaryReader, CodeSectionReader, ElementItems, ElementSectionReader, FunctionBody,
    ImportSectionReader, Parser, Payload, TypeRef,
};

use self::call_graph::recurring;
use self::insertion::Insertion;
pub(crate) use self::insertion::Refused;
use self::meter::{Meter, short};

/// The name under which the counter is exported to the host.
pub(crate) const COUNTER: &str = "__sky_fuel";
/// The import that the guest calls when its slice is used up. CPython imports it already, so that
/// no import is added, which would renumber every function.
const YIELD: &str = "sched_yield";

/// Gives the module with its instructions counted and its shadow stack guarded. `stack_end` is the
/// address of the stack's lower end.
///
/// # Errors
/// Why the module cannot be instrumented.
pub(crate) fn instrumented(module: &[u8], stack_end: i32) -> Result<Vec<u8>, Refused> {
    let mut found = Module::new();
    let mut imported = 0;
    let mut yields = None;
    let mut counter = None;
    let mut by_address = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        let data = &module[range.clone()];
        match &payload {
            Payload::ImportSection(reader) => {
                (imported, yields) = imported_functions(reader)?;
            }
            Payload::GlobalSection(reader) => {
                counter = Some(reader.count());
                let count = global(ValType::I64, &ConstExpr::i64_const(0));
                let length = global(ValType::I32, &ConstExpr::i32_const(0));
                let data = &with_others(data, &[count, length])?;
                found.section(&RawSection { id, data });
                continue;
            }
            Payload::ExportSection(_) => {
                let mut item = Vec::new();
                COUNTER.encode(&mut item);
                ExportKind::Global.encode(&mut item);
                counter.ok_or("it has no globals")?.encode(&mut item);
                let data = &with_others(data, &[item])?;
                found.section(&RawSection { id, data });
                continue;
            }
            Payload::ElementSection(reader) => {
                by_address.extend(functions_by_address(reader)?);
            }
            Payload::CodeSectionStart { .. } => {
                let counter = counter.ok_or("it has no globals")?;
                let yields = yields.ok_or("it does not import sched_yield")?;
                let bodies: Vec<FunctionBody<'_>> =
                    CodeSectionReader::new(BinaryReader::new(data, range.start))
                        .and_then(|reader| reader.into_iter().collect())?;
                let meter = Meter {
                    counter,
                    length: counter + 1,
                    yields,
                    imported,
                    short: bodies.iter().map(short).collect::<Result<_, Refused>>()?,
                    recurring: recurring(&bodies, imported, &by_address)?,
                };
                let mut hints = BranchHints::new();
                let mut code = CodeSection::new();
                for (body, index) in bodies.iter().zip(imported..) {
                    let mut insertions = meter.insertions(body, index)?;
                    insertions.extend(stack_check::insertions(body, stack_end)?);
                    insertions.sort_by_key(|insertion| insertion.at);
                    let (body, unlikely) = with(body.range(), module, insertions);
                    code.raw(&body);
                    if !unlikely.is_empty() {
                        hints.function_hints(index, unlikely);
                    }
                }
                found.section(&hints).section(&code);
                continue;
            }
            _ => {}
        }
        found.section(&RawSection { id, data });
    }
    Ok(found.finish())
}

/// The number of imported functions, and the index of the one that yields.
fn imported_functions(reader: &ImportSectionReader<'_>) -> Result<(u32, Option<u32>), Refused> {
    let (mut count, mut yields) = (0, None);
    for import in reader.clone().into_imports() {
        let import = import?;
        match import.ty {
            TypeRef::Func(_) => {
                if import.name == YIELD {
                    yields = Some(count);
                }
                count += 1;
            }
            TypeRef::Global(_) => return Err("it imports a global".into()),
            _ => {}
        }
    }
    Ok((count, yields))
}

/// The functions that an indirect call can reach.
fn functions_by_address(reader: &ElementSectionReader<'_>) -> Result<Vec<u32>, Refused> {
    let mut found = Vec::new();
    for element in reader.clone() {
        match element?.items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    found.push(function?);
                }
            }
            ElementItems::Expressions(..) => return Err("it has a table of expressions".into()),
        }
    }
    Ok(found)
}

fn global(val_type: ValType, value: &ConstExpr) -> Vec<u8> {
    let mut found = Vec::new();
    GlobalType {
        val_type,
        mutable: true,
        shared: false,
    }
    .encode(&mut found);
    value.encode(&mut found);
    found
}

/// A section that is a list, with these items appended. The old items keep their indices.
fn with_others(section: &[u8], others: &[Vec<u8>]) -> Result<Vec<u8>, Refused> {
    let mut reader = BinaryReader::new(section, 0);
    let count = reader.read_var_u32()?;
    let mut found = Vec::with_capacity(section.len() + 64);
    count
        .checked_add(others.len() as u32)
        .ok_or("a section is full")?
        .encode(&mut found);
    found.extend_from_slice(&section[reader.original_position()..]);
    found.extend(others.iter().flatten());
    Ok(found)
}

/// A function's body with these insertions, sorted by place, and a hint for each inserted `if` that
/// it is not taken. All other bytes are copied as they are.
fn with(
    body: std::ops::Range<usize>,
    module: &[u8],
    insertions: Vec<Insertion>,
) -> (Vec<u8>, Vec<BranchHint>) {
    let mut found = Vec::with_capacity(body.len() + 24 * insertions.len());
    let mut hints = Vec::new();
    let mut copied = body.start;
    for Insertion { at, instructions } in insertions {
        found.extend_from_slice(&module[copied..at]);
        copied = at;
        for instruction in instructions {
            if matches!(instruction, Instruction::If(_)) {
                hints.push(BranchHint {
                    branch_func_offset: found.len() as u32,
                    branch_hint_value: 0,
                });
            }
            instruction.encode(&mut found);
        }
    }
    found.extend_from_slice(&module[copied..body.end]);
    (found, hints)
}

#[cfg(test)]
mod tests;
