//! Instruction metering inside the guest.
//!
//! The engine can count instructions (fuel), but each function then keeps the count in a local,
//! writes it back before every call and reads it again afterwards. An interpreter calls all the
//! time, so that this takes a fifth of its speed. Here the counter is one global that goes down,
//! and it is charged at few points: at the start of a function, at the start of a loop, and where a
//! branch leads to many instructions. A short branch is prepaid by the point before it, whether or
//! not it is taken. So no instruction runs unpaid, and the same run costs the same on any machine.
//!
//! An endless run passes a loop header, or a function in a cycle of calls (`call_graph.rs`), again
//! and again. Only there does the guest check the counter. Below zero it calls `sched_yield`, and
//! the host hands out the next slice or ends the run (`fuel.rs`).

use wasm_encoder::{BlockType, Instruction};
use wasmparser::{FunctionBody, Operator};

use super::insertion::{Insertion, Refused};

/// Most instructions of a branch that is prepaid before it, or of a function that its callers pay
/// for.
pub(super) const FEW: u32 = 48;
/// Most instructions that one point prepays in all, so that the count stays near to what really
/// runs.
const MANY: u32 = 96;
/// Price in instructions of each byte that `memory.copy` or `memory.fill` writes: one such
/// instruction may write megabytes.
const BYTE: i64 = 2;

/// What metering has to know of a module.
pub(super) struct Meter {
    /// Index of the global that counts, an i64.
    pub(super) counter: u32,
    /// Index of a scratch global for lengths, an i32.
    pub(super) length: u32,
    /// Index of the function to call when the slice is used up.
    pub(super) yields: u32,
    /// Number of imported functions. Their indices come first.
    pub(super) imported: u32,
    /// For each other function: the instructions that its callers pay. None when it pays itself.
    pub(super) short: Vec<Option<u32>>,
    /// For each other function: whether it checks the counter because a cycle of calls may pass it.
    pub(super) recurring: Vec<bool>,
}

/// A point where the counter may be charged: the start of the function, or a point that a branch
/// leads to or falls through to.
struct ChargePoint {
    /// Byte offset in the module.
    at: usize,
    /// Instructions charged here: those up to the next point, and those prepaid for later points.
    cost: u32,
    /// The prepaid ones among them, which may never run.
    absorbed: u32,
    /// Index of an earlier point that every run passes before it comes here. It can prepay.
    before: usize,
    /// Whether the counter is checked here.
    checks: bool,
}

impl Meter {
    /// The instructions that meter function `index`.
    pub(super) fn insertions(
        &self,
        body: &FunctionBody<'_>,
        index: u32,
    ) -> Result<Vec<Insertion>, Refused> {
        if self.paid_by_callers(index).is_some() {
            return Ok(Vec::new());
        }
        let mut found = self.long_work(body)?;
        let recurring = self.own(index).and_then(|index| self.recurring.get(index));
        let points = self.points(body, recurring == Some(&true))?;
        found.extend(points.iter().map(|point| self.count(point)));
        Ok(found)
    }

    fn own(&self, function: u32) -> Option<usize> {
        function
            .checked_sub(self.imported)
            .map(|index| index as usize)
    }

    fn paid_by_callers(&self, function: u32) -> Option<u32> {
        *self.short.get(self.own(function)?)?
    }

    fn count(&self, point: &ChargePoint) -> Insertion {
        let mut instructions = vec![
            Instruction::GlobalGet(self.counter),
            Instruction::I64Const(point.cost.into()),
            Instruction::I64Sub,
            Instruction::GlobalSet(self.counter),
        ];
        if point.checks {
            instructions.extend([
                Instruction::GlobalGet(self.counter),
                Instruction::I64Const(0),
                Instruction::I64LtS,
                Instruction::If(BlockType::Empty),
                Instruction::Call(self.yields),
                Instruction::Drop,
                Instruction::End,
            ]);
        }
        Insertion {
            at: point.at,
            instructions,
        }
    }

    /// Charges for the bytes that single instructions copy or fill.
    fn long_work(&self, body: &FunctionBody<'_>) -> Result<Vec<Insertion>, Refused> {
        let mut operators = body.get_operators_reader()?;
        let mut found = Vec::new();
        while !operators.eof() {
            let at = operators.original_position();
            if !is_long(&operators.read()?) {
                continue;
            }
            let instructions = vec![
                // The length is on top of the stack. It is saved and put back: the instruction
                // needs it.
                Instruction::GlobalSet(self.length),
                Instruction::GlobalGet(self.length),
                Instruction::GlobalGet(self.counter),
                Instruction::GlobalGet(self.length),
                Instruction::I64ExtendI32U,
                Instruction::I64Const(BYTE),
                Instruction::I64Mul,
                Instruction::I64Sub,
                Instruction::GlobalSet(self.counter),
            ];
            found.push(Insertion { at, instructions });
        }
        Ok(found)
    }

    /// The points of a function where the counter is charged, in order.
    fn points(
        &self,
        body: &FunctionBody<'_>,
        recurring: bool,
    ) -> Result<Vec<ChargePoint>, Refused> {
        let mut operators = body.get_operators_reader()?;
        let mut points = vec![ChargePoint {
            at: operators.original_position(),
            cost: 0,
            absorbed: 0,
            before: 0,
            checks: false,
        }];
        // For each open block, the point that it was entered from. Every run that leaves the block
        // has passed that point, which may therefore prepay what follows the block.
        let mut open = vec![0];
        while !operators.eof() {
            let operator = operators.read()?;
            let here = points.len() - 1;
            points[here].cost += weight(&operator);
            let (before, checks) = match operator {
                Operator::Block { .. } => {
                    open.push(here);
                    continue;
                }
                Operator::Loop { .. } => {
                    open.push(here);
                    (here, true)
                }
                Operator::If { .. } => {
                    open.push(here);
                    (here, false)
                }
                // Reached from the `if`, not from the end of its first branch.
                Operator::Else => (*open.last().ok_or("blocks do not match")?, false),
                Operator::End => (open.pop().ok_or("blocks do not match")?, false),
                Operator::Br { .. }
                | Operator::BrIf { .. }
                | Operator::BrTable { .. }
                | Operator::Return
                | Operator::Unreachable => (here, false),
                // Only a function that calls can be part of a cycle.
                Operator::Call { function_index } => {
                    points[0].checks = recurring;
                    points[here].cost += self.paid_by_callers(function_index).unwrap_or(0);
                    continue;
                }
                Operator::CallIndirect { .. } => {
                    points[0].checks = recurring;
                    continue;
                }
                _ => continue,
            };
            points.push(ChargePoint {
                at: operators.original_position(),
                cost: 0,
                absorbed: 0,
                before,
                checks,
            });
        }
        // From last to first, so that what a point takes over can itself be taken over by the point
        // before it. A checked point keeps its cost: a loop runs it more than once.
        for index in (1..points.len()).rev() {
            let ChargePoint {
                cost,
                before,
                checks,
                ..
            } = points[index];
            let absorbed = points[before].absorbed + cost;
            if !checks && cost <= FEW && absorbed <= MANY {
                points[before].cost += cost;
                points[before].absorbed = absorbed;
                points[index].cost = 0;
            }
        }
        points.retain(|point| point.cost > 0 || point.checks);
        Ok(points)
    }
}

/// The price of a function that its callers pay for: it is short, and has no loop, no call and no
/// instruction that works on many bytes. None for all others.
pub(super) fn short(body: &FunctionBody<'_>) -> Result<Option<u32>, Refused> {
    let mut cost = 0;
    for operator in body.get_operators_reader()? {
        let operator = operator?;
        cost += weight(&operator);
        if cost > FEW
            || is_long(&operator)
            || matches!(
                operator,
                Operator::Loop { .. } | Operator::Call { .. } | Operator::CallIndirect { .. }
            )
        {
            return Ok(None);
        }
    }
    Ok(Some(cost))
}

/// Whether this one instruction may work on any number of bytes.
fn is_long(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::MemoryCopy { .. } | Operator::MemoryFill { .. }
    )
}

/// The price of an instruction. Instructions that only structure the code are free, as in the
/// engine's own count, which a test compares with this one.
fn weight(operator: &Operator<'_>) -> u32 {
    match operator {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Unreachable
        | Operator::Return
        | Operator::Else
        | Operator::End => 0,
        _ => 1,
    }
}
