//! Loading libnccl, its settings and its errors.

use std::{ffi::c_int, ptr};

use cudarc::nccl::sys as nccl;

use super::gpu::{driver, failed};
use crate::TorchError;

/// What rank 0 makes and every rank needs to find the others: 128 bytes.
pub type NcclId = [u8; 128];

/// `NCCL_CONFIG_INITIALIZER` of nccl.h 2.28: magic, version, and "not set".
const MAGIC: u32 = 0xcafe_beef;
const VERSION: u32 = 22_803;
const UNDEFINED: c_int = c_int::MIN;
/// The first version with communicators that do not block.
const OLDEST: c_int = 21_400;

/// Makes a new id, for rank 0 to hand out.
///
/// # Errors
/// When libcuda or libnccl cannot be loaded: which, and what to do.
pub fn nccl_id() -> Result<NcclId, TorchError> {
    const WHAT: &str = "nccl id";
    loaded()?;
    let mut id = nccl::ncclUniqueId { internal: [0; 128] };
    // SAFETY: the library is loaded (above) and fills the 128 bytes it is given.
    check(WHAT, unsafe { nccl::ncclGetUniqueId(&raw mut id) })?;
    Ok(id.internal.map(|byte| byte as u8))
}

/// The settings of a communicator whose calls do not block: a lost peer must not hang the host.
pub(super) fn not_blocking() -> nccl::ncclConfig_t {
    nccl::ncclConfig_t {
        size: size_of::<nccl::ncclConfig_t>(),
        magic: MAGIC,
        version: VERSION,
        blocking: 0,
        cgaClusterSize: UNDEFINED,
        minCTAs: UNDEFINED,
        maxCTAs: UNDEFINED,
        netName: ptr::null(),
        splitShare: UNDEFINED,
        trafficClass: UNDEFINED,
        commName: ptr::null(),
        collnetEnable: UNDEFINED,
        CTAPolicy: UNDEFINED,
        shrinkShare: UNDEFINED,
        nvlsCTAs: UNDEFINED,
        nChannelsPerNetPeer: UNDEFINED,
        nvlinkCentricSched: UNDEFINED,
    }
}

/// Loads libcuda and libnccl, once. cudarc panics where a library is missing: this finds out
/// before.
pub(super) fn loaded() -> Result<(), TorchError> {
    driver()?;
    // SAFETY: loading runs the library's own initialisers and nothing else.
    if !unsafe { nccl::is_culib_present() } {
        return Err(failed(
            "nccl",
            "libnccl.so is not to be found: `cargo xtask setup --cuda` fetches it; with an NCCL of your own, make a link \
             `libnccl.so` to its libnccl.so.2 and put the link's folder into LD_LIBRARY_PATH"
                .into(),
        ));
    }
    let mut version = 0;
    // SAFETY: the library is there, and writes one number.
    check("nccl", unsafe { nccl::ncclGetVersion(&raw mut version) })?;
    if version < OLDEST {
        let reason =
            format!("version {version} of NCCL is too old: 2.14 (21400) or newer is needed");
        return Err(failed("nccl", reason));
    }
    Ok(())
}

/// Turns a status into a result with its message. An operation in progress is no error.
pub(super) fn check(what: &'static str, status: nccl::ncclResult_t) -> Result<(), TorchError> {
    use nccl::ncclResult_t as R;
    let reason = match status {
        R::ncclSuccess | R::ncclInProgress => return Ok(()),
        R::ncclUnhandledCudaError => "a CUDA call failed",
        R::ncclSystemError => "a system call failed (network, shared memory)",
        R::ncclRemoteError => "a peer is gone",
        R::ncclInvalidUsage => "invalid usage (two ranks on one GPU, or other ranks than expected)",
        R::ncclInvalidArgument => "invalid argument",
        R::ncclInternalError | R::ncclNumResults => "internal error",
    };
    let reason = format!("NCCL: {reason}; NCCL_DEBUG=WARN makes it say more");
    Err(failed(what, reason))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_the_libraries_is_told_which_one_and_what_to_do() {
        let Err(error) = nccl_id() else {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"SKIPPED: this machine has libcuda and libnccl\n",
            );
            return;
        };
        let text = error.to_string();
        assert!(
            ["libcuda.so", "libnccl.so", "no GPU"]
                .iter()
                .any(|part| text.contains(part)),
            "{text}"
        );
        assert!(text.contains(": ") && text.len() > 40, "{text}");
    }

    #[test]
    fn the_settings_of_a_communicator_are_those_of_the_pinned_header() {
        let config = not_blocking();
        assert_eq!((config.blocking, config.magic), (0, 0xcafe_beef));
        // nccl.h 2.28: a word, two pointers, 14 numbers of 4 bytes.
        assert_eq!(config.size, 80);
    }
}
