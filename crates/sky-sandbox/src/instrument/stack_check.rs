//! A floor under the guest's own stack.
//!
//! Compiled C keeps arrays and whatever has an address on a stack of its own in the guest's memory,
//! which WebAssembly does not guard: recursion deep enough, through functions with large frames,
//! would run it into the heap, and a program could write over the interpreter. So whatever moves
//! the stack pointer looks where it has come to.

use wasm_encoder::{BlockType, Instruction};
use wasmparser::{FunctionBody, Operator};

use super::insertion::{Insertion, Refused};

/// The stack pointer is global 0.
const STACK_POINTER: u32 = 0;
/// Bytes above the end of the stack at which it counts as full: functions that call no others may
/// use some below their pointer.
const SLACK: i32 = 1 << 16;

/// What guards the stack in a function: once its pointer is below `end`, plus some slack, it is
/// made 0, and the guest traps.
///
/// # Errors
/// When the function changes what is not made fresh between two runs, with the reason.
pub(super) fn insertions(body: &FunctionBody<'_>, end: i32) -> Result<Vec<Insertion>, Refused> {
    let mut found = Vec::new();
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let operator = operators.read()?;
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
