//! Matrices over slices and their product: the one door to `gemm`.

use gemm::Parallelism;

/// A view of a slice as a matrix.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major, without gaps.
    ///
    /// # Panics
    /// When the slice is too short: a caller's bug; so below.
    #[must_use]
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Row-major, each row beginning `row_stride` values after the one before. Rows may overlap.
    #[must_use]
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(values.len(), rows, columns, row_stride), "{rows} × {columns} is more than {}", values.len());
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// Rows as columns.
    #[must_use]
    pub const fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

const fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= len
}

/// Where a product goes: row-major.
#[derive(Debug)]
pub struct Target<'a> {
    values: &'a mut [f32],
    row_stride: usize,
    add: bool,
}

impl<'a> Target<'a> {
    /// Replaces what is there.
    pub fn overwrite(values: &'a mut [f32], row_stride: usize) -> Self {
        Self { values, row_stride, add: false }
    }

    /// Is added to what is there.
    pub fn add(values: &'a mut [f32], row_stride: usize) -> Self {
        Self { values, row_stride, add: true }
    }
}

/// a·b on the calling thread.
///
/// # Panics
/// When the shapes do not fit each other: a caller's bug.
pub fn multiply(a: Matrix<'_>, b: Matrix<'_>, target: Target<'_>) {
    assert_eq!(a.columns, b.rows, "inner sizes");
    assert!(target.row_stride >= b.columns && fits(target.values.len(), a.rows, b.columns, target.row_stride));
    // SAFETY: views are built with their bounds checked, so all of `a` and `b` may be read; the target is large enough and
    // borrowed alone; `gemm` reads and writes nothing else.
    #[expect(unsafe_code, reason = "gemm takes pointers")]
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            target.values.as_mut_ptr(),
            1,
            target.row_stride as isize,
            target.add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_product_is_the_sum_of_products_in_every_orientation(
            rows in 1_usize..9, inner in 1_usize..9, columns in 1_usize..9, transpose in 0_u8..4, seed in 0_u32..1000,
        ) {
            let fill = |count: usize, salt: u32| -> Vec<f32> {
                (0..count).map(|i| ((i as u32 * 37 + seed * 11 + salt) % 23) as f32 - 11.0).collect()
            };
            let (a, b) = (fill(rows * inner, 1), fill(inner * columns, 2));
            let left = if transpose & 1 == 0 { Matrix::new(&a, rows, inner) }
                else { Matrix::new(&a, inner, rows).transposed() };
            let right = if transpose & 2 == 0 { Matrix::new(&b, inner, columns) }
                else { Matrix::new(&b, columns, inner).transposed() };
            let at_a = |r: usize, k: usize| if transpose & 1 == 0 { a[r * inner + k] } else { a[k * rows + r] };
            let at_b = |k: usize, c: usize| if transpose & 2 == 0 { b[k * columns + c] } else { b[c * inner + k] };
            let mut out = vec![1.0; rows * (columns + 2)];
            multiply(left, right, Target::add(&mut out, columns + 2));
            for r in 0..rows {
                for c in 0..columns {
                    let wanted: f32 = (0..inner).map(|k| at_a(r, k) * at_b(k, c)).sum();
                    prop_assert_eq!(out[r * (columns + 2) + c], wanted + 1.0);
                }
                let gap = r * (columns + 2) + columns;
                prop_assert_eq!(&out[gap..gap + 2], &[1.0, 1.0]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "is more than")]
    fn a_view_beyond_its_slice_is_refused() {
        let _ = Matrix::new(&[0.0; 5], 2, 3);
    }
}
