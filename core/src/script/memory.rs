//! Counts the bytes that a script thread holds, so that a run can be bounded by what it really
//! allocates (Rhai's own limits are per value).
//!
//! Only threads that asked for it count. Work on behalf of the server within a run (an encoded
//! emit that another thread will free) is done inside [`uncounted`], so that what a run leaves
//! behind is exact.
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait; this file is the only one that may")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNTS: Cell<bool> = const { Cell::new(false) };
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
    #[cfg(test)]
    static PEAK_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator with a counter per thread. The system's, because an idle connection
/// takes least memory with it.
struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[inline]
fn count(bytes: i64) {
    // Neither cell has a destructor, so both can be reached at any time in a thread's life.
    if COUNTS.get() {
        HELD_BYTES.set(HELD_BYTES.get() + bytes);
        #[cfg(test)]
        PEAK_BYTES.set(PEAK_BYTES.get().max(HELD_BYTES.get()));
    }
}

// SAFETY: every call is passed on to `System` unchanged; counting neither allocates nor panics.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's obligations are those of `System`.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Gives memory that is free in the heap back to the system, where the allocator keeps it: glibc's keeps
/// what a flood has needed, in an arena for each thread. Takes milliseconds for a large heap.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: malloc_trim(3) may be called by any thread at any time; it only unmaps free pages.
        unsafe { malloc_trim(0) };
    }
}

/// The bytes allocated minus the bytes freed by this thread while it counted.
#[inline]
pub(super) fn held_bytes() -> i64 {
    HELD_BYTES.get()
}

/// The most that this thread has held.
#[cfg(test)]
pub(super) fn peak_bytes() -> i64 {
    PEAK_BYTES.get()
}

/// Runs `work` with counting on or off, and as before afterwards, also when it panics.
fn with_counting<T>(counts: bool, work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            COUNTS.set(self.0);
        }
    }
    let _restore = Restore(COUNTS.replace(counts));
    work()
}

/// Counts what `work` allocates and frees.
#[inline]
pub(super) fn counted<T>(work: impl FnOnce() -> T) -> T {
    with_counting(true, work)
}

/// Does not count what `work` allocates and frees.
#[inline]
pub(super) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    with_counting(false, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_only_inside() {
        let before = held_bytes();
        let outside = vec![0_u8; 1000];
        assert_eq!(held_bytes(), before);
        let inside = counted(|| vec![0_u8; 1000]);
        assert_eq!(held_bytes(), before + 1000);
        counted(|| uncounted(|| drop(vec![0_u8; 5000])));
        assert_eq!(held_bytes(), before + 1000);
        counted(|| drop(inside));
        assert_eq!(held_bytes(), before);
        drop(outside);
    }
}
