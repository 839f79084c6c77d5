//! The devices that programs open by path. The descriptor of an opened one leads to the standard
//! stream that it names; `/dev/null` leads nowhere.

/// The descriptor that `/dev/null` resolves to. The guest never sees it.
pub(crate) const NULL: u32 = 102;

/// The first descriptor given out; 0 to 2 are the standard streams, 3 is the root.
const FIRST: u32 = 4;
/// More open devices than this are refused.
const MOST_OPEN: usize = 64;

/// The devices that a run has open.
#[derive(Default)]
pub(crate) struct Devices {
    /// What each descriptor from [`FIRST`] on leads to.
    open: Vec<Option<u32>>,
}

/// What a path relative to the root leads to: 0 to 2, or [`NULL`].
pub(crate) fn device(path: &str) -> Option<u32> {
    Some(
        match path.trim_start_matches("./").trim_start_matches('/') {
            "dev/stdin" | "dev/fd/0" | "proc/self/fd/0" => 0,
            "dev/stdout" | "dev/fd/1" | "proc/self/fd/1" => 1,
            "dev/stderr" | "dev/fd/2" | "proc/self/fd/2" => 2,
            "dev/null" => NULL,
            _ => return None,
        },
    )
}

impl Devices {
    /// Opens a device by its path, and gives its descriptor.
    pub(crate) fn open(&mut self, path: &str) -> Option<u32> {
        let target = device(path)?;
        let slot = self.open.iter().position(Option::is_none).or_else(|| {
            (self.open.len() < MOST_OPEN).then(|| {
                self.open.push(None);
                self.open.len() - 1
            })
        })?;
        self.open[slot] = Some(target);
        Some(FIRST + slot as u32)
    }

    /// Closes a descriptor.
    pub(crate) fn close(&mut self, descriptor: u32) -> Option<()> {
        let slot = descriptor.checked_sub(FIRST)? as usize;
        self.open.get_mut(slot)?.take().map(drop)
    }

    /// The stream that a descriptor leads to; itself when it is no device's.
    pub(crate) fn resolve(&self, descriptor: u32) -> u32 {
        let slot = descriptor.checked_sub(FIRST).map(|slot| slot as usize);
        let opened = slot.and_then(|slot| self.open.get(slot).copied().flatten());
        // The guest must not reach it by number.
        opened.unwrap_or(if descriptor == NULL {
            u32::MAX
        } else {
            descriptor
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_descriptor_leads_nowhere_and_is_given_out_again() {
        let mut devices = Devices::default();
        let input = devices.open("/dev/stdin").unwrap();
        let null = devices.open("dev/null").unwrap();
        assert_eq!([input, null], [FIRST, FIRST + 1]);
        assert_eq!([devices.resolve(input), devices.resolve(null)], [0, NULL]);
        devices.close(input).unwrap();
        assert_eq!(devices.resolve(input), input);
        assert!(devices.close(input).is_none());
        assert_eq!(devices.open("dev/stderr"), Some(FIRST));
        assert_eq!(devices.resolve(FIRST), 2);
        assert!(devices.open("etc/passwd").is_none());
        assert_ne!(devices.resolve(NULL), NULL);
    }

    #[test]
    fn a_run_holds_a_bounded_number_of_them() {
        let mut devices = Devices::default();
        let opened = (0..1000).filter(|_| devices.open("dev/null").is_some());
        assert_eq!(opened.count(), MOST_OPEN);
    }
}
