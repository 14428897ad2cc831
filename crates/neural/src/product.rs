//! Matrix products in one fixed order of operations, so that bits depend on the operands alone.
//!
//! A library picks kernel, blocking and order of sums by the shapes and the CPU; a row then rounds differently in another
//! batch or on another machine. Here an output is one chain of fused multiply-adds over its inputs, first to last,
//! beginning with its bias: however many rows are computed at once, and however wide the vectors are. Weights are brought
//! into panels once a step, so nothing is reordered during a product, which makes it faster than `gemm` at the shapes of a
//! recurrent layer.

use std::ops::Range;

use pulp::{Simd, WithSimd};

/// Values that are computed side by side: two registers of AVX-512, four of AVX2.
pub(crate) const LANES: usize = 32;

/// Two lines of the cache, so that no register is loaded from parts of two.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// A matrix `[inner × outputs]` in panels of outputs: `[outputs / 32][inner][32]`, the last filled up with zeros.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    values: Vec<Lanes>,
    inner: usize,
    outputs: usize,
}

impl Panels {
    pub(crate) fn new(inner: usize, outputs: usize) -> Self {
        Self { values: vec![Lanes::ZERO; inner * outputs.div_ceil(LANES)], inner, outputs }
    }

    /// Copies a block whose first element goes to (`inner`, `output`); `at(i, o)` is where to read it in `from`.
    pub(crate) fn pack(
        &mut self,
        from: &[f32],
        (inner, output): (usize, usize),
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) {
        for column in 0..columns {
            let (panel, lane) = ((output + column) / LANES, (output + column) % LANES);
            let panel = &mut self.values[panel * self.inner..(panel + 1) * self.inner];
            for row in 0..rows {
                panel[inner + row].0[lane] = from[row * row_stride + column * column_stride];
            }
        }
    }
}

/// Rows that a product reads: `width` values each, beginning `stride` after the one before, against the panels' inner
/// rows from `inner` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
    pub(crate) stride: usize,
    pub(crate) inner: usize,
}

impl<'a> Part<'a> {
    /// Rows without gaps against the panels' inner rows from `inner` on.
    pub(crate) const fn new(values: &'a [f32], width: usize, inner: usize) -> Self {
        Self { values, width, stride: width, inner }
    }
}

/// What a chain of sums begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin<'a> {
    Zero,
    Bias(&'a [f32]),
    /// What stands in the target.
    Target,
}

/// Rows times a matrix in panels.
#[derive(Debug)]
pub(crate) struct Product<'a> {
    pub(crate) rows: usize,
    /// In the order of the sums.
    pub(crate) parts: &'a [Part<'a>],
    pub(crate) panels: &'a Panels,
    pub(crate) begin: Begin<'a>,
    /// `[rows × outputs]`.
    pub(crate) target: &'a mut [f32],
}

/// Most rows at once. With AVX-512, 12 × 2 sums of 32 registers stand beside two of weights and one input: weights then
/// come from the second cache at 11 bytes a cycle. With AVX2 half as many rows, 6 × 2 of 16 registers.
pub(crate) const ROWS_MAX: usize = 12;

/// Cuts rows into blocks of one size, give or take a row, and at most `most`.
pub(crate) fn blocks(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(most);
    (0..count).map(move |index| rows * index / count..rows * (index + 1) / count)
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let wide = S::F32_LANES >= 16;
        for block in blocks(self.rows, if wide { ROWS_MAX } else { ROWS_MAX / 2 }) {
            let outputs = self.panels.outputs;
            let work = Block {
                first: block.start,
                parts: self.parts,
                panels: self.panels,
                begin: self.begin,
                target: &mut self.target[block.start * outputs..block.end * outputs],
            };
            // Few rows take several panels at once: a multiply-add takes four cycles and two can begin in each, so less than
            // eight chains side by side leave the processor waiting.
            match block.len() {
                12 if wide => work.run::<S, 12, 1>(simd),
                11 if wide => work.run::<S, 11, 1>(simd),
                10 if wide => work.run::<S, 10, 1>(simd),
                9 if wide => work.run::<S, 9, 1>(simd),
                8 if wide => work.run::<S, 8, 1>(simd),
                7 if wide => work.run::<S, 7, 1>(simd),
                6 => work.run::<S, 6, 1>(simd),
                5 => work.run::<S, 5, 1>(simd),
                4 => work.run::<S, 4, 1>(simd),
                3 => work.run::<S, 3, 2>(simd),
                2 => work.run::<S, 2, 2>(simd),
                _ => work.run::<S, 1, 4>(simd),
            }
        }
    }
}

/// Some rows against all panels.
struct Block<'a> {
    first: usize,
    parts: &'a [Part<'a>],
    panels: &'a Panels,
    begin: Begin<'a>,
    /// Of these rows.
    target: &'a mut [f32],
}

/// `H` registers of sums for each of `R` rows.
pub(crate) type Sums<S, const R: usize, const H: usize> = [[<S as Simd>::f32s; H]; R];

impl Block<'_> {
    /// `R` rows against `P` panels at once, as long as there are so many whole ones, then against one at a time.
    #[inline(always)]
    fn run<S: Simd, const R: usize, const P: usize>(self, simd: S) {
        let (inner, outputs) = (self.panels.inner, self.panels.outputs);
        let Self { first, parts, panels, begin, target } = self;
        let mut rows = target.chunks_exact_mut(outputs);
        let mut rows: [&mut [f32]; R] = std::array::from_fn(|_| rows.next().expect("a target has all rows"));
        let mut at = 0;
        let mut panels = panels.values.chunks_exact(inner);
        while outputs - at >= P * LANES {
            let several: [&[Lanes]; P] = std::array::from_fn(|_| panels.next().expect("a panel for each 32 outputs"));
            against::<S, R, P>(simd, (first, at), (parts, several), begin, &mut rows);
            at += P * LANES;
        }
        for panel in panels {
            if outputs - at >= LANES {
                against::<S, R, 1>(simd, (first, at), (parts, [panel]), begin, &mut rows);
            } else {
                ragged::<S, R>(simd, (first, at), (parts, panel), begin, &mut rows);
            }
            at += LANES;
        }
    }
}

/// Rows from `first` on against whole panels, whose outputs are those from `at` on.
#[expect(clippy::needless_range_loop, reason = "sums stay in registers only where loops over them have no iterators")]
#[inline(always)]
fn against<S: Simd, const R: usize, const P: usize>(
    simd: S,
    (first, at): (usize, usize),
    (parts, panels): (&[Part<'_>], [&[Lanes]; P]),
    begin: Begin<'_>,
    target: &mut [&mut [f32]; R],
) {
    let width = 2 * S::F32_LANES;
    for lane in (0..LANES).step_by(width) {
        let mut sums: [Sums<S, R, 2>; P] = [[[simd.splat_f32s(0.0); 2]; R]; P];
        for panel in 0..P {
            let from = at + panel * LANES + lane;
            match begin {
                Begin::Zero => {}
                Begin::Bias(bias) => {
                    let bias = exactly::<S, 2>(&bias[from..from + width]);
                    for row in 0..R {
                        sums[panel][row] = bias;
                    }
                }
                Begin::Target => {
                    for row in 0..R {
                        sums[panel][row] = exactly::<S, 2>(&target[row][from..from + width]);
                    }
                }
            }
        }
        for part in parts {
            let mut rest = &part.values[first * part.stride..];
            let mut rows: [&[f32]; R] = [&[]; R];
            for row in &mut rows {
                *row = &rest[..part.width];
                rest = rest.get(part.stride..).unwrap_or_default();
            }
            let mut weights: [&[Lanes]; P] = [&[]; P];
            for (weights, panel) in weights.iter_mut().zip(&panels) {
                *weights = &panel[part.inner..part.inner + part.width];
            }
            chain(simd, rows, (weights, lane), &mut sums);
        }
        for panel in 0..P {
            let from = at + panel * LANES + lane;
            for row in 0..R {
                let to = S::as_mut_simd_f32s(&mut target[row][from..from + width]).0;
                to[0] = sums[panel][row][0];
                to[1] = sums[panel][row][1];
            }
        }
    }
}

/// The last panel, where outputs end within it: on a target of its own that reaches to the panel's end.
#[inline(always)]
fn ragged<S: Simd, const R: usize>(
    simd: S,
    (first, at): (usize, usize),
    (parts, panel): (&[Part<'_>], &[Lanes]),
    begin: Begin<'_>,
    target: &mut [&mut [f32]; R],
) {
    let (mut own, mut whole) = ([[0.0; LANES]; R], [0.0; LANES]);
    let begin = match begin {
        Begin::Zero => Begin::Zero,
        Begin::Bias(bias) => {
            whole[..bias.len() - at].copy_from_slice(&bias[at..]);
            Begin::Bias(&whole)
        }
        Begin::Target => {
            own.iter_mut().zip(&*target).for_each(|(own, row)| own[..row.len() - at].copy_from_slice(&row[at..]));
            Begin::Target
        }
    };
    against::<S, R, 1>(
        simd,
        (first, 0),
        (parts, [panel]),
        begin,
        &mut own.each_mut().map(<[f32; LANES]>::as_mut_slice),
    );
    own.iter().zip(target).for_each(|(own, row)| {
        let count = row.len() - at;
        row[at..].copy_from_slice(&own[..count]);
    });
}

/// Multiply-adds of a chain between two looks at whether it is at its end.
const STRIDE: usize = 4;

/// Adds the products of rows with those of `P` panels, in their order, from `lane` on.
#[inline(always)]
pub(crate) fn chain<S: Simd, const R: usize, const H: usize, const P: usize>(
    simd: S,
    rows: [&[f32]; R],
    (panels, lane): ([&[Lanes]; P], usize),
    sums: &mut [Sums<S, R, H>; P],
) {
    let whole = panels[0].len() / STRIDE * STRIDE;
    strides::<S, R, H, P, STRIDE>(simd, rows, (panels, lane), sums);
    if whole < panels[0].len() {
        let rows = std::array::from_fn(|row| &rows[row][whole..]);
        let panels = std::array::from_fn(|panel| &panels[panel][whole..]);
        strides::<S, R, H, P, 1>(simd, rows, (panels, lane), sums);
    }
}

/// As many whole strides of `N` as there are.
#[inline(always)]
fn strides<S: Simd, const R: usize, const H: usize, const P: usize, const N: usize>(
    simd: S,
    rows: [&[f32]; R],
    (panels, lane): ([&[Lanes]; P], usize),
    sums: &mut [Sums<S, R, H>; P],
) {
    let count = panels[0].len() / N;
    let mut inputs: [&[[f32; N]]; R] = [&[]; R];
    let mut weights: [&[[Lanes; N]]; P] = [&[]; P];
    for row in 0..R {
        inputs[row] = &rows[row].as_chunks().0[..count];
    }
    for panel in 0..P {
        weights[panel] = &panels[panel].as_chunks().0[..count];
    }
    let mut own = *sums;
    for stride in 0..count {
        for k in 0..N {
            let mut outputs = [[simd.splat_f32s(0.0); H]; P];
            for panel in 0..P {
                outputs[panel] = registers::<S, H>(&weights[panel][stride][k], lane);
            }
            for row in 0..R {
                let input = simd.splat_f32s(inputs[row][stride][k]);
                for panel in 0..P {
                    for half in 0..H {
                        own[panel][row][half] = simd.mul_add_f32s(input, outputs[panel][half], own[panel][row][half]);
                    }
                }
            }
        }
    }
    *sums = own;
}

/// `H` registers of lanes, from `lane` on.
#[inline(always)]
pub(crate) fn registers<S: Simd, const H: usize>(lanes: &Lanes, lane: usize) -> [S::f32s; H] {
    exactly::<S, H>(&lanes.0[lane..lane + H * S::F32_LANES])
}

/// Closures of the standard library's array functions are not always inlined, and then lose the CPU's vectors: copies and
/// loops are.
#[inline(always)]
fn exactly<S: Simd, const H: usize>(values: &[f32]) -> [S::f32s; H] {
    *S::as_simd_f32s(values).0.first_chunk().expect("as many registers as the slice was cut for")
}

/// `H` registers of a slice, zeros behind its end.
#[inline(always)]
pub(crate) fn read<S: Simd, const H: usize>(simd: S, values: &[f32]) -> [S::f32s; H] {
    if values.len() == H * S::F32_LANES {
        return exactly::<S, H>(values);
    }
    let mut registers = [simd.splat_f32s(0.0); H];
    for (register, values) in registers.iter_mut().zip(values.chunks(S::F32_LANES)) {
        *register = simd.partial_load_f32s(values);
    }
    registers
}

/// `H` registers into a slice, as far as it reaches.
#[inline(always)]
pub(crate) fn write<S: Simd, const H: usize>(sums: &[S::f32s; H], values: &mut [f32]) {
    let flat: &[f32] = pulp::bytemuck::cast_slice(sums);
    values.copy_from_slice(&flat[..values.len()]);
}

#[cfg(test)]
mod tests;
