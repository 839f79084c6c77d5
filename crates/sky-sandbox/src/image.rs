//! Rewriting the guest's module: what to export before the snapshot, and the snapshot itself.

use std::ops::Range;

use wasm_encoder::{
    ConstExpr, DataSection, ExportKind, ExportSection, GlobalSection, GlobalType, MemorySection,
    MemoryType, Module, RawSection, ValType,
};
use wasmparser::{Operator, Parser, Payload};

/// The name under which the stack pointer (global 0) is exported.
pub(crate) const STACK_POINTER: &str = "__sky_stack_pointer";
/// The name under which the function table is exported.
pub(crate) const TABLE: &str = "__sky_table";
/// Bytes of one WebAssembly page.
pub(crate) const WASM_PAGE: usize = 65_536;
/// Granularity at which empty memory is left out of the image.
const IMAGE_PAGE: usize = 4096;

/// The guest with its stack pointer and table exported and everything that does not run left out.
///
/// # Errors
/// When the module is not one that can be snapshotted, with the reason.
pub(crate) fn expose(guest: &[u8]) -> Result<Vec<u8>, String> {
    rewrite(guest, |id, payload, module| {
        if id != SectionKind::Export {
            return Ok(false);
        }
        let Payload::ExportSection(reader) = payload else {
            return Ok(false);
        };
        let mut exports = ExportSection::new();
        for export in reader.clone() {
            let export = export.map_err(|error| error.to_string())?;
            let kind = match export.kind {
                wasmparser::ExternalKind::Func => ExportKind::Func,
                wasmparser::ExternalKind::Memory => ExportKind::Memory,
                wasmparser::ExternalKind::Table => ExportKind::Table,
                wasmparser::ExternalKind::Global => ExportKind::Global,
                other => return Err(format!("export {} is a {other:?}", export.name)),
            };
            exports.export(export.name, kind, export.index);
        }
        exports.export(STACK_POINTER, ExportKind::Global, 0);
        exports.export(TABLE, ExportKind::Table, 0);
        module.section(&exports);
        Ok(true)
    })
}

/// The exposed guest with its memory and stack pointer as they are now.
///
/// # Errors
/// When the module has state that this does not carry over, with the reason.
pub(crate) fn bake(exposed: &[u8], memory: &[u8], stack_pointer: i32) -> Result<Vec<u8>, String> {
    rewrite(exposed, |id, payload, module| {
        match (id, payload) {
            (SectionKind::Memory, Payload::MemorySection(reader)) => {
                if reader.count() != 1 {
                    return Err(format!("{} memories, one expected", reader.count()));
                }
                let mut memories = MemorySection::new();
                memories.memory(MemoryType {
                    minimum: (memory.len() / WASM_PAGE) as u64,
                    maximum: None,
                    memory64: false,
                    shared: false,
                    page_size_log2: None,
                });
                module.section(&memories);
            }
            (SectionKind::Global, Payload::GlobalSection(reader)) => {
                let mut globals = GlobalSection::new();
                for (index, global) in reader.clone().into_iter().enumerate() {
                    let global = global.map_err(|error| error.to_string())?;
                    // The stack pointer is the only state outside memory that may change; another
                    // would be lost.
                    if global.ty.content_type != wasmparser::ValType::I32
                        || global.ty.mutable != (index == 0)
                    {
                        return Err(format!("global {index} is {:?}", global.ty));
                    }
                    let value = match global
                        .init_expr
                        .get_operators_reader()
                        .read()
                        .map_err(|error| error.to_string())?
                    {
                        _ if index == 0 => stack_pointer,
                        Operator::I32Const { value } => value,
                        other => return Err(format!("global {index} starts as {other:?}")),
                    };
                    globals.global(
                        GlobalType {
                            val_type: ValType::I32,
                            mutable: index == 0,
                            shared: false,
                        },
                        &ConstExpr::i32_const(value),
                    );
                }
                module.section(&globals);
            }
            (SectionKind::Data, _) => {
                let mut data = DataSection::new();
                for run in occupied(memory) {
                    let offset =
                        i32::try_from(run.start).map_err(|_| "image over 2 GiB".to_owned())?;
                    data.active(
                        0,
                        &ConstExpr::i32_const(offset),
                        memory[run].iter().copied(),
                    );
                }
                module.section(&data);
            }
            _ => return Ok(false),
        }
        Ok(true)
    })
}

/// Runs of pages that are not all zero, as bytes of the memory.
fn occupied(memory: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, page) in memory.chunks(IMAGE_PAGE).enumerate() {
        if page.iter().all(|&byte| byte == 0) {
            continue;
        }
        let start = index * IMAGE_PAGE;
        let end = start + page.len();
        match runs.last_mut() {
            Some(run) if run.end == start => run.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

#[derive(Clone, Copy, PartialEq)]
enum SectionKind {
    Memory,
    Global,
    Export,
    Data,
    Other,
}

fn rewrite(
    bytes: &[u8],
    mut replace: impl FnMut(SectionKind, &Payload<'_>, &mut Module) -> Result<bool, String>,
) -> Result<Vec<u8>, String> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| error.to_string())?;
        let kind = match payload {
            Payload::MemorySection(_) => SectionKind::Memory,
            Payload::GlobalSection(_) => SectionKind::Global,
            Payload::ExportSection(_) => SectionKind::Export,
            Payload::DataSection(_) => SectionKind::Data,
            // The section counts the data segments, which change. Only `memory.init` needs it, and
            // `stack_check.rs` refuses a guest with that instruction.
            Payload::DataCountSection { .. } | Payload::CustomSection(_) => continue,
            Payload::StartSection { .. } => return Err("it has a start function".to_owned()),
            _ => SectionKind::Other,
        };
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        if !replace(kind, &payload, &mut module)? {
            module.section(&RawSection {
                id,
                data: &bytes[range],
            });
        }
    }
    Ok(module.finish())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_with_something_on_them_are_kept() {
        let mut memory = vec![0_u8; 5 * IMAGE_PAGE];
        memory[IMAGE_PAGE] = 1;
        memory[3 * IMAGE_PAGE - 1] = 1;
        memory[4 * IMAGE_PAGE] = 1;
        assert_eq!(
            occupied(&memory),
            [IMAGE_PAGE..3 * IMAGE_PAGE, 4 * IMAGE_PAGE..5 * IMAGE_PAGE]
        );
    }

    #[test]
    fn damaged_modules_are_refused_with_a_reason() {
        for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\x07\xff", b"#!/bin/sh"] {
            assert!(!expose(bytes).unwrap_err().is_empty());
        }
    }
}
