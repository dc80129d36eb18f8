//! How a program of nodes takes memory from the system, where the C library is glibc.
//!
//! By its own rule glibc would grow the size from which a block is given back as soon as it is freed, up to the
//! largest that was freed (32 MB), and let the top of the heap go whenever 128 KB of it are free: the segments of a
//! video, megabytes each, then stay behind as holes in the heap, while the pages under the pictures of a stream,
//! 100 KB each, are given back and taken again for every one.

/// Sets the limits. To be called before there are other threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a C interface")]
pub fn limit() {
    /// Segments go back to the system when they are freed; pictures as JPEG are kept for the next.
    const OWN_MAPPING: libc::c_int = 1 << 20;
    /// What a stream's pictures take and leave.
    const FREE_AT_TOP: libc::c_int = 4 << 20;
    /// One for the threads that publish, one for those of codecs.
    const ARENAS: libc::c_int = 2;
    // SAFETY: these parameters are numbers, and glibc checks them.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING);
        libc::mallopt(libc::M_TRIM_THRESHOLD, FREE_AT_TOP);
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

/// Other C libraries have no such limits.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn limit() {}
