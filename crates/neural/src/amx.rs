//! AMX: registers of 16 × 16 sums, and one instruction that adds to them the products of 16 rows and 16 columns, 32 deep.

#![allow(unsafe_code, reason = "no crate offers these instructions, and stable Rust has no functions for them")]

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::marker::PhantomData;
use std::sync::LazyLock;

use crate::mixed::{BLOCK, Block, PAIRS, Strips, Tile};

/// That this process may use tiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiles(());

/// What each of the eight tiles holds: 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Shapes([u8; 64]);

const SHAPES: Shapes = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Shapes(bytes)
};

impl Tiles {
    /// Where the CPU has them and the system gives them to this process: it is asked once, since they make each thread's saved
    /// state larger by 8 KB.
    pub(crate) fn find() -> Option<Self> {
        static FOUND: LazyLock<bool> = LazyLock::new(|| has_tiles() && are_permitted());
        FOUND.then_some(Self(()))
    }

    /// Sets the tiles of this thread up.
    pub(crate) fn begin(self) -> Begun {
        // SAFETY: the CPU has tiles and the system has enabled them; the shapes are 64 bytes of a valid palette.
        unsafe { asm!("ldtilecfg [{}]", in(reg) SHAPES.0.as_ptr(), options(nostack, readonly)) };
        Begun(PhantomData)
    }
}

/// Set up until dropped, on the thread that did it.
pub(crate) struct Begun(PhantomData<*const ()>);

impl Drop for Begun {
    fn drop(&mut self) {
        // SAFETY: as in `Tiles::begin`. Whatever tiles held was stored.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

impl Begun {
    /// Rows from `first` on times one panel.
    pub(crate) fn multiply(&self, first: usize, strips: Strips<'_>, panel: &[[Tile; 2]], sums: &mut Block) {
        let depth = panel.len();
        assert!(depth > 0 && strips.reach(first + BLOCK, depth) <= strips.values.len(), "tiles read within their rows");
        let rows = strips.values[first * strips.row..].as_ptr();
        // SAFETY: the CPU has tiles, and `self` says that they are set up. Each turn reads 2 × 16 rows of 64 bytes, `row` words
        // apart, which the assertion found to lie within the values up to the last turn, and the two tiles of 1 KB that are the
        // panel's at that depth. What is stored are the 32 × 32 sums, borrowed alone.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{upper} + {row}]",
                "tileloadd tmm6, [{tile} + {line}]",
                "tileloadd tmm7, [{tile} + {line} + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{lower} + {row}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {upper}, {step}",
                "add {lower}, {step}",
                "add {tile}, 2048",
                "dec {depth}",
                "jnz 2b",
                "tilestored [{sums} + {wide}], tmm0",
                "tilestored [{sums} + {wide} + 64], tmm1",
                "tilestored [{sums} + {wide} + 2048], tmm2",
                "tilestored [{sums} + {wide} + 2112], tmm3",
                upper = inout(reg) rows => _,
                lower = inout(reg) rows.wrapping_add(BLOCK / 2 * strips.row) => _,
                tile = inout(reg) panel.as_ptr() => _,
                depth = inout(reg) depth => _,
                row = in(reg) strips.row * size_of::<u32>(),
                step = in(reg) strips.tile * size_of::<u32>(),
                line = in(reg) PAIRS * size_of::<u32>(),
                wide = in(reg) BLOCK * size_of::<f32>(),
                sums = in(reg) sums.0.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// Whether the CPU multiplies bfloat16 in tiles.
fn has_tiles() -> bool {
    const TILES_OF_BFLOAT16: u32 = 1 << 24 | 1 << 22;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILES_OF_BFLOAT16 == TILES_OF_BFLOAT16
}

/// Asks Linux for the tiles' state: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
#[cfg(target_os = "linux")]
fn are_permitted() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let answer: isize;
    // SAFETY: the call has no pointers; a kernel that does not know it answers with an error.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => answer,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    answer == 0
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
fn are_permitted() -> bool {
    false
}
