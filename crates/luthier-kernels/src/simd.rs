//! Vector instructions, chosen at run time.

/// Does `work` compiled for the widest vectors of this processor. What is to become vector instructions
/// has to be inlined into it: mark the closure, those within it and functions that it calls
/// `#[inline(always)]`. What is not inlined is compiled for the least of all processors, without a warning.
#[allow(clippy::inline_always, reason = "vectors come of what is inlined here")]
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// The class of this processor: the architecture, and the instructions that decide which kernels compute and in which
/// order they add. Two machines of one class come to the same bits: `x86-64`, `x86-64-v3` (AVX2), `x86-64-v4` (AVX-512),
/// `aarch64`.
pub fn processor_class() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    let class = match pulp::Arch::new() {
        pulp::Arch::V4(_) => "x86-64-v4",
        pulp::Arch::V3(_) => "x86-64-v3",
        _ => "x86-64",
    };
    #[cfg(not(target_arch = "x86_64"))]
    let class = std::env::consts::ARCH;
    class
}
