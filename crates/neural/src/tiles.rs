//! Batches in tiles of 32 rows, and the products of a dense layer over them.
//!
//! A tile holds, unit by unit, the values of 32 rows. Weights are then read where they lie, one at a time for all rows of
//! a tile, and no product has to reorder them, which for the small batches of agents costs as much as a third of the
//! product itself. As in [`crate::product`], an output is one chain of fused multiply-adds that begins with its bias: the
//! bits of a row depend neither on its batch nor on how wide the CPU's vectors are. A gradient of weights is one chain over
//! the rows of its batch.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::elementary::vectorised;
use crate::mlp::Activation;
use crate::product::{LANES, Lanes, Sums, chain, read, registers, write};
use crate::vectors::{Vectors, tanh};

/// Values of a batch: `[rows / 32][units][32]`. Lanes behind the last row hold what was there before.
#[derive(Clone, Debug)]
pub struct Tiles {
    values: Vec<Lanes>,
    units: usize,
}

impl Tiles {
    /// Zeros.
    #[must_use]
    pub fn new(rows: usize, units: usize) -> Self {
        Self { values: vec![Lanes::ZERO; rows.div_ceil(LANES) * units], units }
    }

    /// Values of a row.
    #[must_use]
    pub const fn units(&self) -> usize {
        self.units
    }

    /// The units of one row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        self.tile(row / LANES).iter().map(move |unit| unit.0[row % LANES])
    }

    pub(crate) fn tile(&self, index: usize) -> &[Lanes] {
        &self.values[index * self.units..(index + 1) * self.units]
    }

    pub(crate) fn tile_mut(&mut self, index: usize) -> &mut [Lanes] {
        &mut self.values[index * self.units..(index + 1) * self.units]
    }

    /// Takes rows, `[rows × units]`, from the first one on.
    pub fn take(&mut self, rows: &[f32]) {
        let units = self.units;
        for (tile, rows) in rows.chunks(LANES * units).enumerate() {
            let own = self.tile_mut(tile);
            let whole = if rows.len() == LANES * units { units / LANES * LANES } else { 0 };
            for (block, own) in own[..whole].as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                let row = |lane: usize| whole_row(&rows[lane * units + block * LANES..]);
                turn(std::array::from_fn(row), own);
            }
            for (lane, row) in rows.chunks_exact(units).enumerate() {
                own[whole..].iter_mut().zip(&row[whole..]).for_each(|(unit, value)| unit.0[lane] = *value);
            }
        }
    }

    /// Writes the first rows, `[rows × units]`.
    pub(crate) fn give(&self, rows: &mut [f32]) {
        for (tile, rows) in rows.chunks_mut(LANES * self.units).enumerate() {
            give(self.tile(tile), rows);
        }
    }

    /// Adds the sum of each unit's values over the first `rows` rows.
    pub(crate) fn add_sums(&self, vectors: Vectors, rows: usize, sums: &mut [f32]) {
        vectors.run(RowSums { tiles: self, rows, sums });
    }
}

/// Sums over the rows of a batch.
struct RowSums<'a> {
    tiles: &'a Tiles,
    rows: usize,
    sums: &'a mut [f32],
}

impl WithSimd for RowSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Units that lie side by side in a tile are read together: those of the next tile are far behind.
        const SIDE: usize = 4;
        let together = self.sums.len() / SIDE * SIDE;
        for first in (0..together).step_by(SIDE) {
            self.units::<S, SIDE>(simd, first);
        }
        for unit in together..self.sums.len() {
            self.units::<S, 1>(simd, unit);
        }
    }
}

impl RowSums<'_> {
    #[inline(always)]
    fn units<S: Simd, const U: usize>(&mut self, simd: S, first: usize) {
        let (whole, rest) = (self.rows / LANES, self.rows % LANES);
        let mut lanes = [Lanes::ZERO; U];
        for lane in (0..LANES).step_by(2 * S::F32_LANES) {
            let mut sums: Sums<S, U, 2> = [[simd.splat_f32s(0.0); 2]; U];
            for tile in 0..whole {
                let values = &self.tiles.tile(tile)[first..first + U];
                for unit in 0..U {
                    let values = registers::<S, 2>(&values[unit], lane);
                    for half in 0..2 {
                        sums[unit][half] = simd.add_f32s(sums[unit][half], values[half]);
                    }
                }
            }
            for (lanes, sums) in lanes.iter_mut().zip(&sums) {
                write::<S, 2>(sums, &mut lanes.0[lane..lane + 2 * S::F32_LANES]);
            }
        }
        for (unit, mut lanes) in lanes.into_iter().enumerate() {
            if rest > 0 {
                let values = &self.tiles.tile(whole)[first + unit].0[..rest];
                lanes.0.iter_mut().zip(values).for_each(|(lane, value)| *lane += value);
            }
            self.sums[first + unit] += folded(lanes.0);
        }
    }
}

/// Writes the first rows of a tile, `[rows × units]`.
pub(crate) fn give(tile: &[Lanes], rows: &mut [f32]) {
    for (lane, row) in rows.chunks_exact_mut(tile.len()).enumerate() {
        row.iter_mut().zip(tile).for_each(|(value, unit)| *value = unit.0[lane]);
    }
}

/// Sum of lanes, in halves: the order is fixed, whatever the CPU.
#[inline(always)]
fn folded(mut lanes: [f32; LANES]) -> f32 {
    for half in [16, 8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

/// Values of a batch, `[units / 32][rows][32]`: what gradients of weights are computed from.
#[derive(Clone, Debug)]
pub(crate) struct Across {
    values: Vec<Lanes>,
    units: usize,
    rows: usize,
}

impl Across {
    pub(crate) fn new(rows: usize, units: usize) -> Self {
        Self { values: vec![Lanes::ZERO; rows * units.div_ceil(LANES)], units, rows }
    }

    fn begin(&mut self, rows: usize, units: usize) -> std::slice::ChunksExactMut<'_, Lanes> {
        (self.rows, self.units) = (rows, units);
        self.values[..rows * units.div_ceil(LANES)].chunks_exact_mut(rows)
    }

    /// Takes rows, `[rows × units]`.
    pub(crate) fn take_rows(&mut self, rows: &[f32], units: usize) {
        for (panel, own) in self.begin(rows.len() / units, units).enumerate() {
            let from = panel * LANES;
            let count = LANES.min(units - from);
            for (own, row) in own.iter_mut().zip(rows.chunks_exact(units)) {
                own.0[..count].copy_from_slice(&row[from..from + count]);
            }
        }
    }

    /// Takes the first `rows` rows of tiles.
    pub(crate) fn take_tiles(&mut self, rows: usize, tiles: &Tiles) {
        let units = tiles.units;
        for (panel, own) in self.begin(rows, units).enumerate() {
            let from = panel * LANES;
            for (tile, own) in own.chunks_mut(LANES).enumerate() {
                let units = &tiles.tile(tile)[from..units.min(from + LANES)];
                if let (true, Ok(own)) = (units.len() == LANES, <&mut [Lanes; LANES]>::try_from(&mut *own)) {
                    turn(std::array::from_fn(|unit| &units[unit].0), own);
                    continue;
                }
                for (lane, row) in own.iter_mut().enumerate() {
                    row.0.iter_mut().zip(units).for_each(|(value, unit)| *value = unit.0[lane]);
                }
            }
        }
    }
}

fn whole_row(values: &[f32]) -> &[f32; LANES] {
    values.first_chunk().expect("a block of whole rows")
}

/// The transpose of 32 × 32 values.
fn turn(from: [&[f32; LANES]; LANES], to: &mut [Lanes; LANES]) {
    // Blocks that the compiler turns within registers.
    const SIDE: usize = 4;
    vectorised(
        #[inline(always)]
        || {
            for row in (0..LANES).step_by(SIDE) {
                for column in (0..LANES).step_by(SIDE) {
                    let mut block = [[0.0; SIDE]; SIDE];
                    for i in 0..SIDE {
                        for j in 0..SIDE {
                            block[i][j] = from[column + j][row + i];
                        }
                    }
                    for (i, values) in block.iter().enumerate() {
                        to[row + i].0[column..column + SIDE].copy_from_slice(values);
                    }
                }
            }
        },
    );
}

/// Outputs of a layer, in blocks that fill the registers.
trait Blocks {
    /// Lanes in use.
    fn lanes(&self) -> usize;

    /// The chains of `R` values from `first` on, in `H` registers of lanes from `lane` on.
    fn part<S: Simd, const R: usize, const H: usize>(&mut self, simd: S, first: usize, lane: usize);

    #[inline(always)]
    fn block<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
        let lanes = self.lanes();
        for lane in (0..lanes).step_by(2 * S::F32_LANES) {
            if lanes - lane > S::F32_LANES {
                self.part::<S, R, 2>(simd, first, lane);
            } else {
                self.part::<S, R, 1>(simd, first, lane);
            }
        }
    }
}

#[inline(always)]
fn in_blocks<S: Simd>(simd: S, count: usize, work: &mut impl Blocks) {
    let mut first = 0;
    while first < count {
        // Registers: 8 × 2 sums of 32, or 6 × 2 of 16.
        first += match (count - first, S::F32_LANES) {
            (8.., 16..) => {
                work.block::<S, 8>(simd, first);
                8
            }
            (6.., ..16) => {
                work.block::<S, 6>(simd, first);
                6
            }
            (4.., _) => {
                work.block::<S, 4>(simd, first);
                4
            }
            (2.., _) => {
                work.block::<S, 2>(simd, first);
                2
            }
            _ => {
                work.block::<S, 1>(simd, first);
                1
            }
        };
    }
}

/// A layer over one tile.
pub(crate) struct Forward<'a> {
    /// `[outputs × inputs]`.
    pub(crate) weights: &'a [f32],
    pub(crate) bias: &'a [f32],
    /// `None` of a last layer.
    pub(crate) activation: Option<Activation>,
    /// Of the tile.
    pub(crate) rows: usize,
    pub(crate) input: &'a [Lanes],
    pub(crate) output: &'a mut [Lanes],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        in_blocks(simd, self.output.len(), &mut self);
    }
}

impl Blocks for Forward<'_> {
    fn lanes(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn part<S: Simd, const R: usize, const H: usize>(&mut self, simd: S, first: usize, lane: usize) {
        let inputs = self.input.len();
        let weights: [&[f32]; R] = std::array::from_fn(|row| &self.weights[(first + row) * inputs..][..inputs]);
        let mut sums: Sums<S, R, H> = [[simd.splat_f32s(0.0); H]; R];
        for (sums, bias) in sums.iter_mut().zip(&self.bias[first..first + R]) {
            *sums = [simd.splat_f32s(*bias); H];
        }
        chain(simd, weights, ([self.input], lane), std::array::from_mut(&mut sums));
        for (sums, output) in sums.iter_mut().zip(&mut self.output[first..first + R]) {
            for sum in &mut *sums {
                // A NaN stays one.
                *sum = match self.activation {
                    None => *sum,
                    Some(Activation::Relu) => simd.max_f32s(simd.splat_f32s(0.0), *sum),
                    Some(Activation::Tanh) => tanh(simd, *sum),
                };
            }
            write::<S, H>(sums, &mut output.0[lane..lane + H * S::F32_LANES]);
        }
    }
}

/// From a tile's gradients of a layer's outputs to those of its inputs.
pub(crate) struct Backward<'a> {
    /// `[outputs × inputs]` from the first input wanted on.
    pub(crate) weights: &'a [f32],
    pub(crate) inputs: usize,
    pub(crate) rows: usize,
    pub(crate) gradient: &'a [Lanes],
    /// Where the inputs are another layer's activated outputs.
    pub(crate) through: Option<(Activation, &'a [Lanes])>,
    /// As many as are wanted.
    pub(crate) target: &'a mut [Lanes],
}

/// Outputs after which the next inputs take their turn: as many rows of weights, each in a page of its own, fit the first
/// cache of page addresses. A chain goes on from what it stored, so its bits do not depend on this.
const STRETCH_MAX: usize = 128;

/// Some outputs' part in the chains of all inputs.
struct Stretch<'a> {
    layer: Backward<'a>,
    outputs: Range<usize>,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (inputs, outputs) = (self.target.len(), self.gradient.len());
        let mut stretch = Stretch { layer: self, outputs: 0..0 };
        for from in (0..outputs).step_by(STRETCH_MAX) {
            stretch.outputs = from..outputs.min(from + STRETCH_MAX);
            in_blocks(simd, inputs, &mut stretch);
        }
    }
}

impl Blocks for Stretch<'_> {
    fn lanes(&self) -> usize {
        self.layer.rows
    }

    #[inline(always)]
    fn part<S: Simd, const R: usize, const H: usize>(&mut self, simd: S, first: usize, lane: usize) {
        let Backward { weights, inputs, gradient, through, target, .. } = &mut self.layer;
        let stretch = self.outputs.clone();
        let target = &mut target[first..first + R];
        let mut sums: Sums<S, R, H> = [[simd.splat_f32s(0.0); H]; R];
        if stretch.start > 0 {
            for (sums, target) in sums.iter_mut().zip(&*target) {
                *sums = registers::<S, H>(target, lane);
            }
        }
        let rows = weights[stretch.start * *inputs + first..].chunks(*inputs);
        for (weights, gradient) in rows.zip(&gradient[stretch.clone()]) {
            let gradient = registers::<S, H>(gradient, lane);
            let weights = weights.first_chunk::<R>().expect("a block lies within its row of weights");
            for row in 0..R {
                let weight = simd.splat_f32s(weights[row]);
                for half in 0..H {
                    sums[row][half] = simd.mul_add_f32s(weight, gradient[half], sums[row][half]);
                }
            }
        }
        if let (Some((activation, outputs)), true) = (&*through, stretch.end == gradient.len()) {
            let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
            for (sums, outputs) in sums.iter_mut().zip(&outputs[first..first + R]) {
                let outputs = registers::<S, H>(outputs, lane);
                for (sum, y) in sums.iter_mut().zip(outputs) {
                    *sum = match activation {
                        Activation::Relu => simd.select_f32s(simd.greater_than_f32s(y, zero), *sum, zero),
                        Activation::Tanh => simd.mul_f32s(*sum, simd.sub_f32s(one, simd.mul_f32s(y, y))),
                    };
                }
            }
        }
        for (sums, target) in sums.iter().zip(target) {
            write::<S, H>(sums, &mut target.0[lane..lane + H * S::F32_LANES]);
        }
    }
}

/// Adds the gradients of a layer's weights over a batch.
pub(crate) struct Outer<'a> {
    /// Of the outputs.
    pub(crate) gradient: &'a Tiles,
    pub(crate) input: &'a Across,
    /// `[outputs × inputs]`.
    pub(crate) target: &'a mut [f32],
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Across { values, units: inputs, rows } = self.input;
        for (index, values) in values.chunks_exact(*rows).take(inputs.div_ceil(LANES)).enumerate() {
            let from = index * LANES;
            let mut panel = Panel { gradient: self.gradient, values, inputs: *inputs, from, target: &mut *self.target };
            in_blocks(simd, self.gradient.units, &mut panel);
        }
    }
}

/// The gradients of the weights of 32 inputs.
struct Panel<'a> {
    gradient: &'a Tiles,
    /// `[rows]`.
    values: &'a [Lanes],
    inputs: usize,
    from: usize,
    target: &'a mut [f32],
}

impl Blocks for Panel<'_> {
    fn lanes(&self) -> usize {
        LANES.min(self.inputs - self.from)
    }

    #[inline(always)]
    fn part<S: Simd, const R: usize, const H: usize>(&mut self, simd: S, first: usize, lane: usize) {
        let (from, to) = (self.from + lane, self.inputs.min(self.from + lane + H * S::F32_LANES));
        let target = &mut self.target[first * self.inputs..(first + R) * self.inputs];
        let mut sums: Sums<S, R, H> = [[simd.splat_f32s(0.0); H]; R];
        for (sums, target) in sums.iter_mut().zip(target.chunks_exact(self.inputs)) {
            *sums = read::<S, H>(simd, &target[from..to]);
        }
        for (tile, values) in self.values.chunks(LANES).enumerate() {
            let units = &self.gradient.tile(tile)[first..first + R];
            let gradients: [&[f32]; R] = std::array::from_fn(|row| units[row].0.as_slice());
            chain(simd, gradients, ([values], lane), std::array::from_mut(&mut sums));
        }
        for (sums, target) in sums.iter().zip(target.chunks_exact_mut(self.inputs)) {
            write::<S, H>(sums, &mut target[from..to]);
        }
    }
}
