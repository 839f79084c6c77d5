//! Dirty pages: which pages of a mapping a process has written to. Uses the `PAGEMAP_SCAN` ioctl of
//! Linux 6.7 and newer.

use std::fs::File;
use std::ops::Range;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region` there.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

const SCAN: Opcode = opcode::read_write::<Scan>(b'f', 16);
const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const IS_ZERO: u64 = 1 << 5;
/// Regions asked for at once.
const REGIONS: usize = 512;

/// This process's page tables, as far as it may read them.
pub(crate) fn open() -> Option<File> {
    let pagemap = File::open("/proc/self/pagemap").ok()?;
    // Asks once, about a page of the stack: an older kernel does not know the request.
    let here = 0_u64;
    let page = (&raw const here as usize) & !0xfff;
    written(&pagemap, page, 0x1000, 0x1000)?;
    Some(pagemap)
}

/// The pages of the `len` bytes at `start` that this process has written to, as offsets from
/// `start`. None when they are more than `most` bytes, or the kernel does not report them.
///
/// A written page is the process's own, in memory or swapped out: neither a page of the file that
/// is mapped there nor the shared page of zeros.
pub(crate) fn written(
    pagemap: &File,
    start: usize,
    len: usize,
    most: usize,
) -> Option<Vec<Range<usize>>> {
    let end = start.checked_add(len)?;
    let mut found = Vec::new();
    let (mut from, mut bytes) = (start, 0);
    while from < end {
        let mut regions = [Region::default(); REGIONS];
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            flags: 0,
            start: from as u64,
            end: end as u64,
            walk_end: 0,
            vec: regions.as_mut_ptr().expose_provenance() as u64,
            vec_len: REGIONS as u64,
            max_pages: 0,
            // These two are asked for inverted: a page counts when it has neither.
            category_inverted: IS_FILE | IS_ZERO,
            category_mask: IS_FILE | IS_ZERO,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: 0,
        };
        // SAFETY: the number is that of PAGEMAP_SCAN, `Scan` is what it takes, and it writes to
        // nothing but `scan` and at most `REGIONS` regions where `vec` points, which outlive the
        // call. It changes no page: no flag asks for that.
        #[allow(unsafe_code)]
        unsafe { ioctl(pagemap, Updater::<SCAN, Scan>::new(&mut scan)) }.ok()?;
        for region in regions.iter().take_while(|region| region.end != 0) {
            let range = (region.start as usize).checked_sub(start)?
                ..(region.end as usize).checked_sub(start)?;
            bytes += range.len();
            found.push(range);
        }
        let walked = scan.walk_end as usize;
        if bytes > most || walked <= from {
            return None;
        }
        from = walked;
    }
    Some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_found_and_nothing_else() {
        let Some(pagemap) = open() else {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"SKIPPED: this system has no PAGEMAP_SCAN\n",
            );
            return;
        };
        const PAGE: usize = 4096;
        // Over 32 MiB the allocator always makes a mapping; its pages are not there until they are
        // written.
        let mut memory = vec![0_u8; 16_000 * PAGE];
        let start = memory.as_ptr().addr().next_multiple_of(PAGE);
        let first = start - memory.as_ptr().addr();
        let len = 15_990 * PAGE;
        // More separate pages than fit into one answer.
        let pages: Vec<usize> = (0..1300).map(|index| 3 * index + 1).collect();
        for page in &pages {
            memory[first + page * PAGE + 17] = 1;
        }
        let read: u32 = (0..1300)
            .map(|index| u32::from(memory[first + 3 * index * PAGE]))
            .sum();
        assert_eq!(read, 0);
        let found = written(&pagemap, start, len, usize::MAX).unwrap();
        let expected: Vec<_> = pages
            .iter()
            .map(|page| page * PAGE..(page + 1) * PAGE)
            .collect();
        assert!(found == expected, "{} parts", found.len());
        assert_eq!(written(&pagemap, start, len, 1299 * PAGE), None);
    }
}
