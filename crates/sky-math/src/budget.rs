use std::cell::Cell;

/// A budget of steps, which bounds a call instead of a clock: a verdict is the same on any machine
/// at any load.
///
/// A step is about one machine-word operation on a big number, one token or one tree node; a
/// million take a few milliseconds.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<u64>,
    total: u64,
}

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfBudget;

impl Budget {
    pub(crate) fn new(total: u64) -> Self {
        Self {
            left: Cell::new(total),
            total,
        }
    }

    /// Takes `steps`, or says that there are not as many left. From then on nothing is left: cheap
    /// methods must not succeed after a dear one has failed, or the verdict would depend on their
    /// order.
    pub(crate) fn take(&self, steps: u64) -> Result<(), OutOfBudget> {
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(OutOfBudget)
            }
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.total - self.left.get()
    }

    pub(crate) fn left(&self) -> u64 {
        self.left.get()
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }
}
