//! Products of bfloat16 whose sums are f32: what learning in mixed precision multiplies with.
//!
//! A bfloat16 is the upper half of an f32. Sums have the order of AMX's tiles (Intel's Software Developer's Manual, TDPBF16PS): of 32
//! inner values at a time, products at even and at odd places are summed apart, each one chain of fused multiply-adds that
//! begins with zero, and the sum of both is added to the output's. Tiles compute that where the CPU has them (`amx`), the
//! CPU's vectors otherwise, to the same bits. Since tiles take what is subnormal for zero, values below 2⁻⁵⁴ are rounded to zero:
//! all that is left is a multiple of 2⁻⁶¹, and no product of two, nor any sum of products, is subnormal.

use pulp::{Simd, WithSimd};

use crate::amx::Tiles;
use crate::product::{Begin, LANES, Lanes, Sums, chain, registers, write};
use crate::vectors::Vectors;

/// Inner values that are summed apart.
pub(crate) const DEPTH: usize = 32;

/// Pairs of them.
pub(crate) const PAIRS: usize = DEPTH / 2;

/// Outputs of a tile.
const COLUMNS: usize = 16;

/// Rows and outputs that are computed at once.
pub(crate) const BLOCK: usize = LANES;

/// Bits of 2⁻⁵⁴.
const SMALLEST: u32 = (127 - 54) << 23;

/// 32 inner values of 16 outputs: `[pairs × outputs]`, each two bfloat16, the earlier one in the lower half.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Tile(pub(crate) [[u32; COLUMNS]; PAIRS]);

impl Tile {
    const ZERO: Self = Self([[0; COLUMNS]; PAIRS]);
}

/// Sums of 32 rows and 32 outputs.
#[repr(C, align(64))]
pub(crate) struct Block(pub(crate) [Lanes; BLOCK]);

/// The nearest bfloat16, ties to even.
#[inline(always)]
const fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let magnitude = bits & !(1 << 31);
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if magnitude < SMALLEST {
        0
    } else if magnitude > f32::INFINITY.to_bits() {
        0x7fc0
    } else {
        nearest
    }
}

#[inline(always)]
const fn pair(earlier: f32, later: f32) -> u32 {
    rounded(earlier) | rounded(later) << 16
}

/// Words that a row of `width` values takes: whole tiles.
pub(crate) const fn words(width: usize) -> usize {
    width.div_ceil(DEPTH) * PAIRS
}

/// A row in pairs; what `to` has room for behind it stays as it is. To be called inside [`Vectors::run`].
#[inline(always)]
pub(crate) fn pair_up(row: &[f32], to: &mut [u32]) {
    let (pairs, rest) = row.as_chunks::<2>();
    to.iter_mut().zip(pairs).for_each(|(word, [earlier, later])| *word = pair(*earlier, *later));
    if let [last] = rest {
        to[pairs.len()] = pair(*last, 0.0);
    }
}

/// Rows in pairs: each begins `row` words after the one before, and each 32 of its values `tile` words after those before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strips<'a> {
    pub(crate) values: &'a [u32],
    pub(crate) row: usize,
    pub(crate) tile: usize,
}

impl Strips<'_> {
    /// Words up to the end of the last of `rows` rows, `depth` tiles deep.
    pub(crate) const fn reach(&self, rows: usize, depth: usize) -> usize {
        (rows - 1) * self.row + (depth - 1) * self.tile + PAIRS
    }
}

/// A matrix `[inner × outputs]` in panels of outputs: `[outputs / 32][inner / 32]` of two tiles, filled up with zeros.
#[derive(Clone, Debug)]
pub(crate) struct MixedPanels {
    values: Vec<[Tile; 2]>,
    depth: usize,
    outputs: usize,
}

impl MixedPanels {
    /// `depth` tiles deep.
    pub(crate) fn new(depth: usize, outputs: usize) -> Self {
        Self { values: vec![[Tile::ZERO; 2]; depth * outputs.div_ceil(BLOCK)], depth, outputs }
    }

    pub(crate) fn values(&self) -> usize {
        self.values.len() * 2 * PAIRS * COLUMNS
    }

    /// Copies a block whose first element goes to `inner`; `from[i * row_stride + o * column_stride]` is where to read it.
    pub(crate) fn pack(
        &mut self,
        from: &[f32],
        inner: usize,
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) {
        for column in 0..columns {
            let panel = &mut self.values[column / BLOCK * self.depth..][..self.depth];
            for row in 0..rows {
                let (at, half) = ((inner + row) / DEPTH, 16 * ((inner + row) % 2));
                let tile = &mut panel[at][column % BLOCK / COLUMNS];
                let word = &mut tile.0[(inner + row) % DEPTH / 2][column % COLUMNS];
                *word = *word & !(0xffff << half) | rounded(from[row * row_stride + column * column_stride]) << half;
            }
        }
    }

    /// Takes up to 32 rows of outputs as the inner values of the tiles at depth `at`. To be called inside [`Vectors::run`].
    #[inline(always)]
    pub(crate) fn take_rows(&mut self, at: usize, rows: &[f32]) {
        let outputs = self.outputs;
        for (index, pairs) in (0..PAIRS).zip(rows.chunks(2 * outputs).chain(std::iter::repeat([].as_slice()))) {
            let (earlier, later) = pairs.split_at(outputs.min(pairs.len()));
            for column in (0..outputs).step_by(COLUMNS) {
                let count = COLUMNS.min(outputs - column);
                let line =
                    &mut self.values[column / BLOCK * self.depth + at][column % BLOCK / COLUMNS].0[index][..count];
                match (earlier.get(column..column + count), later.get(column..column + count)) {
                    (Some(earlier), Some(later)) => line
                        .iter_mut()
                        .zip(earlier.iter().zip(later))
                        .for_each(|(word, (earlier, later))| *word = pair(*earlier, *later)),
                    (Some(earlier), None) => {
                        line.iter_mut().zip(earlier).for_each(|(word, earlier)| *word = pair(*earlier, 0.0));
                    }
                    (None, _) => line.fill(0),
                }
            }
        }
    }
}

/// Rows of pairs as columns: `[values × 16]` words of one tile's depth from up to 32 rows, `row` words each.
pub(crate) fn turned(rows: &[u32], row: usize, to: &mut [u32]) {
    let word = |index: usize, at: usize| rows.get(index * row + at).copied().unwrap_or_default();
    for (at, lines) in to.as_chunks_mut::<{ 2 * PAIRS }>().0.iter_mut().enumerate() {
        for place in 0..PAIRS {
            let (earlier, later) = (word(2 * place, at), word(2 * place + 1, at));
            lines[place] = earlier & 0xffff | later << 16;
            lines[PAIRS + place] = earlier >> 16 | later & 0xffff_0000;
        }
    }
}

/// Rows times a matrix in panels.
pub(crate) struct MixedProduct<'a> {
    pub(crate) rows: usize,
    pub(crate) strips: Strips<'a>,
    pub(crate) panels: &'a MixedPanels,
    pub(crate) begin: Begin<'a>,
    /// `[rows × outputs]`.
    pub(crate) target: &'a mut [f32],
}

impl MixedProduct<'_> {
    /// By tiles where `vectors` are the CPU's widest and it has tiles.
    pub(crate) fn run(self, vectors: Vectors) {
        self.run_by(vectors, vectors.tiles());
    }

    fn run_by(mut self, vectors: Vectors, tiles: Option<Tiles>) {
        let tiles = tiles.map(Tiles::begin);
        let mut sums = Block([Lanes::ZERO; BLOCK]);
        for (panel, tile) in self.panels.values.chunks_exact(self.panels.depth).enumerate() {
            for first in (0..self.rows).step_by(BLOCK) {
                let rows = BLOCK.min(self.rows - first);
                match &tiles {
                    // What is computed of words behind the last row is not looked at.
                    Some(tiles) if self.strips.reach(first + BLOCK, tile.len()) <= self.strips.values.len() => {
                        tiles.multiply(first, self.strips, tile, &mut sums)
                    }
                    Some(_) | None => {
                        vectors.run(ByVectors { first, rows, strips: self.strips, panel: tile, sums: &mut sums });
                    }
                }
                self.write(vectors, (first, rows, panel * BLOCK), &sums);
            }
        }
    }

    fn write(&mut self, vectors: Vectors, (first, rows, column): (usize, usize, usize), sums: &Block) {
        let outputs = self.panels.outputs;
        let count = BLOCK.min(outputs - column);
        vectors.run(
            #[inline(always)]
            || {
                for (row, sums) in sums.0.iter().take(rows).enumerate() {
                    let target = &mut self.target[(first + row) * outputs + column..][..count];
                    match self.begin {
                        Begin::Zero => target.copy_from_slice(&sums.0[..count]),
                        Begin::Bias(bias) => {
                            let begin = &bias[column..column + count];
                            target.iter_mut().zip(begin.iter().zip(&sums.0)).for_each(|(to, (a, b))| *to = a + b);
                        }
                        Begin::Target => target.iter_mut().zip(&sums.0).for_each(|(to, sum)| *to += sum),
                    }
                }
            },
        );
    }
}

/// Rows from `first` on times one panel.
struct ByVectors<'a> {
    first: usize,
    rows: usize,
    strips: Strips<'a>,
    panel: &'a [[Tile; 2]],
    sums: &'a mut Block,
}

impl WithSimd for ByVectors<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.sums.0[..self.rows].fill(Lanes::ZERO);
        for (at, tiles) in self.panel.iter().enumerate() {
            let mut panel = [[Lanes::ZERO; PAIRS]; 2];
            for (half, tile) in tiles.iter().enumerate() {
                for (place, words) in tile.0.iter().enumerate() {
                    let [earlier, later] = panel.each_mut().map(|lines| &mut lines[place].0[half * COLUMNS..]);
                    unpair(words, earlier, later);
                }
            }
            let mut row = 0;
            while row < self.rows {
                // Registers: 8 × 2 sums of 32, or 6 × 2 of 16.
                row += match (self.rows - row, S::F32_LANES) {
                    (8.., 16..) => self.some_rows::<S, 8>(simd, (row, at), &panel),
                    (6.., _) => self.some_rows::<S, 6>(simd, (row, at), &panel),
                    (3.., _) => self.some_rows::<S, 3>(simd, (row, at), &panel),
                    _ => self.some_rows::<S, 1>(simd, (row, at), &panel),
                };
            }
        }
    }
}

impl ByVectors<'_> {
    /// Adds the products at one depth; `panel` holds its even inner values, then its odd ones.
    #[inline(always)]
    fn some_rows<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        (row, at): (usize, usize),
        panel: &[[Lanes; PAIRS]; 2],
    ) -> usize {
        let (mut even, mut odd) = ([[0.0; PAIRS]; R], [[0.0; PAIRS]; R]);
        for (index, (even, odd)) in even.iter_mut().zip(&mut odd).enumerate() {
            let from = (self.first + row + index) * self.strips.row + at * self.strips.tile;
            unpair(&self.strips.values[from..from + PAIRS], even, odd);
        }
        for lane in (0..BLOCK).step_by(2 * S::F32_LANES) {
            let mut own: Sums<S, R, 2> = [[simd.splat_f32s(0.0); 2]; R];
            let mut other = own;
            chain(
                simd,
                std::array::from_fn(|row| even[row].as_slice()),
                ([&panel[0]], lane),
                std::array::from_mut(&mut own),
            );
            chain(
                simd,
                std::array::from_fn(|row| odd[row].as_slice()),
                ([&panel[1]], lane),
                std::array::from_mut(&mut other),
            );
            for (index, (own, other)) in own.iter().zip(&other).enumerate() {
                let lanes = &mut self.sums.0[row + index];
                let mut sums = registers::<S, 2>(lanes, lane);
                for half in 0..2 {
                    sums[half] = simd.add_f32s(sums[half], simd.add_f32s(own[half], other[half]));
                }
                write::<S, 2>(&sums, &mut lanes.0[lane..lane + 2 * S::F32_LANES]);
            }
        }
        R
    }
}

/// The values of words, apart.
#[inline(always)]
fn unpair(words: &[u32], earlier: &mut [f32], later: &mut [f32]) {
    for (word, (earlier, later)) in words.iter().zip(earlier.iter_mut().zip(later)) {
        (*earlier, *later) = (f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000));
    }
}

#[cfg(test)]
mod tests;
