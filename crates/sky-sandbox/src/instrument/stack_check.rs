//! Stack check: guards the lower end of the guest's own (shadow) stack.
//!
//! Compiled C keeps arrays and all variables that have an address on a stack in the guest's memory.
//! WebAssembly does not guard this stack. Deep recursion through functions with large frames would
//! run it into the heap, and a program could overwrite the interpreter. So every instruction that
//! sets the stack pointer is followed by a check of its new value.

use wasm_encoder::{BlockType, Instruction};
use wasmparser::{FunctionBody, Operator};

use super::insertion::{Insertion, Refused};

/// The stack pointer is global 0.
const STACK_POINTER: u32 = 0;
/// The stack counts as full this many bytes above its end: a leaf function may use memory below the
/// stack pointer without moving it.
const SLACK: i32 = 1 << 16;

/// The checks of one function. When the stack pointer is below `end` plus the slack, the guest sets
/// it to 0 and traps. The 0 tells the host that the stack was full: the trap alone could be any.
///
/// # Errors
/// When the function may change state outside of memory, which is not reset between two runs.
pub(super) fn insertions(body: &FunctionBody<'_>, end: i32) -> Result<Vec<Insertion>, Refused> {
    let mut found = Vec::new();
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let operator = operators.read()?;
        // A used guest is reset by restoring its memory and stack pointer alone (`guest.rs`).
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
            return Err(
                format!("it has {operator:?}, which changes state outside its memory").into(),
            );
        }
        if matches!(
            operator,
            Operator::GlobalSet {
                global_index: STACK_POINTER
            }
        ) {
            found.push(Insertion {
                at: operators.original_position(),
                instructions: vec![
                    Instruction::GlobalGet(STACK_POINTER),
                    Instruction::I32Const(end.saturating_add(SLACK)),
                    Instruction::I32LtU,
                    Instruction::If(BlockType::Empty),
                    Instruction::I32Const(0),
                    Instruction::GlobalSet(STACK_POINTER),
                    Instruction::Unreachable,
                    Instruction::End,
                ],
            });
        }
    }
    Ok(found)
}
