//! A network's state as safetensors: no pickle, names sorted, the same state always the same bytes.

use std::collections::BTreeMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

use crate::ModelError;

/// Longest header read: room for some ten thousand tensors.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// Tensors by name.
pub type Named = BTreeMap<String, Tensor>;

/// Tensors as safetensors: f32, little-endian.
///
/// # Panics
/// Never: the views are made to fit their data.
#[must_use]
pub fn pack(tensors: &Named) -> Vec<u8> {
    let columns: Vec<(&String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let values: Vec<f32> = Vec::try_from(tensor.detach().to_kind(Kind::Float).contiguous().view(-1))
                .expect("a flat f32 tensor is a vector");
            let shape = tensor.size().iter().map(|&size| size as usize).collect();
            (name, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = columns.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).expect("shape and data come from one tensor");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("names and shapes are plain data")
}

/// Tensors of safetensors bytes.
///
/// # Errors
/// [`ModelError::Unreadable`] for anything but whole safetensors with a short header; [`ModelError::Tensor`] for a tensor
/// that is not f32.
pub fn unpack(bytes: &[u8]) -> Result<Named, ModelError> {
    let unreadable = |why: String| ModelError::Unreadable { why };
    let header = bytes.first_chunk::<8>().ok_or_else(|| unreadable("cut short before the header".to_owned()))?;
    let header = u64::from_le_bytes(*header);
    if header > HEADER_BYTES_MAX {
        return Err(unreadable(format!("the header claims {header} bytes, at most {HEADER_BYTES_MAX} are read")));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| unreadable(error.to_string()))?;
    let mut tensors = Named::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(problem(name, format!("is {:?}, not F32", view.dtype())));
        }
        let size: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let values: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tensors.insert(name.to_owned(), Tensor::from_slice(&values).reshape(size));
    }
    Ok(tensors)
}

fn problem(tensor: &str, why: impl Into<String>) -> ModelError {
    ModelError::Tensor { tensor: tensor.to_owned(), why: why.into() }
}

#[cfg(test)]
mod tests;
