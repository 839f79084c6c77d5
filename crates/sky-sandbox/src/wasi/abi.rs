//! Numbers of `wasi_snapshot_preview1`, and what a host call costs.

pub(super) const MODULE: &str = "wasi_snapshot_preview1";

/// Error numbers of `wasi_snapshot_preview1`.
#[derive(Clone, Copy)]
pub(super) struct Errno(pub(super) i32);

pub(super) const BADF: Errno = Errno(8);
pub(super) const FAULT: Errno = Errno(21);
pub(super) const INVAL: Errno = Errno(28);
pub(super) const ISDIR: Errno = Errno(31);
pub(super) const NOENT: Errno = Errno(44);
pub(super) const NOSYS: Errno = Errno(52);
pub(super) const NOTDIR: Errno = Errno(54);
pub(super) const ROFS: Errno = Errno(69);
pub(super) const SPIPE: Errno = Errno(70);
pub(super) const NOTCAPABLE: Errno = Errno(76);

/// File types of `wasi_snapshot_preview1`.
pub(super) const CHARACTER_DEVICE: u8 = 2;
pub(super) const DIRECTORY: u8 = 3;
pub(super) const REGULAR_FILE: u8 = 4;

/// Descriptor of the root folder. There are files below it only while the guest is baked.
pub(super) const ROOT: u32 = 3;
/// Most buffers in one read or write, as `IOV_MAX` of Linux.
pub(super) const MAX_BUFFERS: u32 = 1024;

/// Price in instructions of a host call that does any work. It stands for a few hundred
/// nanoseconds, so that a guest full of host calls runs no longer than its instructions allow.
pub(super) const CALL: u64 = 4_000;
/// Price in instructions of a random byte.
pub(super) const RANDOM_BYTE: u64 = 32;

pub(super) type Answer = Result<(), Errno>;

pub(super) fn filestat(kind: u8, size: u64) -> [u8; 64] {
    let mut stat = [0_u8; 64];
    stat[16] = kind;
    stat[24] = 1;
    stat[32..40].copy_from_slice(&size.to_le_bytes());
    stat
}
