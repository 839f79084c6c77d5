/// Memory that can be had without swapping, in bytes, where the system says so: what this process
/// keeps for its next tensors is among it.
pub(crate) fn available_memory() -> Option<u64> {
    Some(sky_plan::available_host_memory()?.saturating_add(sky_torch::cached_bytes()))
}
