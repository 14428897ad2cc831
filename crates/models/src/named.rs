//! A forecaster's flat buffer as named tensors, and back.
//!
//! Files hold convolutions as other libraries do, `[outputs, inputs, kernel]`; kernels want each tap on its own.

use neural::{Layout, Place};
use tch::{Kind, Tensor};

use crate::forecaster::{Forecaster, Scales};
use crate::policy::{assign_flat, tensor};
use crate::weights::Named;
use crate::{ModelError, weights};

const RETURN_SCALE: &str = "return_scale";
const VOLATILITY_SCALE: &str = "volatility_scale";

/// Whether a tensor is a convolution's: the only ones of three dimensions.
const fn is_convolution(place: &Place) -> bool {
    place.shape.len() == 3
}

impl Forecaster {
    /// Its tensors, of a flat buffer that may hold more behind them.
    #[must_use]
    pub fn named(&self, layout: &Layout, flat: &[f32], scales: Scales) -> Named {
        let named = |place: &Place| {
            let tensor = tensor(&flat[place.range.clone()], &place.shape);
            let tensor = if is_convolution(place) { tensor.permute([1, 2, 0]).contiguous() } else { tensor };
            (place.name.clone(), tensor)
        };
        let own = layout.places().iter().filter(|place| place.range.end <= self.end());
        let mut all: Named = own.map(named).collect();
        all.insert(RETURN_SCALE.to_owned(), Tensor::from_slice(&[scales.returns]));
        if self.heads().volatility.outputs() > 0 {
            all.insert(VOLATILITY_SCALE.to_owned(), Tensor::from_slice(&[scales.volatility]));
        }
        all
    }

    /// The flat buffer and the scales of exactly its tensors.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] naming the tensor that is missing, superfluous, of another shape or not finite.
    pub fn assign(&self, layout: &Layout, mut read: Named) -> Result<(Vec<f32>, Scales), ModelError> {
        let mut scale = |name: &str| -> Result<f32, ModelError> {
            let problem = |why: &str| ModelError::Tensor { tensor: name.to_owned(), why: why.to_owned() };
            let tensor = read.remove(name).ok_or_else(|| problem("is missing"))?;
            let value = if tensor.numel() == 1 { tensor.double_value(&[0]) as f32 } else { f32::NAN };
            if value.is_finite() { Ok(value) } else { Err(problem("is no finite number")) }
        };
        let mut scales = Scales { returns: scale(RETURN_SCALE)?, ..Scales::default() };
        if self.heads().volatility.outputs() > 0 {
            scales.volatility = scale(VOLATILITY_SCALE)?;
        }
        for place in layout.places().iter().filter(|place| is_convolution(place)) {
            if let Some(tensor) = read.get_mut(&place.name) {
                let (wanted, given) = ([place.shape[1], place.shape[2], place.shape[0]], tensor.size());
                if given != wanted.map(|size| size as i64) {
                    let why = format!("has shape {given:?}, the network needs {wanted:?}");
                    return Err(ModelError::Tensor { tensor: place.name.clone(), why });
                }
                *tensor = tensor.to_kind(Kind::Float).permute([2, 0, 1]).contiguous();
            }
        }
        Ok((assign_flat(layout, read)?, scales))
    }

    /// Its tensors as safetensors.
    #[must_use]
    pub fn to_bytes(&self, layout: &Layout, flat: &[f32], scales: Scales) -> Vec<u8> {
        weights::pack(&self.named(layout, flat, scales))
    }
}
