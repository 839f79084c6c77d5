//! Counting the guest's instructions, inside the guest.
//!
//! The engine can count them (fuel): each function keeps the count in a variable of its own, writes
//! it back before every call and reads it again after. In an interpreter, which calls all the time,
//! that is a fifth of all it does. Here the count is a global that goes down, and it goes down at
//! few places: where a function begins, where a loop does, and where a branch leads to many
//! instructions. A few are taken before the branch, whether or not it is taken then. So no
//! instruction runs that has not been paid for, and the same run costs the same anywhere.
//!
//! Where every endless run passes again and again, at loops and in functions that circles of calls
//! lead back to (`call_graph.rs`), the guest looks whether anything is left; if nothing is, it
//! calls `sched_yield`, and the host hands it more or ends it (`fuel.rs`).

use wasm_encoder::{BlockType, Instruction};
use wasmparser::{FunctionBody, Operator};

use super::insertion::{Insertion, Refused};

/// Most instructions that are taken before the branch that leads to them, or by the caller of a
/// function that has no more.
pub(super) const FEW: u32 = 48;
/// Most that one place takes for others, so that the count stays near to what runs.
const MANY: u32 = 96;
/// Instructions for each byte that one instruction copies or fills.
const BYTE: i64 = 2;

/// What the count needs to know of a module.
pub(super) struct Meter {
    /// The global that counts, an i64.
    pub(super) counter: u32,
    /// A global to put lengths away in, an i32.
    pub(super) length: u32,
    /// The function to call when nothing is left.
    pub(super) yields: u32,
    /// Functions that are imported, which come before all others.
    pub(super) imported: u32,
    /// For each other function what its callers pay for it.
    pub(super) short: Vec<Option<u32>>,
    /// For each other function whether a circle of calls may lead back to it.
    pub(super) recurring: Vec<bool>,
}

/// A place in a function that a branch may lead to, or that begins it.
struct Place {
    /// Where in the module.
    at: usize,
    /// Instructions from here to the next one.
    cost: u32,
    /// Those of them that may not run.
    absorbed: u32,
    /// The place that every run has passed before it comes here.
    before: usize,
    /// What is left is looked at here.
    looks: bool,
}

impl Meter {
    /// What counts in function `index`.
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
        let places = self.places(body, recurring == Some(&true))?;
        found.extend(places.iter().map(|place| self.count(place)));
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

    fn count(&self, place: &Place) -> Insertion {
        let mut instructions = vec![
            Instruction::GlobalGet(self.counter),
            Instruction::I64Const(place.cost.into()),
            Instruction::I64Sub,
            Instruction::GlobalSet(self.counter),
        ];
        if place.looks {
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
            at: place.at,
            instructions,
        }
    }

    /// Counts the bytes that single instructions copy and fill.
    fn long_work(&self, body: &FunctionBody<'_>) -> Result<Vec<Insertion>, Refused> {
        let mut operators = body.get_operators_reader()?;
        let mut found = Vec::new();
        while !operators.eof() {
            let at = operators.original_position();
            if !is_long(&operators.read()?) {
                continue;
            }
            let instructions = vec![
                // Their number is the last operand.
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

    /// The places of a function where instructions are taken, in order.
    fn places(&self, body: &FunctionBody<'_>, recurring: bool) -> Result<Vec<Place>, Refused> {
        let mut operators = body.get_operators_reader()?;
        let mut places = vec![Place {
            at: operators.original_position(),
            cost: 0,
            absorbed: 0,
            before: 0,
            looks: false,
        }];
        // For each open block the place before it.
        let mut open = vec![0];
        while !operators.eof() {
            let operator = operators.read()?;
            let here = places.len() - 1;
            places[here].cost += weight(&operator);
            let (before, looks) = match operator {
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
                Operator::Else => (*open.last().ok_or("blocks do not match")?, false),
                Operator::End => (open.pop().ok_or("blocks do not match")?, false),
                Operator::Br { .. }
                | Operator::BrIf { .. }
                | Operator::BrTable { .. }
                | Operator::Return
                | Operator::Unreachable => (here, false),
                Operator::Call { function_index } => {
                    places[0].looks = recurring;
                    places[here].cost += self.paid_by_callers(function_index).unwrap_or(0);
                    continue;
                }
                Operator::CallIndirect { .. } => {
                    places[0].looks = recurring;
                    continue;
                }
                _ => continue,
            };
            places.push(Place {
                at: operators.original_position(),
                cost: 0,
                absorbed: 0,
                before,
                looks,
            });
        }
        // From the last to the first, so that what is taken before can go on to the place before
        // that.
        for index in (1..places.len()).rev() {
            let Place {
                cost,
                before,
                looks,
                ..
            } = places[index];
            let absorbed = places[before].absorbed + cost;
            if !looks && cost <= FEW && absorbed <= MANY {
                places[before].cost += cost;
                places[before].absorbed = absorbed;
                places[index].cost = 0;
            }
        }
        places.retain(|place| place.cost > 0 || place.looks);
        Ok(places)
    }
}

/// The instructions of a function that has few, and none that take long: its callers pay for it.
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

/// Whether it does as much as it is told, at once.
fn is_long(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::MemoryCopy { .. } | Operator::MemoryFill { .. }
    )
}

/// What only gives the code its shape costs nothing, as with the engine's own count.
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
