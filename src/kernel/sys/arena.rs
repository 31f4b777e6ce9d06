//! Memory for a program that ends in a millisecond.
//!
//! A general allocator asks the kernel for pages here and there and gives them back; each page costs the hook more
//! than all it does with what is on it. Here memory is taken from one place, next to the program's own variables,
//! and given back when the process ends. What does not fit comes from the general allocator.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than a run with the largest files takes, and none of it costs anything until it is used.
const SIZE: usize = 512 * 1024;

/// That of the C library's allocator on its way to a system call: what is written as bytes there may be read as structures
/// (the control messages of `sendmsg`).
const LEAST_ALIGNMENT: usize = align_of::<usize>();

/// The allocator.
#[derive(Debug)]
#[repr(C)]
pub struct Arena {
    /// In front, so that it shares a page with the first bytes that are taken.
    used: AtomicUsize,
    /// How many bytes were ever used: those behind are zero, and on pages that cost nothing yet.
    touched: AtomicUsize,
    space: UnsafeCell<[u8; SIZE]>,
}

// SAFETY: each byte of the space is handed out to one owner at a time, and the count of used ones is atomic.
unsafe impl Sync for Arena {}

impl Arena {
    /// An arena of which nothing is used.
    #[must_use]
    pub const fn new() -> Self {
        Self { space: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0), touched: AtomicUsize::new(0) }
    }

    fn start(&self) -> *mut u8 {
        self.space.get().cast()
    }

    /// Takes the next free bytes; `None` if there are too few.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        self.take_counted(layout).map(|(pointer, _)| pointer)
    }

    /// The same, and how many of the bytes, from the first, were used before and may not be zero.
    fn take_counted(&self, layout: Layout) -> Option<(*mut u8, usize)> {
        let base = self.start().addr();
        let mut place = 0;
        let next = |used: usize| {
            place = (base + used).checked_next_multiple_of(layout.align().max(LEAST_ALIGNMENT))? - base;
            place.checked_add(layout.size()).filter(|end| *end <= SIZE)
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        let touched = self.touched.fetch_max(place + layout.size(), Ordering::Relaxed);
        Some((self.start().wrapping_add(place), touched.saturating_sub(place).min(layout.size())))
    }

    /// Gives back what was taken last; what was taken before stays taken.
    fn give_back(&self, place: usize, size: usize) {
        let _ = self.used.compare_exchange(place + size, place, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Where in the arena a pointer points to, if it does.
    fn place(&self, pointer: *mut u8) -> Option<usize> {
        pointer.addr().checked_sub(self.start().addr()).filter(|place| *place < SIZE)
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: `take` hands out bytes that lie in the space, are aligned, and are nobody else's until they are given back;
// all other pointers are the general allocator's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(pointer) => pointer,
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    /// Writes zeros only where others were: a large buffer costs no more than what is put into it.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match self.take_counted(layout) {
            Some((pointer, used)) => {
                // SAFETY: so many bytes there are nobody else's.
                unsafe { pointer.write_bytes(0, used) };
                pointer
            }
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match self.place(pointer) {
            Some(place) => self.give_back(place, layout.size()),
            // SAFETY: what is not in the arena came from the general allocator, and the caller's promises are passed on.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_aligned_and_nobody_elses() {
        let arena = Box::new(Arena::new());
        let layout = |size, align| Layout::from_size_align(size, align).unwrap_or_else(|error| panic!("{error}"));
        let pieces = [layout(3, 1), layout(8, 8), layout(1, 1), layout(4096, 4096), layout(16, 16)];
        let places: Vec<_> = pieces.iter().map(|piece| arena.take(*piece).map(|p| (p.addr(), *piece))).collect();
        let mut end = 0;
        for (address, piece) in places.into_iter().flatten() {
            assert!(address >= end && address % piece.align() == 0, "{address:x} {piece:?}");
            end = address + piece.size();
        }
        assert!(arena.take(layout(SIZE, 1)).is_none());
        assert!(arena.take(layout(usize::MAX / 4, 1)).is_none());
    }

    #[test]
    fn what_was_taken_last_can_be_taken_again() {
        let arena = Box::new(Arena::new());
        let layout = Layout::new::<[u8; 100]>();
        let first = arena.take(layout).unwrap_or(std::ptr::null_mut());
        let second = arena.take(layout).unwrap_or(std::ptr::null_mut());
        arena.give_back(arena.place(first).unwrap_or_default(), 100);
        assert_ne!(arena.take(layout), Some(first), "it is not the last");
        let third = arena.take(layout).unwrap_or(std::ptr::null_mut());
        arena.give_back(arena.place(third).unwrap_or_default(), 100);
        assert_eq!(arena.take(layout), Some(third));
        assert_ne!(second, third);
    }

    #[test]
    fn what_does_not_fit_is_the_general_allocators() {
        let arena = Box::new(Arena::new());
        let layout = |size| Layout::from_size_align(size, 1).unwrap_or_else(|error| panic!("{error}"));
        assert!(arena.take(layout(SIZE)).is_some_and(|all| arena.place(all) == Some(0)));
        let one = layout(1);
        // SAFETY: the layout's size is not zero.
        let elsewhere = unsafe { arena.alloc(one) };
        assert!(!elsewhere.is_null());
        assert_eq!(arena.place(elsewhere), None);
        assert_eq!(arena.place(arena.start().wrapping_add(SIZE)), None);
        // SAFETY: this arena just gave it out, for this layout.
        unsafe { arena.dealloc(elsewhere, one) };
    }

    #[test]
    fn zeros_are_zeros_also_where_something_was() {
        let arena = Box::new(Arena::new());
        let (small, large) = (Layout::new::<[u8; 100]>(), Layout::new::<[u8; 300]>());
        // SAFETY: the layout's size is not zero.
        let first = unsafe { arena.alloc(small) };
        // SAFETY: it has that many bytes.
        unsafe { first.write_bytes(7, 100) };
        // SAFETY: this arena just gave it out, for this layout.
        unsafe { arena.dealloc(first, small) };
        // SAFETY: the layout's size is not zero.
        let second = unsafe { arena.alloc_zeroed(large) };
        assert_eq!(second, first);
        // SAFETY: it has that many bytes, and all are written.
        assert_eq!(unsafe { std::slice::from_raw_parts(second, 300) }, [0; 300]);
    }

    #[test]
    fn what_the_program_frees_last_is_used_again() {
        let arena = Box::new(Arena::new());
        let layout = Layout::new::<[u8; 100]>();
        // SAFETY: the layout's size is not zero.
        let first = unsafe { arena.alloc(layout) };
        // SAFETY: this arena just gave it out, for this layout.
        unsafe { arena.dealloc(first, layout) };
        assert_eq!(arena.take(layout), Some(first));
    }
}
